"""The breaker of a lane: a receiver that is down is left alone for a while.

Delivery contract B1 to B5. Its state is part of the lane's document: read with the lease, written
with the release, by nobody but the holder of the lease.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Lock
from typing import Any

from apps.core.clock import Clock
from apps.core.service import Document

STEP = timedelta(seconds=30)
"""Attempts of this time are counted together."""


class Circuit(StrEnum):
    """What a breaker lets through: everything, one probe, or only what cannot wait."""

    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


@dataclass(frozen=True)
class BreakerPolicy:
    """When a receiver counts as down, and for how long.

    Attributes:
        attempts: fewer in the window tell nothing.
        failed_share: share of them that opens the breaker.
        window: time over which attempts are counted.
        first_wait, longest_wait: time for which it opens; each probe that fails doubles it.
    """

    attempts: int = 5
    failed_share: float = 0.7
    window: timedelta = timedelta(minutes=5)
    first_wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(minutes=15)

    def wait(self, openings: int) -> timedelta:
        """Return for how long a breaker opens.

        Args:
            openings: times that it has opened in a row, this one counted.
        """
        # Far beyond the longest wait, and far below what a time can hold.
        doublings = min(openings - 1, 20)
        return min(self.first_wait * (1 << doublings), self.longest_wait)


class Breaker:
    """The breaker of one leased lane; threads that work in the lane share it.

    Args:
        policy: when it opens.
        clock: source of time.
        stored: what the lane's document holds of it.
        asked: somebody wants the receiver to be tried now.

    Attributes:
        is_asked: somebody wants that, and nothing was tried since.
        has_changed: there is something to write.
        has_opened, has_closed: it did so since the lane was leased.
    """

    def __init__(
        self,
        policy: BreakerPolicy,
        clock: Clock,
        stored: Mapping[str, Any] | None = None,
        *,
        asked: bool = False,
    ) -> None:
        known = stored or {}
        self._policy = policy
        self._clock = clock
        self.is_asked = asked
        self._steps: list[list[Any]] = [list(step) for step in known.get("steps") or ()]
        self._openings = int(known.get("openings") or 0)
        self._open_until: datetime | None = known.get("open_until")
        self._lock = Lock()
        self.has_changed = self.has_opened = self.has_closed = False

    @property
    def circuit(self) -> Circuit:
        """What may be done in the lane now."""
        if self._open_until is None:
            return Circuit.CLOSED
        is_over = self._clock.precise() >= self._open_until
        return Circuit.HALF_OPEN if is_over or self.is_asked else Circuit.OPEN

    @property
    def open_until(self) -> datetime | None:
        """The end of the time in which the receiver is left alone; None where that is over."""
        until = self._open_until
        return until if until is not None and until > self._clock.precise() else None

    def record(self, *, answered: bool, wait: float | None = None) -> None:
        """Count an attempt.

        Args:
            answered: the receiver is there, whatever it says of this one delivery.
            wait: seconds that it asks to be left alone; where the breaker opens, it does for as
                long at least.
        """
        with self._lock:
            self.has_changed = True
            self.is_asked = False
            now = self._clock.precise()
            if answered and self._open_until is not None:
                self._steps, self._openings, self._open_until = [], 0, None
                self.has_closed = True
            self._count(now, answered)
            if not answered and self._is_down(now):
                self.has_opened = True
                self._openings += 1
                own, asked = self._policy.wait(self._openings), timedelta(seconds=wait or 0)
                self._open_until = now + max(own, asked)

    def stored(self) -> Document:
        """Return what the lane's document keeps of it."""
        with self._lock:
            return {
                "steps": self._steps,
                "openings": self._openings,
                "open_until": self._open_until,
            }

    def _count(self, now: datetime, answered: bool) -> None:
        first = now - self._policy.window
        self._steps = [step for step in self._steps if step[0] > first]
        if not self._steps or now - self._steps[-1][0] >= STEP:
            self._steps.append([now, 0, 0])
        self._steps[-1][1] += 1
        self._steps[-1][2] += not answered

    def _is_down(self, now: datetime) -> bool:
        if self._open_until is not None:
            # A probe says so; what was tried before its time changes nothing.
            return now >= self._open_until
        attempts = int(sum(step[1] for step in self._steps))
        failed = int(sum(step[2] for step in self._steps))
        enough = attempts >= self._policy.attempts
        return enough and failed >= attempts * self._policy.failed_share
