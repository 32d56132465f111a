"""JSON of everything that the database may hold."""

import json as stdlib_json
import re
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from bson import Binary, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.code import Code
from bson.datetime_ms import DatetimeMS

from apps.core import json

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ID = ObjectId("65f000000000000000000000")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (NOON, "2026-03-02T12:00:00+0000"),
        (NOON.replace(tzinfo=None), "2026-03-02T12:00:00+0000"),
        (datetime.min.replace(tzinfo=UTC), "0001-01-01T00:00:00+0000"),
        (DatetimeMS(-(2**62)), -(2**62)),
        (date(2026, 3, 2), "2026-03-02"),
        (ID, str(ID)),
        (DBRef("a", ID), {"$ref": "a", "$id": str(ID)}),
        (Decimal128("1.50"), "1.50"),
        (Binary(b"\xff\x00"), "/wA="),
        (b"\xff", "/w=="),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Regex("^a", "i"), "^a"),
        (re.compile("^a"), "^a"),
        (Code("x", {"a": 1}), "x"),
        (Timestamp(NOON, 1), "2026-03-02T12:00:00+0000"),
        (MinKey(), "MinKey"),
        (MaxKey(), "MaxKey"),
        (Int64(2**62), 2**62),
        (float("nan"), None),
        (float("inf"), None),
        ({"a": [float("-inf"), "\ud800"]}, {"a": [None, "\ud800"]}),
        (2**70, 2**70),
        ({"a": [2**70, NOON, Decimal128("1")]}, {"a": [2**70, "2026-03-02T12:00:00+0000", "1"]}),
    ],
    ids=repr,
)
def test_what_is_stored_can_be_shown(value: Any, shown: Any) -> None:
    """Every type has a form, alone and deep inside."""
    assert stdlib_json.loads(json.dumps({"a": [value]})) == {"a": [shown]}


def test_nesting_beyond_what_is_stored() -> None:
    """The store takes 100 levels; twice as many are shown."""
    value: Any = NOON
    for _ in range(300):
        value = [value]

    assert json.dumps(value).startswith(b"[" * 300)


def test_what_no_store_holds_is_a_mistake() -> None:
    """Objects of the program are not shown by accident."""
    with pytest.raises(TypeError, match="has no JSON form"):
        json.dumps({"a": object()})
