"""Requests with an idempotency key whose processes die: the next try completes them.

Nothing is done twice, and nothing is missing (delivery contract 1.3).
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect

from apps.core.service import Document
from apps.graph.build import Graph
from apps.store.idempotency import ABANDONED
from tests.support.applications import Applications
from tests.support.crashes import DEATHS, Crash, CrashingDatabase, StallingDatabase
from tests.support.dying import answering
from tests.support.newsdesk import START, HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver

ITEMS = 3
MOST_WRITES = 40
BULK = "publish_queue/actions"
REPLAY = "replay"
ONE = "one"


class Requests:
    """Makes one request after another, in processes that die or stand still."""

    def __init__(
        self, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, applications: Applications
    ) -> None:
        self.desk, self.graph, self.receiver = desk, graph, receiver
        self.applications = applications
        self.destination = push(receiver.url)
        self.subscriber: ObjectId = desk.newsroom.subscriber("s", self.destination)
        self.rows: list[Document] = []
        self.received = 0

    def queue(self, **fields: Any) -> None:
        """Let there be nothing but some rows, of one item each."""
        for name in ("publish_queue", "publish_lanes", "publish_payloads"):
            self.desk.db[name].delete_many({})
        self.received = len(self.receiver.requests)
        now = self.graph.clock.precise()
        self.rows = fill(
            self.desk.db, self.subscriber, self.destination, now, items=ITEMS, **fields
        )

    def ask(self, key: str, path: str, **body: Any) -> Any:
        headers = {"Idempotency-Key": key}
        return self.desk.client.request("POST", path, json=body, headers=headers)

    def ask_to_resend(self, key: str, path: str) -> Any:
        if path == ONE:
            return self.ask(key, f"publish_queue/{self.rows[0]['_id']}/resend")
        if path == REPLAY:
            since = START.strftime("%Y-%m-%dT%H:%M:%S+0000")
            path = f"subscribers/{self.subscriber}/destinations/push/replay"
            return self.ask(key, path, since=since, expected=ITEMS)
        # What is made matches, too.
        return self.ask(key, path, action="resend", where={}, expected=ITEMS)

    def lives(self, db: Any, ask: Callable[[], Any]) -> bool:
        """Let a process that works on `db` answer a request; whether it has lived to do so."""
        self.applications.serving(answering(self.graph, db))
        try:
            ask()
        except Crash:
            return False
        finally:
            self.applications.serving(self.graph)
        return True

    def sent(self) -> list[str]:
        """Return the items that the receiver has got of these rows, each delivery once."""
        self.graph.transmit.run()
        got = self.receiver.requests[self.received :]
        keys = {request.headers["webhook-id"]: request.json()["guid"] for request in got}
        assert len(keys) == len(got)
        return list(keys.values())

    def was_resent(self, answer: Any, path: str) -> None:
        """Check that each row was sent again once, in their order, and that the answer says so."""
        assert answer.status_code == 200, answer.text
        new = self.desk.rows(resend_id={"$ne": None})
        meant = self.rows[:1] if path == ONE else self.rows
        assert [row["item_id"] for row in new] == [row["item_id"] for row in meant]
        told, ids = answer.get_json(), [str(row["_id"]) for row in new]
        if path == ONE:
            assert [told["_id"]] == ids
        else:
            assert (told["matched"], told["done"], told["refused"]) == (ITEMS, ITEMS, 0)
            assert [item["new_row"] for item in told["_items"]] == ids
        assert self.sent() == [row["item_id"] for row in meant]


@pytest.fixture
def requests(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, applications: Applications
) -> Requests:
    return Requests(desk, graph, receiver, applications)


def gone(clock: HandClock) -> None:
    """Let the time pass after which a request that nobody has answered is tried again."""
    clock.at += ABANDONED + timedelta(seconds=1)


@DEATHS
@pytest.mark.parametrize("path", [ONE, BULK, REPLAY])
def test_what_is_sent_again_goes_out_once(
    requests: Requests, clock: HandClock, path: str, stride: int
) -> None:
    """What the dead process has made may have been delivered when the request comes again."""
    for before in range(1, MOST_WRITES, stride):
        requests.queue(state="success")
        key = f"key-{before}"
        dying = CrashingDatabase(requests.desk.db, before)
        lived = requests.lives(dying, partial(requests.ask_to_resend, key, path))
        if not lived:
            requests.sent()
            gone(clock)
        answer = requests.ask_to_resend(key, path)
        requests.was_resent(answer, path)
        assert path == ONE or requests.ask_to_resend(key, path).data == answer.data
        if lived:
            return
    pytest.fail("It takes more writes than these tests die at")


@DEATHS
@pytest.mark.parametrize("path", [ONE, BULK, REPLAY])
def test_process_that_stands_still_while_another_one_is_asked(
    requests: Requests, clock: HandClock, path: str, stride: int
) -> None:
    """It was not dead, and goes on when the other one has answered."""
    answers: list[Any] = []
    for before in range(1, MOST_WRITES, stride):
        requests.queue(state="success")
        key = f"key-{before}"

        def meanwhile() -> None:
            requests.applications.serving(requests.graph)
            gone(clock)
            answers.append(requests.ask_to_resend(key, path))  # noqa: B023

        stalling = StallingDatabase(requests.desk.db, before, meanwhile)
        requests.lives(stalling, partial(requests.ask_to_resend, key, path))
        if not stalling.has_stalled:
            return
        requests.was_resent(answers[-1], path)
    pytest.fail("It takes more writes than these tests stop at")


@DEATHS
@pytest.mark.parametrize(
    ("action", "state", "after"),
    [("cancel", "pending", "canceled"), ("run_now", "retrying", "success")],
)
def test_half_of_the_rows_no_longer_match(
    requests: Requests, clock: HandClock, action: str, state: str, after: str, stride: int
) -> None:
    """The next try is about the rows of the first one: `expected` is not asked again."""
    for before in range(1, MOST_WRITES, stride):
        later = clock.at + timedelta(days=1)
        requests.queue(state=state, next_retry_attempt_at=later)
        key = f"key-{before}"

        def ask() -> Any:
            where = {"state": state}
            return requests.ask(key, BULK, action=action, where=where, expected=ITEMS)  # noqa: B023

        lived = requests.lives(CrashingDatabase(requests.desk.db, before), ask)
        if not lived:
            gone(clock)
        told = ask().get_json()

        assert (told["matched"], told["done"], told["refused"]) == (ITEMS, ITEMS, 0)
        # What the dead process has kept back goes on with the second run.
        requests.sent()
        clock.advance(minutes=1)
        assert len(requests.sent()) == (ITEMS if action == "run_now" else 0)
        assert {row["state"] for row in requests.desk.rows()} == {after}
        if lived:
            return
    pytest.fail("It takes more writes than these tests die at")


def test_rows_that_are_gone_by_then_are_told_of(requests: Requests, clock: HandClock) -> None:
    """The answer is about all rows that the first try was about."""
    requests.queue(state="success")
    ask = lambda: requests.ask_to_resend("key", BULK)  # noqa: E731
    assert not requests.lives(CrashingDatabase(requests.desk.db, 3), ask)
    requests.desk.db["publish_queue"].delete_one({"_id": requests.rows[1]["_id"]})
    gone(clock)

    told = ask().get_json()

    assert [item["outcome"] for item in told["_items"]] == ["done", "refused", "done"]
    assert "gone" in told["_items"][1]["message"]


def test_other_body_is_another_request(requests: Requests, clock: HandClock) -> None:
    """Nothing of what a process has died over is done for it."""
    requests.queue(state="success")
    ask = lambda: requests.ask_to_resend("key", BULK)  # noqa: E731
    assert not requests.lives(CrashingDatabase(requests.desk.db, 3), ask)

    early = requests.ask("key", BULK, action="cancel", where={}, expected=ITEMS)
    gone(clock)
    other = requests.ask("key", BULK, action="cancel", where={}, expected=ITEMS)

    assert (early.status_code, other.status_code) == (422, 200)
    assert other.get_json()["refused"] == ITEMS
    assert len(requests.desk.rows()) == ITEMS


def test_store_that_goes_away_amid_a_request(
    requests: Requests, graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request ends in 503, and the next one completes it at once."""
    requests.queue(state="success")
    monkeypatch.setattr("apps.publish.row_actions.service.ROWS_AT_ONCE", 1)
    queue: Any = graph.services["publish_queue"]
    send_again, calls = queue.send_again, iter([True, False])

    def breaks_off(*arguments: Any) -> Any:
        if next(calls, True):
            return send_again(*arguments)
        raise AutoReconnect("away")

    monkeypatch.setattr(queue, "send_again", breaks_off)
    broken = requests.ask_to_resend("key", BULK)

    assert (broken.status_code, len(requests.desk.rows())) == (503, ITEMS + 1)
    requests.was_resent(requests.ask_to_resend("key", BULK), BULK)
