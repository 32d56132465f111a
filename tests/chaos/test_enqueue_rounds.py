"""Two enqueue processes at once and a third one that is killed at a random point, 50 times."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bson import ObjectId

import settings as settings_module
from apps.core.service import Document
from apps.graph import Graph
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.services import empty_services

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(240)]

ROOT = Path(__file__).parents[2]
ROUNDS = 50
ITEMS = 3
ACTIONS = ("publish", "correct", "kill")
SUBSCRIBERS = ("s1", "s2")
LONGEST_LIFE = 0.12
"""Seconds between the work of a round and the end of the process."""


@pytest.fixture
def environment(stores: Any, database_name: str, redis_url: str) -> dict[str, Any]:
    """The settings of the processes under test."""
    return {
        "MONGO_URI": stores.mongo_uri,
        "MONGO_DBNAME": f"{database_name}_rounds",
        "REDIS_URL": redis_url,
        "LEASE_SECONDS": 1,
        "ENQUEUE_BATCH_SIZE": 3,
        "LOG_LEVEL": "ERROR",
    }


@pytest.fixture
def graph(environment: dict[str, Any]) -> Iterator[Graph]:
    """Services on the same, empty database."""
    with empty_services(settings_module.load(environment, environ={})) as built:
        yield built


class Loops:
    """Processes that route without end.

    Args:
        environment: their settings.
    """

    def __init__(self, environment: dict[str, Any]) -> None:
        texts = {name: str(value) for name, value in environment.items()}
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.support.enqueue_loop"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **texts, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
        )

    def start(self) -> int:
        """Start a process; return its id once it routes."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(b"+")
        self._parent.stdin.flush()
        return int(self._parent.stdout.readline())

    def stop(self) -> None:
        """End all of them."""
        self._parent.communicate(timeout=20)


@pytest.fixture
def loops(graph: Graph, environment: dict[str, Any]) -> Iterator[Loops]:
    started = Loops(environment)
    yield started
    started.stop()


def work(number: int) -> list[Document]:
    """Return the published rows of one round: versions of items, and a package of the first two."""
    items = [f"item-{number:02}-{place}" for place in range(ITEMS)]
    rows = [
        row_of(item, version, operation)
        for version, operation in enumerate(ACTIONS, start=1)
        for item in items
    ]
    refs = [{"residRef": item, "_current_version": 1} for item in items[:2]]
    groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
    package = {**row_of(f"package-{number:02}", 1, "publish"), "type": "composite"}
    # Published behind its members, before they are corrected.
    rows.insert(ITEMS, {**package, "groups": groups})
    for place, row in enumerate(rows):
        row["publish_sequence_no"] = number * 100 + place
    return rows


def row_of(item: str, version: int, operation: str) -> Document:
    return {
        "_id": ObjectId(),
        "item_id": item,
        "guid": item,
        "type": "text",
        "state": "killed" if operation == "kill" else "published",
        "operation": operation,
        "headline": f"version {version}",
        "_current_version": version,
        "queue_state": "pending",
    }


def holders(graph: Graph) -> set[str]:
    """Return the runs that hold published rows."""
    return set(graph.db["published"].distinct("queue_owner", {"queue_state": "in_progress"}))


def test_fifty_rounds(graph: Graph, loops: Loops) -> None:
    """No row is missing, none is doubled, every item keeps its order, packages follow members."""
    random = Random(3)
    newsroom = Newsroom(graph.db)
    for name in SUBSCRIBERS:
        newsroom.subscriber(name, push("http://127.0.0.1:9"))
    for _ in range(2):
        loops.start()
    died_amid_work = 0
    for number in range(ROUNDS):
        victim = loops.start()
        rows = work(number)
        graph.db["archive"].insert_many(
            {"_id": row["item_id"], "type": "text"} for row in rows[:ITEMS]
        )
        graph.db["published"].insert_many(rows)
        time.sleep(random.uniform(0, LONGEST_LIFE))
        os.kill(victim, signal.SIGKILL)
        held = holders(graph)
        time.sleep(0.1)
        died_amid_work += bool(held & holders(graph))
    unrouted = {"queue_state": {"$ne": "queued"}}
    wait_until(lambda: not graph.db["published"].count_documents(unrouted), 60)

    assert died_amid_work >= ROUNDS // 10
    rows = list(graph.db["publish_queue"].find({}).sort("order_no", 1))
    expected = ROUNDS * (ITEMS * len(ACTIONS) + 1) * len(SUBSCRIBERS)
    assert len(rows) == len({row["idempotency_key"] for row in rows}) == expected
    assert len({row["order_no"] for row in rows}) == expected
    check_lines(rows)
    check_packages(graph)


def check_lines(rows: list[Document]) -> None:
    """Check that each destination has all versions of each item in order."""
    lines: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        lines.setdefault((row["lane"], row["item_id"]), []).append(row["item_version"])
    items = [versions for (_, item), versions in lines.items() if item.startswith("item")]
    assert len(items) == ROUNDS * ITEMS * len(SUBSCRIBERS)
    assert all(versions == [1, 2, 3] for versions in items)


def check_packages(graph: Graph) -> None:
    """Check that every copy of a package holds both members."""
    copies = list(graph.db["recipients"].find({"_id": {"$regex": "^package"}}))
    assert len(copies) == ROUNDS
    for copy in copies:
        number = copy["_id"].removeprefix("package-")
        members = [f"item-{number}-0", f"item-{number}-1"]
        assert [s["members"] for s in copy["subscribers"].values()] == [members] * len(SUBSCRIBERS)
