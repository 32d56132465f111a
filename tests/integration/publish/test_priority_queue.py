"""What is urgent is delivered by a task of its own, for which a worker is kept free.

Delivery contract P4, O6.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from apps.core import json
from apps.core.clock import SystemClock
from apps.graph.build import Graph
from apps.lanes.threads import MOST_TIMES
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import push
from tests.support.queues import fill
from tests.support.receivers import Fault, HTTPReceiver
from tests.support.worker_processes import process

KILL = "kill"
PATIENCE_SECONDS = 120.0


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


def test_a_kill_that_waits_for_a_retry_keeps_nobody_busy(
    desk: Newsdesk, graph: Graph, receiver: HTTPReceiver, clock: HandClock
) -> None:
    """What is not urgent goes meanwhile; the kill is urgent again when it is due."""
    subscriber = desk.newsroom.subscriber("one", push(receiver.url))
    item = desk.published(headline="story")
    graph.enqueue.run()
    graph.transmit.run()
    desk.act(KILL, item, headline="killed")
    receiver.answer([500])
    assert graph.priority_turn.run() == 1
    fill(graph.db, subscriber, push(receiver.url), clock.precise(), items=3)

    assert graph.priority_turn.run() == 0
    assert graph.transmit.run() == 3
    clock.advance(minutes=2)
    assert graph.priority_turn.run() == 1

    assert told(receiver)[-1] == "killed"
    assert graph.priority_turn.run() == graph.transmit.run() == 0


class TestWorkers:
    """With real worker processes. Their leases, and the receivers' time-out, outlast the test."""

    prefix = "urgent_"

    @pytest.fixture
    def clock(self) -> SystemClock:
        """That of the processes."""
        return SystemClock()

    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        limits = {"HTTP_PUSH_TIMEOUT": [5, 600], "HTTP_PUSH_TOTAL_TIMEOUT": 600}
        processes = {"CELERY_TASK_ALWAYS_EAGER": False, "CELERY_PREFIX": self.prefix}
        return {**settings, **limits, **processes, "LEASE_SECONDS": 3600}

    @pytest.fixture
    def environment(self, settings: dict[str, Any]) -> dict[str, Any]:
        names = ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL", "CELERY_PREFIX", "LEASE_SECONDS")
        names += ("HTTP_PUSH_TIMEOUT", "HTTP_PUSH_TOTAL_TIMEOUT", "HIGH_PRIORITY_QUEUE_ENABLED")
        known = {name: json.dumps(settings[name]).decode().strip('"') for name in names}
        return {**known, "TRANSMIT_THREADS": 1}

    def worker(self, *queues: str) -> list[str]:
        served = ",".join(self.prefix + queue for queue in queues)
        return [
            *("-m", "celery", "-A", "apps.worker", "worker", "-c", "1", "-Q", served),
            *("--loglevel", "WARNING", "--without-gossip", "--without-mingle"),
        ]

    @pytest.mark.timeout(400)
    def test_a_kill_goes_out_while_the_others_are_stuck(
        self,
        desk: Newsdesk,
        graph: Graph,
        receiver: HTTPReceiver,
        environment: dict[str, Any],
        tmp_path: Path,
    ) -> None:
        """All threads of the usual worker wait for receivers, which take none back for minutes."""
        desk.newsroom.subscriber("one", push(receiver.url))
        item = desk.published(headline="story")
        graph.enqueue.run()
        graph.transmit.run()
        with ExitStack() as stack:
            hanging = stack.enter_context(HTTPReceiver(lambda request: Fault.HANG))
            for number in range(MOST_TIMES + 1):
                subscriber = desk.newsroom.subscriber(f"stuck{number}", push(hanging.url))
                fill(graph.db, subscriber, push(hanging.url), graph.clock.precise(), items=2)
            usual = self.worker("publish", "transmit", "publish_priority", "default")
            stack.enter_context(process([*usual, "--beat"], environment, tmp_path / "usual"))
            hanging.wait_for(MOST_TIMES, PATIENCE_SECONDS)
            kept_free = self.worker("publish_priority")
            stack.enter_context(process(kept_free, environment, tmp_path / "priority"))
            desk.act(KILL, item, headline="killed")

            receiver.wait_for(2, PATIENCE_SECONDS)

            assert told(receiver) == ["story", "killed"]
            assert len(hanging.requests) == MOST_TIMES
