"""Hands out due lanes to the threads of a run, and keeps their leases alive."""

import time
from datetime import timedelta
from threading import Event, Lock, Thread

import structlog
from pymongo.errors import PyMongoError

from apps.lanes.claims import Lane, LaneClaims

log = structlog.get_logger(__name__)

RENEWALS_PER_LEASE = 3
SAFE_SHARE = 0.8
"""Share of a lease after which, unrenewed, no further row is started."""


class Dispatcher:
    """Lanes for the threads of one run: urgent ones first, then those that wait longest.

    Args:
        claims: source of due lanes.
        ends_at: when no more is handed out, by the monotonic clock; None for never.

    Attributes:
        has_ended: lanes that are due were left to the next run.
    """

    def __init__(self, claims: LaneClaims, ends_at: float | None = None) -> None:
        self._claims = claims
        self._ends_at = ends_at
        self.has_ended = False
        self._lanes: list[str] = []
        self._busy: set[str] = set()
        self._lock = Lock()

    def waiting(self) -> int:
        """Return how many lanes are due."""
        with self._lock:
            self._refill()
            return len(self._lanes)

    def next(self) -> str | None:
        """Return the next lane, or None when nothing is due that no other thread has."""
        with self._lock:
            if not self._lanes:
                self._refill()
            if not self._lanes:
                return None
            if self._ends_at is not None and time.monotonic() >= self._ends_at:
                self.has_ended = True
                return None
            lane = self._lanes.pop(0)
            self._busy.add(lane)
            return lane

    def done(self, lane: str) -> None:
        """Take a lane off the busy ones."""
        with self._lock:
            self._busy.discard(lane)

    def upcoming(self) -> list[str]:
        """Return the lanes that will be handed out next."""
        with self._lock:
            return list(self._lanes)

    def _refill(self) -> None:
        self._lanes = [lane for lane in self._claims.due() if lane not in self._busy]


class Heartbeat:
    """Renews the leases of a run in the background while it is used as a context manager.

    Args:
        claims: what to renew.
        lease: how long a lease is good for.
        stop: set from outside to end the run.
    """

    def __init__(self, claims: LaneClaims, lease: timedelta, stop: Event) -> None:
        self._claims = claims
        self._seconds = lease.total_seconds()
        self._stop = stop
        self._ended = Event()
        self._renewed_at = time.monotonic()
        self._is_lost = False
        self._thread = Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, *details: object) -> None:
        self._ended.set()
        self._thread.join()

    def is_safe(self, lane: Lane | None = None) -> bool:
        """Whether a delivery may be started: the leases are good for a while yet.

        Args:
            lane: where the delivery is; a lease that took long to get has less time left.
        """
        if self._is_lost or self._stop.is_set():
            return False
        since = self._renewed_at
        if lane is not None and since < lane.granted_at:
            since = lane.asked_at
        return time.monotonic() - since < self._seconds * SAFE_SHARE

    def _beat(self) -> None:
        while not self._ended.wait(self._seconds / RENEWALS_PER_LEASE):
            asked_at = time.monotonic()
            if asked_at - self._renewed_at >= self._seconds:
                # This process stood still for so long that others may have taken its lanes.
                log.warning("delivery.lease_lost")
                self._is_lost = True
                return
            try:
                self._claims.renew()
            except PyMongoError as error:
                log.warning("delivery.lease_not_renewed", error=str(error))
            else:
                self._renewed_at = asked_at
