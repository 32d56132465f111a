"""Checks of vocabulary items (resources contract 15 rules 3 to 5)."""

from typing import Any

import pytest

from apps.core.errors import BadRequest
from apps.newsroom.vocabularies.items import check_links, check_required, check_unique

REQUIRED = {"name": {"required": True}, "qcode": {}, "note": None}


@pytest.mark.parametrize("value", [None, "", [], {}])
def test_required_values_are_not_empty(value: Any) -> None:
    """The message names field and position."""
    items = [{"name": "a", "qcode": "a"}, {"name": value, "qcode": "b"}]

    with pytest.raises(BadRequest, match="Required name in item 1"):
        check_required({"schema": REQUIRED, "items": items})


def test_zero_is_a_value() -> None:
    """Numbers are codes, too; nothing else that is false is."""
    vocabulary = {"schema": REQUIRED, "unique_field": "qcode", "items": [{"name": 0, "qcode": 0}]}
    check_required(vocabulary)
    vocabulary["items"] = [{"name": 0, "qcode": ""}]
    with pytest.raises(BadRequest, match="Required qcode in item 0"):
        check_required(vocabulary)


def test_the_unique_field_is_required() -> None:
    """A field that makes items unique cannot be missing."""
    with pytest.raises(BadRequest, match="Required qcode in item 0"):
        check_required({"schema": REQUIRED, "unique_field": "qcode", "items": [{"name": "a"}]})


@pytest.mark.parametrize("vocabulary", [{}, {"items": [{}]}, {"schema": None, "items": None}])
def test_nothing_is_required_without_a_schema(vocabulary: dict[str, Any]) -> None:
    """Old vocabularies have no schema; nothing is looked up for them."""
    lookups: list[str] = []
    check_required(vocabulary)
    check_links(vocabulary, lambda id, field: frozenset(lookups.append(id) or ()))
    assert lookups == []


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"q": "a"}, {"q": "A"}], "Value A for field q is not unique"),
        ([{"q": 1}, {"q": "1"}], "Value 1 for field q is not unique"),
        ([{"q": "a"}, {}], "q cannot be empty"),
        ([{"q": ""}], "q cannot be empty"),
    ],
)
def test_unique_refuses(items: list[dict[str, Any]], message: str) -> None:
    """Case and type make no difference."""
    with pytest.raises(BadRequest, match=message):
        check_unique(items, "q")


def test_unique_ignores_inactive_items() -> None:
    """Only what can be chosen counts."""
    twin = {"q": "a", "is_active": False}
    check_unique([{"q": "a"}, twin, {"is_active": False}], "q")
    with pytest.raises(BadRequest):
        check_unique([{"q": "a"}, {**twin, "is_active": True}], "q")
