"""A newsroom at work while its processes are killed, stopped and restarted.

Everything is real: two workers, web and websocket process, Redis, receivers over HTTP and in a
directory, editors over HTTP. Afterwards the receivers say what they got.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random, getrandbits
from threading import Event, Lock, Thread
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph, build_graph
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

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(5400)]

FAULTS, FAULTS_OF_A_LONG_RUN = 20, 500
LEASE = 3
EDITORS = 2
REFUSALS = 0.1
"""Share of the deliveries that the moody receiver refuses for now."""
ASYNC: Document = {"async": True}
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

    def __init__(self, installed: Installation, random: Random) -> None:
        self._installed = installed
        self._random = random
        self.done: list[str] = []

    def strike(self) -> None:
        """Let something happen; what ended now or before is started again, with some luck."""
        kinds: list[Callable[[str], None]] = [self._kill, self._kill, self._stop, self._terminate]
        if self._random.random() < 0.1:
            self._note("kill", "redis")
            with suppress(ProcessLookupError):
                os.kill(self._installed.redis(), signal.SIGKILL)
        else:
            self._random.choice(kinds)(self._victim())
        time.sleep(self._random.uniform(0.0, 1.0))
        # Without the web process nothing would happen until the next fault.
        lucky = [name for name in self._installed.names if self._random.random() < 0.7]
        self._installed.start("web", *lucky)

    def _victim(self) -> str:
        """Return a program that does its work: one that only starts up loses nothing."""
        while True:
            if at_work := [n for n in self._installed.names if self._installed.is_at_work(n)]:
                return self._random.choice(at_work)
            self._installed.start()
            time.sleep(0.1)

    def _note(self, kind: str, name: str) -> None:
        self.done.append(f"{kind} {name}")

    def _kill(self, name: str) -> None:
        self._note("kill", name)
        self._installed.kill(name)

    def _terminate(self, name: str) -> None:
        self._note("terminate", name)
        self._installed.terminate(name)

    def _stop(self, name: str) -> None:
        """Let a program stand still, sometimes for longer than its leases."""
        self._note("stop", name)
        self._installed.signal(name, signal.SIGSTOP)
        time.sleep(self._random.choice([0.2, 1.0, LEASE + 1.5]))
        with suppress(ProcessLookupError):
            self._installed.signal(name, signal.SIGCONT)


@pytest.fixture
def seed(request: pytest.FixtureRequest, capsys: Any) -> int:
    """What the campaign's course follows from, as far as a course can be repeated."""
    number = request.config.getoption("--campaign-seed") or getrandbits(32)
    with capsys.disabled():
        sys.stderr.write(f"\ncampaign: --campaign-seed={number}\n")
    return int(number)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installation]:
    changes = {
        "LEASE_SECONDS": LEASE,
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
    random = Random(seed)
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    moods = Moods(Random(seed), REFUSALS)
    calm, moody = Recorder(), Recorder(moods)
    conservation = Conservation(graph.db)
    inbox = Inbox(tmp_path / "inbox")
    inbox.directory.mkdir()
    with ExitStack() as stack:
        calm_server, moody_server = (stack.enter_context(HTTPReceiver(r)) for r in (calm, moody))
        lanes = [
            lane_id(newsroom.subscriber("calm", push(calm_server.url)), "push"),
            lane_id(newsroom.subscriber("moody", push(moody_server.url), **ASYNC), "push"),
            lane_id(newsroom.subscriber("files", file_in(inbox.directory)), "file"),
        ]
        editors = editors_of(installed, graph, newsroom, seed)
        installed.start()
        installed.wait_until_ready()
        ended = Event()
        crew = [Thread(target=editor.work, args=(ended,)) for editor in editors]
        watcher = Thread(target=inbox.watch, args=(all_in := Event(),))
        for thread in (*crew, watcher):
            thread.start()
        stack.callback(all_in.set)
        faults = Faults(installed, random)
        try:
            while len(faults.done) < count:
                work_goes_on(editors)
                time.sleep(random.uniform(0.0, 1.0))
                faults.strike()
                if not len(faults.done) % FAULTS:
                    conservation.look()
        finally:
            ended.set()
            for thread in crew:
                thread.join()
        moods.refusals = 0.0
        installed.start()
        wait_for_the_end(graph)
        time.sleep(1.0)
        all_in.set()
        watcher.join()

    acknowledged = [done for editor in editors for done in editor.acknowledged]
    told = f"seed {seed}, {len(acknowledged)} actions, {faults.done}"
    assert acknowledged, told
    conservation.check(told)
    check_routed(graph.db, [(done.item_id, done.version) for done in acknowledged], lanes, told)
    received = {lanes[0]: calm.arrivals(), lanes[1]: moody.arrivals()}
    check_manifest(graph.db, received, told)
    for lane, arrivals in received.items():
        check_newest(graph.db, lane, arrivals, told)
    check_files(graph.db, lanes[2], inbox, told)
    with capsys.disabled():
        sys.stderr.write("\n".join(["", *manifest_lines(graph.db, received), ""]))


def editors_of(
    installed: Installation, graph: Graph, newsroom: Newsroom, seed: int
) -> list[Editor]:
    """Return editors with accounts, who have not logged in yet."""
    editors = []
    for number in range(EDITORS):
        name = f"editor{number}"
        make_user(graph, name, user_type="administrator")
        port = installed.settings["PORT"]
        random = Random(seed + number)
        editors.append(Editor(port, name, f"{name}_password", newsroom.story(), random))
    return editors


def work_goes_on(editors: list[Editor]) -> None:
    """Wait until one more action is acknowledged, so that each fault meets a newsroom at work."""
    before = sum(len(editor.acknowledged) for editor in editors)
    wait_until(
        lambda: sum(len(editor.acknowledged) for editor in editors) > before, PATIENCE_SECONDS
    )


def wait_for_the_end(graph: Graph) -> None:
    """Wait until everything is routed and every delivery has ended; retries come at once."""
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
        now = graph.clock.precise()
        due = {"$set": {"next_retry_attempt_at": now}}
        graph.db["publish_queue"].update_many({"state": "retrying"}, due)
        graph.db["publish_lanes"].update_many({"wake_at": {"$gt": now}}, {"$set": {"wake_at": now}})
        time.sleep(1.0)
