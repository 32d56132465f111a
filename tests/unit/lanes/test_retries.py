"""When failed deliveries are tried again (delivery contract 2.1)."""

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lanes.retries import RetryPolicy

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
