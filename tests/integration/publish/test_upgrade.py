"""Queues that an earlier release, or Superdesk, has left behind (delivery contract X19).

The documents are written out as those systems store them, not by the code of this one.
"""

from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.conservation import Conservation, Recorder, check_manifest
from tests.support.newsdesk import START, HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.receivers import HTTPReceiver

NINJS = '{"guid": "%s", "version": "1", "type": "text", "headline": "%s"}'


class Newsroom:
    """A queue as another system fills it.

    Attributes:
        subscriber: id of the one who gets everything.
    """

    def __init__(self, desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock) -> None:
        self.db = desk.db
        self.at = clock.at - timedelta(minutes=10)
        self.destination = push(receiver.url)
        self.subscriber = desk.newsroom.subscriber("Daily", self.destination)
        self.lane = f"{self.subscriber}:push"

    def earlier_release(self, state: str, **fields: Any) -> Document:
        """Store a row as the release before lanes had notes of what is sent."""
        number = self.db["publish_queue"].count_documents({}) + 1
        item, key = f"urn:newsml:example.com:2026:{number}", f"{number:040x}"
        self.db["publish_payloads"].insert_one(
            {
                "_id": key,
                "body": NINJS % (item, state),
                "media_type": "application/json",
                "file_extension": "json",
            }
        )
        row = {
            **self._common(item, number, state),
            "lane": self.lane,
            "order_no": number,
            "idempotency_key": key,
            "payload_id": key,
            "priority": False,
            "destination": {
                "_id": "push",
                "name": "push",
                "format": "ninjs",
                "delivery_type": "http_push",
                "config": {"resource_url": self.destination["config"]["resource_url"]},
            },
            **fields,
        }
        self.db["publish_queue"].insert_one(row)
        counter = {"$set": {"sequence_number": number}}
        self.db["sequences"].update_one({"key": "publish_queue_order_no"}, counter, upsert=True)
        return row

    def superdesk(self, state: str, **fields: Any) -> Document:
        """Store a row with the fields of Superdesk alone: no lane, no key, no order."""
        number = self.db["publish_queue"].count_documents({}) + 1
        item = f"urn:newsml:example.com:2026:{number}"
        row = {
            **self._common(item, number, state),
            "formatted_item": NINJS % (item, state),
            "item_encoding": "utf-8",
            "publish_schedule": None,
            "unique_name": f"#{number}",
            "ingest_provider": None,
            "codes": [],
            "destination": {k: v for k, v in self.destination.items() if k != "_id"},
            **fields,
        }
        self.db["publish_queue"].insert_one(row)
        return row

    def _common(self, item: str, number: int, state: str) -> Document:
        return {
            "_id": ObjectId(),
            "_created": self.at,
            "_updated": self.at,
            "_etag": f"{number:040x}",
            "item_id": item,
            "item_version": 1,
            "published_seq_num": number,
            "headline": state,
            "content_type": "text",
            "subscriber_id": self.subscriber,
            "publishing_action": "published",
            "state": state,
            "retry_attempt": 0,
            "moved_to_legal": False,
        }


@pytest.fixture
def newsroom(desk: Newsdesk, receiver: HTTPReceiver, clock: HandClock) -> Newsroom:
    return Newsroom(desk, receiver, clock)


def claim(until: datetime) -> Document:
    """Return what a row in progress says of its worker, in an earlier release."""
    return {
        "transmit_started_at": until - timedelta(seconds=60),
        "lease_owner": "f" * 32,
        "lease_until": until,
        "claim_token": 3,
    }


FAILED = {"error_message": "PublishHTTPPushClientError Error 14001 - refused", "retry_attempt": 3}
LANES: dict[str, Document | None] = {
    "no lane": None,
    "a lane that rests": {"claim_token": 3, "wakes": 5, "urgent": False},
    "a lane of a dead worker": {
        "claim_token": 3,
        "wakes": 5,
        "urgent": False,
        "lease_owner": "f" * 32,
        "lease_until": timedelta(seconds=-60),
        "wake_at": timedelta(seconds=-90),
        "breaker": {"steps": [], "openings": 0, "open_until": None},
    },
    "a lane whose breaker is open": {
        "claim_token": 3,
        "wakes": 5,
        "urgent": False,
        "lease_owner": None,
        "lease_until": None,
        "wake_at": timedelta(seconds=-1),
        "breaker": {"steps": [], "openings": 2, "open_until": timedelta(seconds=-1)},
        "careful": True,
    },
}


def at(fields: Document, now: datetime) -> Document:
    """Return a document with times in the place of distances from now."""
    return {
        name: now + value
        if isinstance(value, timedelta)
        else at(value, now)
        if isinstance(value, dict)
        else value
        for name, value in fields.items()
    }


@pytest.mark.parametrize("name", LANES)
def test_rows_of_an_earlier_release(
    newsroom: Newsroom,
    desk: Newsdesk,
    graph: Graph,
    clock: HandClock,
    receiver: HTTPReceiver,
    name: str,
) -> None:
    """What waits or was being sent is delivered; what has ended stays as it is."""
    receiver.answer(recorder := Recorder())
    if lane := LANES[name]:
        graph.db["publish_lanes"].insert_one({"_id": newsroom.lane, **at(lane, clock.at)})
    newsroom.earlier_release("pending")
    newsroom.earlier_release("in-progress", **claim(clock.at - timedelta(seconds=60)))
    newsroom.earlier_release("retrying", next_retry_attempt_at=clock.at, retry_attempt=2)
    ended = [
        newsroom.earlier_release("success", completed_at=newsroom.at, error_message=None),
        newsroom.earlier_release("failed", **FAILED),
        newsroom.earlier_release("canceled"),
        newsroom.earlier_release("error"),
    ]
    conservation = Conservation(graph.db)
    conservation.look()

    for _ in range(4):
        clock.advance(minutes=5, seconds=1)
        graph.transmit.run()

    rows = {row["headline"]: row for row in desk.rows()}
    open_states = ("pending", "in-progress", "retrying")
    assert {rows[state]["state"] for state in open_states} == {"success"}
    assert [rows[row["headline"]] for row in ended] == ended
    assert len(recorder.arrivals()) == 3
    lines = [fault for fault in conservation.faults() if "is error" not in fault]
    assert [line for line in lines if "canceled" not in line] == []


def test_a_row_that_a_worker_of_the_earlier_release_still_sends(
    newsroom: Newsroom, graph: Graph, clock: HandClock, receiver: HTTPReceiver
) -> None:
    """Both releases at work: its lease holds, and it is not sent here, too."""
    until = clock.at + timedelta(seconds=50)
    held = {"lease_owner": "f" * 32, "lease_until": until, "claim_token": 3, "wake_at": clock.at}
    graph.db["publish_lanes"].insert_one({"_id": newsroom.lane, **held})
    newsroom.earlier_release("in-progress", **claim(until))
    newsroom.earlier_release("pending")

    before = graph.transmit.run()
    clock.advance(seconds=61)

    assert (before, graph.transmit.run()) == (0, 2)
    assert len(receiver.requests) == 2


def test_a_failed_row_without_a_fault_is_shown_and_sent_again(
    newsroom: Newsroom, desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    row = newsroom.earlier_release("failed", **FAILED)

    shown = desk.client.get(f"publish_queue/{row['_id']}").get_json()
    answer = desk.client.post(f"publish_queue/{row['_id']}/resend", {})
    graph.transmit.run()

    assert "resend" in shown["_actions"]
    assert answer.status_code == 200, answer.text
    (request,) = receiver.requests
    assert request.json()["guid"] == row["item_id"]


def test_rows_of_superdesk(
    newsroom: Newsroom, desk: Newsdesk, graph: Graph, clock: HandClock, receiver: HTTPReceiver
) -> None:
    """Those that its workers have left `in-progress`, too: there they would stay so for ever."""
    receiver.answer(recorder := Recorder())
    retrying = {"next_retry_attempt_at": clock.at + timedelta(minutes=1), "retry_attempt": 2}
    newsroom.superdesk("pending")
    newsroom.superdesk("in-progress", transmit_started_at=newsroom.at)
    newsroom.superdesk("retrying", **retrying)
    ended = [newsroom.superdesk(state) for state in ("success", "failed", "canceled", "error")]
    conservation = Conservation(graph.db)

    for _ in range(4):
        graph.transmit.run()
        clock.advance(minutes=5, seconds=1)

    rows = {row["headline"]: row for row in desk.rows()}
    assert {rows[s]["state"] for s in ("pending", "in-progress", "retrying")} == {"success"}
    assert [rows[row["headline"]] for row in ended] == ended
    assert len(recorder.arrivals()) == len({each.key for each in recorder.arrivals()}) == 3
    assert {each.key for each in recorder.arrivals()} <= {
        row.get("idempotency_key") for row in desk.rows()
    }
    assert [f for f in conservation.faults() if "progress" in f or "pending" in f] == []


@pytest.mark.parametrize("noted", [{}, {"last_queue_event": None}, {"last_queue_event": START}])
def test_stories_that_superdesk_was_routing(
    newsroom: Newsroom,
    desk: Newsdesk,
    graph: Graph,
    clock: HandClock,
    receiver: HTTPReceiver,
    noted: Document,
) -> None:
    """Its rows of `published` are in progress without a lease."""
    receiver.answer(recorder := Recorder())
    for queue_state in ("pending", "in_progress"):
        item = desk.published(headline=queue_state)
        change = {"$unset": {"last_queue_event": 1}}
        graph.db["published"].update_one({"item_id": item["_id"]}, change)
        state = {"$set": {"queue_state": queue_state, **noted}}
        graph.db["published"].update_one({"item_id": item["_id"]}, state)

    for _ in range(3):
        graph.enqueue.run()
        graph.transmit.run()
        clock.advance(minutes=5)

    assert Conservation(graph.db).check() == {"success": 2}
    check_manifest(graph.db, {newsroom.lane: recorder.arrivals()})
