"""Processes and brokers that end at the worst moments, around deliveries to a receiver.

Each case ends with the checks of `tests/support/conservation.py` (delivery contract X0, X0a).
"""

import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import Celery
from redis import Redis

from apps.core.service import Document
from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import (
    Arrival,
    Conservation,
    Recorder,
    check_manifest,
    check_newest,
    check_routed,
    is_over,
)
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.queues import fill, publish_items, wait_for_leases
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply, slowly
from tests.support.tcp_gate import Gate, TCPGate
from tests.support.worker_processes import BEAT, PLAIN_WORKER, RUN, WORKER, kill, pool, process

pytestmark = pytest.mark.timeout(400)

PATIENCE = 120.0
"""Seconds that processes of a busy machine may take to start, and to do their work."""
ROUTE = "apps.publish.enqueue.enqueue_published"


def accepted(arrivals: list[Arrival]) -> Counter[str]:
    """Return how often each key was accepted."""
    return Counter(each.key for each in arrivals if each.is_accepted)


class Accounts:
    """The queue and the one receiver of a case, and what must hold of them at its end."""

    def __init__(self, graph: Graph, lane: str, recorder: Recorder) -> None:
        self._graph = graph
        self._lane = lane
        self._recorder = recorder
        self.conservation = Conservation(graph.db)

    def check(self, told: str, rows: int) -> None:
        """Check that all rows, of which there are so many, have been delivered."""
        arrivals = self._recorder.arrivals()
        assert self.conservation.check(told) == {"success": rows}, told
        check_manifest(self._graph.db, {self._lane: arrivals}, told)
        check_newest(self._graph.db, self._lane, arrivals, told)


@pytest.mark.parametrize("moment", ["before", "during", "after"])
def test_x1_a_run_killed_around_a_delivery(
    graph: Graph, newsroom: Newsroom, environment: dict[str, Any], tmp_path: Path, moment: str
) -> None:
    """Only what was accepted before its outcome was on record comes again, under its key.

    Delivery contract X1.
    """
    environment["LEASE_SECONDS"] = 2
    # The first of the batch: of those before it, too, the outcome may not be on record.
    fatal, mark = "item-0000", tmp_path / "mark"
    recorder = Recorder()
    with HTTPReceiver(recorder) as receiver:
        dying = {"item": fatal, "moment": moment, "mark": str(mark)}
        target = {**push(receiver.url, **dying), "delivery_type": "deadly"}
        subscriber = newsroom.subscriber("s", target)
        rows = fill(graph.db, subscriber, target, graph.clock.precise(), items=6, versions=2)
        accounts = Accounts(graph, lane_id(subscriber, target["_id"]), recorder)
        ends = []
        while not is_over(graph.db):
            assert len(ends) < 5, ends
            accounts.conservation.look()
            with process([*RUN, "poisoned"], environment, tmp_path) as run:
                if moment == "during":
                    recorder.answer = killing(run, fatal, mark)
                ends.append(run.wait(PATIENCE))
            wait_for_leases(graph)

    assert ends[0] == -signal.SIGKILL
    assert mark.exists()
    accounts.check(f"ends: {ends}", rows=12)
    doubled = [key for key, count in accepted(recorder.arrivals()).items() if count > 1]
    assert doubled == ([rows[0]["idempotency_key"]] if moment == "after" else [])
    repeats = len(recorder.arrivals()) - len(rows)
    assert repeats == (0 if moment == "before" else 1)


def killing(run: subprocess.Popen[bytes], item_id: str, mark: Path) -> Callable[[Received], Reply]:
    """Return answers of a receiver that kills who sends it an item for the first time."""

    def answer(request: Received) -> Reply:
        if request.json()["guid"] != item_id or mark.exists():
            return 200
        mark.touch()
        kill(run)
        return Fault.RESET

    return answer


def kill_children(worker: subprocess.Popen[bytes]) -> None:
    """Kill the processes that do the tasks; their parent starts others."""
    for pid in pool(worker.pid):
        os.kill(pid, signal.SIGKILL)


def kill_parent(worker: subprocess.Popen[bytes]) -> None:
    """Kill the process that hands out tasks; those that it has started end by themselves."""
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()


@pytest.mark.chaos
@pytest.mark.parametrize("killed", [kill, kill_children, kill_parent])
def test_x2_a_celery_worker_killed_while_sending(
    graph: Graph,
    newsroom: Newsroom,
    environment: dict[str, Any],
    tmp_path: Path,
    killed: Callable[[subprocess.Popen[bytes]], None],
    seed: int,
) -> None:
    """Parent and children together, or one of them: the next worker goes on after the lease.

    Delivery contract X2, delivery scenario 17.
    """
    random = Random(seed)
    recorder = Recorder(slowly(0.05))
    with HTTPReceiver(recorder) as receiver:
        subscriber = newsroom.subscriber("s", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=60, versions=2)
        accounts = Accounts(graph, lane_id(subscriber, "push"), recorder)
        accounts.conservation.look()
        with ExitStack() as processes:
            beat, first, second = (directory(tmp_path, name) for name in ("beat", "one", "two"))
            processes.enter_context(process(BEAT, environment, beat))
            worker = processes.enter_context(process(PLAIN_WORKER, environment, first))
            receiver.wait_for(20, timeout=PATIENCE)
            time.sleep(random.uniform(0, 0.3))
            killed(worker)
            sent_before = len(receiver.requests)
            if killed is not kill_children:
                processes.enter_context(process(PLAIN_WORKER, environment, second))
            recorder.answer = lambda request: 200
            wait_until(lambda: is_over(graph.db), PATIENCE)

    assert sent_before < 120
    accounts.check(f"seed {seed}", rows=120)


def directory(parent: Path, name: str) -> Path:
    made = parent / name
    made.mkdir()
    return made


@pytest.fixture
def gate(redis_url: str) -> Iterator[TCPGate]:
    """What processes take for their Redis."""
    with TCPGate(urlsplit(redis_url).port or 6379) as open_gate:
        yield open_gate


@pytest.mark.chaos
def test_x3_a_broker_that_is_emptied_goes_away_and_comes_back_with_old_messages(
    graph: Graph,
    newsroom: Newsroom,
    environment: dict[str, Any],
    tmp_path: Path,
    redis_url: str,
    gate: TCPGate,
) -> None:
    """Messages are wake-ups: without any the next tick does the work, with many it is done once.

    Delivery contract X3.
    """
    broker = Redis.from_url(redis_url)
    through = urlsplit(redis_url)._replace(netloc=f"127.0.0.1:{gate.port}")
    environment["REDIS_URL"] = urlunsplit(through)
    recorder = Recorder()
    with HTTPReceiver(recorder) as receiver, ExitStack() as processes:
        lane = lane_id(newsroom.subscriber("s", push(receiver.url)), "push")
        accounts = Accounts(graph, lane, recorder)
        publish_items(graph.db, 20)
        send_task(redis_url, ROUTE)
        assert broker.llen("publish") == 1
        old = broker.lrange("publish", 0, -1)[0]
        broker.flushdb()

        processes.enter_context(process(WORKER, environment, tmp_path))
        receiver.wait_for(20, timeout=PATIENCE)
        accounts.conservation.look()

        gate.turn(Gate.RESET)
        publish_items(graph.db, 20, first=20)
        gate.wait_for_connections(0)
        broker.flushdb()
        broker.lpush("publish", *[old] * 100)
        gate.turn(Gate.OPEN)
        receiver.wait_for(40, timeout=PATIENCE)
        wait_until(lambda: is_over(graph.db), PATIENCE)
        wait_until(lambda: not broker.llen("publish"), PATIENCE)

    broker.close()
    accounts.check("", rows=40)
    check_routed(graph.db, [(f"item-{number:03}", 1) for number in range(40)], [lane])
    assert set(accepted(recorder.arrivals()).values()) == {1}


def send_task(redis_url: str, name: str) -> None:
    """Send a wake-up as a web process does."""
    with Celery(broker=redis_url) as app:
        app.send_task(name, queue="publish")


@pytest.mark.chaos
def test_x5_two_beats_and_three_workers(
    graph: Graph, newsroom: Newsroom, environment: dict[str, Any], tmp_path: Path
) -> None:
    """Each version is routed once and each row sent once, however many are woken at a time.

    Delivery contract X5, delivery scenario 19.
    """
    recorder = Recorder()
    with HTTPReceiver(recorder) as receiver, ExitStack() as processes:
        lanes: list[Document] = []
        for name in ("s", "t", "u"):
            subscriber = newsroom.subscriber(name, push(f"{receiver.url}/{name}"))
            lanes.append({"lane": lane_id(subscriber, "push"), "path": f"/{name}"})
        conservation = Conservation(graph.db)
        for number, arguments in enumerate([BEAT, BEAT, *[PLAIN_WORKER] * 3]):
            own = directory(tmp_path, str(number))
            processes.enter_context(process(arguments, environment, own))
        for batch in range(4):
            publish_items(graph.db, 15, versions=3, first=15 * batch)
            wait_until(lambda: is_over(graph.db), PATIENCE)
            conservation.look()

    versions = [(f"item-{number:03}", v) for number in range(60) for v in (1, 2, 3)]
    assert conservation.check() == {"success": len(versions) * len(lanes)}
    check_routed(graph.db, versions, [each["lane"] for each in lanes])
    received = {each["lane"]: recorder.arrivals(each["path"]) for each in lanes}
    check_manifest(graph.db, received)
    assert set(accepted(recorder.arrivals()).values()) == {1}
