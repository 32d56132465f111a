"""Receivers that are down are left alone for a while (delivery contract 3.1)."""

from datetime import timedelta
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from tests.support.commands import CommandCounter
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver

ROWS = 20
OPENS_AFTER = 5


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0}


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> Any:
    """Owner of a lane whose receiver is down."""
    receiver.answer(lambda request: 503)
    return desk.newsroom.subscriber("one", push(receiver.url))


def queue(
    graph: Graph, subscriber: Any, receiver: HTTPReceiver, clock: HandClock, **fields: Any
) -> list[Document]:
    return fill(graph.db, subscriber, push(receiver.url), clock.at, **{"items": ROWS, **fields})


def lane(graph: Graph) -> Document:
    return graph.db["publish_lanes"].find_one({}) or {}


def heard(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["headline"] for request in receiver.requests]


def states(desk: Newsdesk) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in desk.rows():
        found[row["state"]] = found.get(row["state"], 0) + 1
    return found


class TestOpening:
    def test_rows_wait_without_using_up_attempts(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """Of twenty rows five are tried; the others are as if nobody had looked at them.

        Delivery contract B1, B2.
        """
        queue(graph, subscriber, receiver, clock)

        assert [OPENS_AFTER, 0] == [graph.transmit.run() for _ in range(2)]

        assert states(desk) == {"retrying": OPENS_AFTER, "pending": ROWS - OPENS_AFTER}
        waiting = desk.rows(state="pending")
        assert all((r["retry_attempt"], r.get("attempts")) == (0, None) for r in waiting)
        assert lane(graph)["wake_at"] == clock.at + timedelta(seconds=30)

    @pytest.mark.parametrize("status", [400, 404, 422])
    def test_a_receiver_that_refuses_rows_is_not_down(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
        status: int,
    ) -> None:
        """Each is refused for good, and the next one goes. Delivery contract B1."""
        receiver.answer(lambda request: status)
        queue(graph, subscriber, receiver, clock)

        assert graph.transmit.run() == ROWS
        assert states(desk) == {"failed": ROWS}

    def test_what_cannot_be_sent_says_nothing_of_the_receiver(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """Rows without a body. Delivery contract B1."""
        queue(graph, subscriber, receiver, clock)
        graph.db["publish_queue"].update_many({}, {"$set": {"payload_id": None}})

        graph.transmit.run()

        assert states(desk) == {"failed": ROWS}
        assert not lane(graph).get("breaker")

    def test_a_receiver_that_asks_to_wait_is_left_alone_for_as_long(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """No probe comes before that. Delivery contract B1."""
        receiver.answer(lambda request: (429, {"Retry-After": "600"}, b""))
        queue(graph, subscriber, receiver, clock)
        assert graph.transmit.run() == OPENS_AFTER

        clock.advance(seconds=590)
        early = graph.transmit.run()
        clock.advance(seconds=10)

        assert (early, graph.transmit.run()) == (0, 1)

    @pytest.mark.parametrize("is_async", [True, False])
    def test_a_receiver_that_mostly_answers_is_not_down(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, is_async: bool
    ) -> None:
        """Every second one fails. Delivery contract B1."""
        receiver.answer([503, 200] * ROWS)
        one = desk.newsroom.subscriber("one", push(receiver.url), **{"async": is_async})
        queue(graph, one, receiver, clock)

        assert graph.transmit.run() == ROWS

    def test_another_lane_is_not_held_up(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """Each lane has a breaker of its own."""
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()
        with HTTPReceiver() as other:
            two = desk.newsroom.subscriber("two", push(other.url))
            fill(graph.db, two, push(other.url), clock.at, items=3)
            assert graph.transmit.run() == 3

    def test_new_rows_do_not_wake_it_up(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """What is published meanwhile waits with the rest. Delivery contract B2."""
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()

        clock.advance(seconds=10)
        desk.published()
        graph.enqueue.run()

        assert graph.transmit.run() == 0
        assert lane(graph)["wake_at"] == clock.at + timedelta(seconds=20)


class TestProbing:
    def test_probes_a_receiver_that_is_down_for_an_hour_and_then_sends_everything(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """A probe after 30 s, 1, 2, 4, 8, 15, 15 minutes; then all rows in one run.

        Delivery contract B3, delivery scenario 46.
        """
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()
        began, probed = clock.at, []
        while clock.at < began + timedelta(hours=1):
            clock.advance(seconds=10)
            if sent := graph.transmit.run():
                assert sent == 1
                probed.append((clock.at - began).total_seconds())
        assert probed == [30, 90, 210, 450, 930, 1830, 2730]
        assert max(row["retry_attempt"] for row in desk.rows()) <= 7

        receiver.answer([])
        clock.advance(minutes=15)
        graph.transmit.run()
        assert desk.rows(state="pending") == []
        clock.advance(hours=2)
        graph.transmit.run()

        assert states(desk) == {"success": ROWS}
        assert graph.transmit.run() == 0

    def test_a_probe_that_is_refused_closes_the_breaker(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """The receiver is there. Delivery contract B3."""
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()
        receiver.answer([400])
        clock.advance(seconds=30)

        assert graph.transmit.run() == ROWS - OPENS_AFTER
        assert len(desk.rows(state="failed")) == 1

    def test_parallel_lines_send_one_probe(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """`async` of the subscriber changes nothing. Delivery contract B3."""
        receiver.answer(lambda request: 503)
        one = desk.newsroom.subscriber("one", push(receiver.url), **{"async": True})
        queue(graph, one, receiver, clock)

        first = graph.transmit.run()
        clock.advance(seconds=30)

        assert OPENS_AFTER <= first < ROWS
        assert graph.transmit.run() == 1

    def test_rows_of_a_lane_that_is_never_due_are_found(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """The store has lost when the time of the breaker is over. Delivery contract C6."""
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()
        receiver.answer([])
        graph.db["publish_lanes"].update_one({}, {"$unset": {"wake_at": 1}})

        clock.advance(minutes=20)
        graph.transmit.run()

        assert states(desk) == {"success": ROWS}


class TestWithdrawals:
    def kill(self, desk: Newsdesk, graph: Graph, item: Document) -> None:
        desk.act("kill", item, headline="killed")
        graph.enqueue.run()

    def test_a_kill_does_not_wait_for_the_breaker(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """It is tried at once, overtakes what waits, and lets everything go if it gets through.

        Delivery contract B4.
        """
        receiver.answer([])
        item = desk.published(headline="story")
        graph.enqueue.run()
        graph.transmit.run()
        receiver.answer(lambda request: 503)
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()
        before = len(receiver.requests)

        receiver.answer([])
        self.kill(desk, graph, item)
        graph.transmit.run()

        assert heard(receiver)[before] == "killed"
        assert desk.rows(state="pending") == []

    def test_a_kill_that_fails_goes_on_by_the_ladder(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """It is tried when it is due, whatever the breaker says, and prolongs nothing.

        Delivery contract B4.
        """
        item = desk.published(headline="story")
        queue(graph, subscriber, receiver, clock)
        for seconds in (0, 30, 60, 120, 240):
            clock.advance(seconds=seconds)
            graph.transmit.run()
        until = lane(graph)["breaker"]["open_until"]
        assert until == clock.at + timedelta(minutes=8)
        before = len(receiver.requests)

        self.kill(desk, graph, item)
        tried = []
        for _ in range(47):
            if graph.transmit.run():
                tried.append(clock.at)
            clock.advance(seconds=10)

        waits = [(at - tried[0]).total_seconds() for at in tried]
        assert waits == [0, 60, 180, 420]
        assert set(heard(receiver)[before:]) == {"killed"}
        assert lane(graph)["breaker"]["open_until"] == until
        assert [r["state"] for r in desk.rows(item_id=item["_id"])][:-1] in ([], ["canceled"])

    @pytest.mark.parametrize("priority", [True, False])
    def test_many_kills_go_one_after_the_other(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
        priority: bool,
    ) -> None:
        """Each is tried once, also where every row is urgent; the run ends."""
        queue(graph, subscriber, receiver, clock, items=150, priority=priority)
        graph.transmit.run()
        before = len(receiver.requests)
        killed = {"publishing_action": "killed", "priority": True, "headline": "killed"}
        graph.db["publish_queue"].update_many(
            {"item_id": {"$in": [f"item-{number:04}" for number in range(120, 150)]}},
            {"$set": killed},
        )
        graph.db["publish_lanes"].update_one({}, {"$set": {"wake_at": clock.at}})

        assert graph.transmit.run() == 30
        tried = {request.json()["guid"] for request in receiver.requests[before:]}
        assert tried == {f"item-{number:04}" for number in range(120, 150)}


class TestAskedFor:
    """Delivery contract B5."""

    @pytest.fixture(autouse=True)
    def opened(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        subscriber: Any,
    ) -> None:
        """The breaker of the lane is open, and the receiver is back."""
        desk.published(headline="story")
        graph.enqueue.run()
        queue(graph, subscriber, receiver, clock)
        graph.transmit.run()
        assert graph.transmit.run() == 0
        receiver.answer([])

    def ask(self, desk: Newsdesk, graph: Graph, how: str, receiver: HTTPReceiver) -> None:
        row = desk.rows()[0]
        subscriber = str(row["subscriber_id"])
        if how == "row again":
            shown = desk.client.get(f"publish_queue/{row['_id']}").get_json()
            change = {"state": "pending"}
            answer = desk.client.patch(f"publish_queue/{row['_id']}", change, shown["_etag"])
        elif how == "resend":
            item = desk.client.get(f"archive/{row['item_id']}").get_json()
            wanted = {"subscribers": [subscriber], "version": item["_current_version"]}
            answer = desk.client.post(f"archive/{item['_id']}/resend", wanted)
            graph.enqueue.run()
        else:
            elsewhere = {**push(f"{receiver.url}/elsewhere")}
            answer = desk.client.patch(f"subscribers/{subscriber}", {"destinations": [elsewhere]})
        assert answer.status_code in (200, 201), answer.text

    @pytest.mark.parametrize("how", ["row again", "resend", "other destination"])
    def test_lets_the_receiver_be_tried_at_once(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, how: str
    ) -> None:
        """Everything goes when the probe gets through."""
        self.ask(desk, graph, how, receiver)

        graph.transmit.run()

        assert desk.rows(state="pending") == []

    def test_is_not_forgotten_where_a_worker_died(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
    ) -> None:
        """What it left behind is brought back first."""
        waiting = desk.rows(state="pending")[0]
        leave_claimed(graph.db, clock, lease=-1, _id=waiting["_id"])
        self.ask(desk, graph, "other destination", receiver)

        graph.transmit.run()

        assert desk.rows(state="pending") == []

    def test_a_probe_that_fails_changes_nothing(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
    ) -> None:
        """One row is tried, and the time of the breaker stays."""
        receiver.answer(lambda request: 503)
        until = lane(graph)["breaker"]["open_until"]

        self.ask(desk, graph, "row again", receiver)

        assert [1, 0] == [graph.transmit.run() for _ in range(2)]
        assert lane(graph)["breaker"]["open_until"] == until


def test_a_breaker_costs_no_command(
    desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock, settings: dict[str, Any]
) -> None:
    """Its state goes with lease and release: a row takes eight commands, and two to find its lane.

    One more writes what the run has counted.

    Delivery contract 3.1.
    """
    counter = CommandCounter()
    graph = build_graph(settings, clock=clock, listeners=[counter])
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    graph.transmit.run()
    fill(graph.db, subscriber, push(receiver.url), clock.at, items=1)
    counter.count = 0

    graph.transmit.run()

    assert counter.count == 11
    assert lane(graph)["breaker"] == {"steps": [[clock.at, 1, 0]], "openings": 0} | {
        "open_until": None
    }
    graph.close()
