"""A day of a newsroom in which everything happens that may happen (delivery contract X20).

The clock is the test's, so a day takes as long as the work of it. What happens follows from a seed,
which a failure names; `--campaign-seed` repeats it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from random import Random, getrandbits
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.transmit.destinations import Subscribers
from apps.routing.subscribers.stored_destinations import lane_id
from tests.support.conservation import Conservation, Recorder, check_manifest, is_over
from tests.support.dying import dies_routing
from tests.support.newsdesk import HandClock, Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.queues import leave_claimed
from tests.support.receivers import HTTPReceiver, Received, Reply

DAY = timedelta(hours=24)
ANSWERS: tuple[Reply, ...] = (200, 200, 200, 500, 503, 429, 408, 400, 410)
WAITING = {"state": {"$in": ["pending", "retrying"]}}
SEED_OF_USUAL_RUNS = 20


@pytest.fixture(params=[24, pytest.param(144, marks=pytest.mark.chaos)])
def steps(request: pytest.FixtureRequest) -> int:
    """Into how many steps the day is cut."""
    return int(request.param)


@pytest.fixture
def seed(request: pytest.FixtureRequest, steps: int) -> int:
    """What happens; another one in each campaign, unless it is to be repeated."""
    given = request.config.getoption("--campaign-seed")
    return int(given or (SEED_OF_USUAL_RUNS if steps == 24 else getrandbits(32)))


@pytest.fixture(autouse=True)
def _read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Subscribers, "seconds", 0.0)


class Day:
    """What may happen in a newsroom, each with the luck of the seed."""

    def __init__(
        self, desk: Newsdesk, graph: Graph, clock: HandClock, seed: int, directory: Path
    ) -> None:
        self.desk, self.graph, self.clock = desk, graph, clock
        self.random = Random(seed)
        self.is_calm = False
        self.recorders: dict[str, Recorder] = {}
        self.canceled: set[str] = set()
        self.items: list[Document] = []
        self.doors: list[str] = []
        self.subscribers: list[Any] = []
        self._directory = directory

    def open(self, stack: ExitStack) -> None:
        """Let two receive by push, one of them in parallel, and one files."""
        for name, fields in (("push", {}), ("parallel", {"async": True})):
            recorder = Recorder(self._answer)
            url = stack.enter_context(HTTPReceiver(recorder)).url
            id_ = self._subscriber(name, push(url), **fields)
            self.recorders[lane_id(id_, "push")] = recorder
        self._subscriber("files", file_in(self._directory))

    def _subscriber(self, name: str, destination: Document, **fields: Any) -> Any:
        id_ = self.desk.newsroom.subscriber(name, destination, **fields)
        self.subscribers.append(id_)
        self.doors.append(f"subscribers/{id_}/destinations/{destination['_id']}")
        return id_

    def _answer(self, request: Received) -> Reply:
        # Each hour has its mood: outages are long, and over some time.
        mood = Random(f"{self.clock.at:%H}{request.path}").random()
        is_bad = mood < 0.4 and self.random.random() < 0.8
        return self.random.choice(ANSWERS) if is_bad and not self.is_calm else 200

    # What may happen.

    def publish(self) -> None:
        self.items.append(self.desk.published(headline=f"story {len(self.items)}"))

    def change(self) -> None:
        """Correct, kill, take down or unpublish a story, as far as it is allowed."""
        if self.items:
            operation = self.random.choice(["correct", "correct", "kill", "takedown", "unpublish"])
            item = self.random.choice(self.items)
            answer = self.desk.client.patch(f"archive/{operation}/{item['_id']}", {})
            assert answer.status_code in (200, 400), answer.text

    def resend(self) -> None:
        if self.items:
            item = self.random.choice(self.items)
            stored = self.desk.client.get(f"archive/{item['_id']}").get_json()
            chosen = [str(self.random.choice(self.subscribers))]
            body = {"subscribers": chosen, "version": stored["_current_version"]}
            answer = self.desk.client.post(f"archive/{item['_id']}/resend", body)
            assert answer.status_code in (201, 400), answer.text

    def act_on_a_row(self) -> None:
        """Cancel, send again or hurry one of the rows."""
        if rows := self.desk.rows():
            row = self.random.choice(rows)
            action = self.random.choice(["cancel", "run_now", "resend"])
            answer = self.desk.client.post(f"publish_queue/{row['_id']}/{action}", {})
            assert answer.status_code in (200, 409), answer.text
            if action == "cancel" and answer.status_code == 200:
                self.canceled.add(row["idempotency_key"])

    def act_on_a_destination(self) -> None:
        """Pause, resume or enable one, or send again what it has had."""
        door = self.random.choice(self.doors)
        action = self.random.choice(["pause", "resume", "enable", "replay"])
        body: Document = {"older": "send"} if action in ("resume", "enable") else {}
        if action == "replay":
            since = self.clock.now() - timedelta(hours=2)
            body = {"since": since.strftime("%Y-%m-%dT%H:%M:%S+0000"), "expected": 1}
        answer = self.desk.client.post(f"{door}/{action}", body)
        assert answer.status_code in (200, 409), answer.text

    def switch_a_subscriber(self) -> None:
        id_ = self.random.choice(self.subscribers)
        change = {"is_active": self.random.random() < 0.6}
        assert self.desk.client.patch(f"subscribers/{id_}", change).status_code == 200

    def die_routing(self) -> None:
        dies_routing(self.graph, self.random.randint(1, 25))

    def die_sending(self) -> None:
        """A worker has noted what it sends, and is gone."""
        rows = self.desk.rows(**WAITING)
        if rows:
            chosen = self.random.choice(rows)["lane"]
            leave_claimed(self.graph.db, self.clock, **WAITING, lane=chosen)

    def set_the_clock(self) -> None:
        self.clock.advance(minutes=self.random.choice([-20, 20]))

    def pass_by(self) -> None:
        """Both tasks come by."""
        self.graph.enqueue.run()
        self.graph.transmit.run()

    def all_is_well(self) -> None:
        """Everybody is active, every destination is open, and all that waits comes to an end."""
        self.is_calm = True
        for id_ in self.subscribers:
            self.desk.client.patch(f"subscribers/{id_}", {"is_active": True})
        for _ in range(12):
            for door in self.doors:
                for action in ("resume", "enable"):
                    self.desk.client.post(f"{door}/{action}", {"older": "send"})
            self.pass_by()
            if is_over(self.graph.db):
                return
            self.clock.advance(minutes=70)


@pytest.fixture
def day(desk: Newsdesk, graph: Graph, clock: HandClock, seed: int, tmp_path: Path) -> Iterator[Day]:
    made = Day(desk, graph, clock, seed, tmp_path)
    with ExitStack() as stack:
        made.open(stack)
        yield made


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled(day: Day, graph: Graph, seed: int, steps: int) -> None:
    """What was created has ended in one of the states, and receivers have what the rows say."""
    happenings: list[Callable[[], None]] = [
        *(day.publish, day.publish, day.publish, day.change, day.change, day.resend),
        *(day.act_on_a_row, day.act_on_a_destination, day.act_on_a_destination),
        *(day.switch_a_subscriber, day.die_routing, day.die_sending, day.set_the_clock),
    ]
    conservation = Conservation(graph.db)
    done = []
    for _ in range(steps):
        for happening in day.random.choices(happenings, k=3):
            done.append(happening.__name__)
            happening()
        day.pass_by()
        conservation.look()
        day.clock.at += DAY / steps
    day.all_is_well()

    told = f"--campaign-seed={seed}, {done[-30:]}"
    tally = conservation.check(told)
    assert tally["success"] > 0
    came = {lane: recorder.arrivals() for lane, recorder in day.recorders.items()}
    check_manifest(graph.db, came, told, day.canceled)
    files = {row["item_id"] for row in day.desk.rows(state="success")}
    assert files, told
