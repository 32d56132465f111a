"""Stories on their way to a queue of Amazon's, and to its reader (delivery contract 5.6)."""

import json
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.queues import leave_claimed
from tests.support.sqs_queue import KEYS, SQSQueue


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Active subscribers are complete."""
    return {**settings, "RETRY_JITTER": 0, "STRICT_DESTINATIONS": True}


@pytest.fixture
def queue(moto: str) -> SQSQueue:
    return SQSQueue(moto)


def to_queue(queue: SQSQueue, **config: Any) -> Document:
    """Return a destination that sends to the queue."""
    return {
        "_id": "queue",
        "name": "queue",
        "format": "ninjs",
        "delivery_type": "amazon_sqs_fifo",
        "config": queue.config(**config),
    }


def deliver(graph: Graph) -> None:
    graph.enqueue.run()
    graph.transmit.run()


def test_versions_are_messages(desk: Newsdesk, graph: Graph, queue: SQSQueue) -> None:
    """In order, each with the key of its row; the row says which message it is."""
    desk.newsroom.subscriber("one", to_queue(queue))
    item = desk.published(headline="Häfen offen")
    deliver(graph)
    desk.act("correct", item, headline="Häfen zu")
    deliver(graph)

    rows, messages = desk.rows(), queue.messages()
    assert ["success"] * 2 == [row["state"] for row in rows]
    told = [row["attempts"][-1]["external_id"] for row in rows]
    assert told == [message["MessageId"] for message in messages]
    keys = [message["Attributes"]["MessageDeduplicationId"] for message in messages]
    assert [row["idempotency_key"] for row in rows] == keys
    headlines = [json.loads(message["Body"])["headline"] for message in messages]
    assert headlines == ["Häfen offen", "Häfen zu"]


def test_a_missing_queue_is_waited_for(desk: Newsdesk, graph: Graph, queue: SQSQueue) -> None:
    """The row says what the service says, and no secret (delivery scenario 36)."""
    desk.newsroom.subscriber("one", to_queue(queue, queue_name="none.fifo"))
    desk.published()
    deliver(graph)

    row = desk.row()
    assert row["state"] == "retrying"
    assert row["error_message"] == (
        "PublishAmazonSQSError Error 15001 - Amazon SQS publish client error:"
        "400 AWS.SimpleQueueService.NonExistentQueue: The specified queue does not exist."
    )
    assert all(secret not in str(row) for secret in KEYS.values())


def test_a_worker_that_died_is_repeated_without_a_second_message(
    desk: Newsdesk, graph: Graph, queue: SQSQueue, clock: HandClock
) -> None:
    """The queue drops what it has (delivery scenario 16)."""
    desk.newsroom.subscriber("one", to_queue(queue))
    desk.published()
    deliver(graph)
    assert len(queue.messages()) == 1

    leave_claimed(graph.db, clock)
    clock.advance(seconds=70)
    deliver(graph)

    assert desk.row()["state"] == "success"
    assert len(queue.messages()) == 1


class TestSubscriber:
    """What the REST API makes of such a destination."""

    def test_keys_are_not_shown(self, admin: Any, graph: Graph, queue: SQSQueue) -> None:
        made = admin.create("subscribers", subscriber(to_queue(queue)))

        shown = admin.get(f"subscribers/{made['_id']}").text
        stored = str(graph.db["subscribers"].find_one())
        assert all(key not in shown + stored for key in KEYS.values())
        assert queue.name in shown

    def test_config_is_checked(self, admin: Any, queue: SQSQueue) -> None:
        """What is missing of an active one, and what cannot be used of any."""
        wrong = to_queue(queue, region=None, message_group_id=None, secret_access_key=None)
        answer = admin.post("subscribers", subscriber(wrong))
        assert answer.status_code == 400
        needed = answer.get_json()["_issues"]["destinations"]["0"]["config"]
        assert {"region", "message_group_id", "secret_access_key"} == set(needed)

        answer = admin.post("subscribers", subscriber(to_queue(queue, endpoint_url="localhost")))
        assert answer.status_code == 400
        issues = answer.get_json()["_issues"]["destinations"]["0"]["config"]
        assert {"endpoint_url": "endpoint_url is not an http or https address"} == issues


def subscriber(destination: Document) -> Document:
    """Return an active subscriber as a client sends it."""
    return {
        "name": "one",
        "subscriber_type": "wire",
        "email": "one@example.com",
        "sequence_num_settings": {"min": 1, "max": 10},
        "is_active": True,
        "destinations": [destination],
    }
