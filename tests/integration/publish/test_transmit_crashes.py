"""Transmit runs that die or stall at any write, and what their receivers see afterwards.

Receivers drop repeats by their key, as the contract lets them: order is that in which they accept
what they had not accepted before.
"""

from pathlib import Path
from threading import Event
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.crashes import StallingDatabase, each_write
from tests.support.dying import dies_transmitting, transmitting
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver, Received, Reply

RUN_WRITES = 18
"""Writes of the longest run here, and one more, before which nobody dies."""
ENDED = {"success", "failed", "canceled"}


class Accepting:
    """A receiver's memory: what it accepted, each delivery once.

    Args:
        refused: versions by headline, with how often each is refused before it is accepted.
    """

    def __init__(self, **refused: int) -> None:
        self.accepted: list[str] = []
        self._refused = refused
        self._keys: set[str] = set()

    def __call__(self, request: Received) -> Reply:
        headline, key = request.json()["headline"], request.headers["webhook-id"]
        if self._refused.get(headline, 0) > 0:
            self._refused[headline] -= 1
            return 500
        if key not in self._keys:
            self._keys.add(key)
            self.accepted.append(headline)
        return 200


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def bring_to_an_end(desk: Newsdesk, graph: Graph, clock: HandClock) -> None:
    """Let leases end and retries come until every row has ended."""
    for _ in range(20):
        clock.advance(seconds=70)
        graph.enqueue.run()
        graph.transmit.run()
        if {row["state"] for row in desk.rows()} <= ENDED:
            return
    raise AssertionError(f"rows wait: {[row['state'] for row in desk.rows()]}")


def versions(files: Path) -> list[int]:
    """Return the versions in a directory in the order in which they were first written."""
    written = sorted(files.iterdir(), key=lambda file: file.stat().st_mtime_ns)
    return [int(file.name.split("-")[-2]) for file in written]


@pytest.mark.parametrize("before", each_write(RUN_WRITES))
class TestOrder:
    def test_a_refused_version_does_not_follow_one_that_was_accepted(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, before: int
    ) -> None:
        """Version 2 waits for its retry; the worker dies around the delivery of version 3.

        Delivery contract O8.
        """
        memory = Accepting(second=1)
        receiver.answer(memory)
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        deliver(graph)
        desk.act("correct", item, headline="second")
        deliver(graph)
        desk.act("correct", item, headline="third")
        graph.enqueue.run()

        dies_transmitting(graph, before)
        bring_to_an_end(desk, graph, clock)

        # Where the worker died before it marked version 3, version 2 may go before it.
        assert memory.accepted in (["first", "third"], ["first", "second", "third"])
        assert desk.rows()[-1]["state"] == "success"

    @pytest.mark.parametrize(
        ("refused", "priority"), [({"second": 1}, False), ({"first": 1, "third": 1}, True)]
    )
    def test_versions_of_one_batch_keep_their_order(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        clock: HandClock,
        before: int,
        refused: dict[str, int],
        priority: bool,
    ) -> None:
        """Three versions are taken at once, the last one on a subscriber that became urgent.

        Delivery contract O1, O8.
        """
        memory = Accepting(**refused)
        receiver.answer(memory)
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        desk.act("correct", item, headline="second")
        graph.enqueue.run()
        change = {"$set": {"priority": priority}}
        desk.db["subscribers"].update_one({"_id": subscriber}, change)
        desk.act("correct", item, headline="third")
        graph.enqueue.run()

        dies_transmitting(graph, before)
        bring_to_an_end(desk, graph, clock)

        order = [("first", "second", "third").index(headline) for headline in memory.accepted]
        assert order == sorted(order)
        assert memory.accepted[-1] == "third"

    def test_a_kill_has_the_last_word(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, before: int
    ) -> None:
        """A version waits for its retry, another one is pending, then the item is killed.

        Delivery contract O5, O8.
        """
        memory = Accepting(first=1, killed=1)
        receiver.answer(memory)
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        deliver(graph)
        desk.act("correct", item, headline="second")
        desk.act("kill", item, headline="killed")
        graph.enqueue.run()

        dies_transmitting(graph, before)
        bring_to_an_end(desk, graph, clock)

        assert memory.accepted == ["killed"]
        assert [row["state"] for row in desk.rows()] == ["canceled", "canceled", "success"]

    def test_a_kill_has_the_last_word_while_the_receiver_is_down(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock, before: int
    ) -> None:
        """The breaker is open; the worker dies around the delivery of the kill.

        Delivery contract O5, B2, B4.
        """
        memory = Accepting(killed=1)
        receiver.answer(memory)
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="first")
        deliver(graph)
        receiver.answer(lambda request: 503)
        fill(graph.db, subscriber, push(receiver.url), clock.at, items=9)
        desk.act("correct", item, headline="second")
        deliver(graph)
        receiver.answer(memory)
        desk.act("kill", item, headline="killed")
        graph.enqueue.run()

        dies_transmitting(graph, before)
        bring_to_an_end(desk, graph, clock)

        told = [headline for headline in memory.accepted if not headline.startswith("item-")]
        assert told == ["first", "killed"]
        assert len(set(memory.accepted)) == len(memory.accepted) == 2 + 9

    def test_files_keep_the_order_of_versions(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Path, before: int
    ) -> None:
        """Version 1 waits for its retry, and every later one for it: none is left out.

        Delivery contract O1.
        """
        target = tmp_path / "inbox"
        desk.newsroom.subscriber("one", file_in(target))
        item = desk.published(headline="first")
        deliver(graph)
        desk.act("correct", item, headline="second")
        desk.act("correct", item, headline="third")
        graph.enqueue.run()
        target.mkdir()
        clock.advance(seconds=70)

        dies_transmitting(graph, before)
        bring_to_an_end(desk, graph, clock)

        assert versions(target) == [2, 3, 4]
        assert {row["state"] for row in desk.rows()} == {"success"}


def test_nothing_unfinished_is_left_in_a_directory(
    desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Path
) -> None:
    """What a worker left that died while it wrote goes when the next one takes over.

    Delivery contract 5.4.
    """
    subscriber = desk.newsroom.subscriber("one", file_in(tmp_path))
    fill(graph.db, subscriber, file_in(tmp_path), clock.at, items=2)
    leave_claimed(graph.db, clock, item_id="item-0000")
    leftover = tmp_path / f".item-0000-1-1.json.{'0' * 32}.wiredesk.part"
    foreign = tmp_path / ".upload.part"
    for file in (leftover, foreign):
        file.touch()

    bring_to_an_end(desk, graph, clock)

    names = {"item-0000-1-1.json", "item-0001-1-2.json", foreign.name}
    assert names == {file.name for file in tmp_path.iterdir()}


DIES_BEFORE = 11
"""Write of the other run before which it dies: it has noted its rows, and recorded few."""
STALLED_WRITES = 38
"""Writes of the run below, and more, before which nothing stalls."""


@pytest.mark.parametrize("before", each_write(STALLED_WRITES))
@pytest.mark.parametrize("other", ["ends", "is refused", "dies"])
def test_who_has_lost_the_lease_changes_nothing(
    desk: Newsdesk,
    graph: Graph,
    receiver: HTTPReceiver,
    clock: HandClock,
    before: int,
    other: str,
) -> None:
    """A run stands still before a write for longer than its lease; another one does the work.

    The other one gets everything through, or nothing but refusals, or dies amid its work. What it
    has marked is left as it is. There is something of everything: rows of a worker that died,
    versions that wait for a retry, refused ones, a kill.

    Delivery contract C2, delivery scenario 20.
    """
    memory = Accepting(refused=1)
    receiver.answer(memory)
    target = push(receiver.url)
    subscriber = desk.newsroom.subscriber("one", target)
    fill(graph.db, subscriber, target, clock.at, items=6, versions=3)
    waits = {"state": "retrying", "next_retry_attempt_at": clock.at, "retry_attempt": 1}
    change_rows(graph, waits, item_id={"$in": ["item-0000", "item-0001"]}, item_version=1)
    change_rows(graph, {"publishing_action": "killed"}, item_id="item-0001", item_version=3)
    change_rows(graph, {"headline": "refused"}, item_id="item-0002", item_version=2)
    payload = {"$set": {"body": '{"headline": "refused"}'}}
    refused = desk.row(headline="refused")["payload_id"]
    graph.db["publish_payloads"].update_one({"_id": refused}, payload)
    leave_claimed(graph.db, clock, item_id={"$in": ["item-0003", "item-0004"]}, item_version=1)
    clock.advance(seconds=61)
    stop = Event()
    marked: list[Document] = []
    sent: list[int] = []

    def meanwhile() -> None:
        stop.set()
        clock.advance(seconds=61)
        lane = graph.db["publish_lanes"].find_one({}) or {}
        if other == "is refused":
            receiver.answer(lambda request: 500)
        if other == "dies":
            dies_transmitting(graph, DIES_BEFORE)
        else:
            graph.transmit.run()
        receiver.answer(memory)
        marked.extend(desk.rows(claim_token={"$gt": lane.get("claim_token") or 0}))
        sent.append(len(receiver.requests))

    db: Any = StallingDatabase(graph.db, before, meanwhile)
    transmitting(graph, db).run(stop)

    if db.has_stalled:
        assert sent == [len(receiver.requests)]
        assert marked == desk.rows(_id={"$in": [row["_id"] for row in marked]})
    bring_to_an_end(desk, graph, clock)


def change_rows(graph: Graph, fields: Document, **which: Any) -> None:
    assert graph.db["publish_queue"].update_many(which, {"$set": fields}).matched_count
