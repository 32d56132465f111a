"""A newsroom at work while its processes are killed, stopped and restarted.

Everything is real: two workers, web and websocket process, Redis, receivers over HTTP and in a
directory, editors over HTTP. Afterwards the receivers say what they got.
"""

import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random
from threading import Event, Lock, Thread
from typing import Any

import pytest

from apps.graph.build import Graph, build_graph
from apps.publish.transmit.recover import GIVEN_UP
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.clients import FAST_HASH, make_user
from tests.support.conservation import (
    ENDED,
    Conservation,
    Inbox,
    Recorder,
    check_files,
    check_manifest,
    check_newest,
    check_routed,
    manifest_lines,
)
from tests.support.editors import Editor
from tests.support.installations import PATIENCE_SECONDS, Installation, installation
from tests.support.newsroom import Newsroom, file_in, push
from tests.support.processes import wait_until
from tests.support.receivers import HTTPReceiver, Received, Reply
from tests.support.worker_processes import pool

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]

FAULTS, FAULTS_OF_A_LONG_RUN = 20, 500
KILLS, KILLS_OF_A_LONG_RUN = 60, 1000
LEASE = 3
EDITORS = 2
EDITORS_PAUSE_SECONDS = 0.3
"""Between two actions, where there is a kill for each of them."""
LONGEST_WAIT_SECONDS = 4.0
"""For a delivery, before a kill."""
REFUSALS = 0.1
"""Share of the deliveries that the moody receiver refuses for now."""
LONGEST_STANDSTILL_SECONDS = 300.0
"""How long nothing may be finished once the faults are over. What is left by then, thousands of
deliveries after hundreds of faults, takes its time."""


class Moods:
    """Answers of a receiver that refuses some deliveries for now.

    Args:
        random: decides which.
        refusals: share of them.
    """

    def __init__(self, random: Random, refusals: float) -> None:
        self.refusals = refusals
        self._random = random
        self._lock = Lock()

    def __call__(self, request: Received) -> Reply:
        with self._lock:
            return 500 if self._random.random() < self.refusals else 200


class Faults:
    """Ends, stops and restarts processes of an installation at random moments."""

    LONGEST_PAUSE_SECONDS = 1.0
    is_for_workers = False

    def __init__(self, installed: Installation, random: Random) -> None:
        self.installed = installed
        self.random = random
        self.done: list[str] = []

    def strike(self) -> None:
        """Let something happen; what ended now or before is started again, with some luck."""
        kinds: list[Callable[[str], None]] = [self.kill, self.kill, self._stop, self._terminate]
        if self.random.random() < 0.1:
            self._note("kill", "redis")
            with suppress(ProcessLookupError):
                os.kill(self.installed.redis(), signal.SIGKILL)
        else:
            self.random.choice(kinds)(self.victim(self.installed.names))
        time.sleep(self.random.uniform(0.0, 1.0))
        # Without the web process nothing would happen until the next fault.
        lucky = [name for name in self.installed.names if self.random.random() < 0.7]
        self.installed.start("web", *lucky)

    def victim(self, names: Sequence[str]) -> str:
        """Return a program that does its work: one that only starts up loses nothing."""
        while True:
            if at_work := [name for name in names if self.installed.is_at_work(name)]:
                return self.random.choice(at_work)
            self.installed.start()
            time.sleep(0.1)

    def _note(self, kind: str, name: str) -> None:
        self.done.append(f"{kind} {name}")

    def kill(self, name: str) -> None:
        """End all processes of a program at once."""
        self._note("kill whole", name)
        self.installed.kill(name)

    def _terminate(self, name: str) -> None:
        self._note("terminate", name)
        self.installed.terminate(name)

    def _stop(self, name: str) -> None:
        """Let a program stand still, sometimes for longer than its leases."""
        self._note("stop", name)
        self.installed.signal(name, signal.SIGSTOP)
        time.sleep(self.random.choice([0.2, 1.0, LEASE + 1.5]))
        with suppress(ProcessLookupError):
            self.installed.signal(name, signal.SIGCONT)


class Kills(Faults):
    """Kills worker processes at random moments.

    Mostly one that does tasks, which its parent replaces in a moment; now and then a parent, or a
    parent with all that it has started. The schedule of tasks dies with its parent only: nobody
    starts it again alone.
    """

    WHOLE, PARENT = 0.03, 0.03
    """Shares of the kills."""
    LONGEST_PAUSE_SECONDS = 0.3
    is_for_workers = True

    def strike(self) -> None:
        """Kill something, then let the others work for a moment."""
        name = self.victim([n for n in self.installed.names if n.startswith("worker")])
        drawn = self.random.random()
        if drawn < self.WHOLE:
            self.kill(name)
        elif drawn < self.WHOLE + self.PARENT:
            self._kill_one("parent of", name, [self.installed.pid(name)])
        else:
            self._kill_one("child of", name, pool(self.installed.pid(name)))
        time.sleep(self.random.uniform(0.0, self.LONGEST_PAUSE_SECONDS))
        self.installed.start()

    def _kill_one(self, kind: str, name: str, pids: list[int]) -> None:
        if pids:
            with suppress(ProcessLookupError):
                os.kill(self.random.choice(pids), signal.SIGKILL)
                self._note(f"kill {kind}", name)


@pytest.fixture
def lease() -> int:
    """Seconds that a lease lasts."""
    return LEASE


@pytest.fixture
def installed(tmp_path: Path, lease: int) -> Iterator[Installation]:
    changes = {
        "LEASE_SECONDS": lease,
        "LOG_LEVEL": "WARNING",
        "BCRYPT_GENSALT_WORK_FACTOR": FAST_HASH,
        "MONGO_DBNAME": "campaign",
    }
    with installation(tmp_path / "installation", workers=2, **changes) as made:
        yield made


@pytest.fixture
def graph(installed: Installation) -> Iterator[Graph]:
    """Services on the installation's stores, to seed and to look at them."""
    built = build_graph({**installed.settings, "CELERY_TASK_ALWAYS_EAGER": True})
    yield built
    built.close()


def test_no_fault_loses_doubles_or_reorders_anything(
    installed: Installation,
    graph: Graph,
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
    capsys: Any,
) -> None:
    """Every acknowledged action arrives, under one key, in order; nothing stays in progress."""
    count = FAULTS_OF_A_LONG_RUN if request.config.getoption("--long") else FAULTS
    faults = Faults(installed, Random(seed))
    newsroom = CampaignNewsroom(graph, tmp_path, seed)
    newsroom.work(faults, count)
    with capsys.disabled():
        sys.stderr.write(newsroom.check(faults))
    assert newsroom.conservation.tally()["failed"] == 0


@pytest.mark.timeout(10800)
@pytest.mark.parametrize("lease", [1])
def test_x23_workers_killed_at_random_moments(
    installed: Installation,
    graph: Graph,
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
    capsys: Any,
) -> None:
    """Nothing is lost, doubled or out of order; repeats come under their key.

    A row that three processes in a row died with is given up (delivery contract C4); there is no
    other failure. Delivery contract X23.
    """
    count = KILLS_OF_A_LONG_RUN if request.config.getoption("--long") else KILLS
    kills = Kills(installed, Random(seed))
    newsroom = CampaignNewsroom(graph, tmp_path, seed, pause=EDITORS_PAUSE_SECONDS)
    newsroom.work(kills, count)
    with capsys.disabled():
        sys.stderr.write(newsroom.check(kills))
    failed = graph.db["publish_queue"].find({"state": "failed"})
    assert {row["error_message"] for row in failed} <= {GIVEN_UP}


class CampaignNewsroom:
    """Editors at work, their receivers, and what must hold of these in the end.

    Args:
        graph: services on the stores of the installation.
        directory: for files that are delivered.
        seed: of what editors do and receivers refuse.
        pause: seconds between two actions of an editor.
    """

    def __init__(self, graph: Graph, directory: Path, seed: int, pause: float = 0.0) -> None:
        self._graph = graph
        self._newsroom = Newsroom(graph.db)
        self._newsroom.validators()
        self._seed = seed
        self._pause = pause
        self._moods = Moods(Random(seed), REFUSALS)
        self._calm, self._moody = Recorder(), Recorder(self._moods)
        self._inbox = Inbox(directory / "inbox")
        self._inbox.directory.mkdir()
        self._lanes: list[str] = []
        self._editors: list[Editor] = []
        self.conservation = Conservation(graph.db)
        self.met = 0
        """Kills shortly after a delivery."""

    def work(self, faults: Faults, count: int) -> None:
        """Let editors work until so many faults have happened, and all is delivered then."""
        with ExitStack() as stack:
            calm, moody = (stack.enter_context(HTTPReceiver(r)) for r in (self._calm, self._moody))
            self._subscribe(calm, moody)
            self._editors = editors_of(
                faults.installed, self._graph, self._newsroom, self._seed, self._pause
            )
            faults.installed.start()
            faults.installed.wait_until_ready()
            ended = Event()
            crew = [Thread(target=editor.work, args=(ended,)) for editor in self._editors]
            watcher = Thread(target=self._inbox.watch, args=(all_in := Event(),))
            for thread in (*crew, watcher):
                thread.start()
            stack.callback(all_in.set)
            try:
                self._strike(faults, count)
            finally:
                ended.set()
                for thread in crew:
                    thread.join()
            self._moods.refusals = 0.0
            wait_for_the_end(self._graph, faults.installed)
            time.sleep(1.0)
            all_in.set()
            watcher.join()

    def _subscribe(self, calm: HTTPReceiver, moody: HTTPReceiver) -> None:
        subscriber = self._newsroom.subscriber
        self._lanes = [
            lane_id(subscriber("calm", push(calm.url)), "push"),
            lane_id(subscriber("moody", push(moody.url), **{"async": True}), "push"),
            lane_id(subscriber("files", file_in(self._inbox.directory)), "file"),
        ]

    def _strike(self, faults: Faults, count: int) -> None:
        while len(faults.done) < count:
            work_goes_on(self._editors)
            if faults.is_for_workers:
                self._wait_for_a_delivery()
            time.sleep(faults.random.uniform(0.0, faults.LONGEST_PAUSE_SECONDS))
            faults.strike()
            if not len(faults.done) % FAULTS:
                self.conservation.look()

    def _wait_for_a_delivery(self) -> None:
        """Wait for a moment until something comes, so that most kills meet a worker that sends."""
        deadline, before = time.monotonic() + LONGEST_WAIT_SECONDS, self._received()
        while self._received() == before and time.monotonic() < deadline:
            time.sleep(0.02)
        self.met += self._received() > before

    def _received(self) -> int:
        return self._calm.count + self._moody.count + len(self._inbox.seen)

    def check(self, faults: Faults) -> str:
        """Check what editors, queue and receivers say; return it as a text for people."""
        acknowledged = [done for editor in self._editors for done in editor.acknowledged]
        kinds = Counter(faults.done)
        told = f"seed {self._seed}, {len(acknowledged)} actions, {len(faults.done)} faults: {kinds}"
        told += f", {self.met} of them amid deliveries" if faults.is_for_workers else ""
        assert acknowledged, told
        versions = [(done.item_id, done.version) for done in acknowledged]
        states = self.conservation.check(told)
        check_routed(self._graph.db, versions, self._lanes, told)
        received = {self._lanes[0]: self._calm.arrivals(), self._lanes[1]: self._moody.arrivals()}
        check_manifest(self._graph.db, received, told)
        for lane, arrivals in received.items():
            check_newest(self._graph.db, lane, arrivals, told)
        check_files(self._graph.db, self._lanes[2], self._inbox, told)
        files = f"{self._lanes[2]}: {len(self._inbox.seen)} files"
        lines = [told, str(dict(states)), *manifest_lines(self._graph.db, received), files]
        return "\n".join(["", *lines, ""])


def editors_of(
    installed: Installation, graph: Graph, newsroom: Newsroom, seed: int, pause: float
) -> list[Editor]:
    """Return editors with accounts, who have not logged in yet."""
    editors = []
    for number in range(EDITORS):
        name = f"editor{number}"
        make_user(graph, name, user_type="administrator")
        port = installed.settings["PORT"]
        random = Random(seed + number)
        editor = Editor(port, name, f"{name}_password", newsroom.story(), random, pause)
        editors.append(editor)
    return editors


def work_goes_on(editors: list[Editor]) -> None:
    """Wait until one more action is acknowledged, so that each fault meets a newsroom at work."""
    before = sum(len(editor.acknowledged) for editor in editors)
    wait_until(
        lambda: sum(len(editor.acknowledged) for editor in editors) > before, PATIENCE_SECONDS
    )


def wait_for_the_end(graph: Graph, installed: Installation) -> None:
    """Wait until everything is routed and every delivery has ended; retries come at once.

    What has ended by a fault of before is started, as a supervisor does.
    """
    unfinished = {"state": {"$nin": ENDED}}
    finished, deadline = -sys.maxsize, 0.0
    while True:
        unrouted = graph.db["published"].count_documents(
            {"queue_state": {"$in": ["pending", "in_progress"]}}
        )
        if not unrouted and not graph.db["publish_queue"].count_documents(unfinished):
            return
        ended = graph.db["publish_queue"].count_documents({"state": {"$in": ENDED}}) - unrouted
        if ended > finished:
            finished, deadline = ended, time.monotonic() + LONGEST_STANDSTILL_SECONDS
        assert time.monotonic() < deadline, list(graph.db["publish_queue"].find(unfinished))[:5]
        installed.start()
        now = graph.clock.precise()
        due = {"$set": {"next_retry_attempt_at": now}}
        graph.db["publish_queue"].update_many({"state": "retrying"}, due)
        graph.db["publish_lanes"].update_many({"wake_at": {"$gt": now}}, {"$set": {"wake_at": now}})
        time.sleep(1.0)
