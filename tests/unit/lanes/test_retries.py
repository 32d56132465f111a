"""When failed work is tried again, and what is kept of it (delivery contract 2.1, B7, B8)."""

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lanes.retries import (
    ATTEMPTS_KEPT,
    UNKNOWN,
    NextTry,
    RetryPolicy,
    attempt_note,
    has_unknown_outcome,
    noted,
    unknown_outcomes,
)

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LADDER = [1, 2, 4, 8, 16, 32, 64, 64, 64, 64]


def policy(maximum: int = 10, jitter: float = 0.0) -> RetryPolicy:
    return RetryPolicy(maximum, jitter, Random(1))


def minutes(policy: RetryPolicy, attempt: int, retry_after: float | None = None) -> float:
    return (policy.next_attempt(attempt, NOW, retry_after) - NOW).total_seconds() / 60


def test_the_ladder_is_that_of_the_contract() -> None:
    """Ten retries in 319 minutes."""
    waits = [minutes(policy(), attempt) for attempt in range(10)]

    assert (waits, sum(waits)) == (LADDER, 319)


@given(st.integers(0, 1000), st.floats(0, 0.1), st.integers())
def test_jitter_only_adds_and_never_more_than_its_share(
    attempt: int, jitter: float, seed: int
) -> None:
    """Retries spread out behind their time, never before it."""
    wait = minutes(RetryPolicy(10, jitter, Random(seed)), attempt)
    base = LADDER[min(attempt, 6)]

    assert base <= wait <= base * (1 + jitter) + 1e-6


@pytest.mark.parametrize(
    ("asked", "expected"), [(None, 1.0), (0.0, 1.0), (30.0, 1.0), (120.0, 2.0), (21600.0, 360.0)]
)
def test_a_receiver_can_ask_for_more_time_but_not_for_less(
    asked: float | None, expected: float
) -> None:
    """`Retry-After` counts where it is longer than the ladder."""
    assert minutes(policy(), 0, asked) == expected


@pytest.mark.parametrize(
    ("maximum", "attempt", "exhausted"),
    [(10, 9, False), (10, 10, True), (10, 11, True), (0, 0, True), (1, 0, False)],
)
def test_gives_up_after_the_last_retry(maximum: int, attempt: int, exhausted: bool) -> None:
    """The failure after retry number `maximum` is the last; without retries it is the first."""
    assert policy(maximum).is_exhausted(attempt) is exhausted


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("tries", "said", "expected"),
    [
        (0, {}, NextTry(1, after(60))),
        (2, {}, NextTry(3, after(240))),
        (3, {}, NextTry(3, None)),
        (0, {"final": True}, NextTry(0, None)),
        (0, {"final": True, "counts": False}, NextTry(0, None)),
        (3, {"counts": False}, NextTry(3, after(480))),
        (1, {"retry_after": 600.0}, NextTry(2, after(600))),
        (1, {"retry_after": 10.0}, NextTry(2, after(120))),
        (0, {"due_at": after(15)}, NextTry(1, after(15))),
        (3, {"due_at": after(15)}, NextTry(3, None)),
        (3, {"due_at": after(15), "counts": False}, NextTry(3, after(15))),
    ],
)
def test_what_follows_from_a_failure(tries: int, said: dict[str, Any], expected: NextTry) -> None:
    """The ladder, unless somebody knows better; what does not count has no end."""
    assert policy(maximum=3).after_failure(tries, NOW, **said) == expected


def test_counts_unknown_outcomes_in_a_row() -> None:
    """Of what a process may have died of alone; none where the count was set back."""
    work: dict[str, Any] = {}
    counts = []
    for alone in (True, False, True):
        work["unknown_outcomes"] = unknown_outcomes(work, alone=alone)
        counts.append(work["unknown_outcomes"])
    work["unknown_outcomes"] = 0

    assert (counts, unknown_outcomes(work)) == ([1, 1, 2], 1)


@pytest.mark.parametrize("notes", [None, [], "odd", 5, [None], [{"outcome": "success"}]])
def test_knows_the_outcome_of_what_was_never_tried(notes: Any) -> None:
    """Also where others wrote what is no list of attempts."""
    assert not has_unknown_outcome({"attempts": notes})


def test_keeps_the_last_notes() -> None:
    """The newest one says that the outcome is unknown."""
    notes: list[Any] = []
    for number in range(ATTEMPTS_KEPT + 5):
        notes = noted(notes, attempt_note(NOW, UNKNOWN, status=number))

    assert (len(notes), notes[0]["status"]) == (ATTEMPTS_KEPT, 5)
    assert has_unknown_outcome({"attempts": notes})
