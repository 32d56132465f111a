"""Workers that are killed at any point: nothing is lost, nothing doubled, repeats are told apart.

Delivery scenario 16 to 18, 20; routing scenario 42, 43.
"""

import os
import signal
import subprocess
import time
from pathlib import Path
from random import Random
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import Conservation, Recorder, check_manifest, is_over
from tests.support.newsroom import Newsroom, push
from tests.support.processes import wait_until
from tests.support.queues import fill, publish_items, wait_for_leases
from tests.support.receivers import HTTPReceiver, slowly
from tests.support.worker_processes import RUN, kill, process

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


def states(graph: Graph) -> dict[str, int]:
    counts: dict[str, int] = {}
    for row in graph.db["publish_queue"].find({}, {"state": 1}):
        counts[row["state"]] = counts.get(row["state"], 0) + 1
    return counts


def keys_by_item(receiver: HTTPReceiver) -> dict[str, set[str]]:
    """Return the idempotency keys under which each item came."""
    keys: dict[str, set[str]] = {}
    for request in receiver.requests:
        keys.setdefault(request.json()["guid"], set()).add(request.headers["webhook-id"])
    return keys


def owners(graph: Graph) -> set[str]:
    """Return the runs that hold published rows now, dead or alive."""
    return set(graph.db["published"].distinct("queue_owner")) - {None}


def wait_for_claim(graph: Graph, run: subprocess.Popen[bytes], seen: set[str]) -> None:
    """Wait until a run that is not among `seen` holds rows, or `run` has ended."""
    wait_until(lambda: owners(graph) - seen or run.poll() is not None, 60)


class TestTransmit:
    def test_runs_killed_at_random_points(
        self,
        graph: Graph,
        newsroom: Newsroom,
        environment: dict[str, Any],
        tmp_path: Path,
        seed: int,
    ) -> None:
        """Five runs die somewhere; versions still arrive in order, repeats under one key."""
        random = Random(seed)
        environment["LEASE_SECONDS"] = 1
        recorder = Recorder(slowly(0.01))
        conservation = Conservation(graph.db)
        with HTTPReceiver(recorder) as receiver:
            subscriber = newsroom.subscriber("s", push(receiver.url))
            now = graph.clock.precise()
            fill(graph.db, subscriber, push(receiver.url), now, items=100, versions=2)
            for _ in range(5):
                seen = len(receiver.requests)
                with process([*RUN, "transmit"], environment, tmp_path) as run:
                    receiver.wait_for(seen + 1, timeout=60)
                    time.sleep(random.uniform(0, 0.25))
                    kill(run)
                conservation.look()
                wait_for_leases(graph)
            recorder.answer = lambda request: 200
            graph.transmit.run()

        assert conservation.check(f"seed {seed}") == {"success": 200}
        arrivals = {lane_id(subscriber, "push"): recorder.arrivals()}
        check_manifest(graph.db, arrivals, f"seed {seed}")

    def test_a_run_that_was_stopped_for_longer_than_its_lease(
        self, graph: Graph, newsroom: Newsroom, environment: dict[str, Any], tmp_path: Path
    ) -> None:
        """Delivery scenario 20: it wakes up, sends nothing more and changes nothing."""
        environment["LEASE_SECONDS"] = 1
        with HTTPReceiver(slowly(0.05)) as receiver:
            subscriber = newsroom.subscriber("s", push(receiver.url))
            fill(graph.db, subscriber, push(receiver.url), graph.clock.precise(), items=60)
            with process([*RUN, "transmit"], environment, tmp_path) as run:
                receiver.wait_for(5, timeout=60)
                os.killpg(run.pid, signal.SIGSTOP)
                wait_for_leases(graph)
                receiver.answer(lambda request: 200)
                graph.transmit.run()
                ended = list(graph.db["publish_queue"].find({}).sort("_id", 1))
                sent = len(receiver.requests)
                os.killpg(run.pid, signal.SIGCONT)
                assert run.wait(60) == 0

            assert {row["state"] for row in ended} == {"success"}
            assert len(receiver.requests) == sent
            assert list(graph.db["publish_queue"].find({}).sort("_id", 1)) == ended

    def test_an_item_that_kills_its_worker(
        self, graph: Graph, newsroom: Newsroom, environment: dict[str, Any], tmp_path: Path
    ) -> None:
        """After three unknown outcomes it is failed; the others of its lane get through.

        Delivery contract C4.
        """
        environment["LEASE_SECONDS"] = 1
        with HTTPReceiver() as receiver:
            target = {**push(receiver.url), "delivery_type": "poison"}
            subscriber = newsroom.subscriber("s", target)
            rows = fill(graph.db, subscriber, target, graph.clock.precise(), items=6)
            poison = {"$set": {"item_id": "poison"}}
            graph.db["publish_queue"].update_one({"_id": rows[2]["_id"]}, poison)
            ends = []
            while not is_over(graph.db):
                assert len(ends) < 20, ends
                with process([*RUN, "poisoned"], environment, tmp_path) as run:
                    ends.append(run.wait(60))
                wait_for_leases(graph)

            assert states(graph) == {"success": 5, "failed": 1}
            given_up = graph.db["publish_queue"].find_one({"item_id": "poison"})
            assert given_up is not None
            assert "worker died" in given_up["error_message"]
            assert ends.count(9) in (3, 4)
            assert ends[-1] == 0
            assert len(keys_by_item(receiver)) == 5


class TestEnqueue:
    def test_runs_killed_at_random_points(
        self, graph: Graph, newsroom: Newsroom, environment: dict[str, Any], tmp_path: Path
    ) -> None:
        """Ten runs die somewhere; every version has one row for each destination, in order."""
        random = Random(11)
        environment |= {"LEASE_SECONDS": 1, "ENQUEUE_BATCH_SIZE": 20}
        for name in ("s1", "s2", "s3"):
            newsroom.subscriber(name, push("http://127.0.0.1:9"))
        publish_items(graph.db, 100, versions=3)
        seen: set[str] = set()
        killed_amid = 0
        for _ in range(10):
            with process([*RUN, "enqueue"], environment, tmp_path) as run:
                wait_for_claim(graph, run, seen)
                time.sleep(random.uniform(0, 0.1))
                killed_amid += run.poll() is None
                kill(run)
            seen |= owners(graph)
        wait_for_leases(graph)
        graph.enqueue.run()

        assert killed_amid >= 3
        rows = list(graph.db["publish_queue"].find({}).sort("order_no", 1))
        assert len(rows) == len({row["idempotency_key"] for row in rows}) == 100 * 3 * 3
        lines: dict[Document, list[int]] = {}
        for row in rows:
            lines.setdefault((row["lane"], row["item_id"]), []).append(row["item_version"])
        assert all(versions == [1, 2, 3] for versions in lines.values())
        stuck = graph.db["published"].count_documents({"queue_state": {"$ne": "queued"}})
        assert stuck == 0
