"""Whom an item is aimed at."""

from typing import Any

import pytest

from apps.publish.enqueue.decisions import Eligibility, Targets

ELIGIBLE, DIRECT, DROPPED = Eligibility.ELIGIBLE, Eligibility.DIRECT, Eligibility.DROPPED
NAMED = {"target_subscribers": [{"_id": "s1"}]}
REGIONS = {"target_regions": [{"qcode": "QLD", "allow": True}]}


def types(**allows: bool) -> dict[str, Any]:
    return {"target_types": [{"qcode": q, "name": q, "allow": a} for q, a in allows.items()]}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, ELIGIBLE),
        ({"target_subscribers": None, "target_types": None, "target_regions": None}, ELIGIBLE),
        ({"target_subscribers": [], "target_types": [], "target_regions": []}, ELIGIBLE),
        (REGIONS, ELIGIBLE),
        (NAMED, DIRECT),
        ({"target_subscribers": [{"_id": "s2"}]}, DROPPED),
        ({"target_subscribers": [{"_id": "s2"}], **types(digital=True)}, ELIGIBLE),
        ({"target_subscribers": [{"_id": "s2"}], **types(wire=True)}, DROPPED),
        ({"target_subscribers": [{"_id": "s2"}], **REGIONS}, ELIGIBLE),
        ({**NAMED, **types(wire=True)}, DIRECT),
        ({**NAMED, **REGIONS}, DIRECT),
        (types(wire=True), DROPPED),
        ({**types(wire=True), **REGIONS}, ELIGIBLE),
    ],
)
def test_table(item: dict[str, Any], expected: Eligibility) -> None:
    """The digital subscriber s1 against each row of the table.

    Routing contract 7.1; routing scenario 23, 24.
    """
    assert expected is Targets.of(item).eligibility("s1", "digital")


@pytest.mark.parametrize(
    ("allows", "digital", "wire", "every"),
    [
        ({"digital": True}, True, False, True),
        ({"wire": True}, False, True, True),
        ({"all": True}, False, False, True),
        ({"digital": False}, False, True, True),
        ({"wire": False}, True, False, True),
        ({"digital": False, "wire": False}, False, False, False),
        ({"all": False}, True, True, False),
        ({"digital": True, "wire": False}, True, False, True),
        ({"digital": True, "wire": True}, True, True, True),
        ({"radio": True}, False, False, False),
        ({"radio": False}, True, True, True),
    ],
)
def test_types(allows: dict[str, bool], digital: bool, wire: bool, every: bool) -> None:
    """Denies are joined by AND, and `all` counts as digital and as wire (routing contract 7.1)."""
    targets = Targets.of(types(**allows))
    eligible = [targets.eligibility("s", type_) is ELIGIBLE for type_ in ("digital", "wire", "all")]

    assert [digital, wire, every] == eligible


def test_ids_compare_as_text() -> None:
    """Targets may hold ids of any type."""
    assert DIRECT is Targets.of({"target_subscribers": [{"_id": 5}]}).eligibility("5", "wire")


@pytest.mark.parametrize(
    ("item", "missing"),
    [
        ({"target_subscribers": [{"a": "b"}]}, "_id"),
        ({"target_subscribers": ["s1"]}, "_id"),
        ({"target_types": [{"allow": True}]}, "qcode"),
        ({"target_types": [{"qcode": "wire"}]}, "allow"),
        ({"target_regions": [{"allow": True}]}, "qcode"),
    ],
)
def test_malformed(item: dict[str, Any], missing: str) -> None:
    """A target that names nobody is an error, by the key that is missing (routing contract 8.1)."""
    with pytest.raises(KeyError, match=missing):
        Targets.of(item)
