"""What is measured and listed holds over all processes, and after one was killed.

Delivery contract 14.2 to 14.5.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import settings as settings_module
from apps.graph.build import Graph
from apps.monitoring import exposition
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.queues import fill
from tests.support.receivers import Fault, HTTPReceiver
from tests.support.services import empty_services
from tests.support.watching import TOKEN, Watcher
from tests.support.worker_processes import WORKER, process, settings_of

pytestmark = pytest.mark.timeout(600)

PATIENCE = 120


@pytest.fixture
def environment(stores: Any, database_name: str, redis_url: str) -> dict[str, Any]:
    """The settings of the processes under test."""
    return settings_of(
        stores, f"{database_name}_many", redis_url, LEASE_SECONDS=3, METRICS_TOKEN=TOKEN
    )


@pytest.fixture
def graph(environment: dict[str, Any]) -> Iterator[Graph]:
    """Services of the web process, on the same, empty database."""
    with empty_services(settings_module.load(environment, environ={})) as built:
        yield built


def test_counts_go_on_where_a_killed_process_left_them(
    graph: Graph,
    watcher: Watcher,
    environment: dict[str, Any],
    receiver: HTTPReceiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One worker delivers, another one is killed while it sends, a third one goes on."""
    monkeypatch.setattr(exposition, "KEPT_SECONDS", 0)
    feeds = {name: {**push(receiver.url), "_id": name} for name in ("one", "two", "three")}
    subscriber = Newsroom(graph.db).subscriber("all", *feeds.values())

    def queue(items: int, feed: str) -> None:
        fill(graph.db, subscriber, feeds[feed], graph.clock.precise(), items=items)

    def delivered() -> int:
        total = graph.db["delivery_counters"].find_one({"_id": "type http_push"}) or {}
        return int(total.get("delivered") or 0)

    def workers() -> int:
        return graph.db["processes"].count_documents({"name": "worker"})

    with process(WORKER, environment, directory(tmp_path, "first")):
        queue(5, "one")
        wait_until(lambda: delivered() == 5, PATIENCE)
        wait_until(lambda: watcher.health("ready")[0] == 200, PATIENCE)
        with process(WORKER, environment, directory(tmp_path, "second")):
            # A prefork worker has two processes that do the work.
            wait_until(lambda: workers() >= 3, PATIENCE)
        queue(5, "two")
        wait_until(lambda: delivered() == 10, PATIENCE)
        receiver.answer([Fault.HANG])
        sent = len(receiver.requests)
        queue(1, "three")
        receiver.wait_for(sent + 1, timeout=PATIENCE)
    with process(WORKER, environment, directory(tmp_path, "third")):
        wait_until(lambda: delivered() == 11, PATIENCE)
        found = watcher.metrics()
        assert found["attempts_total success http_push"] == 11
        assert found["attempts_total unknown http_push"] == 1
        assert found["attempt_seconds_count http_push"] == 11
        assert found["delivered_seconds_count http_push"] == 11
        assert found["processes worker"] >= 1
        listed = graph.db["processes"].find({"name": "worker"})
        assert all(task["name"].startswith("apps.") for one in listed for task in one["tasks"])


def directory(parent: Path, name: str) -> Path:
    """Return a new directory for the files of a process."""
    made = parent / name
    made.mkdir()
    return made
