"""A worker ends when the process with its schedule has died: nothing would be delivered any more.

Delivery contract X25.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import settings as settings_module
from apps.graph.build import Graph
from apps.processes.embedded.children import start, stop
from tests.support.newsroom import Newsroom, push
from tests.support.processes import children, command_line, wait_until
from tests.support.queues import fill
from tests.support.receivers import HTTPReceiver
from tests.support.services import empty_services
from tests.support.worker_processes import ROOT, WORKER, pool, process, settings_of

pytestmark = pytest.mark.timeout(400)

PATIENCE_SECONDS = 120.0
SUPERVISED = [sys.executable, str(ROOT / "manage.py"), "run", "worker"]


@pytest.fixture
def environment(stores: Any, database_name: str, redis_url: str, tmp_path: Path) -> dict[str, Any]:
    """The settings of the processes under test."""
    return settings_of(
        stores,
        f"{database_name}_schedule",
        redis_url,
        CELERY_PREFIX="",
        DATA_DIR=str(tmp_path),
        NO_BOOTSTRAP=1,
        WORKER_CONCURRENCY=1,
        LEASE_SECONDS=3,
    )


@pytest.fixture
def graph(environment: dict[str, Any]) -> Iterator[Graph]:
    eager = {**environment, "CELERY_TASK_ALWAYS_EAGER": True}
    with empty_services(settings_module.load(eager, environ={})) as built:
        yield built


def beat_of(worker: int) -> int:
    """Return the id of the process with the schedule of a worker, as soon as it is there."""

    def found() -> list[int]:
        tasks = set(pool(worker))
        started = (pid for pid in children(worker) if b"celery" in command_line(pid))
        return [pid for pid in started if pid not in tasks] if tasks else []

    wait_until(found, PATIENCE_SECONDS)
    (beat,) = found()
    return beat


@contextmanager
def supervised(environment: dict[str, Any], directory: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run what starts the worker and watches it."""
    child = start(SUPERVISED, directory / "log", {n: str(v) for n, v in environment.items()})
    try:
        yield child
    finally:
        stop([child])


def queue(graph: Graph, receiver: HTTPReceiver, name: str) -> None:
    subscriber = Newsroom(graph.db, desk=name).subscriber(name, push(receiver.url))
    fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=3)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_worker_ends_that_has_lost_its_schedule(
    environment: dict[str, Any], graph: Graph, tmp_path: Path, number: int
) -> None:
    """With a status that tells of a failure, and gracefully: nothing is left under a lease."""
    with HTTPReceiver() as receiver, process(WORKER, environment, tmp_path) as worker:
        queue(graph, receiver, "first")
        receiver.wait_for(3, PATIENCE_SECONDS)
        os.kill(beat_of(worker.pid), number)

        assert worker.wait(PATIENCE_SECONDS) == 1
        assert "worker.schedule_lost" in (tmp_path / "log").read_text()

    lanes = list(graph.db["publish_lanes"].find())
    assert {(lane["lease_owner"], lane.get("sending")) for lane in lanes} == {(None, None)}
    assert graph.db["processes"].count_documents({}) == 0


def test_a_supervised_worker_gets_its_schedule_back(
    environment: dict[str, Any], graph: Graph, tmp_path: Path
) -> None:
    """`manage.py run` starts it anew, and deliveries go on."""
    with HTTPReceiver() as receiver, supervised(environment, tmp_path / "run") as supervisor:
        queue(graph, receiver, "first")
        receiver.wait_for(3, PATIENCE_SECONDS)
        first = worker_of(supervisor)
        os.kill(beat_of(first), signal.SIGKILL)
        wait_until(lambda: first not in children(supervisor.pid), PATIENCE_SECONDS)
        queue(graph, receiver, "second")
        receiver.wait_for(6, PATIENCE_SECONDS)
        wait_until(lambda: worker_of(supervisor) != first, PATIENCE_SECONDS)

    assert "worker.schedule_lost" in (tmp_path / "log" / "worker.log").read_text()
    keys = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(keys) == len(set(keys)) == 6


def worker_of(supervisor: "subprocess.Popen[bytes]") -> int:
    """Return the id of the main process of the worker, as soon as there is one."""

    def found() -> list[int]:
        return [pid for pid in children(supervisor.pid) if b"celery" in command_line(pid)]

    wait_until(found, PATIENCE_SECONDS)
    return found()[0]
