"""Processes that are asked to end finish what they have begun, and leave nothing behind.

Delivery contract C10.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import settings as settings_module
from apps.graph.build import Graph
from tests.support.newsroom import Newsroom, push
from tests.support.processes import has_heard, wait_until
from tests.support.queues import fill
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from tests.support.services import empty_services
from tests.support.worker_processes import ROOT, process, settings_of

pytestmark = pytest.mark.timeout(240)

QUEUES = "publish,transmit,default"
WORKER = [
    *("-m", "celery", "-A", "apps.worker", "worker", "--beat", "-c", "2", "-Q", QUEUES),
    *("--loglevel", "WARNING", "--without-gossip", "--without-mingle"),
]
COMMAND = [str(ROOT / "manage.py"), "publish:transmit"]
PATIENCE_SECONDS = 90.0
ROWS = 40
"""Of each subscriber: more than a process sends before it ends."""
SUBSCRIBERS = 3


@pytest.fixture
def environment(stores: Any, database_name: str, redis_url: str, tmp_path: Path) -> dict[str, Any]:
    """The settings of the processes under test: nobody gets back what is left under a lease."""
    return settings_of(
        stores,
        f"{database_name}_stop",
        redis_url,
        CELERY_PREFIX="",
        DATA_DIR=str(tmp_path),
        LEASE_SECONDS=3600,
    )


@pytest.fixture
def graph(environment: dict[str, Any]) -> Iterator[Graph]:
    eager = {**environment, "CELERY_TASK_ALWAYS_EAGER": True}
    with empty_services(settings_module.load(eager, environ={})) as built:
        yield built


def slowly(request: Received) -> Reply:
    time.sleep(0.2)
    return 200


def queue(graph: Graph, receiver: HTTPReceiver) -> None:
    """Queue rows of several subscribers."""
    newsroom = Newsroom(graph.db)
    for number in range(SUBSCRIBERS):
        subscriber = newsroom.subscriber(f"s{number}", push(receiver.url))
        fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=ROWS)


def terminate(child: "subprocess.Popen[bytes]") -> None:
    """Ask one process, as `manage.py run` and container platforms do."""
    child.terminate()


def terminate_group(child: "subprocess.Popen[bytes]") -> None:
    """Ask all its processes, as systemd does."""
    os.killpg(child.pid, signal.SIGTERM)


def interrupt_group(child: "subprocess.Popen[bytes]") -> None:
    """Ask all its processes, as a terminal does."""
    os.killpg(child.pid, signal.SIGINT)


Ask = Callable[["subprocess.Popen[bytes]"], None]


@pytest.mark.parametrize(
    ("arguments", "ask", "status"),
    [
        (WORKER, terminate, 0),
        (WORKER, terminate_group, 0),
        # That of Celery.
        (WORKER, interrupt_group, 1),
        (COMMAND, terminate, 0),
        (COMMAND, interrupt_group, 0),
    ],
    ids=["worker", "worker-group", "worker-ctrl-c", "command", "command-ctrl-c"],
)
def test_nothing_waits_for_a_lease(
    environment: dict[str, Any],
    graph: Graph,
    tmp_path: Path,
    arguments: list[str],
    ask: Ask,
    status: int,
) -> None:
    """Under load with slow receivers. Who comes next goes on at once, and nothing is sent twice."""
    with HTTPReceiver(slowly) as receiver:
        queue(graph, receiver)
        with process(arguments, environment, tmp_path) as child:
            receiver.wait_for(5, PATIENCE_SECONDS)
            ask(child)
            assert child.wait(PATIENCE_SECONDS) == status, (tmp_path / "log").read_text()
        sent = len(receiver.requests)

        assert sent < SUBSCRIBERS * ROWS
        assert graph.db["publish_queue"].count_documents({"state": "success"}) == sent
        lanes = list(graph.db["publish_lanes"].find())
        assert {(lane["lease_owner"], lane.get("sending")) for lane in lanes} == {(None, None)}
        assert graph.db["processes"].count_documents({}) == 0

        receiver.answer([])
        graph.transmit.run()

    keys = [request.headers["webhook-id"] for request in receiver.requests]
    assert len(keys) == len(set(keys)) == SUBSCRIBERS * ROWS
    assert graph.db["publish_queue"].distinct("state") == ["success"]
    assert graph.db["publish_queue"].count_documents({"attempts.outcome": "unknown"}) == 0


def is_sending(graph: Graph) -> bool:
    return graph.db["publish_lanes"].count_documents({"sending": {"$exists": True}}) > 0


@pytest.mark.parametrize("arguments", [WORKER, COMMAND], ids=["worker", "command"])
@pytest.mark.parametrize("how", ["again", "time"])
def test_ends_hard_when_asked_again_or_when_the_time_is_over(
    environment: dict[str, Any], graph: Graph, tmp_path: Path, arguments: list[str], how: str
) -> None:
    """What it was sending then is left as by a process that died."""
    environment["GRACEFUL_STOP_SECONDS"] = 600 if how == "again" else 1
    environment["HTTP_PUSH_TIMEOUT"] = "[5, 600]"
    environment["HTTP_PUSH_TOTAL_TIMEOUT"] = 600
    with ExitStack() as stack:
        receiver = stack.enter_context(HTTPReceiver(lambda request: Fault.HANG))
        queue(graph, receiver)
        child = stack.enter_context(process(arguments, environment, tmp_path))
        receiver.wait_for(SUBSCRIBERS, PATIENCE_SECONDS)
        wait_until(lambda: is_sending(graph), PATIENCE_SECONDS)
        child.terminate()
        if how == "again":
            # It is asked first, and still there.
            wait_until(lambda: has_heard(child.pid), PATIENCE_SECONDS)
            child.terminate()
        status = child.wait(PATIENCE_SECONDS)
        # The processes of a worker end hard; the one that watches them may see that in time.
        assert status == 1 or (arguments is WORKER and how == "time")
        assert is_sending(graph)
        assert len(receiver.requests) == SUBSCRIBERS
