"""Histories of a lane: rows come, are sent and refused, workers die; what its receiver sees.

The rules under test are those that decide which rows go next (`pick`), and which may have been
sent when a worker is gone (`may_have_started`). Around them stands a lane of plain lists, whose
worker does what the contract says (delivery contract 3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS
from apps.lanes.retries import MAX_UNKNOWN, UNKNOWN
from apps.publish.transmit.claim import pick, version_of
from apps.publish.transmit.recover import may_have_started
from tests.support.newsdesk import START
from transmitters.base import Mode

WAITING = ("pending", "retrying")
ENDED = ("success", "failed", "canceled")


class Died(Exception):
    """The worker is gone."""


@dataclass
class Run:
    """One run of a worker.

    Attributes:
        limit: rows taken at once.
        answers: of the receiver to one row after another, then it accepts.
        steps: what the worker still does before it dies; None where it does not.
    """

    limit: int = 100
    answers: Sequence[str] = ()
    steps: int | None = None


@dataclass
class SimulatedLane:
    """A lane, its worker and its receiver.

    Attributes:
        accepted: what the receiver accepted, each delivery once.
        sent: the same with everything that it refused, and repeats.
    """

    mode: Mode
    rows: list[Document] = field(default_factory=list)
    accepted: list[Document] = field(default_factory=list)
    sent: list[Document] = field(default_factory=list)
    now: datetime = START

    def add(self, item_id: str, action: str, *, urgent: bool = False) -> None:
        """Queue the next version of an item."""
        versions = [version_of(row) for row in self.rows if row["item_id"] == item_id]
        place = len(self.rows) + 1
        self.rows.append(
            {
                "_id": place,
                "order_no": place,
                "item_id": item_id,
                "item_version": max(versions, default=0) + 1,
                "publishing_action": action,
                "priority": urgent or action in WITHDRAWING_ACTIONS,
                "state": "pending",
                "retry_attempt": 0,
            }
        )

    def cancel(self, place: int) -> None:
        """Cancel a row, as a client may while it waits."""
        if self.rows and (row := self.rows[place % len(self.rows)])["state"] in WAITING:
            row["state"] = "canceled"

    def of(self, *states: str) -> list[Document]:
        return [row for row in self.rows if row["state"] in states]

    def run(self, run: Run) -> None:
        """Take over what a dead worker left, then serve the lane once."""
        self._take_over()
        left = run.steps

        def step() -> None:
            nonlocal left
            if left is not None:
                left -= 1
                if left < 0:
                    raise Died

        try:
            self._serve(run, step)
        except Died:
            return

    def _take_over(self) -> None:
        held = self.of("in-progress")
        waited_for = self.of(*WAITING) if self.mode is Mode.APPEND else []
        started = may_have_started(held, waited_for)
        for row in held:
            row["state"] = "pending"
            if row["_id"] in started:
                row["attempts"] = [{"at": self.now, "outcome": UNKNOWN}]
                row["unknown"] = row.get("unknown", 0) + (len(started) == 1)
                if row["unknown"] >= MAX_UNKNOWN:
                    row["state"] = "failed"

    def _serve(self, run: Run, step: Callable[[], None]) -> None:
        selection = pick(self.of("pending"), self.of("retrying"), self.mode, self.now)
        self._check(selection.rows, selection.superseded)
        for row in self.rows:
            if row["_id"] in selection.superseded:
                step()
                row |= {"state": "canceled", "superseded_by": selection.superseded[row["_id"]]}
        batch = selection.rows[: run.limit]
        step()
        before = {row["_id"]: row["state"] for row in batch}
        for row in batch:
            row["state"] = "in-progress"
        answers = iter(run.answers)
        unwritten: list[tuple[Document, str]] = []
        held_up: set[str] = set()
        left = []
        for row in batch:
            if row["item_id"] in held_up:
                left.append(row)
                continue
            if any(sent["item_id"] == row["item_id"] for sent, _ in unwritten):
                self._write(unwritten, step)
            step()
            answer = next(answers, "accepts")
            self._receive(row, answer)
            unwritten.append((row, answer))
            if answer == "refuses" and self.mode is Mode.APPEND:
                held_up.add(row["item_id"])
        self._write(unwritten, step)
        for row in left:
            step()
            row["state"] = before[row["_id"]]

    def _receive(self, row: Document, answer: str) -> None:
        self.sent.append(row)
        if answer == "accepts" and row not in self.accepted:
            self.accepted.append(row)

    def _write(self, unwritten: list[tuple[Document, str]], step: Callable[[], None]) -> None:
        for row, answer in unwritten:
            if answer == "accepts" and self.mode is Mode.REPLACE:
                for older in self._older(row):
                    step()
                    older |= {"state": "canceled", "superseded_by": row["_id"]}
            step()
            outcome = {"accepts": "success", "refuses": "retrying", "rejects": "failed"}[answer]
            row |= {"state": outcome, "attempts": [{"at": self.now, "outcome": outcome}]}
            row["unknown"] = 0
            if outcome == "retrying":
                row["next_retry_attempt_at"] = self.now + timedelta(seconds=90)
        unwritten.clear()

    def _older(self, row: Document) -> list[Document]:
        return [
            other
            for other in self.of(*WAITING)
            if other["item_id"] == row["item_id"] and other["order_no"] < row["order_no"]
        ]

    def _check(self, picked: Sequence[Document], superseded: dict[Any, Any]) -> None:
        """What holds whenever rows are picked."""
        for row in picked:
            older = [r for r in self._older(row) if r["_id"] not in superseded]
            waiting = [r for r in older if r not in picked[: picked.index(row)]]
            if self.mode is Mode.APPEND:
                assert not waiting, "a version passes an older one that waits"
            assert all(r["state"] == "retrying" for r in waiting), "passes one that is to be sent"
        for row_id, newer in superseded.items():
            assert row_id < newer
            assert self.rows[newer - 1]["state"] in WAITING


# What makes trouble is drawn often: few items, refusals, deaths between two steps, short waits.
arrivals = st.lists(
    st.tuples(
        st.sampled_from("aaab"), st.sampled_from([*["corrected"] * 6, "killed"]), st.booleans()
    ),
    max_size=2,
)
answers = st.lists(st.sampled_from(["accepts", "refuses", "refuses", "rejects"]), max_size=3)
deaths = st.none() | st.integers(1, 5)
turns = st.tuples(
    arrivals,
    st.none() | st.integers(0, 20),
    st.builds(Run, st.sampled_from([1, 2, 100]), answers, deaths),
    st.sampled_from([10, 100]),
)
histories = st.lists(turns, min_size=2, max_size=10)
"""Turns of rows that arrive, the place of one that is canceled, a run, and seconds that pass."""

REFUSED_THEN_DIED = [
    ([("a", "corrected", False)], None, Run(100, ["refuses"]), 10),
    ([("a", "corrected", False)], None, Run(100, ["accepts"], 2), 100),
]
"""Version 1 waits for its retry; version 2 is accepted, and the worker dies before it says so."""


def live_through(lane: SimulatedLane, history: Sequence[Any]) -> None:
    for arriving, canceled, run, seconds in history:
        for item_id, action, urgent in arriving:
            lane.add(item_id, action, urgent=urgent)
        if canceled is not None:
            lane.cancel(canceled)
        lane.run(run)
        lane.now += timedelta(seconds=seconds)


def bring_to_an_end(lane: SimulatedLane) -> None:
    """Let nobody die and nobody refuse any more."""
    for _ in range(3 * len(lane.rows) + 3):
        lane.now += timedelta(seconds=100)
        lane.run(Run())


@example(REFUSED_THEN_DIED, Mode.REPLACE)
@given(histories, st.sampled_from(Mode))
def test_a_receiver_never_accepts_an_older_version_after_a_newer_one(
    history: Sequence[Any], mode: Mode
) -> None:
    """However workers die and receivers refuse, versions of an item arrive in their order.

    Delivery contract O1, O4, O5, O8.
    """
    lane = SimulatedLane(mode)

    live_through(lane, history)
    bring_to_an_end(lane)

    for item in "ab":
        versions = [row["item_version"] for row in lane.accepted if row["item_id"] == item]
        assert versions == sorted(versions)


@given(histories, st.sampled_from(Mode))
def test_every_row_ends(history: Sequence[Any], mode: Mode) -> None:
    """No row waits for ever, and none that was not sent succeeds."""
    lane = SimulatedLane(mode)

    live_through(lane, history)
    bring_to_an_end(lane)

    assert {row["state"] for row in lane.rows} <= set(ENDED)
    assert all(row in lane.accepted for row in lane.of("success"))


@given(histories, st.sampled_from(Mode))
def test_a_row_is_canceled_only_for_a_newer_one_of_its_line(
    history: Sequence[Any], mode: Mode
) -> None:
    """Where each version is a document of its own, only a withdrawal cancels what waits."""
    lane = SimulatedLane(mode)

    live_through(lane, history)
    bring_to_an_end(lane)

    for row in lane.of("canceled"):
        if (by := row.get("superseded_by")) is None:
            continue
        newer = lane.rows[by - 1]
        assert (newer["item_id"], newer["order_no"] > row["order_no"]) == (row["item_id"], True)
        assert mode is Mode.REPLACE or newer["publishing_action"] in WITHDRAWING_ACTIONS


@given(histories, st.sampled_from(Mode))
def test_nothing_of_an_item_goes_out_behind_its_kill_but_what_is_newer(
    history: Sequence[Any], mode: Mode
) -> None:
    """Also counting repeats and what the receiver refused: delivery contract O5."""
    lane = SimulatedLane(mode)

    live_through(lane, history)
    bring_to_an_end(lane)

    for place, row in enumerate(lane.sent):
        if row["publishing_action"] in WITHDRAWING_ACTIONS:
            later = [r for r in lane.sent[place:] if r["item_id"] == row["item_id"]]
            assert all(r["order_no"] >= row["order_no"] for r in later)
