"""When the breaker of a lane opens, and what closes it (delivery contract B1, B3, B4)."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.lanes.breaker import Breaker, BreakerPolicy, Circuit
from tests.support.newsdesk import HandClock

POLICY = BreakerPolicy()


def breaker(clock: HandClock, attempts: str = "", *, asked: bool = False) -> Breaker:
    """Return a breaker after attempts: `y` for an answer, `n` for none."""
    made = Breaker(POLICY, clock)
    for attempt in attempts:
        made.record(answered=attempt == "y")
    return stored_and_read(made, clock, asked=asked)


def stored_and_read(made: Breaker, clock: HandClock, *, asked: bool = False) -> Breaker:
    return Breaker(POLICY, clock, made.stored(), asked=asked)


@pytest.mark.parametrize(
    ("attempts", "circuit"),
    [
        ("", "closed"),
        ("nnnn", "closed"),
        ("nnnnn", "open"),
        ("yyyyy", "closed"),
        ("ynnnn", "open"),
        ("yynnnn", "closed"),
        ("yyynnnnnn", "closed"),
        ("yyynnnnnnn", "open"),
        ("y" * 100 + "n" * 100, "closed"),
    ],
)
def test_opens_when_seven_of_ten_attempts_fail_and_there_were_five(
    attempts: str, circuit: str
) -> None:
    """Both at once: the share, and enough of them to tell."""
    assert breaker(HandClock(), attempts).circuit == circuit


def test_counts_the_last_five_minutes_only() -> None:
    """Failures that are spread out open nothing; old successes do not keep it closed."""
    clock = HandClock()
    spread, busy = breaker(clock), breaker(clock, "y" * 100)
    for _ in range(20):
        clock.advance(seconds=76)
        spread.record(answered=False)
    for _ in range(5):
        busy.record(answered=False)

    assert (spread.circuit, busy.circuit) == (Circuit.CLOSED, Circuit.OPEN)


def test_keeps_little_of_many_attempts() -> None:
    """Thousands of attempts make no large document."""
    clock = HandClock()
    busy = breaker(clock)
    for _ in range(3000):
        clock.advance(seconds=0.5)
        busy.record(answered=True)

    assert len(busy.stored()["steps"]) <= 11


def test_opens_for_twice_as_long_after_each_probe_that_fails() -> None:
    """30 seconds, 1, 2, 4, 8 minutes, then 15."""
    clock = HandClock()
    down = breaker(clock, "nnnnn")
    waits = []
    for _ in range(8):
        assert down.circuit == Circuit.OPEN
        assert down.open_until is not None
        waits.append((down.open_until - clock.at).total_seconds())
        clock.at = down.open_until
        assert (down.circuit, down.open_until) == (Circuit.HALF_OPEN, None)
        down.record(answered=False)
        down = stored_and_read(down, clock)

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


@pytest.mark.parametrize("after", [0, 29, 30, 3000])
def test_an_answer_closes_it_whenever_it_comes(after: int) -> None:
    """What failed before is forgotten: it takes five failures to open it again."""
    clock = HandClock()
    down = breaker(clock, "nnnnn")
    clock.advance(seconds=after)

    down.record(answered=True)
    closed = stored_and_read(down, clock)

    assert closed.circuit == Circuit.CLOSED
    for _ in range(3):
        closed.record(answered=False)
        assert closed.circuit == Circuit.CLOSED
    closed.record(answered=False)
    assert closed.open_until == clock.at + timedelta(seconds=30)


def test_what_fails_before_its_time_changes_nothing() -> None:
    """A withdrawal, or a probe that somebody has asked for."""
    clock = HandClock()
    down = breaker(clock, "nnnnn", asked=True)
    until = clock.at + timedelta(seconds=30)
    asked = down.circuit

    for _ in range(10):
        down.record(answered=False)

    assert (asked, down.circuit, down.open_until) == (Circuit.HALF_OPEN, Circuit.OPEN, until)


def test_nothing_is_written_for_a_lane_in_which_nothing_was_tried() -> None:
    """The lane's document stays as it is."""
    clock = HandClock()
    unused = breaker(clock, "nnnnn")
    used = breaker(clock)
    used.record(answered=True)

    assert (unused.has_changed, used.has_changed) == (False, True)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 1000)), max_size=60))
def test_a_receiver_is_always_tried_again(history: list[tuple[bool, int]]) -> None:
    """Whatever has happened, it is left alone for a quarter of an hour at most."""
    clock = HandClock()
    made = breaker(clock)
    for answered, seconds in history:
        made.record(answered=answered)
        made = stored_and_read(made, clock)
        assert made.circuit == Circuit.CLOSED or not answered
        clock.advance(seconds=seconds)

    clock.advance(minutes=15)
    assert made.circuit != Circuit.OPEN


@pytest.mark.parametrize(("wait", "seconds"), [(None, 30), (5, 30), (120, 120), (21600, 21600)])
def test_opens_for_as_long_as_the_receiver_asks(wait: float | None, seconds: float) -> None:
    """Not for less than by its own rule. Delivery contract B1."""
    clock = HandClock()
    made = breaker(clock, "nnnn")
    made.record(answered=False, wait=wait)

    assert made.open_until == clock.at + timedelta(seconds=seconds)


def test_what_one_delivery_is_asked_to_wait_opens_nothing() -> None:
    """It says nothing of the others."""
    made = breaker(HandClock(), "y")
    made.record(answered=False, wait=3600)

    assert made.circuit == Circuit.CLOSED
