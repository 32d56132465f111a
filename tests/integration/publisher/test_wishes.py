"""Wishes in the store: several at once, beside workers that move their records."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.core.clock import SystemClock
from apps.core.errors import Conflict
from apps.graph.build import Graph
from apps.publisher.records.wishes import Made, Piece, Result, Wish, Wishes, seq_of
from apps.publisher.schema import HISTORY, Outcome, RecordStatus, WishAction
from apps.store.collections import PUBLISHING_RECORDS

INTEGRATION: Mapping[str, Any] = {
    "_id": ObjectId(),
    "account": "default",
    "site": ObjectId(),
    "destination": "wordpress",
}
PIECE = Piece(INTEGRATION, "story", "story")


class Lanes:
    """Notes which lanes are woken."""

    def __init__(self) -> None:
        self.woken: list[tuple[Any, datetime]] = []

    def wake(self, integration_id: Any, at: datetime, *, urgent: bool = False) -> None:
        self.woken.append((integration_id, at))

    def resume(self, integration_id: Any) -> None:
        raise AssertionError("wishes end no pauses")


@pytest.fixture
def lanes() -> Lanes:
    return Lanes()


@pytest.fixture
def wishes(graph: Graph, lanes: Lanes) -> Wishes:
    return Wishes(graph.db, SystemClock(), lanes, graph.notifier)


def test_wishes_at_once_end_in_one_record(graph: Graph, wishes: Wishes, lanes: Lanes) -> None:
    def publish(number: int) -> Made:
        due = graph.clock.now() + timedelta(hours=number)
        return wishes.make(PIECE, Wish(WishAction.PUBLISH, 1, schedule_at=due))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(publish, range(8)))

    record = graph.db[PUBLISHING_RECORDS].find_one({})
    assert graph.db[PUBLISHING_RECORDS].count_documents({}) == 1
    assert sorted(each.seq for each in made) == list(range(1, 9))
    assert record["desired"]["seq"] == 8
    assert {lane for lane, _ in lanes.woken} == {INTEGRATION["_id"]}
    assert len(lanes.woken) == 8


def test_a_wish_that_was_made_before_the_worker_finished_stays(
    graph: Graph, wishes: Wishes
) -> None:
    """The worker ends the wish that it has read, and no other."""
    records = graph.db[PUBLISHING_RECORDS]
    first = wishes.make(PIECE, Wish(WishAction.PUBLISH, 1))
    wishes.make(PIECE, Wish(WishAction.PUBLISH, 2))

    ended = records.update_one(
        {"content": "story", "desired.seq": first.seq}, {"$set": {"next_attempt_at": None}}
    )

    assert not ended.matched_count
    assert records.find_one({})["next_attempt_at"] is not None


def test_what_is_dropped_is_in_the_history_which_has_an_end(graph: Graph, wishes: Wishes) -> None:
    wishes.make(PIECE, Wish(WishAction.PUBLISH, 5))

    for _ in range(HISTORY + 5):
        made = wishes.make(PIECE, Wish(WishAction.PUBLISH, 4))

    assert made.result == Result.UNCHANGED
    record = graph.db[PUBLISHING_RECORDS].find_one({})
    assert [entry["outcome"] for entry in record["history"]] == [Outcome.SUPERSEDED] * HISTORY
    assert seq_of(record) == 1


def test_nothing_is_retracted_where_nothing_is_known(graph: Graph, wishes: Wishes) -> None:
    made = wishes.make(PIECE, Wish(WishAction.RETRACT, 1))

    assert (made.result, made.record) == (Result.UNCHANGED, None)
    assert not graph.db[PUBLISHING_RECORDS].count_documents({})


def test_only_what_has_failed_is_tried_again(graph: Graph, wishes: Wishes) -> None:
    record = wishes.make(PIECE, Wish(WishAction.PUBLISH, 1, force=True)).record
    assert record is not None
    with pytest.raises(Conflict):
        wishes.retry(record, None)
    failed = {"status": RecordStatus.FAILED, "error": {"class": "config"}, "next_attempt_at": None}
    graph.db[PUBLISHING_RECORDS].update_one({}, {"$set": failed})

    again = wishes.retry({**record, **failed}, None)

    assert again["status"] == RecordStatus.PENDING
    assert again["desired"]["force"] is True
    assert again["next_attempt_at"] is not None
