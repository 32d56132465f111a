"""The time that all processes of an installation share: that of its store.

Leases, retries and schedules are times in documents that any process compares with its own. So
they are all taken from one clock, the store's: whoever sets that of a machine moves none of them.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

import structlog
from pymongo.monitoring import (
    ServerHeartbeatFailedEvent,
    ServerHeartbeatListener,
    ServerHeartbeatStartedEvent,
    ServerHeartbeatSucceededEvent,
)

from apps.core.clock import Clock, SystemClock

log = structlog.get_logger(__name__)

TOLERANCE = timedelta(seconds=1)
"""Difference that is let stand: less than what a message or a busy machine takes at times."""


class StoreClock(ServerHeartbeatListener):
    """The store's clock, as the driver's look-outs tell it every 10 seconds; it costs no command.

    Between two of them time goes on by the monotonic clock, which nobody sets. Before the first it
    is the machine's. A difference within the time that a look-out took says nothing, and one that
    comes up on a connection that stands is believed when the next look-out tells it again: a
    server that ends may answer with an old time.

    Args:
        machine: source of time until the store has told its own.
        monotonic: seconds that never go back.
    """

    def __init__(
        self, machine: Clock | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._machine = machine or SystemClock()
        self._monotonic = monotonic
        self._known: tuple[datetime, float] | None = None
        self._doubted: timedelta | None = None
        self._lock = Lock()

    def now(self) -> datetime:
        return self.precise().replace(microsecond=0)

    def precise(self) -> datetime:
        moment = self._continued() or self._machine.precise()
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def _continued(self) -> datetime | None:
        known = self._known
        if known is None:
            return None
        told, at = known
        return told + timedelta(seconds=self._monotonic() - at)

    # Look-outs of the driver.

    def started(self, event: ServerHeartbeatStartedEvent) -> None:
        """Nothing is known yet."""

    def failed(self, event: ServerHeartbeatFailedEvent) -> None:
        """Time goes on by what was told before."""

    def succeeded(self, event: ServerHeartbeatSucceededEvent) -> None:
        """Take over the time of the server that writes go to, where it is another one."""
        told = event.reply.document.get("localTime")
        if not event.reply.is_writable or not isinstance(told, datetime):
            return
        took = timedelta(seconds=event.duration)
        self._told(told if told.tzinfo else told.replace(tzinfo=UTC), took, event.awaited)

    def _told(self, earliest: datetime, took: timedelta, is_doubtful: bool) -> None:
        """Take note of what the store's clock showed at some time while the look-out went on."""
        with self._lock:
            expected = self._continued()
            off = earliest - (expected or self._machine.precise())
            doubted, self._doubted = self._doubted, None
            if expected is not None:
                if -took - TOLERANCE <= off <= TOLERANCE:
                    return
                if is_doubtful and (doubted is None or abs(doubted - off) > took + TOLERANCE):
                    self._doubted = off
                    return
            self._known = (earliest, self._monotonic())
        if abs(off) > took + TOLERANCE:
            log.warning("clock.follows_the_store", seconds=round(off.total_seconds(), 3))
