"""Whether an installation works, and who says so (delivery contract 14.5)."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from app import create_app
from apps.graph.build import Graph, build_graph
from apps.monitoring.processes import ProcessHeartbeat, ProcessNotes
from tests.support.newsdesk import HandClock
from tests.support.watching import Watcher

NOBODY = {
    "MONGO_URI": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200",
    "REDIS_URL": "redis://127.0.0.1:9/0",
}


class Monotonic:
    """Seconds that the test lets pass."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def worker(graph: Graph, clock: HandClock, settings: dict[str, Any]) -> ProcessHeartbeat:
    """A worker that has looked for deliveries just now."""
    notes = ProcessNotes(clock, "worker")
    notes.task_started("apps.publish.transmit.transmit")
    notes.claimed()
    notes.task_ended("apps.publish.transmit.transmit", failed=False)
    return ProcessHeartbeat(graph.db, notes, settings["REDIS_URL"])


@pytest.fixture
def watch(settings: dict[str, Any], clock: HandClock) -> Iterator[Any]:
    """Returns a watcher of a web process with these settings."""
    built: list[Graph] = []

    def build(**changes: Any) -> Watcher:
        notes = changes.pop("notes", None)
        changed = {**settings, **changes}
        built.append(build_graph(changed, clock=clock, has_indexes=True, process=notes))
        return Watcher(create_app(graph=built[-1]))

    yield build
    for graph in built:
        graph.close()


class TestReady:
    def test_a_worker_at_work(self, watcher: Watcher, worker: ProcessHeartbeat) -> None:
        worker.beat()
        answer = watcher.get("/health/ready")
        assert answer.status_code == 200
        assert answer.headers["Cache-Control"] == "no-store"
        body = answer.get_json()
        assert [part["name"] for part in body["parts"]] == ["mongo", "redis", "tick", "claim"]
        assert {part["is_ok"] for part in body["parts"]} == {True}

    def test_no_worker(self, watcher: Watcher) -> None:
        """Of a new installation, or one whose workers have been gone for long."""
        status, wrong = watcher.health("ready")
        assert status == 503
        assert wrong.keys() == {"tick", "claim"}
        assert "run worker" in wrong["tick"]["next_step"]

    def test_a_worker_that_is_gone(
        self, watcher: Watcher, worker: ProcessHeartbeat, clock: HandClock
    ) -> None:
        """It is missed half a minute after its last word."""
        worker.beat()
        clock.advance(seconds=29)
        assert watcher.health("ready")[0] == 200
        clock.advance(seconds=2)
        assert watcher.health("ready")[1].keys() == {"tick", "claim"}

    def test_a_worker_without_a_beat(
        self, watcher: Watcher, worker: ProcessHeartbeat, clock: HandClock
    ) -> None:
        """It lives, and nobody wakes its tasks."""
        clock.advance(seconds=59)
        worker.beat()
        assert watcher.health("ready")[0] == 200
        clock.advance(seconds=2)
        worker.beat()
        status, wrong = watcher.health("ready")
        assert (status, wrong.keys()) == (503, {"tick", "claim"})
        assert "61 s ago" in wrong["tick"]["message"]

    def test_tasks_that_go_on_for_long(
        self, graph: Graph, watcher: Watcher, settings: dict[str, Any], clock: HandClock
    ) -> None:
        """They are at work as long as their process lives, for a quarter of an hour at most."""
        notes = ProcessNotes(clock, "worker")
        worker = ProcessHeartbeat(graph.db, notes, settings["REDIS_URL"])
        notes.task_started("apps.publish.enqueue.enqueue_published")
        clock.advance(minutes=14)
        notes.claimed()
        worker.beat()
        assert watcher.health("ready")[0] == 200
        clock.advance(minutes=2)
        notes.claimed()
        worker.beat()
        assert watcher.health("ready")[1].keys() == {"tick"}

    def test_nobody_looks_for_deliveries(
        self, graph: Graph, watcher: Watcher, settings: dict[str, Any], clock: HandClock
    ) -> None:
        """Tasks run, those of the transmit run do not come to anything."""
        notes = ProcessNotes(clock, "worker")
        notes.task_started("apps.publish.transmit.transmit")
        notes.task_ended("apps.publish.transmit.transmit", failed=True)
        ProcessHeartbeat(graph.db, notes, settings["REDIS_URL"]).beat()
        status, wrong = watcher.health("ready")
        assert (status, wrong.keys()) == (503, {"claim"})
        assert "apps.publish.transmit.transmit" in wrong["claim"]["next_step"]

    def test_a_run_with_nothing_to_do_has_looked(
        self, graph: Graph, watcher: Watcher, settings: dict[str, Any]
    ) -> None:
        graph.process.task_started("t")
        graph.transmit.run()
        ProcessHeartbeat(graph.db, graph.process, settings["REDIS_URL"]).beat()
        assert watcher.health("ready")[0] == 200

    def test_no_mongodb(self, watch: Any) -> None:
        """Whatever else is wrong, the answer comes, and says what to look at."""
        status, wrong = watch(MONGO_URI=NOBODY["MONGO_URI"]).health("ready")
        assert status == 503
        assert wrong.keys() == {"mongo", "tick", "claim"}
        assert "MONGO_URI" in wrong["mongo"]["next_step"]
        assert "127.0.0.1" not in str(wrong)

    def test_no_redis(self, watch: Any, worker: ProcessHeartbeat) -> None:
        worker.beat()
        status, wrong = watch(REDIS_URL=NOBODY["REDIS_URL"]).health("ready")
        assert (status, wrong.keys()) == (503, {"redis"})

    def test_tasks_inside_of_requests(self, watch: Any) -> None:
        """There is no worker that could be missed."""
        assert watch(CELERY_TASK_ALWAYS_EAGER=True).health("ready") == (200, {})


class TestLive:
    def test_a_process_that_answers(self, watcher: Watcher) -> None:
        """Also where no worker is, and where nobody asks the stores now and then."""
        assert watcher.health("live") == (200, {})

    def test_stores_that_are_away_for_a_while(
        self, graph: Graph, watch: Any, clock: HandClock
    ) -> None:
        """Not before five minutes, and not after they have answered."""
        monotonic = Monotonic()
        notes = ProcessNotes(clock, "web", monotonic)
        watcher = watch(**NOBODY, notes=notes)
        for store in ("mongo", "redis"):
            notes.reached(store)
        monotonic.seconds += 299
        assert watcher.health("live") == (200, {})
        notes.reached("mongo")
        monotonic.seconds += 2
        status, wrong = watcher.health("live")
        assert (status, wrong.keys()) == (503, {"redis"})
        assert "5 min" in wrong["redis"]["message"]
        ProcessHeartbeat(graph.db, notes, graph.settings["REDIS_URL"]).beat()
        assert watcher.health("live") == (200, {})

    def test_heartbeats_notice_what_is_away(
        self, watch: Any, clock: HandClock, graph: Graph
    ) -> None:
        """Beats that fail change nothing, and go on."""
        monotonic = Monotonic()
        notes = ProcessNotes(clock, "web", monotonic)
        for store in ("mongo", "redis"):
            notes.reached(store)
        away = build_graph({**graph.settings, **NOBODY}, clock=clock, has_indexes=True)
        heartbeat = ProcessHeartbeat(away.db, notes, NOBODY["REDIS_URL"])
        monotonic.seconds += timedelta(minutes=6).total_seconds()
        heartbeat.beat()
        assert watch(notes=notes).health("live")[1].keys() == {"mongo", "redis"}
        away.close()
