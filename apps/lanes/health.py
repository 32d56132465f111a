"""How the receiver of a lane does over days (delivery contract 3.2).

Like the breaker it is part of the lane's document: read with the lease, written with the release.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.core.clock import Clock
from apps.core.documents import number_of, object_of
from apps.core.service import Document

TOLD_EVERY = timedelta(hours=1)
"""Least time between two reports of the same kind about a lane."""


@dataclass(frozen=True)
class HealthPolicy:
    """When a receiver counts as failing, and when it is left alone for good.

    Attributes:
        failing: failures in a row after which administrators are told.
        hopeless_after: time without a success after which it is given up; None for never.
        hopeless_attempts: failures that there have to be in that time.
        gives_up_gone: whether a receiver that says itself that it is gone is given up at once.
    """

    failing: int = 4
    hopeless_after: timedelta | None = timedelta(days=5)
    hopeless_attempts: int = 10
    gives_up_gone: bool = True


class Health:
    """The health of the receiver of one leased lane; used by one thread at a time.

    Args:
        policy: when it counts as failing, or is given up.
        clock: source of time.
        stored: what the lane's document holds of it.
        resumes: how often the lane was paused or resumed: each time the count starts anew.

    Attributes:
        has_changed: there is something to write.
        since: when it failed first after its last success; None where it does not fail.
        failures: attempts since then, all of which have failed.
    """

    def __init__(
        self,
        policy: HealthPolicy,
        clock: Clock,
        stored: Mapping[str, Any] | None = None,
        *,
        resumes: int | None = None,
    ) -> None:
        known = dict(stored or {})
        self._policy = policy
        self._clock = clock
        self._resumes = resumes
        self._success_at = known.get("success_at")
        self._failure = object_of(known, "failure")
        self._told_at = known.get("told_at")
        self.has_changed = False
        goes_on = known.get("resumes") == resumes
        self.since: datetime | None = known.get("since") if goes_on else None
        self.failures = number_of(known, "failures") if goes_on else 0
        self.is_told = bool(known.get("is_told")) and goes_on

    def succeeded(self) -> None:
        """Count an attempt that got through: all failures before it are forgotten."""
        self.has_changed = True
        self._success_at = self._clock.precise()
        self.since, self.failures, self.is_told = None, 0, False

    def failed(self, failure: Mapping[str, Any], *, counts: bool = True) -> None:
        """Take note of an attempt that did not get through.

        Args:
            failure: what is kept of it.
            counts: false where that says nothing of the receiver.
        """
        self.has_changed = True
        now = self._clock.precise()
        self._failure = {**failure, "at": now}
        if counts:
            self.failures += 1
            self.since = self.since or now

    @property
    def is_to_be_told(self) -> bool:
        """Whether administrators are to be told that it fails; true once an hour at most."""
        is_failing = self.failures >= self._policy.failing and not self.is_told
        told_at = self._told_at
        return is_failing and (not told_at or self._clock.precise() - told_at >= TOLD_EVERY)

    def told(self) -> None:
        """Take note that they were told."""
        self.has_changed = self.is_told = True
        self._told_at = self._clock.precise()

    @property
    def is_hopeless(self) -> bool:
        """Whether nothing has got through for so long that it is given up."""
        after = self._policy.hopeless_after
        if after is None or self.since is None:
            return False
        is_long = self._clock.precise() - self.since >= after
        return is_long and self.failures >= self._policy.hopeless_attempts

    @property
    def gives_up_gone(self) -> bool:
        """Whether it is given up when it says itself that it is gone."""
        return self._policy.gives_up_gone

    def stored(self) -> Document:
        """Return what the lane's document keeps of it."""
        return {
            "resumes": self._resumes,
            "since": self.since,
            "failures": self.failures,
            "success_at": self._success_at,
            "failure": self._failure or None,
            "is_told": self.is_told,
            "told_at": self._told_at,
        }


def health_of(lane: Mapping[str, Any]) -> Document:
    """Return the health in a lane's document, as it counts now."""
    stored = object_of(lane, "health")
    goes_on = stored.get("resumes") == lane.get("resumes")
    anew: Document = {} if goes_on else {"since": None, "failures": 0, "is_told": False}
    return {**stored, **anew}
