"""Waking lanes: known ones, new ones, and both at once."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from apps.lanes.waking import wake

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def db(stores: Any, database_name: str) -> Iterator[Any]:
    with MongoClient[dict[str, Any]](stores.mongo_uri, tz_aware=True) as client:
        database = client[database_name]
        database["publish_lanes"].delete_many({})
        yield database


def lanes(db: Any) -> dict[str, dict[str, Any]]:
    return {lane["_id"]: lane for lane in db["publish_lanes"].find({})}


def test_makes_new_lanes(db: Any) -> None:
    """A lane is there from its first row on; it says whether something urgent waits."""
    wake(db["publish_lanes"], {"a": False, "b": True}, NOW)

    found = lanes(db)
    assert {"a": (NOW, False), "b": (NOW, True)} == {
        id_: (lane["wake_at"], lane["urgent"]) for id_, lane in found.items()
    }
    assert all(lane["wakes"] > 0 for lane in found.values())


def test_moves_known_lanes_forward(db: Any) -> None:
    """What is due earlier stays so, what is urgent stays urgent, and each wake-up is counted."""
    wake(db["publish_lanes"], {"a": False, "b": True}, NOW)
    before = lanes(db)

    wake(db["publish_lanes"], {"a": True, "b": False}, LATER)

    after = lanes(db)
    assert {"a": (NOW, True), "b": (NOW, True)} == {
        id_: (lane["wake_at"], lane["urgent"]) for id_, lane in after.items()
    }
    assert all(after[id_]["wakes"] == before[id_]["wakes"] + 1 for id_ in after)


def test_wakes_known_lanes_next_to_new_ones(db: Any) -> None:
    """A lane that rests is due again, also when another one is new."""
    wake(db["publish_lanes"], {"a": False}, NOW)
    db["publish_lanes"].update_one({"_id": "a"}, {"$set": {"wake_at": LATER}})
    wakes = lanes(db)["a"]["wakes"]

    wake(db["publish_lanes"], {"a": False, "b": False}, NOW)

    after = lanes(db)
    assert {NOW} == {lane["wake_at"] for lane in after.values()}
    assert after["a"]["wakes"] > wakes


def test_wakes_nothing_for_nothing(db: Any) -> None:
    """Without rows there are no lanes to wake."""
    wake(db["publish_lanes"], {}, NOW)

    assert lanes(db) == {}
