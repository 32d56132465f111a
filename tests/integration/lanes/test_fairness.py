"""Nobody's work delays that of others by more than a pass, however much it is, and however slow.

Delivery contract P1, P2. Letters as in `test_second_kind`; the boxes of one person are a group.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from threading import Condition, Event
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.errors import AutoReconnect

from apps.core.service import Document
from apps.lanes import (
    Lane,
    LaneClaims,
    LaneKind,
    LaneOutcome,
    LaneRun,
    LaneServer,
    RetryPolicy,
    RunContext,
    wake,
)
from tests.support.newsdesk import HandClock

KIND = LaneKind(
    name="letters",
    lanes="letter_boxes",
    work="letters",
    in_progress={"state": "carried"},
    waiting={"state": "waiting"},
    lease=timedelta(seconds=60),
    threads=4,
    retries=RetryPolicy(maximum=3, jitter=0.0, random=Random(1)),
    group=lambda lane: lane.partition(":")[0],
)
PATIENCE_SECONDS = 30.0


class Commands(monitoring.CommandListener):
    """Counts the commands that look for boxes."""

    def __init__(self) -> None:
        self.count = 0

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        self.count += event.command_name in ("find", "getMore", "killCursors")

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        pass

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        pass


class Carrier(LaneServer):
    """Carries the letters of boxes, ten at a time; a box holds a number of letters.

    Args:
        post: keeps the letters.
        run: see `RunContext`.
    """

    def __init__(self, post: "Post", run: RunContext) -> None:
        self._post = post
        self._run = run

    def serve(self, lane: Lane) -> LaneOutcome:
        outcome = LaneOutcome()
        while outcome.sent < 10 and self._post.letters[lane.id]:
            if not self._run.may_continue(lane):
                break
            self._post.letters[lane.id] -= 1
            outcome.sent += 1
            self._post.carry(lane.id)
        outcome.more = self._post.letters[lane.id] > 0
        return outcome


@dataclass
class Post:
    """Boxes with letters, and who carries them."""

    db: Any
    clock: HandClock
    commands: Commands
    kind: LaneKind = KIND

    def __post_init__(self) -> None:
        self.letters: dict[str, int] = {}
        self.carried: list[str] = []
        self.read: Callable[[str], object] = lambda box: None
        self.changed = Condition()

    def office(self, **changes: Any) -> LaneRun:
        """Return the runs of a process."""
        kind = replace(self.kind, **changes)
        return LaneRun(self.db, self.clock, kind, lambda run: Carrier(self, run))

    def carry(self, box: str) -> None:
        with self.changed:
            self.carried.append(box)
            self.changed.notify_all()
        self.read(box)

    def post(self, boxes: list[str], letters: int = 1, *, urgent: bool = False) -> None:
        """Put letters into boxes, a little later than those that are there."""
        self.clock.advance(seconds=1)
        for box in boxes:
            self.letters[box] = self.letters.get(box, 0) + letters
        wake(self.db[KIND.lanes], dict.fromkeys(boxes, urgent), self.clock.precise())

    def due(self, kind: LaneKind = KIND) -> tuple[list[str], list[str]]:
        due = LaneClaims(self.db, self.clock, kind, "somebody").due()
        return list(due.urgent), list(due.normal)

    def wait_for(self, box: str) -> None:
        """Wait until a letter of a box is carried."""
        with self.changed:
            assert self.changed.wait_for(lambda: box in self.carried, PATIENCE_SECONDS)


@pytest.fixture
def post(stores: Any, database_name: str) -> Iterator[Post]:
    commands = Commands()
    listeners: list[Any] = [commands]
    uri = stores.mongo_uri
    with MongoClient[Document](uri, tz_aware=True, event_listeners=listeners) as client:
        db = client[database_name]
        for name in (KIND.lanes, KIND.work):
            db[name].delete_many({})
        yield Post(db, HandClock(), commands)


def boxes(person: str, count: int) -> list[str]:
    return [f"{person}:{number:03}" for number in range(count)]


@contextmanager
def closed_door(post: Post, *names: str) -> Iterator[Event]:
    """Let persons who have these names open to nobody until the door is open."""
    door = Event()
    post.read = lambda box: box.partition(":")[0] in names and door.wait(PATIENCE_SECONDS)
    try:
        yield door
    finally:
        door.set()


class TestPasses:
    """Which lanes a pass is made of."""

    def test_many_boxes_of_one_are_taken_in_turn_with_those_of_others(self, post: Post) -> None:
        """As many as there are threads, one before the first of the others, the rest behind."""
        post.post(boxes("many", 200))
        post.post(["few:1", "other:1"])

        urgent, normal = post.due()

        assert urgent == []
        assert normal == ["many:000", "few:1", "other:1", "many:001", "many:002", "many:003"]

    def test_everybody_gets_in_however_many_have_many(self, post: Post) -> None:
        """Five with two hundred boxes each, whose letters came first."""
        for number in range(5):
            post.post(boxes(f"many{number}", 200))
        post.post(["few:1"])

        _, normal = post.due()

        assert normal.index("few:1") == 5
        assert len(normal) == 5 * KIND.threads + 1

    def test_the_urgent_ones_are_found_behind_hundreds(self, post: Post) -> None:
        """A letter that is urgent is not behind those that came first, of whomever they are."""
        post.post([f"person{number}:1" for number in range(300)])
        post.post(["person7:2", "late:1"], urgent=True)

        urgent, normal = post.due()

        assert set(urgent) == {"person7:2", "late:1"}
        assert len(normal) == 100

    def test_those_in_work_take_no_place(self, post: Post) -> None:
        """Boxes that others hold are not in the way of those that are free."""
        post.post([f"person{number}:1" for number in range(150)])
        until = post.clock.precise() + timedelta(seconds=60)
        post.db[KIND.lanes].update_many({}, {"$set": {"lease_until": until, "lease_owner": "x"}})
        post.post(["free:1"])

        assert post.due() == ([], ["free:1"])

    @pytest.mark.parametrize(("count", "commands"), [(3, 1), (99, 1), (300, 3)])
    def test_costs_one_command_unless_very_many_are_due(
        self, post: Post, count: int, commands: int
    ) -> None:
        """With hundreds there is one for urgent ones, and one that ends the reading."""
        post.post([f"person{number}:1" for number in range(count)])
        post.commands.count = 0
        post.due()
        assert post.commands.count == commands


class TestTurns:
    def test_one_letter_waits_for_no_more_than_a_batch_of_each_box(self, post: Post) -> None:
        """Four hundred letters in twenty boxes of one, then one letter of another one.

        A single thread, so the order is that of the turns.
        """
        post.post(boxes("many", 20), 20)
        post.post(["few:1"])
        office = post.office(threads=1)

        assert office.run() == 401

        assert post.carried.index("few:1") == 10

    def test_who_comes_meanwhile_is_in_the_next_pass(self, post: Post) -> None:
        """The other one's letter comes while the first box is carried. A single thread."""
        post.post(boxes("many", 20), 20)

        def read(box: str) -> None:
            if len(post.carried) == 1:
                post.post(["few:1"])

        post.read = read
        post.office(threads=1).run()

        # Behind that box, and one of the pass that the letter is in.
        assert post.carried.index("few:1") <= 2 * 10

    def test_normal_ones_get_their_turn_beside_urgent_ones_in_short_runs(self, post: Post) -> None:
        """Each run comes to one box, and there is always an urgent one."""
        post.post(["calm:1"])
        office = post.office(threads=1)
        for number in range(5):
            post.post([f"hasty{number}:1"], urgent=True)
            stop = Event()
            post.read = lambda box, stop=stop: stop.set()
            office.run(stop)
        assert "calm:1" in post.carried


class TestHeldUp:
    """Receivers that let threads wait. `slow_seconds` of 0: whoever waits is held up at once."""

    def test_closed_doors_of_one_hold_up_nobody_else(self, post: Post) -> None:
        """As many threads as may stand at doors of one person when a letter for another comes."""
        post.post(boxes("closed", 20))
        office = post.office(slow_seconds=0.0)
        with closed_door(post, "closed") as door, ThreadPoolExecutor() as threads:
            run = threads.submit(office.run)
            post.wait_for("closed:001")
            post.post(["open:1"])
            post.wait_for("open:1")
            door.set()
            assert run.result(PATIENCE_SECONDS) == 21

    def test_who_lets_many_wait_is_left_alone(self, post: Post) -> None:
        """No more threads go to a person who holds half of them up."""
        post.post(boxes("closed", 20))
        office = post.office(slow_seconds=0.0)
        with closed_door(post, "closed"):
            office.run(seconds=0.1)
            office.run(seconds=0.1)
            assert len(post.carried) <= KIND.threads
        office.wait()

    def test_closed_doors_of_many_hold_up_nobody_else(self, post: Post) -> None:
        """As of a host that many receivers share: other threads take the place of those."""
        names = [f"closed{number}" for number in range(12)]
        post.post([f"{name}:1" for name in names])
        office = post.office(slow_seconds=0.0)
        with closed_door(post, *names) as door, ThreadPoolExecutor() as threads:
            run = threads.submit(office.run)
            for name in names:
                post.wait_for(f"{name}:1")
            post.post(["open:1"])
            post.wait_for("open:1")
            door.set()
            assert run.result(PATIENCE_SECONDS) == 13

    def test_there_is_an_end_to_threads(self, post: Post) -> None:
        """Five times as many as a run has, whatever waits; and a run ends all the same."""
        names = [f"closed{number}" for number in range(60)]
        post.post([f"{name}:1" for name in names])
        office = post.office(slow_seconds=0.0)
        with closed_door(post, *names):
            for _ in range(8):
                office.run(seconds=0.3)
            assert len(post.carried) == 5 * KIND.threads
        office.wait()
        assert office.run() == 60 - 5 * KIND.threads

    def test_a_turn_does_not_wait_for_closed_doors(self, post: Post) -> None:
        """What is held up ends by itself, under its lease; nobody else takes it meanwhile."""
        post.post(["closed:1"], 3)
        office, other = post.office(slow_seconds=0.0), post.office()
        with closed_door(post, "closed"):
            assert office.run(seconds=0.1) == 0
            assert post.carried == ["closed:1"]
            post.post(["open:1"])
            assert other.run() == 1
            lane = post.db[KIND.lanes].find_one({"_id": "closed:1"})
            assert lane["lease_until"] is not None
        office.wait()
        assert post.carried.count("closed:1") == 3
        lane = post.db[KIND.lanes].find_one({"_id": "closed:1"})
        assert (lane["lease_until"], lane["lease_owner"]) == (None, None)

    def test_a_store_that_is_away_lets_no_lease_live_on(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The run breaks off while a thread waits at a door; the leases end with that thread."""
        post.post(["closed:1"])
        office = post.office(slow_seconds=0.0)
        due = LaneClaims.due
        calls: list[LaneClaims] = []

        def once(claims: LaneClaims, **how: bool) -> Any:
            calls.append(claims)
            if len(calls) > 1:
                raise AutoReconnect("the store is away")
            return due(claims, **how)

        monkeypatch.setattr(LaneClaims, "due", once)
        with closed_door(post, "closed"), pytest.raises(AutoReconnect):
            office.run()
        office.wait()
        monkeypatch.undo()

        assert not [thread for thread in threading.enumerate() if thread.name == "lease-heartbeat"]
        lane = post.db[KIND.lanes].find_one({"_id": "closed:1"})
        assert (lane["lease_until"], post.carried) == (None, ["closed:1"])

    def test_a_system_without_room_for_threads_is_served_by_those_it_has(
        self, post: Post, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """One thread of four can be started, then none, then all."""
        post.post([f"person{number}:1" for number in range(9)])
        office = post.office()
        start, room = threading.Thread.start, [1]

        def started(thread: threading.Thread) -> None:
            if thread.name == KIND.name:
                if not room[0]:
                    raise RuntimeError("can't start new thread")
                room[0] -= 1
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", started)
        assert office.run() == 9
        post.post(["person9:1"])
        assert office.run() == 0
        room[0] = KIND.threads
        assert office.run() == 1
        office.wait()
