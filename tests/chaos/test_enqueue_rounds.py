"""Two enqueue processes at once and a third one that is killed at a random point, 50 times."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from bson import ObjectId

import settings as settings_module
from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.newsroom import Newsroom, push
from tests.support.processes import is_running, wait_until
from tests.support.services import empty_services

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
ROUNDS = 50
ITEMS = 3
ACTIONS = ("publish", "correct", "kill")
SUBSCRIBERS = ("s1", "s2")
LONGEST_LIFE = 0.12
"""Seconds between the work of a round and the end of a process that dies by the clock."""
BY_CLOCK = 5
"""Every so many rounds a process dies at a moment, not at a step."""
STEPS = ROUNDS - ROUNDS // BY_CLOCK
"""Steps from the claim of a batch on, which is the first: its end and some of the next one."""

IDLE, CLAIMED, NOTED, WRITTEN = "idle", "claimed", "noted", "written"
"""How far a process had come when it died: with nothing in hand; with claims; with recipients on
record; with delivery rows."""


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

    def start(self, dies_at: int = 0) -> int:
        """Start a process; return its id once it routes.

        Args:
            dies_at: the step of its first batch at which it dies; 0 if it lives on.
        """
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{dies_at:04}".encode())
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


class Deaths:
    """Kills one process in each round and counts what it leaves behind.

    Some die at a random moment, the others at each step of their work, in random order: the clock
    alone finds the same few places again and again.
    """

    def __init__(self, graph: Graph, loops: Loops) -> None:
        self._graph = graph
        self._loops = loops
        self._random = Random(3)
        self._steps = self._random.sample(range(1, STEPS + 1), STEPS)
        self.stages: Counter[str] = Counter()

    def round(self, number: int) -> None:
        """Start a process, give all of them work, and wait until that one is dead."""
        by_clock = number % BY_CLOCK == 0
        victim = self._loops.start(0 if by_clock else self._steps.pop())
        store(self._graph, number)
        if by_clock:
            time.sleep(self._random.uniform(0, LONGEST_LIFE))
        else:
            wait_until(lambda: not is_running(victim) or not unrouted(self._graph), 20)
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not is_running(victim))
        self.stages[self._stage(victim)] += 1

    def _stage(self, victim: int) -> str:
        """Return how far a dead process had come with the rows that it held."""
        db = self._graph.db
        own = {"queue_owner": {"$regex": f"^{victim}-"}, "queue_state": "in_progress"}
        held = list(db["published"].find(own))
        if not held:
            return IDLE
        if self._is_in("publish_queue", held):
            return WRITTEN
        return NOTED if self._is_in("routing_decisions", held) else CLAIMED

    def _is_in(self, collection: str, held: list[Document]) -> bool:
        """Whether anything is stored for one of the published rows `held`."""
        versions = [
            {"item_id": row["item_id"], "item_version": row["_current_version"]} for row in held
        ]
        return bool(self._graph.db[collection].count_documents({"$or": versions}))


def unrouted(graph: Graph) -> int:
    return graph.db["published"].count_documents({"queue_state": {"$ne": "queued"}})


def store(graph: Graph, number: int) -> None:
    """Store the work of one round."""
    rows = work(number)
    items = [{"_id": row["item_id"], "type": row["type"]} for row in rows[: ITEMS + 1]]
    graph.db["archive"].insert_many(items)
    graph.db["published"].insert_many(rows)


def test_fifty_rounds(graph: Graph, loops: Loops) -> None:
    """No row is missing, none is doubled, every item keeps its order, packages follow members."""
    newsroom = Newsroom(graph.db)
    for name in SUBSCRIBERS:
        newsroom.subscriber(name, push("http://127.0.0.1:9"))
    for _ in range(2):
        loops.start()
    deaths = Deaths(graph, loops)
    for number in range(ROUNDS):
        deaths.round(number)
    wait_until(lambda: not unrouted(graph), 60)

    assert deaths.stages.total() - deaths.stages[IDLE] >= ROUNDS // 4, deaths.stages
    assert min(deaths.stages[stage] for stage in (CLAIMED, NOTED, WRITTEN)) > 0, deaths.stages
    rows = list(graph.db["publish_queue"].find({}).sort("order_no", 1))
    expected = ROUNDS * (ITEMS * len(ACTIONS) + 1) * len(SUBSCRIBERS)
    assert len(rows) == len({row["idempotency_key"] for row in rows}) == expected
    assert len({row["order_no"] for row in rows}) == expected
    assert len({(row["subscriber_id"], row["published_seq_num"]) for row in rows}) == expected
    assert {row["payload_id"] for row in rows} <= set(graph.db["publish_payloads"].distinct("_id"))
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
