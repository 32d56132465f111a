"""The checks at the end of every chaos case find what they are there for."""

from collections.abc import Callable
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import Arrival, Conservation, Recorder, manifest_faults
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver


@pytest.fixture
def recorder(receiver: HTTPReceiver) -> Recorder:
    """What the receiver got and said."""
    recorder = Recorder()
    receiver.answer(recorder)
    return recorder


@pytest.fixture
def lane(desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, recorder: Recorder) -> str:
    """A lane in which three versions of two items were delivered."""
    target = push(receiver.url)
    subscriber = desk.newsroom.subscriber("one", target)
    fill(graph.db, subscriber, target, graph.clock.precise(), items=2, versions=3)
    graph.transmit.run()
    return lane_id(subscriber, target["_id"])


def copy_of(rows: Any, **changes: Any) -> None:
    """Store one of the rows again."""
    row = {**rows.find_one({"order_no": 2}), **changes}
    del row["_id"]
    rows.insert_one(row)


class TestConservation:
    def test_all_is_well(self, graph: Graph, lane: str) -> None:
        """Six rows have ended, and none is anything else."""
        assert Conservation(graph.db).check() == {"success": 6}

    @pytest.mark.parametrize(
        ("harm", "told"),
        [
            (lambda rows: rows.delete_one({"order_no": 3}), "a row is lost"),
            (lambda rows: rows.update_one({}, {"$set": {"item_version": 9}}), "was ("),
            (lambda rows: rows.update_one({}, {"$set": {"state": "in-progress"}}), "in-progress"),
            (lambda rows: rows.update_one({}, {"$set": {"state": "retrying"}}), "is retrying"),
            (lambda rows: rows.update_one({}, {"$set": {"state": "lost"}}), "is lost"),
            (
                lambda rows: copy_of(
                    rows, idempotency_key="another", order_no=70, published_seq_num=70
                ),
                "have one purpose",
            ),
            (
                lambda rows: copy_of(
                    rows, item_version=7, idempotency_key="x", published_seq_num=7
                ),
                "have one place",
            ),
        ],
    )
    def test_what_is_wrong_is_told(
        self, graph: Graph, lane: str, harm: Callable[[Any], object], told: str
    ) -> None:
        """Once it was seen, a row may not go, change what it is, or stay as it is."""
        conservation = Conservation(graph.db)
        conservation.look()
        harm(graph.db["publish_queue"])

        assert told in "\n".join(conservation.faults())

    def test_what_a_dead_process_was_sending_is_in_progress(
        self, graph: Graph, lane: str, clock: HandClock
    ) -> None:
        """Though its row waits, as stored, and may wait."""
        leave_claimed(graph.db, clock, item_id="item-0000", item_version=3)

        (fault,) = Conservation(graph.db).faults(may_wait=True)

        assert "item-0000 v3 published" in fault
        assert fault.endswith("is in-progress")


class TestManifest:
    def test_all_is_well(self, graph: Graph, lane: str, recorder: Recorder) -> None:
        """Every success was accepted once, in order."""
        assert len(recorder.arrivals()) == 6
        assert manifest_faults(graph.db, lane, recorder.arrivals()) == []

    def test_each_difference_is_told(self, graph: Graph, lane: str, recorder: Recorder) -> None:
        """A receiver that has less, more, something else, or things in another order."""
        came = recorder.arrivals()

        def told(arrivals: list[Arrival]) -> str:
            return "\n".join(manifest_faults(graph.db, lane, arrivals))

        stranger = Arrival("other", "/", b"{}", came[-1].at, is_accepted=True)
        changed = Arrival(came[0].key, "/", b"{}", came[0].at, is_accepted=True)
        refused = Arrival(came[0].key, "/", came[0].body, came[0].at)
        assert "never accepted" in told(came[1:])
        assert "never accepted" in told([refused, *came[1:]])
        assert "what has no row came: 'other'" in told([*came, stranger])
        assert "another body" in told([changed, *came[1:]])
        assert "came behind" in told([came[2], *came[:2], *came[3:]])
        assert "came 2 times" in told([*came, came[-1]])

    def test_repeats_are_explained_by_attempts(
        self, graph: Graph, lane: str, recorder: Recorder
    ) -> None:
        """An unknown outcome lets a receiver have it once more; a refusal lets it be asked."""
        came = recorder.arrivals()
        refused = Arrival(came[-1].key, "/", came[-1].body, came[-1].at)

        note_earlier(graph, came[-1].key, {"outcome": "retrying"})
        assert manifest_faults(graph.db, lane, [*came[:-1], refused, came[-1]]) == []
        assert "accepted 2 times" in manifest_faults(graph.db, lane, [*came, came[-1]])[0]
        note_earlier(graph, came[-1].key, {"outcome": "unknown"})
        assert manifest_faults(graph.db, lane, [*came, came[-1]]) == []

    def test_what_is_canceled_is_superseded(
        self, graph: Graph, lane: str, recorder: Recorder
    ) -> None:
        """Unless a client canceled it."""
        key = recorder.arrivals()[0].key
        change = {"$set": {"state": "canceled"}}
        graph.db["publish_queue"].update_one({"idempotency_key": key}, change)
        note_earlier(graph, key, {"outcome": "unknown"})

        (fault,) = manifest_faults(graph.db, lane, recorder.arrivals())

        assert "is canceled for nothing" in fault
        assert manifest_faults(graph.db, lane, recorder.arrivals(), [key]) == []


def note_earlier(graph: Graph, key: str, attempt: Document) -> None:
    """Put an attempt before those that a row has."""
    change = {"$push": {"attempts": {"$each": [attempt], "$position": 0}}}
    graph.db["publish_queue"].update_one({"idempotency_key": key}, change)
