"""Hands out due lanes to the threads of a run, and keeps their leases alive."""

import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from datetime import timedelta
from threading import Event, Lock, Thread

import structlog
from pymongo.errors import PyMongoError

from apps.lanes.claims import Lane, LaneClaims
from apps.lanes.kind import LaneKind

log = structlog.get_logger(__name__)

URGENT_IN_A_ROW = 4
LONG_STAY = 5
"""Times `slow_seconds` after which a thread counts as held up, whatever it does in its lane."""
RENEWALS_PER_LEASE = 3
SAFE_SHARE = 0.8
"""Share of a lease after which, unrenewed, no further row is started."""


class HeldUp:
    """Lanes that threads of this process are in, and which of them are held up there.

    A thread is held up where nothing has been begun for `slow_seconds` of the kind, for a receiver
    lets it wait, or where it has been for five times as long. Shared by the runs of a process.

    Args:
        kind: of the lanes.
        monotonic: seconds that never run backwards.
    """

    def __init__(self, kind: LaneKind, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._kind = kind
        self._monotonic = monotonic
        self._entered: dict[str, float] = {}
        self._moved: dict[str, float] = {}
        self._lock = Lock()

    def enter(self, lane: str) -> None:
        """Note that a thread goes into a lane."""
        with self._lock:
            self._entered[lane] = self._moved[lane] = self._monotonic()

    def move(self, lane: str) -> None:
        """Note that something is begun in a lane."""
        if lane in self._moved:
            self._moved[lane] = self._monotonic()

    def leave(self, lane: str) -> None:
        """Note that the thread comes out of a lane."""
        with self._lock:
            self._entered.pop(lane, None)
            self._moved.pop(lane, None)

    def among(self, lanes: Collection[str]) -> list[str]:
        """Return which of the lanes that threads are in are held up."""
        with self._lock:
            return [lane for lane in lanes if self._is_held_up(lane)]

    def groups(self) -> set[str]:
        """Return the groups that have half of the threads of a run held up: more is too much."""
        with self._lock:
            held_up = Counter(map(self._kind.group, filter(self._is_held_up, self._entered)))
        most = max(self._kind.threads // 2, 1)
        return {group for group, count in held_up.items() if count >= most}

    def _is_held_up(self, lane: str) -> bool:
        if lane not in self._entered:
            return False
        now, limit = self._monotonic(), self._kind.slow_seconds
        is_waiting = now - self._moved.get(lane, now) > limit
        return is_waiting or now - self._entered[lane] > limit * LONG_STAY


class Turns:
    """Whose turn it is: urgent lanes, but a normal one after every four (delivery contract P1).

    Shared by the runs of a process, so that short runs keep to it, too.
    """

    def __init__(self) -> None:
        self._urgent_in_a_row = 0

    def next_of(self, urgent: deque[str], normal: deque[str]) -> str:
        """Take the lane whose turn it is; there is one."""
        if urgent and (not normal or self._urgent_in_a_row < URGENT_IN_A_ROW):
            self._urgent_in_a_row += 1
            return urgent.popleft()
        self._urgent_in_a_row = 0
        return normal.popleft()


class Dispatcher:
    """Lanes for the threads of one run: urgent ones first, then those that wait longest.

    Args:
        claims: source of due lanes.
        kind: of the lanes.
        held_up: what threads of this process are in; those who hold up many get no more.
        turns: whose turn it is.
        ends_at: when no more is handed out, by the monotonic clock; None for never.
        urgent_only: hand out urgent lanes only.
    """

    def __init__(
        self,
        claims: LaneClaims,
        kind: LaneKind,
        held_up: HeldUp,
        turns: Turns,
        *,
        ends_at: float | None = None,
        urgent_only: bool = False,
    ) -> None:
        self._claims = claims
        self._kind = kind
        self._held_up = held_up
        self._turns = turns
        self._ends_at = ends_at
        self._urgent_only = urgent_only
        self._urgent: deque[str] = deque()
        self._normal: deque[str] = deque()
        self._busy: set[str] = set()
        self._lock = Lock()

    @property
    def has_ended(self) -> bool:
        """Whether the time is over."""
        return self._ends_at is not None and time.monotonic() >= self._ends_at

    @property
    def has_left_lanes(self) -> bool:
        """Whether lanes that are due were not handed out."""
        with self._lock:
            return self._has_lanes()

    def waiting(self) -> int:
        """Return how many lanes are due."""
        with self._lock:
            self._refill()
            return len(self._urgent) + len(self._normal) if self._has_lanes() else 0

    def next(self) -> str | None:
        """Return the next lane, or None when nothing is due that no other thread has."""
        with self._lock:
            if not self._has_lanes():
                self._refill()
            if self.has_ended or not self._has_lanes():
                return None
            lane = self._turns.next_of(self._urgent, self._normal)
            self._busy.add(lane)
            self._held_up.enter(lane)
            return lane

    def done(self, lane: str, *, again: bool) -> None:
        """Note that a thread has come out of a lane.

        Args:
            again: whether this run may serve it once more.
        """
        with self._lock:
            self._held_up.leave(lane)
            if again:
                self._busy.discard(lane)

    def upcoming(self) -> list[str]:
        """Return the lanes that will be handed out next."""
        with self._lock:
            return [*self._urgent, *self._normal]

    def held_up(self) -> int:
        """Return how many threads of this run are held up."""
        with self._lock:
            return len(self._held_up.among(self._busy))

    def _has_lanes(self) -> bool:
        """Whether there is a lane to hand out; drops those of groups that hold up too much."""
        if full := self._held_up.groups():
            for lanes in (self._urgent, self._normal):
                left = [lane for lane in lanes if self._kind.group(lane) not in full]
                lanes.clear()
                lanes.extend(left)
        return bool(self._urgent or self._normal)

    def _refill(self) -> None:
        due = self._claims.due(urgent_only=self._urgent_only)
        self._urgent = deque(lane for lane in due.urgent if lane not in self._busy)
        self._normal = deque(lane for lane in due.normal if lane not in self._busy)


class Heartbeat:
    """Renews the leases of a run in the background.

    Args:
        claims: what to renew.
        lease: how long a lease is good for.
        stop: set from outside to end the run.
        held_up: is told of each delivery that may be started.
    """

    def __init__(self, claims: LaneClaims, lease: timedelta, stop: Event, held_up: HeldUp) -> None:
        self._claims = claims
        self._held_up = held_up
        self._seconds = lease.total_seconds()
        self._stop = stop
        self._ended = Event()
        self._renewed_at = time.monotonic()
        self._is_lost = False
        self._thread = Thread(target=self._beat, name="lease-heartbeat", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """End, once nothing is leased any more."""
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
        if lane is not None:
            self._held_up.move(lane.id)
            if since < lane.granted_at:
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
