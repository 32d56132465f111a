"""Which recipients of an item may see which of its associations (routing contract 8.8)."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

import structlog
from bson import ObjectId

from apps.core.service import Document
from apps.core.vocabulary import SubscriberType
from apps.publish.enqueue.decisions import Item
from apps.publish.enqueue.references import associations_of
from apps.publish.enqueue.rules import RoutingRules
from apps.publish.queue.recipients import Ledger

log = structlog.get_logger(__name__)

Shares = dict[str, frozenset[ObjectId]]
"""Key of each association to the ids of the subscribers that may see it."""


def matching_shares(
    item: Item,
    subscriber_ids: Collection[ObjectId],
    rules: RoutingRules,
    now: datetime,
    media: SubscriberType | None,
) -> Shares:
    """Return which of the item's recipients each association goes to by its own content.

    Args:
        subscriber_ids: the recipients of the item; nobody else sees its associations.
        media: as for the item itself.
    """
    shares = {}
    for key, held in associations_of(item):
        try:
            matches = rules.matches(held, now, among=subscriber_ids, target_media=media)
        except KeyError as error:
            # Nobody knows who is meant. The story goes out without the association.
            log.warning(
                "association.incomplete", item=item.get("item_id"), key=key, lacks=str(error)
            )
            matches = []
        shares[key] = frozenset(match.subscriber.id for match in matches)
    return shares


def shares_held(item: Item, subscriber_ids: Collection[ObjectId], ledger: Ledger) -> Shares:
    """Return who had the associations with an earlier version, or with what the item updates."""
    items = [item["item_id"], *filter(None, [item.get("rewrite_of")])]
    held_by: dict[str, set[ObjectId]] = defaultdict(set)
    for entries in map(ledger.of, items):
        for subscriber_id in entries.keys() & set(subscriber_ids):
            for association in entries[subscriber_id].associated:
                held_by[association].add(subscriber_id)
    return {
        key: frozenset(held_by.get(str(held.get("_id")), ())) for key, held in associations_of(item)
    }


def shares_of_all(item: Item, subscriber_ids: Collection[ObjectId]) -> Shares:
    """Return that every recipient may see every association."""
    return {key: frozenset(subscriber_ids) for key, _held in associations_of(item)}


def united_shares(first: Shares, second: Shares) -> Shares:
    """Return who may see each association by either."""
    return {
        key: first.get(key, frozenset()) | second.get(key, frozenset())
        for key in {**first, **second}
    }


def with_subscribers(item: Item, shares: Shares) -> Document:
    """Return the item's `associations`, each with its `subscribers`: sorted ids as text."""
    return {
        key: {**held, "subscribers": sorted(map(str, shares.get(key, ())))}
        if isinstance(held, Mapping)
        else held
        for key, held in (item.get("associations") or {}).items()
    }


def associated_items(item: Item, shares: Shares) -> dict[ObjectId, tuple[str, ...]]:
    """Return the ids of the associations that each subscriber may see."""
    seen: dict[ObjectId, list[str]] = defaultdict(list)
    for key, held in associations_of(item):
        for subscriber_id in shares.get(key, ()) if isinstance(held.get("_id"), str) else ():
            seen[subscriber_id].append(held["_id"])
    return {id_: tuple(dict.fromkeys(items)) for id_, items in seen.items()}
