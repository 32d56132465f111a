"""Why products refuse items, put on record once for all items that are routed by the same rules.

It is not written down for each item why each subscriber gets nothing: most of them list no product
that takes it. A document of `routing_refusals` says what every product of every active subscriber
would say:
`{_id, products: [{_id, name, region, filter, undecided}], subscribers: [{_id, products, gone}],
seen_at}`. Its id follows from what it holds. A routing decision names it, and the products that
refused the item for another reason than their filter.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, NamedTuple

import bson
import structlog
from pymongo.database import Database
from pymongo.errors import DocumentTooLarge, DuplicateKeyError

from apps.core.service import Document
from apps.publish.enqueue.subscribers import ListedProducts
from apps.routing.filters.content_filters import FilterSet
from apps.routing.products.matching import (
    Product,
    ProductOutcome,
    describe_outcome,
    unasked_outcome,
)
from apps.store.collections import ROUTING_DECISIONS, ROUTING_REFUSALS

log = structlog.get_logger(__name__)

REFUSING = (ProductOutcome.REGION, ProductOutcome.FILTER, ProductOutcome.UNDECIDED)
IN_USE = timedelta(days=1)
"""How long a record that no decision names is kept: a run may still be about to name it."""


class Refusals(NamedTuple):
    """The record, and its id."""

    id: str
    document: Document


def compile_refusals(subscribers: Iterable[ListedProducts], filters: FilterSet) -> Refusals:
    """Return what the products of active subscribers say when they refuse an item."""
    listed = sorted(subscribers, key=lambda each: each.subscriber.key)
    products = {product.key: product for each in listed for product in each.products}
    document = {
        "products": [
            {"_id": key, **_texts(product, filters)} for key, product in sorted(products.items())
        ],
        "subscribers": [
            {
                "_id": each.subscriber.id,
                "products": [product.key for product in each.products],
                "gone": list(each.gone),
            }
            for each in listed
        ],
    }
    return Refusals(sha256(bson.encode(document)).hexdigest()[:40], document)


def _texts(product: Product, filters: FilterSet) -> dict[str, str]:
    """Return what a product says, by outcome; `filter` also where it need not be asked."""
    outcomes = {
        **{o: o for o in REFUSING},
        ProductOutcome.FILTER: unasked_outcome(product, filters),
    }
    return {o.value: describe_outcome(product, outcome, filters) for o, outcome in outcomes.items()}


def keep_refusals(db: Database[Document], refusals: Refusals, now: datetime) -> None:
    """Put on record what the rules in force say; one command."""
    change = {"$set": {"seen_at": now}, "$setOnInsert": refusals.document}
    try:
        db[ROUTING_REFUSALS].update_one({"_id": refusals.id}, change, upsert=True)
    except DuplicateKeyError:
        # Another process has just put the same on record.
        return
    except DocumentTooLarge:
        log.warning("refusals.too_many")


def reasons_of(db: Database[Document], routing: Mapping[str, Any]) -> dict[Any, str]:
    """Return the active subscribers by id, and why their products refused the item; one command.

    Args:
        routing: a document of `routing_decisions`.
    """
    found = db[ROUTING_REFUSALS].find_one({"_id": routing.get("refusals")})
    if found is None:
        return {}
    outcomes = {refused["_id"]: refused["outcome"] for refused in routing.get("refused") or ()}
    texts = {
        product["_id"]: product[outcomes.get(product["_id"], ProductOutcome.FILTER.value)]
        for product in found["products"]
    }
    return {
        each["_id"]: "; ".join(
            [*(texts[key] for key in each["products"]), *map(_gone, each["gone"])]
        )
        for each in found["subscribers"]
    }


def _gone(key: str) -> str:
    return f"product {key} is gone"


def forget_refusals(db: Database[Document], now: datetime) -> None:
    """Remove what no decision names any more, but for that of the rules in force."""
    fields = {"seen_at": 1}
    known = list(db[ROUTING_REFUSALS].find({}, fields).sort("seen_at", -1))
    old = [each["_id"] for each in known[1:] if each["seen_at"] < now - IN_USE]
    if old:
        named = set(_named(db, old))
        gone = [id_ for id_ in old if id_ not in named]
        db[ROUTING_REFUSALS].delete_many({"_id": {"$in": gone}})


def _named(db: Database[Document], ids: Sequence[str]) -> Iterable[str]:
    return (id_ for id_ in ids if db[ROUTING_DECISIONS].find_one({"refusals": id_}, {"_id": 1}))
