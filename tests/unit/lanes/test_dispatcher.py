"""Whose turn it is among lanes, and which are held up (delivery contract P1, P2)."""

from collections import deque
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from apps.lanes import LaneKind, RetryPolicy
from apps.lanes.dispatcher import HeldUp, Turns

KIND = LaneKind(
    name="letters",
    lanes="boxes",
    work="letters",
    in_progress={},
    waiting={},
    lease=timedelta(seconds=60),
    threads=4,
    retries=RetryPolicy(maximum=3, jitter=0.0, random=Random(1)),
    group=lambda lane: lane[0],
)


class Seconds:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def held_up(seconds: Seconds) -> HeldUp:
    return HeldUp(KIND, seconds)


@pytest.mark.parametrize(
    ("urgent", "normal", "order"),
    [
        ("", "xy", "xy"),
        ("abc", "", "abc"),
        ("abcd", "xy", "abcdxy"),
        ("abcdefghi", "xyz", "abcdxefghyiz"),
    ],
)
def test_a_normal_lane_gets_its_turn_after_four_urgent_ones(
    urgent: str, normal: str, order: str
) -> None:
    """Delivery contract P1: urgent lanes first, but nobody starves."""
    turns, lanes = Turns(), (deque(urgent), deque(normal))
    assert "".join(turns.next_of(*lanes) for _ in order) == order


def test_short_runs_starve_nobody_either() -> None:
    """Each run finds urgent lanes, and comes to one lane only: every fifth is a normal one."""
    turns = Turns()
    served = [turns.next_of(deque("abcdef"), deque("xyz")) for _ in range(10)]
    assert "".join(served) == "aaaaxaaaax"


class TestHeldUp:
    def test_where_nothing_is_begun_for_long(self, held_up: HeldUp, seconds: Seconds) -> None:
        """A thread is held up by a receiver that lets it wait, not by one that takes a lot."""
        held_up.enter("a1")
        held_up.enter("b1")
        seconds.now = 1.0
        held_up.move("b1")
        seconds.now = 1.5
        assert held_up.among(["a1", "b1", "c1"]) == ["a1"]
        held_up.move("a1")
        assert held_up.among(["a1", "b1"]) == []

    def test_where_it_stays_for_long(self, held_up: HeldUp, seconds: Seconds) -> None:
        """However much is begun meanwhile."""
        held_up.enter("a1")
        for tenth in range(60):
            seconds.now = tenth / 10
            held_up.move("a1")
        assert held_up.among(["a1"]) == ["a1"]

    def test_ends_with_the_stay(self, held_up: HeldUp, seconds: Seconds) -> None:
        """A lane that was left is not held up, also when something is noted of it later."""
        held_up.enter("a1")
        held_up.leave("a1")
        held_up.move("a1")
        seconds.now = 10.0
        assert held_up.among(["a1"]) == []
        assert held_up.groups() == set()

    def test_half_of_the_threads_are_too_many_for_a_group(
        self, held_up: HeldUp, seconds: Seconds
    ) -> None:
        """Two of four."""
        for lane in ("a1", "a2", "b1"):
            held_up.enter(lane)
        seconds.now = 2.0
        assert held_up.groups() == {"a"}

    def test_with_one_thread_one_is_too_many(self, seconds: Seconds) -> None:
        held_up = HeldUp(replace(KIND, threads=1), seconds)
        held_up.enter("a1")
        assert held_up.groups() == set()
        seconds.now = 2.0
        assert held_up.groups() == {"a"}
