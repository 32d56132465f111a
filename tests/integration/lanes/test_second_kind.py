"""The delivery engine with a kind of lanes that knows nothing of publishing.

Letters wait in boxes, a box is a lane, and a carrier brings them to whoever reads the box.
Delivery contract C1 to C6, B1 to B8.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random
from threading import Event
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.errors import AutoReconnect

from apps.core.service import Document
from apps.lanes import (
    MAX_UNKNOWN,
    UNKNOWN,
    BreakerPolicy,
    Circuit,
    FailureReports,
    Lane,
    LaneClaims,
    LaneKind,
    LaneOutcome,
    LaneRun,
    LaneServer,
    Pause,
    Receiver,
    ReportTexts,
    RetryPolicy,
    RunContext,
    attempt_note,
    noted,
    pause,
    resume,
    token_of,
    unknown_outcomes,
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
    lane_field="box",
    lane_id=str,
    breaker=BreakerPolicy(attempts=3),
)
TAKEN, DOWN, REFUSED, LOCKED, BUSY = "taken", "down", "refused", "locked", "busy"

Reader = Callable[[Document], str]


class Carrier(LaneServer):
    """Carries the letters of one box.

    Args:
        read: says what a reader does with a letter.
        has_letter: asks the reader whether a letter has arrived; None where nobody can tell.
    """

    def __init__(
        self,
        db: Any,
        clock: HandClock,
        run: RunContext,
        read: Reader,
        has_letter: Callable[[Document], bool | None],
    ) -> None:
        self._letters = db[KIND.work]
        self._clock = clock
        self._run = run
        self._read = read
        self._has_letter = has_letter

    def serve(self, lane: Lane) -> LaneOutcome:
        now = self._clock.precise()
        box = {"box": ObjectId(lane.id)}
        # Nobody else carries letters of this box: whoever did is gone.
        if carried := list(self._letters.find({**box, "state": "carried"})):
            if self._run.claims.rise_above(lane, carried):
                return LaneOutcome(more=True)
            self._take_over(lane, carried)
        waiting: Document = {**box, "state": "waiting"}
        due: Document = {**waiting, "due_at": {"$lte": now}}
        if lane.breaker.circuit is Circuit.OPEN:
            due["urgent"] = True
        most = lane.limit(10)
        letters = list(self._letters.find(due).sort([("urgent", -1), ("_id", 1)]).limit(most + 1))
        outcome = LaneOutcome(more=len(letters) > most)
        for letter in letters[:most]:
            if outcome.pause or not self._run.may_continue(lane):
                outcome.more = True
                break
            self._carry(lane, letter, outcome)
            if lane.breaker.circuit is not Circuit.CLOSED:
                outcome.more = True
                break
        later = self._letters.find_one({**waiting, "due_at": {"$gt": now}}, sort=[("due_at", 1)])
        outcome.next_due = later["due_at"] if later else None
        return outcome

    def _carry(self, lane: Lane, letter: Document, outcome: LaneOutcome) -> None:
        now = self._clock.precise()
        carried = {"state": "carried", **self._run.claims.fields(lane, now)}
        self._letters.update_one({"_id": letter["_id"], "state": "waiting"}, {"$set": carried})
        outcome.sent += 1
        answer = self._read(letter)
        changes: Document = {
            "state": "waiting",
            "unknown_outcomes": 0,
            "attempts": noted(letter.get("attempts"), attempt_note(now, answer), kept=5),
        }
        counts = answer in (TAKEN, REFUSED, DOWN)
        if counts:
            lane.breaker.record(answered=answer != DOWN)
        if answer == TAKEN:
            changes["state"] = "delivered"
        else:
            next_try = KIND.retries.after_failure(
                letter["tries"],
                now,
                final=answer == REFUSED,
                counts=counts,
                due_at=None if counts else now,
            )
            changes["tries"] = next_try.tries
            changes["due_at"] = next_try.due_at
            changes["state"] = "waiting" if next_try.due_at else "given up"
        if answer == LOCKED:
            outcome.pause = Pause("auth")
        elif answer == BUSY:
            outcome.pause = Pause("rate_limited", now + timedelta(minutes=2))
        own = {"_id": letter["_id"], "claim_token": lane.token}
        self._letters.update_one(own, {"$set": changes})

    def _take_over(self, lane: Lane, carried: Iterable[Document]) -> None:
        """Bring back what a carrier that is gone had with it."""
        for letter in carried:
            if token_of(letter) >= lane.token:
                continue
            has_letter = self._has_letter(letter)
            change: Document = {"state": "waiting", "claim_token": lane.token}
            if has_letter is None:
                note = attempt_note(self._clock.precise(), UNKNOWN)
                change["attempts"] = noted(letter.get("attempts"), note)
                change["unknown_outcomes"] = unknown_outcomes(letter)
                if change["unknown_outcomes"] >= MAX_UNKNOWN:
                    change["state"] = "given up"
            else:
                change["unknown_outcomes"] = 0
                change["state"] = "delivered" if has_letter else "waiting"
            self._letters.update_one({"_id": letter["_id"]}, {"$set": change})


class Post:
    """A post office on a database: boxes, letters, and a reader that takes everything."""

    def __init__(self, db: Any) -> None:
        self.db = db
        self.clock = HandClock()
        self.kind = KIND
        self.seen: list[str] = []
        self.read: Reader = lambda letter: TAKEN
        self.has_letter: Callable[[Document], bool | None] = lambda letter: None
        self.office = self.new_office()

    def new_office(self) -> LaneRun:
        """Return the run of another process."""
        return LaneRun(self.db, self.clock, self.kind, self._carrier)

    def _carrier(self, run: RunContext) -> Carrier:
        def read(letter: Document) -> str:
            self.seen.append(letter["text"])
            return self.read(letter)

        return Carrier(self.db, self.clock, run, read, self.has_letter)

    def post(self, box: ObjectId, *texts: str, urgent: bool = False, after: float = 0) -> None:
        """Put letters into a box, which are due after so many seconds."""
        due_at = self.clock.at + timedelta(seconds=after)
        self.db[KIND.work].insert_many(
            {"box": box, "text": t, "state": "waiting", "due_at": due_at, "tries": 0}
            | ({"urgent": True} if urgent else {})
            for t in texts
        )
        wake(self.db[KIND.lanes], {str(box): urgent}, due_at)

    def die_with(self, box: ObjectId, **which: Any) -> None:
        """Let a carrier take letters of a box along and never come back."""
        dead = LaneClaims(self.db, self.clock, self.kind, "dead")
        lane = dead.lease(str(box))
        assert lane is not None
        carried = {"state": "carried", **dead.fields(lane, self.clock.at)}
        self.db[KIND.work].update_many({**which, "box": box}, {"$set": carried})

    def states(self) -> list[str]:
        return [letter["state"] for letter in self.letters()]

    def letters(self) -> list[Document]:
        return list(self.db[KIND.work].find({}).sort("_id", 1))

    def box(self, box: ObjectId) -> Document:
        return self.db[KIND.lanes].find_one({"_id": str(box)}) or {}

    def resume(self, box: ObjectId) -> None:
        resume(self.db[KIND.lanes], [str(box)], self.clock.at)


@pytest.fixture
def post(stores: Any, database_name: str) -> Iterator[Post]:
    with MongoClient[dict[str, Any]](stores.mongo_uri, tz_aware=True) as client:
        db = client[database_name]
        for name in (KIND.lanes, KIND.work, "publish_lanes", "delivery_failures", "activity"):
            db[name].delete_many({})
        yield Post(db)


@pytest.fixture
def box() -> ObjectId:
    return ObjectId()


class TestServing:
    def test_serves_every_box_and_leaves_other_kinds_alone(self, post: Post) -> None:
        """What is due is done once; then the lanes sleep."""
        wake(post.db["publish_lanes"], {"one": True}, post.clock.at)
        before = list(post.db["publish_lanes"].find({}))
        boxes = [ObjectId() for _ in range(7)]
        for number, box in enumerate(boxes):
            post.post(box, *(f"{number}-{letter}" for letter in range(25)))

        assert post.office.run() == 7 * 25

        assert len(post.seen) == len(set(post.seen)) == 7 * 25
        assert set(post.states()) == {"delivered"}
        assert all("wake_at" not in post.box(box) for box in boxes)
        assert post.office.run() == 0
        assert before == list(post.db["publish_lanes"].find({}))

    def test_two_runs_share_the_boxes(self, post: Post) -> None:
        """A box is served by one of them at a time."""
        for number in range(10):
            post.post(ObjectId(), *(f"{number}-{letter}" for letter in range(15)))
        offices = [post.office, post.new_office()]

        with ThreadPoolExecutor() as threads:
            done = list(threads.map(lambda office: office.run(), offices))

        assert sum(done) == len(post.seen) == len(set(post.seen)) == 150

    def test_serves_a_box_when_the_caller_said(self, post: Post, box: ObjectId) -> None:
        """Neither before, nor much later; something earlier in the same box moves nothing."""
        post.post(box, "later", after=90)
        assert post.office.run() == 0
        post.post(box, "now")
        assert post.office.run() == 1

        post.clock.advance(seconds=89)
        early = post.office.run()
        post.clock.advance(seconds=1)

        assert (early, post.office.run(), post.seen) == (0, 1, ["now", "later"])

    def test_a_box_that_cannot_be_served_holds_up_no_other(self, post: Post, box: ObjectId) -> None:
        """It is tried again after a while."""
        post.read = lambda letter: TAKEN if letter["text"] == "good" else _raise(ValueError())
        post.post(box, "bad")
        post.post(ObjectId(), "good")

        post.office.run()
        post.read = lambda letter: TAKEN
        again = post.office.run()
        post.clock.advance(seconds=60)
        post.office.run()

        assert again == 0
        assert post.states() == ["delivered", "delivered"]

    def test_a_run_ends_when_it_is_told_to(self, post: Post, box: ObjectId) -> None:
        """What was not started is done by the next run."""
        stop = Event()

        def read(letter: Document) -> str:
            stop.set()
            return TAKEN

        post.read = read
        post.post(box, "one", "two", "three")

        assert post.office.run(stop) == 1
        assert post.office.run() == 2

    def test_an_outage_ends_the_run_and_is_told(self, post: Post, box: ObjectId) -> None:
        """The next one looks for work that was lost at once."""
        post.read = lambda letter: _raise(AutoReconnect("not now"))
        post.post(box, "one")
        with pytest.raises(AutoReconnect):
            post.office.run()
        post.db[KIND.lanes].update_one({}, {"$unset": {"wake_at": 1}})
        post.read = lambda letter: TAKEN

        post.office.run()

        assert post.seen == ["one", "one"]


class TestRetries:
    def test_failures_go_up_the_ladder_until_they_are_given_up(
        self, post: Post, box: ObjectId
    ) -> None:
        """Three retries after 1, 2 and 4 minutes, as this kind says."""
        post.kind = replace(KIND, breaker=BreakerPolicy(attempts=100))
        office = post.new_office()
        post.read = lambda letter: DOWN
        post.post(box, "one")
        waits = []
        office.run()
        while (letter := post.letters()[0])["state"] == "waiting":
            waits.append((letter["due_at"] - post.clock.at).total_seconds())
            post.clock.at = letter["due_at"]
            assert office.run() == 1

        assert (waits, letter["state"], letter["tries"]) == ([60, 120, 240], "given up", 3)
        assert [note["outcome"] for note in letter["attempts"]] == [DOWN] * 4

    @pytest.mark.parametrize("answer", [LOCKED, BUSY])
    def test_what_says_nothing_of_the_work_uses_up_no_try(
        self, post: Post, box: ObjectId, answer: str
    ) -> None:
        """However often it happens. Delivery contract B7."""
        post.read = lambda letter: answer
        post.post(box, "one", "two")
        for _ in range(20):
            assert post.office.run() == 1
            post.clock.advance(minutes=2)
            post.resume(box)

        assert [(x["state"], x["tries"]) for x in post.letters()] == [("waiting", 0)] * 2
        assert "breaker" not in post.box(box)


class TestPauses:
    """Delivery contract B6."""

    def test_a_box_waits_until_its_credentials_change(self, post: Post, box: ObjectId) -> None:
        """One request with the wrong ones, whatever comes meanwhile; then everything goes."""
        post.read = lambda letter: LOCKED
        post.post(box, "one", "two")
        assert post.office.run() == 1

        for hours in (0, 1, 100):
            post.clock.advance(hours=hours)
            post.post(box, "three", urgent=True)
            assert post.office.run() == 0
        assert post.box(box)["paused"] == {"reason": "auth", "until": None}

        post.read = lambda letter: TAKEN
        post.resume(box)

        assert post.office.run() == 5
        assert "paused" not in post.box(box)

    def test_a_box_waits_until_a_time(self, post: Post, box: ObjectId) -> None:
        """Nothing goes before, though more comes; then without being woken."""
        post.read = lambda letter: BUSY
        post.post(box, "one")
        post.office.run()
        post.read = lambda letter: TAKEN
        post.clock.advance(seconds=119)
        post.post(box, "two", urgent=True)
        early = post.office.run()

        post.clock.advance(seconds=1)

        assert (early, post.office.run()) == (0, 2)
        assert "paused" not in post.box(box)

    def test_a_pause_for_what_has_changed_meanwhile_is_void(
        self, post: Post, box: ObjectId
    ) -> None:
        """New credentials come while the old ones are tried."""

        def read(letter: Document) -> str:
            post.read = lambda letter: TAKEN
            post.resume(box)
            return LOCKED

        post.read = read
        post.post(box, "one", "two")

        assert post.office.run() == 3
        assert post.states() == ["delivered", "delivered"]
        assert "paused" not in post.box(box)

    def test_what_comes_meanwhile_does_not_make_a_pause_void(
        self, post: Post, box: ObjectId
    ) -> None:
        """New work is no reason for a second request with the wrong credentials."""

        def read(letter: Document) -> str:
            post.post(box, "two")
            return LOCKED

        post.read = read
        post.post(box, "one")

        assert [1, 0] == [post.office.run() for _ in range(2)]

    def test_a_pause_does_not_hide_that_a_carrier_is_gone(self, post: Post, box: ObjectId) -> None:
        """What it had is brought back when the pause is over."""
        post.post(box, "one")
        post.die_with(box)
        paused = {"reason": "rate_limited", "until": post.clock.at + timedelta(minutes=10)}
        post.db[KIND.lanes].update_one({}, {"$set": {"paused": paused}})

        for _ in range(2):
            post.clock.advance(minutes=5)
            post.office.run()

        assert post.states() == ["delivered"]

    def test_a_box_is_paused_once(self, post: Post, box: ObjectId) -> None:
        """One that was never used, too; what it is for is kept until somebody resumes it."""
        lanes, wanted = post.db[KIND.lanes], Pause("asked", about={"by": "me"})
        assert [pause(lanes, str(box), wanted) for _ in range(2)] == [True, False]
        post.post(box, "one")
        assert post.office.run() == 0
        assert post.box(box)["paused"] == {"reason": "asked", "by": "me", "until": None}
        now = post.clock.at
        others = resume(lanes, [str(box)], now, reason="auth")

        assert (others, resume(lanes, [str(box)], now, reason="asked")) == (0, 1)
        assert post.office.run() == 1

    def test_a_pause_that_comes_while_a_box_is_served_stays(
        self, post: Post, box: ObjectId
    ) -> None:
        """Whatever the carrier asks for; what it has begun is finished."""

        def read(letter: Document) -> str:
            pause(post.db[KIND.lanes], str(box), Pause("asked"))
            return BUSY

        post.read = read
        post.post(box, "one")
        post.office.run()
        post.read = lambda letter: TAKEN
        post.clock.advance(hours=1)

        assert post.office.run() == 0
        assert post.box(box)["paused"]["reason"] == "asked"

    def test_resumes_only_what_is_there(self, post: Post, box: ObjectId) -> None:
        """An integration that was never used has no lane, and gets none."""
        post.resume(box)

        assert post.box(box) == {}


class TestBreaker:
    def test_a_reader_who_is_away_is_left_alone(self, post: Post, box: ObjectId) -> None:
        """As many attempts as this kind says, then probes; urgent letters do not wait.

        Delivery contract B1 to B4.
        """
        post.read = lambda letter: DOWN
        post.post(box, *(f"letter {number}" for number in range(8)))
        assert post.office.run() == 3
        post.post(box, "urgent", urgent=True)
        assert [post.office.run() for _ in range(2)] == [1, 0]
        assert post.seen[-1] == "urgent"

        post.clock.advance(seconds=30)
        assert post.office.run() == 1
        post.read = lambda letter: TAKEN
        post.clock.advance(seconds=60)
        post.office.run()

        assert post.states().count("waiting") == 0

    def test_who_wants_to_know_at_once_asks_for_a_probe(self, post: Post, box: ObjectId) -> None:
        """Delivery contract B5."""
        post.read = lambda letter: DOWN
        post.post(box, *(f"letter {number}" for number in range(8)))
        post.office.run()

        wake(post.db[KIND.lanes], {str(box): False}, post.clock.at, probe=True)

        assert [post.office.run() for _ in range(2)] == [1, 0]


class TestRecovery:
    def test_brings_back_what_a_carrier_had_that_is_gone(self, post: Post, box: ObjectId) -> None:
        """When its lease is over, and however late. Delivery contract C4."""
        post.post(box, "one", "two")
        post.die_with(box, text="one")
        before = post.office.run()

        post.clock.advance(seconds=61)

        assert (before, post.office.run()) == (0, 2)
        first = post.letters()[0]
        assert [note["outcome"] for note in first["attempts"]] == [UNKNOWN, TAKEN]

    def test_gives_up_what_three_carriers_have_died_of(self, post: Post, box: ObjectId) -> None:
        """Where nobody can tell what has become of it."""
        self.die_three_times(post, box)

        assert (post.states(), post.seen) == (["given up"], [])

    @pytest.mark.parametrize(("arrived", "seen"), [(True, []), (False, ["one"])])
    def test_death_is_no_verdict_where_the_reader_can_be_asked(
        self, post: Post, box: ObjectId, arrived: bool, seen: list[str]
    ) -> None:
        """A clear answer sets the count back. Delivery contract B8."""
        self.die_three_times(post, box, until=2)
        assert post.letters()[0]["unknown_outcomes"] == 1
        post.has_letter = lambda letter: arrived

        post.die_with(box)
        post.clock.advance(seconds=61)
        post.office.run()

        assert (post.states(), post.seen) == (["delivered"], seen)
        assert post.letters()[0]["unknown_outcomes"] == 0

    def die_three_times(self, post: Post, box: ObjectId, until: int = MAX_UNKNOWN + 1) -> None:
        post.post(box, "one")
        for _ in range(until - 1):
            post.die_with(box)
            post.clock.advance(seconds=61)
            # As a carrier that finds what is left, and is gone again.
            claims = LaneClaims(post.db, post.clock, post.kind, "next")
            lane = claims.lease(str(box))
            assert lane is not None
            run = RunContext(claims, lambda lane: True, list)
            carrier = Carrier(post.db, post.clock, run, post.read, post.has_letter)
            carrier._take_over(lane, post.letters())
            claims.release(lane, LaneOutcome(more=True))

    @pytest.mark.parametrize("state", ["carried", "waiting"])
    @pytest.mark.parametrize("leases", [1, 5])
    def test_finds_letters_of_a_box_that_nobody_looks_after(
        self, post: Post, box: ObjectId, state: str, leases: int
    ) -> None:
        """The store has lost the document of the lane. Delivery contract C2, C6."""
        post.office.run()
        post.post(box, "one")
        for _ in range(leases):
            post.die_with(box)
            post.clock.advance(seconds=61)
        post.db[KIND.work].update_many({}, {"$set": {"state": state}})
        post.db[KIND.lanes].delete_many({})

        for _ in range(6):
            post.office.run()
            post.clock.advance(seconds=61)

        assert post.seen == ["one"]

    def test_does_not_wake_what_rests_until_it_is_resumed(self, post: Post, box: ObjectId) -> None:
        """Looking for work that waits costs such a lane nothing."""
        post.read = lambda letter: LOCKED
        post.post(box, "one")
        post.office.run()

        post.clock.advance(minutes=6)
        post.office.run()

        assert "wake_at" not in post.box(box)


class Silent:
    """A notifier that notifies nobody."""

    def push(self, *_: Any, **__: Any) -> None: ...


def test_failures_are_told_once_and_close_nobody(post: Post, box: ObjectId) -> None:
    """In the words of this kind; the first success afterwards ends it."""
    texts = ReportTexts("Box {{{{name}}}}: {code} {cause}", "boxes")
    reports = FailureReports(
        post.db,
        post.clock,  # type: ignore[arg-type]
        lanes=KIND.lanes,
        texts=texts,
        notifier=Silent(),  # type: ignore[arg-type]
        sends_mail=False,
        settings={"ERROR_NOTIFICATIONS": True, "EMAIL_NOTIFICATION_RESEND": 24},
    )
    post.post(box, "one")
    reader = Receiver(str(box), "Front door", {"box": box})

    for _ in range(5):
        reports.failed(reader, "auth", "wrong key")
    failing = post.box(box)["failing"]
    recovered = [reports.recovered(reader) for _ in range(2)]

    told = [(row["name"], row["message"]) for row in post.db["activity"].find({})]
    assert told == [("error", "Box {{name}}: auth wrong key")]
    assert recovered == [True, False]
    assert (failing, "failing" in post.box(box)) == (True, False)


def _raise(error: Exception) -> str:
    raise error
