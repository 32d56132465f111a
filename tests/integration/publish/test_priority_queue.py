"""What is urgent is delivered by a task of its own, for which a worker is kept free.

Delivery contract P4, O6.
"""

from typing import Any

import pytest

from apps.graph.build import Graph
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver

KILL = "kill"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    return {**settings, "HIGH_PRIORITY_QUEUE_ENABLED": True}


def told(receiver: HTTPReceiver) -> list[str]:
    return [request.json()["headline"] for request in receiver.requests]


def test_the_run_of_urgent_deliveries_sends_nothing_else(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """A kill for a subscriber without priority, among many rows; another's row stays, too."""
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    item = desk.published(headline="story")
    graph.enqueue.run()
    graph.transmit.run()
    fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=150)
    desk.act(KILL, item, headline="killed")

    assert graph.priority_turn.run() == 1

    assert told(receiver) == ["story", "killed"]
    assert len(desk.rows(state="pending")) == 150
    lane = graph.db["publish_lanes"].find_one({})
    assert lane is not None
    assert (lane["urgent"], lane["lease_owner"]) == (False, None)
    # The rest is for others, at once.
    assert graph.priority_turn.run() == 0
    assert graph.transmit.run() == 150


def test_a_lane_is_urgent_no_longer_than_its_urgent_rows(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """Delivery contract P1: of a long queue with one kill only the first batch goes first."""
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=250)
    graph.db["publish_queue"].update_one({"item_id": "item-0200"}, {"$set": {"priority": True}})
    graph.db["publish_lanes"].update_one({}, {"$set": {"urgent": True}})
    seen: list[bool] = []

    def answer(request: Any) -> int:
        lane = graph.db["publish_lanes"].find_one({})
        seen.append(bool(lane and lane["urgent"]))
        return 200

    receiver.answer(answer)
    assert graph.transmit.run() == 250
    assert told(receiver)[0] == "item-0200"
    assert seen == [True] * 100 + [False] * 150


def test_rows_of_subscribers_with_priority_are_urgent(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver
) -> None:
    """The others' are left."""
    with HTTPReceiver() as other:
        desk.newsroom.subscriber("first", push(receiver.url), priority=True)
        desk.newsroom.subscriber("second", push(other.url))
        desk.published(headline="story")
        assert graph.priority_turn.run() == 1
        assert (told(receiver), told(other)) == (["story"], [])
        assert graph.transmit.run() == 1
        assert told(other) == ["story"]
