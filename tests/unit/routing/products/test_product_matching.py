"""Which items belong to a product."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.routing.filters.content_filters import FilterSet, compile_filters
from apps.routing.filters.fields import ItemView
from apps.routing.products.matching import (
    FilterType,
    ProductOutcome,
    ProductType,
    Restriction,
    compile_product,
    describe_outcome,
    product_matches,
    product_outcome,
    read_restriction,
    split_codes,
)

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)
MATCHED, REGION = ProductOutcome.MATCHED, ProductOutcome.REGION
FILTER, UNDECIDED = ProductOutcome.FILTER, ProductOutcome.UNDECIDED


@pytest.fixture
def filters() -> FilterSet:
    """A filter that matches the keyword `a`, and one that cannot be evaluated."""
    condition = {"_id": 1, "name": "a", "field": "keywords", "operator": "in", "value": "a"}
    documents = [
        {"_id": "F", "name": "Letter", "content_filter": [{"expression": {"fc": [1]}}]},
        {"_id": "broken", "name": "Broken", "content_filter": [{"expression": {}}]},
    ]
    return compile_filters(documents, [condition], [])


def outcome(document: dict[str, Any], item: dict[str, Any], filters: FilterSet) -> ProductOutcome:
    product = compile_product({"_id": "P", "name": "P", **document})
    view = ItemView(item, NOW)
    result = product_outcome(product, view, filters)
    assert product_matches(product, view, filters) is (result is MATCHED)
    return result


@pytest.mark.parametrize(
    ("filter_id", "filter_type", "keyword", "expected"),
    [
        ("F", "permitting", "a", MATCHED),
        ("F", "permitting", "b", FILTER),
        ("F", "blocking", "a", FILTER),
        ("F", "blocking", "b", MATCHED),
        ("F", None, "a", FILTER),
        ("F", None, "b", MATCHED),
        ("gone", "permitting", "a", UNDECIDED),
        ("gone", "blocking", "a", UNDECIDED),
        ("broken", "permitting", "a", UNDECIDED),
        ("broken", "blocking", "a", UNDECIDED),
        ("F", "refusing", "a", UNDECIDED),
        ("F", ["permitting"], "a", UNDECIDED),
        (None, "permitting", "b", MATCHED),
        (None, "blocking", "a", MATCHED),
    ],
)
def test_filter_table(
    filter_id: Any, filter_type: Any, keyword: str, expected: ProductOutcome, filters: FilterSet
) -> None:
    """Permitting and blocking are opposites; a filter that is gone fails both.

    Routing scenario 19.
    """
    document = {"content_filter": {"filter_id": filter_id, "filter_type": filter_type}}

    assert expected is outcome(document, {"keywords": [keyword]}, filters)


@pytest.mark.parametrize(
    ("content_filter", "expected"),
    [(None, MATCHED), ({}, MATCHED), ("F", UNDECIDED), (["F"], UNDECIDED)],
)
def test_no_filter(content_filter: Any, expected: ProductOutcome, filters: FilterSet) -> None:
    """Without a filter every item passes; with one that cannot be read none does."""
    assert expected is outcome({"content_filter": content_filter}, {}, filters)


def region(qcode: str, allow: bool) -> dict[str, Any]:
    return {"qcode": qcode, "name": qcode, "allow": allow}


@pytest.mark.parametrize(
    ("regions", "geo", "expected"),
    [
        (None, None, MATCHED),
        ([], None, MATCHED),
        (None, "", MATCHED),
        (None, "QLD", REGION),
        ([], "QLD", REGION),
        ([region("QLD", True)], None, REGION),
        ([region("QLD", True)], "", REGION),
        ([region("QLD", True)], "QLD", MATCHED),
        ([region("QLD", True)], "NSW", REGION),
        ([region("NSW", False)], "QLD", MATCHED),
        ([region("NSW", False)], "NSW", REGION),
        ([region("NSW", False)], None, REGION),
        ([region("NSW", False), region("QLD", False)], "NSW", REGION),
        ([region("NSW", False), region("QLD", False)], "QLD", REGION),
        ([region("NSW", False), region("QLD", False)], "VIC", MATCHED),
        ([region("NSW", False), region("QLD", True)], "QLD", MATCHED),
        ([region("NSW", False), region("QLD", True)], "VIC", REGION),
        ([region("NSW", True), region("QLD", True)], "QLD", MATCHED),
    ],
)
def test_region_table(regions: Any, geo: Any, expected: ProductOutcome, filters: FilterSet) -> None:
    """Targeted items go to products of an admitted region, others to products of none.

    Routing scenario 22.
    """
    assert expected is outcome({"geo_restrictions": geo}, {"target_regions": regions}, filters)


def test_the_region_is_checked_first(filters: FilterSet) -> None:
    """A product that fails both checks is told the region."""
    document = {"geo_restrictions": "QLD", "content_filter": {"filter_id": "F"}}

    assert REGION is outcome(document, {"keywords": ["a"]}, filters)


@pytest.mark.parametrize(
    ("entry", "missing"),
    [
        ({"a": "b"}, "qcode"),
        ({"allow": True}, "qcode"),
        ({"qcode": "QLD"}, "allow"),
        (None, "qcode"),
        ("QLD", "qcode"),
    ],
)
def test_malformed_targets(entry: Any, missing: str, filters: FilterSet) -> None:
    """A target that names nobody stops the item, by the key that is missing.

    Routing scenario 38.
    """
    with pytest.raises(KeyError, match=missing):
        outcome({}, {"target_regions": [entry]}, filters)


def test_restriction() -> None:
    """Entries are sorted into allows and denies by the truth of `allow`."""
    entries = [region("a", True), region("b", False), {"qcode": 4, "allow": None}]

    assert Restriction(frozenset({"a"}), frozenset({"b", "4"})) == read_restriction(entries)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        ("a,,b,", ("a", "b")),
        ("a,a", ("a",)),
        ("", ()),
        (None, ()),
        (["a"], ()),
    ],
)
def test_codes(codes: Any, expected: tuple[str, ...]) -> None:
    """Codes are trimmed; blank ones are dropped (routing contract 3)."""
    assert expected == split_codes(codes)


def test_compiled_product() -> None:
    """A full document is kept as it is."""
    product = compile_product(
        {
            "_id": 5,
            "name": "Sport",
            "codes": "s,t",
            "geo_restrictions": "QLD",
            "product_type": "api",
            "content_filter": {"filter_id": 7, "filter_type": "permitting"},
        }
    )

    assert (product.id, product.key, product.name, product.codes) == (5, "5", "Sport", ("s", "t"))
    assert (product.region, product.filter_id, product.filter_type) == ("QLD", "7", "permitting")
    assert product.product_type == ProductType.API


def test_defaults() -> None:
    """A product is for both lists, and its filter blocks, unless it says otherwise."""
    product = compile_product({"_id": 5, "content_filter": {"filter_id": 7}})

    assert product.product_type == ProductType.BOTH
    assert product.filter_type is FilterType.BLOCKING


@pytest.mark.parametrize(
    ("document", "keyword", "expected"),
    [
        ({}, "a", "P: matched"),
        ({"geo_restrictions": "QLD"}, "a", "P: region"),
        (
            {"content_filter": {"filter_id": "F", "filter_type": "permitting"}},
            "b",
            "P: filter Letter does not match",
        ),
        ({"content_filter": {"filter_id": "F"}}, "a", "P: filter Letter blocks"),
        ({"content_filter": {"filter_id": "gone"}}, "a", "P: filter gone is gone"),
        ({"content_filter": {"filter_id": "broken"}}, "a", "P: filter Broken is broken"),
    ],
)
def test_words(document: dict[str, Any], keyword: str, expected: str, filters: FilterSet) -> None:
    """Outcomes are told in words that name product and filter."""
    product = compile_product({"_id": "P", "name": "P", **document})
    result = product_outcome(product, ItemView({"keywords": [keyword]}, NOW), filters)

    assert expected == describe_outcome(product, result, filters)
