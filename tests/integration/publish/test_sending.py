"""Rows that are being sent: what clients see of them, and what others may still do with them.

Delivery contract C1a, C8, C9.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from bson import ObjectId

from apps.core import json
from apps.core.errors import Conflict
from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.service import PublishQueueService
from apps.secrets.vault import Vault
from apps.store.sequences import Sequences
from tests.support.crashes import Crash, CrashingDatabase, StallingDatabase, each_write
from tests.support.dying import dies_routing, dies_transmitting, transmitting
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import fill, leave_claimed
from tests.support.receivers import HTTPReceiver, Received, Reply
from transmitters import build_registry

STARTED = "409: Transmission has already started"
RUN_WRITES = 8
"""Writes of a run that sends two rows, and one more."""
CANCEL_WRITES = 4
"""Writes of a client's cancellation, and one more."""


def amid(receiver: HTTPReceiver, act: Callable[[], object], answer: Reply = 200) -> None:
    """Let `act` happen while the first delivery waits for its answer."""

    def first(request: Received) -> Reply:
        if len(receiver.requests) == 1:
            act()
        return answer

    receiver.answer(first)


def path_of(row: Document) -> str:
    return f"publish_queue/{row['_id']}"


def cancel(desk: Newsdesk, row: Document) -> Any:
    return desk.client.patch(path_of(row), {"state": "canceled"}, etag=row["_etag"])


def queue_of(graph: Graph, db: Any) -> PublishQueueService:
    """Return the service behind the queue of another process, which works on `db`."""
    return PublishQueueService(
        db,
        graph.clock,
        sequences=Sequences(db),
        notifier=graph.notifier,
        transmitters=build_registry(),
        vault=Vault.of(graph.settings),
        settings=graph.settings,
    )


def sent_items(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["guid"] for request in receiver.requests]


def bring_to_an_end(graph: Graph, clock: HandClock) -> None:
    """Let whatever waits for the end of a lease, or for a look, have its time."""
    for _ in range(8):
        clock.advance(seconds=70)
        graph.transmit.run()


@pytest.fixture
def subscriber(desk: Newsdesk, receiver: HTTPReceiver) -> ObjectId:
    return desk.newsroom.subscriber("one", push(receiver.url))


@pytest.fixture
def queued(
    desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver, subscriber: ObjectId
) -> list[Document]:
    """Two rows of one lane."""
    return fill(graph.db, subscriber, push(receiver.url), clock.at, items=2)


class TestShown:
    def test_as_in_progress(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[Document]
    ) -> None:
        """By id, by item, in lists and in explanations; the etag is that of before."""
        seen: list[Document] = []

        def look() -> None:
            seen.append(desk.client.get(path_of(queued[0])).get_json())
            seen.append(desk.client.get(f"publish_queue/{queued[1]['item_id']}").get_json())
            seen.extend(desk.client.get("publish_queue").get_json()["_items"])

        amid(receiver, look)
        graph.transmit.run()

        assert {row["state"] for row in seen} == {"in-progress"}
        assert all(row["transmit_started_at"] for row in seen)
        assert seen[0]["_etag"] == queued[0]["_etag"]
        shown = desk.client.get(path_of(queued[0])).get_json()
        assert shown["state"] == "success"
        assert shown["transmit_started_at"] == seen[0]["transmit_started_at"]

    @pytest.mark.parametrize(
        ("condition", "found"),
        [
            ("in-progress", [0]),
            ("pending", [1]),
            ({"$in": ["in-progress", "failed"]}, [0]),
            ({"$in": ["in-progress", "pending"]}, [0, 1]),
            ({"$nin": ["in-progress", "failed"]}, [1]),
            ({"$ne": "in-progress"}, [1]),
            ({"$ne": "pending"}, [0]),
            ({"$not": {"$eq": "pending"}}, [0]),
            ({"$regex": "^IN-", "$options": "i"}, [0]),
            ({"$gt": "in", "$lt": "p"}, [0]),
            ({"$exists": True}, [0, 1]),
            ({"$exists": False}, []),
            ({"$type": "string"}, [0, 1]),
            ({"$all": ["in-progress"]}, [0]),
            ({"$size": 1}, []),
            (None, []),
            (5, []),
        ],
        ids=str,
    )
    @pytest.mark.parametrize(
        "shape",
        [
            lambda condition: {"state": condition},
            lambda condition: {"$and": [{"item_id": {"$exists": True}}, {"state": condition}]},
            lambda condition: {"$nor": [{"$nor": [{"state": condition}]}]},
        ],
        ids=["alone", "and", "nor"],
    )
    def test_and_is_found_so(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        queued: list[Document],
        condition: Any,
        found: list[int],
        shape: Callable[[Any], Document],
    ) -> None:
        """Queries mean the states that are shown."""
        leave_claimed(graph.db, clock, _id=queued[0]["_id"])

        where = json.dumps(shape(condition)).decode()
        answer = desk.client.get("publish_queue", where=where, sort="order_no")

        assert answer.status_code == 200, answer.text
        ids = [str(row["_id"]) for row in queued]
        assert [ids.index(row["_id"]) for row in answer.get_json()["_items"]] == found

    def test_until_its_outcome_is_on_record(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[Document]
    ) -> None:
        """A refused row waits while the rest of its batch is sent (delivery contract C5)."""
        newer = {"item_id": queued[0]["item_id"], "item_version": 2}
        change = {"$set": newer}
        graph.db["publish_queue"].update_one({"_id": queued[1]["_id"]}, change)
        seen: list[str] = []

        def answer(request: Received) -> Reply:
            if len(receiver.requests) == 2:
                rows = desk.client.get("publish_queue", sort="order_no").get_json()["_items"]
                seen.extend(row["state"] for row in rows)
            return 503 if len(receiver.requests) == 1 else 200

        receiver.answer(answer)
        graph.transmit.run()

        assert seen == ["retrying", "in-progress"]
        assert [row["state"] for row in desk.rows()] == ["canceled", "success"]

    def test_explains(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, subscriber: ObjectId
    ) -> None:
        item = desk.published()
        graph.enqueue.run()
        leave_claimed(graph.db, clock)

        (line,) = desk.client.get(f"explain/{item['_id']}").get_json()["subscribers"]

        assert [delivery["state"] for delivery in line["deliveries"]] == ["in-progress"]


class TestChanged:
    @pytest.mark.parametrize("which", [0, 1])
    def test_is_not_canceled(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        queued: list[Document],
        which: int,
    ) -> None:
        """Neither the one on the wire nor one that comes behind it in the same batch."""
        answers: list[Any] = []
        amid(receiver, lambda: answers.append(cancel(desk, queued[which])))
        graph.transmit.run()

        (answer,) = answers
        assert answer.status_code == 400, answer.text
        assert answer.get_json()["_issues"]["validator exception"] == STARTED
        assert {row["state"] for row in desk.rows()} == {"success"}

    def test_is_not_canceled_when_its_worker_has_died(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, queued: list[Document]
    ) -> None:
        """It may have been sent. Once it is taken over it waits again."""
        leave_claimed(graph.db, clock, _id=queued[0]["_id"])

        answer = cancel(desk, queued[0])

        assert answer.status_code == 400, answer.text

    @pytest.mark.parametrize(
        ("state", "ends"),
        [
            ("pending", "success"),
            ("retrying", "success"),
            ("in-progress", "success"),
            ("failed", "failed"),
            ("error", "error"),
        ],
    )
    def test_to_another_state(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        queued: list[Document],
        state: str,
        ends: str,
    ) -> None:
        """What a client says counts, whatever comes of what is being sent."""
        answers: list[Any] = []
        change = {"state": state}
        amid(receiver, lambda: answers.append(desk.client.patch(path_of(queued[0]), change)))
        graph.transmit.run()
        bring_to_an_end(graph, clock)

        assert [answer.status_code for answer in answers] == [200]
        assert [row["state"] for row in desk.rows()] == [ends, "success"]
        again = 2 if state in ("pending", "retrying") else 1
        assert sent_items(receiver).count(queued[0]["item_id"]) == again

    def test_in_other_fields(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, queued: list[Document]
    ) -> None:
        """It is sent as it was, and its outcome counts."""
        answers: list[Any] = []
        change = {"headline": "other"}
        amid(receiver, lambda: answers.append(desk.client.patch(path_of(queued[0]), change)))
        graph.transmit.run()

        assert [answer.status_code for answer in answers] == [200]
        row = desk.rows()[0]
        assert (row["state"], row["headline"]) == ("success", "other")
        assert len(receiver.requests) == 2

    def test_a_kill_waits_for_what_is_being_sent(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, subscriber: ObjectId
    ) -> None:
        """What the receiver accepts is no canceled row; the kill comes behind. Contract O5."""
        item = desk.published(headline="story")

        def kill() -> None:
            desk.act("kill", item, headline="killed")
            graph.enqueue.run()

        amid(receiver, kill)
        graph.enqueue.run()
        graph.transmit.run()

        assert [row["state"] for row in desk.rows()] == ["success", "success"]
        headlines = [request.json()["headline"] for request in receiver.requests]
        assert headlines == ["story", "killed"]


class TestRaces:
    """A client cancels a row while a worker takes it: it is either canceled or sent."""

    def check(self, desk: Newsdesk, receiver: HTTPReceiver, row: Document, status: int) -> None:
        is_sent = row["item_id"] in sent_items(receiver)
        state = desk.row(_id=row["_id"])["state"]
        assert (state, is_sent) == (("canceled", False) if status == 200 else ("success", True))
        assert desk.rows()[1]["state"] == "success"
        assert len(receiver.requests) == len(set(sent_items(receiver)))

    @pytest.mark.parametrize("before", range(1, RUN_WRITES + 1))
    def test_amid_the_run_of_a_worker(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        queued: list[Document],
        before: int,
    ) -> None:
        """The worker stands still before one of its writes."""
        answers: list[Any] = []

        def meanwhile() -> None:
            answers.append(cancel(desk, queued[0]))

        db: Any = StallingDatabase(graph.db, before, meanwhile)
        transmitting(graph, db).run()
        if not answers:
            return
        bring_to_an_end(graph, clock)

        self.check(desk, receiver, queued[0], answers[0].status_code)

    @pytest.mark.parametrize("seconds", [0, 70])
    @pytest.mark.parametrize("before", range(1, CANCEL_WRITES + 1))
    def test_amid_the_request(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        queued: list[Document],
        before: int,
        seconds: int,
    ) -> None:
        """The request stands still before one of its writes, for a moment or for long."""

        def meanwhile() -> None:
            graph.transmit.run()
            if seconds:
                bring_to_an_end(graph, clock)

        db: Any = StallingDatabase(graph.db, before, meanwhile)
        status = 200
        try:
            queue_of(graph, db).patch(queued[0]["_id"], {"state": "canceled"})
        except Conflict:
            status = 400
        bring_to_an_end(graph, clock)

        self.check(desk, receiver, queued[0], status)

    @pytest.mark.parametrize("at_work", [False, True])
    @pytest.mark.parametrize("before", range(1, CANCEL_WRITES + 1))
    def test_and_its_process_dies(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        queued: list[Document],
        before: int,
        at_work: bool,
    ) -> None:
        """The row is canceled or sent, however far the request came; no row waits for ever."""

        def die() -> None:
            db: Any = CrashingDatabase(graph.db, before)
            with suppress(Crash, Conflict):
                queue_of(graph, db).patch(queued[0]["_id"], {"state": "canceled"})

        if at_work:
            # As soon as the lane is leased.
            stalling: Any = StallingDatabase(graph.db, 2, die)
            transmitting(graph, stalling).run()
        else:
            die()
        bring_to_an_end(graph, clock)

        state = desk.row(_id=queued[0]["_id"])["state"]
        is_sent = queued[0]["item_id"] in sent_items(receiver)
        assert (state, is_sent) in (("canceled", False), ("success", True))
        assert desk.rows()[1]["state"] == "success"
        desk.published()
        graph.enqueue.run()
        graph.transmit.run()
        assert not any(lane.get("kept_back") for lane in graph.db["publish_lanes"].find({}))

    @pytest.mark.parametrize("before", range(1, RUN_WRITES + 1))
    def test_where_versions_have_an_order(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, tmp_path: Any, before: int
    ) -> None:
        """A process dies that cancels version 1: version 2 does not pass it. Contract O1."""
        subscriber = desk.newsroom.subscriber("files", file_in(tmp_path))
        first, _ = fill(graph.db, subscriber, file_in(tmp_path), clock.at, items=1, versions=2)

        def die() -> None:
            db: Any = CrashingDatabase(graph.db, 2)
            with suppress(Crash, Conflict):
                queue_of(graph, db).patch(first["_id"], {"state": "canceled"})

        stalling: Any = StallingDatabase(graph.db, before, die)
        transmitting(graph, stalling).run()
        early = {path.name.split("-")[-2] for path in tmp_path.iterdir()}
        bring_to_an_end(graph, clock)

        assert early in (set(), {"1"}, {"1", "2"})
        assert {row["state"] for row in desk.rows()} == {"success"}

    @pytest.mark.parametrize("before", each_write(20))
    def test_of_a_kill_whose_process_dies(
        self,
        desk: Newsdesk,
        graph: Graph,
        clock: HandClock,
        receiver: HTTPReceiver,
        subscriber: ObjectId,
        before: int,
    ) -> None:
        """Routing dies while it cancels what waits; the kill is the last that is heard."""
        item = desk.published(headline="story")
        other = desk.published(headline="other")
        graph.enqueue.run()
        desk.act("kill", item, headline="killed")

        dies_routing(graph, before)
        dies_transmitting(graph, 4)
        for _ in range(4):
            clock.advance(seconds=70)
            graph.enqueue.run()
            graph.transmit.run()

        rows = {(row["item_id"], row["headline"]): row for row in desk.rows()}
        assert rows[other["_id"], "other"]["state"] == "success"
        assert rows[item["_id"], "killed"]["state"] == "success"
        headlines = [request.json()["headline"] for request in receiver.requests]
        assert [h for h in headlines if h != "other"][-1] == "killed"
        was_sent = "story" in headlines
        assert rows[item["_id"], "story"]["state"] == "canceled" or was_sent


class TestUpgrade:
    def test_goes_on_with_rows_that_an_earlier_release_has_marked(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
    ) -> None:
        """Its worker died while it was sending; others had been noted since.

        Delivery contract C4.
        """
        subscriber = desk.newsroom.subscriber("one", push(receiver.url))
        rows = fill(graph.db, subscriber, push(receiver.url), clock.at, items=3)
        leave_claimed(graph.db, clock, are_marked=True, _id=rows[0]["_id"])
        leave_claimed(graph.db, clock, _id=rows[1]["_id"])
        shown = desk.client.get("publish_queue", sort="order_no").get_json()["_items"]
        clock.advance(seconds=61)

        graph.transmit.run()

        assert [row["state"] for row in shown] == ["in-progress", "in-progress", "pending"]
        outcomes = [[note["outcome"] for note in row["attempts"]] for row in desk.rows()]
        assert outcomes == [["unknown", "success"], ["unknown", "success"], ["success"]]
        keys = [request.headers["webhook-id"] for request in receiver.requests]
        assert keys == [row["idempotency_key"] for row in rows]
