"""Subscribers that change while deliveries wait or are being sent (delivery contract X12)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.transmit.destinations import Subscribers
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import Conservation, Recorder, check_manifest
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import HTTPReceiver, Received, Reply

MOMENTS = ["waits for a retry", "is being sent"]


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "RETRY_JITTER": 0}


@pytest.fixture(autouse=True)
def _read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes counts at once, not within 30 seconds (delivery contract 2)."""
    monkeypatch.setattr(Subscribers, "seconds", 0.0)


@pytest.fixture
def other() -> Iterator[HTTPReceiver]:
    """Where the subscriber has moved to."""
    with HTTPReceiver() as server:
        yield server


class Case:
    """A story whose first attempt fails, at a subscriber that changes about then.

    Attributes:
        recorder: of what came at the first address.
        conservation: of the queue.
    """

    def __init__(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver, moment: str
    ) -> None:
        self.desk, self.graph, self.clock = desk, graph, clock
        self.is_amid = moment == "is being sent"
        self.destination = push(receiver.url, secret_token="first")
        self.subscriber = desk.newsroom.subscriber("Daily", self.destination)
        self.bystander = desk.newsroom.subscriber("Weekly", push(receiver.url + "/weekly"))
        self.conservation = Conservation(graph.db)
        self._changes: list[Callable[[], object]] = []
        self._answers: list[Reply] = [503]
        receiver.answer(recorder := Recorder(self._answer))
        self.recorder = recorder

    def _answer(self, request: Received) -> Reply:
        if request.path.endswith("/weekly"):
            return 200
        while self.is_amid and self._changes:
            self._changes.pop()()
        return self._answers.pop() if self._answers else 200

    def goes(self, change: Callable[[], object], *, answer: int = 503) -> None:
        """Publish, let the first attempt be answered, and the change happen."""
        self._changes, self._answers = [change], [answer]
        self.desk.published()
        self.graph.enqueue.run()
        self.graph.transmit.run()
        self.conservation.look()
        while self._changes:
            self._changes.pop()()
        self.later()

    def later(self) -> None:
        """Let the time of the retry come."""
        for _ in range(2):
            self.clock.advance(minutes=2)
            self.graph.transmit.run()

    def patch(self, **changes: Any) -> None:
        answer = self.desk.client.patch(f"subscribers/{self.subscriber}", changes)
        assert answer.status_code == 200, answer.text

    @property
    def row(self) -> Document:
        """The row of the subscriber."""
        return self.desk.row(subscriber_id=self.subscriber)

    @property
    def own(self) -> int:
        """How often the first address was tried."""
        return len(self.recorder.arrivals("/"))

    def check(self, *, may_wait: bool = False) -> None:
        """Nothing is lost or doubled, and the bystander has its copy."""
        self.conservation.check(may_wait=may_wait)
        weekly = lane_id(self.bystander, "push")
        check_manifest(self.graph.db, {weekly: self.recorder.arrivals("/weekly")})
        copies = self.desk.rows(subscriber_id=self.bystander)
        assert {row["state"] for row in copies} == {"success"}


@pytest.fixture(params=MOMENTS)
def case(
    request: Any, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
) -> Case:
    """One case for each moment at which the subscriber may change."""
    return Case(desk, graph, clock, receiver, request.param)


def test_deactivated_its_rows_wait_until_it_is_active(case: Case) -> None:
    case.goes(lambda: case.patch(is_active=False))
    waits = case.row["state"], case.own
    case.check(may_wait=True)

    case.patch(is_active=True)
    case.later()

    assert (waits, case.row["state"], case.own) == (("retrying", 1), "success", 2)
    case.check()


def test_deleted_its_rows_fail_and_say_so(case: Case) -> None:
    """No request deletes one; a migration may. What the receiver says by then still counts."""
    case.goes(lambda: case.graph.db["subscribers"].delete_one({"_id": case.subscriber}))

    row = case.row
    assert (row["state"], row["fault"], case.own) == ("failed", "ours", 1)
    assert "8001" in row["error_message"]
    assert "Subscriber is closed" in row["error_message"]
    case.check()


def test_deleted_while_it_takes_the_row(case: Case) -> None:
    case.goes(lambda: case.graph.db["subscribers"].delete_one({"_id": case.subscriber}), answer=200)

    assert (case.row["state"], case.own) == ("success", 1)
    case.check()


def test_with_another_address_the_retry_goes_there(case: Case, other: HTTPReceiver) -> None:
    moved = {**case.destination, "config": {"resource_url": other.url}}
    case.goes(lambda: case.patch(destinations=[moved]))

    assert (case.row["state"], case.own, len(other.requests)) == ("success", 1, 1)
    assert other.requests[0].headers["webhook-id"] == case.row["idempotency_key"]
    case.check()


def test_with_another_secret_the_retry_is_signed_by_it(case: Case, receiver: HTTPReceiver) -> None:
    config = {**case.destination["config"], "secret_token": "second"}
    changed = {**case.destination, "config": config}
    case.goes(lambda: case.patch(destinations=[changed]))

    first, second = (r for r in receiver.requests if not r.path.endswith("weekly"))
    assert first.body == second.body
    assert len({r.headers["x-superdesk-signature"] for r in (first, second)}) == 2
    assert case.row["state"] == "success"
    case.check()


def test_of_another_type_the_retry_goes_its_way(case: Case, tmp_path: Path) -> None:
    changed = {**file_in(tmp_path), "_id": "push"}
    case.goes(lambda: case.patch(destinations=[changed]))

    assert (case.row["state"], case.own) == ("success", 1)
    assert len(list(tmp_path.iterdir())) == 1
    case.check()


@pytest.mark.parametrize(
    "config", [{}, {"resource_url": "no address"}, {"resource_url": 5}], ids=str
)
def test_with_a_config_that_cannot_be_used_it_fails(case: Case, config: Document) -> None:
    """As others write it: a request would be refused."""
    stored = {"$set": {"destinations.0.config": config}}
    case.goes(lambda: case.graph.db["subscribers"].update_one({"_id": case.subscriber}, stored))

    assert (case.row["state"], case.own) == ("failed", 1)
    assert case.row["error_message"]
    case.check()


def test_of_a_type_that_nobody_knows_it_fails(case: Case) -> None:
    stored = {"$set": {"destinations.0.delivery_type": "telex"}}
    case.goes(lambda: case.graph.db["subscribers"].update_one({"_id": case.subscriber}, stored))

    assert (case.row["state"], case.row["fault"]) == ("failed", "ours")
    assert "telex" in case.row["error_message"]
    case.check()


def test_without_the_destination_its_rows_go_where_they_say(
    case: Case, other: HTTPReceiver
) -> None:
    """Otherwise a story that is out would have no correction. The new one gets nothing old."""
    another = {**push(other.url), "_id": "another"}
    case.goes(lambda: case.patch(destinations=[another]))

    assert (case.row["state"], case.own, len(other.requests)) == ("success", 2, 0)
    case.check()

    case.desk.published()
    case.graph.enqueue.run()
    case.graph.transmit.run()
    assert (case.own, len(other.requests)) == (2, 1)


def test_with_one_more_destination_that_gets_what_comes_next(
    case: Case, other: HTTPReceiver
) -> None:
    more = [case.destination, {**push(other.url), "_id": "more"}]
    case.goes(lambda: case.patch(destinations=more))
    before = len(other.requests)

    case.desk.published()
    case.graph.enqueue.run()
    case.graph.transmit.run()

    assert (before, case.own, len(other.requests)) == (0, 3, 1)
    case.check()


def test_whatever_changes_a_kill_reaches_who_has_the_story(case: Case, other: HTTPReceiver) -> None:
    """At the address that counts by then."""
    moved = {**case.destination, "config": {"resource_url": other.url}}
    case.goes(lambda: case.patch(destinations=[moved]))
    item = case.graph.db["published"].find_one({}) or {}

    case.desk.act("kill", {"_id": item["item_id"]})
    case.graph.enqueue.run()
    case.graph.transmit.run()

    assert [r.json()["pubstatus"] for r in other.requests] == ["usable", "canceled"]
    case.check()


def test_ids_of_subscribers_that_come_again_are_no_others(case: Case) -> None:
    """Deleted, and stored anew under another id: nothing of the old one is sent to it."""

    def replaced() -> None:
        stored = case.graph.db["subscribers"].find_one_and_delete({"_id": case.subscriber})
        case.graph.db["subscribers"].insert_one({**(stored or {}), "_id": ObjectId()})

    case.goes(replaced)

    assert (case.row["state"], case.own) == ("failed", 1)
    case.check()
