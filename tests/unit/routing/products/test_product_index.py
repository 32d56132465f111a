"""Which products an item can belong to."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.routing.filters.content_filters import compile_filters
from apps.routing.filters.fields import ItemView
from apps.routing.products.matching import ProductIndex, compile_product

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)


def product(id_: str, filter_id: Any = None, filter_type: str = "permitting") -> dict[str, Any]:
    return {"_id": id_, "content_filter": {"filter_id": filter_id, "filter_type": filter_type}}


@pytest.fixture
def index() -> ProductIndex:
    """Products with a listed, a negative, a broken, a gone and no filter."""
    conditions = [
        {"_id": "sport", "field": "subject", "operator": "in", "value": "sport,games"},
        {"_id": "urgent", "field": "urgency", "operator": "lt", "value": "3"},
        {"_id": "not", "field": "subject", "operator": "nin", "value": "sport"},
    ]
    definitions = {"listed": ["sport", "urgent"], "negative": ["not"], "broken": []}
    documents = [
        {"_id": id_, "content_filter": [{"expression": {"fc": fc}}]}
        for id_, fc in definitions.items()
    ]
    filters = compile_filters(documents, conditions, [])
    products = [
        product("listed", "listed"),
        product("blocking", "listed", "blocking"),
        product("negative", "negative"),
        product("broken", "broken"),
        product("gone", "gone"),
        product("open"),
    ]
    return ProductIndex([compile_product(document) for document in products], filters)


ALWAYS = {"blocking", "negative", "gone", "open"}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([], ALWAYS),
        (["arts"], ALWAYS),
        (["SPORT"], ALWAYS | {"listed"}),
        (["arts", "games", "sport"], ALWAYS | {"listed"}),
    ],
)
def test_possible(codes: list[str], expected: set[str], index: ProductIndex) -> None:
    """A product is left out only when the item lacks every value its filter asks for."""
    view = ItemView({"subject": [{"qcode": code} for code in codes]}, NOW)

    assert expected == {product.id for product in index.possible(view)}


@pytest.mark.parametrize(
    ("headline", "expected"),
    [
        ("Calm seas", set()),
        ("A STORM warning", {"pattern", "either"}),
        ("storm", {"pattern", "either"}),
        ("sto", {"either"}),
    ],
)
def test_texts_are_searched_for(headline: str, expected: set[str]) -> None:
    """A key and a part of the same text are two things; each finds its products."""
    conditions = [
        {"_id": "like", "field": "headline", "operator": "like", "value": "storm"},
        {"_id": "in", "field": "headline", "operator": "in", "value": "sto,storm"},
    ]
    documents = [
        {"_id": "pattern", "content_filter": [{"expression": {"fc": ["like"]}}]},
        {
            "_id": "either",
            "content_filter": [{"expression": {"fc": ["in"]}}, {"expression": {"fc": ["like"]}}],
        },
    ]
    filters = compile_filters(documents, conditions, [])
    products = [product(id_, id_) for id_ in ("pattern", "either")]
    index = ProductIndex([compile_product(document) for document in products], filters)

    found = index.possible(ItemView({"headline": headline}, NOW))

    assert expected == {found_product.id for found_product in found}
