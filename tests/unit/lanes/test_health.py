"""How the receiver of a lane does over days (delivery contract 3.2)."""

from datetime import timedelta
from typing import Any

import pytest

from apps.lanes.health import Health, HealthPolicy, health_of
from tests.support.newsdesk import HandClock

POLICY = HealthPolicy()


class Lane:
    """The health of a lane whose document is written and read between attempts."""

    def __init__(self, policy: HealthPolicy = POLICY) -> None:
        self.clock = HandClock()
        self.policy = policy
        self.document: dict[str, Any] = {}

    @property
    def health(self) -> Health:
        known = self.document
        return Health(self.policy, self.clock, known.get("health"), resumes=known.get("resumes"))

    def attempts(self, outcomes: str, every: timedelta = timedelta()) -> Health:
        """Make attempts: `y` gets through, `n` does not, `o` fails for our own fault."""
        health = self.health
        for outcome in outcomes:
            self.clock.at += every
            if outcome == "y":
                health.succeeded()
            else:
                health.failed({"status": 503}, counts=outcome == "n")
        self.document["health"] = health.stored()
        return self.health

    def resume(self) -> None:
        self.document["resumes"] = (self.document.get("resumes") or 0) + 1


@pytest.mark.parametrize(
    ("outcomes", "told"),
    [
        ("", False),
        ("nnn", False),
        ("nnnn", True),
        ("nnnyn", False),
        ("nnnono", True),
        ("n" * 9, True),
    ],
)
def test_the_fourth_failure_in_a_row_is_to_be_told(outcomes: str, told: bool) -> None:
    """What is not the receiver's fault is none."""
    assert Lane().attempts(outcomes).is_to_be_told is told


def test_it_is_told_once_and_again_after_a_success_and_an_hour() -> None:
    """However often it goes up and down."""
    lane = Lane()
    told = []
    for _ in range(3 * 60):
        health = lane.attempts("nnnn")
        if health.is_to_be_told:
            health.told()
            told.append(lane.clock.at)
        health.succeeded()
        lane.document["health"] = health.stored()
        lane.clock.advance(minutes=1)

    assert [(at - told[0]).total_seconds() / 60 for at in told] == [0, 60, 120]


@pytest.mark.parametrize(
    ("outcomes", "hours", "hopeless"),
    [
        ("n" * 10, 14, True),
        ("n" * 9, 20, False),
        ("n" * 100, 1, False),
        ("n" * 121, 1, True),
        ("n" * 120, 1, False),
        ("n" * 60 + "y" + "n" * 60, 2, False),
        ("o" * 200, 2, False),
    ],
)
def test_five_days_and_ten_attempts_are_hopeless(outcomes: str, hours: int, hopeless: bool) -> None:
    """Both at once, without a success in between. Delivery contract A1, A3."""
    assert Lane().attempts(outcomes, timedelta(hours=hours)).is_hopeless is hopeless


def test_is_never_hopeless_where_the_policy_says_so() -> None:
    lane = Lane(HealthPolicy(hopeless_after=None))

    assert lane.attempts("n" * 500, timedelta(hours=10)).is_hopeless is False


def test_the_count_begins_anew_when_a_pause_ends() -> None:
    """Also where a process writes what it counted before. Delivery contract A1."""
    lane = Lane()
    before = lane.attempts("n" * 50, timedelta(hours=5))
    lane.resume()
    lane.document["health"] = before.stored()

    assert (lane.health.failures, lane.health.since, lane.health.is_hopeless) == (0, None, False)
    shown = health_of(lane.document)
    assert (shown["failures"], shown["since"], shown["failure"]["status"]) == (0, None, 503)
    assert lane.attempts("n").failures == 1


@pytest.mark.parametrize("odd", [{}, {"failures": None}, {"since": None, "failure": "x"}])
def test_what_is_not_there_counts_as_nothing(odd: dict[str, Any]) -> None:
    lane = Lane()
    lane.document["health"] = odd

    assert lane.attempts("n").failures == 1
