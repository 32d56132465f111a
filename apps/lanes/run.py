"""One run: serves everything that is due in the lanes of one kind, several lanes at a time."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from uuid import uuid4

from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.clock import Clock
from apps.core.service import Document
from apps.lanes.claims import Lane, LaneClaims
from apps.lanes.dispatcher import Dispatcher, Heartbeat
from apps.lanes.kind import LaneKind
from apps.lanes.recovery import LostLanes
from apps.lanes.worker import LaneServer, LaneWorker

NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class RunContext:
    """What a server gets of the run that it works for.

    Attributes:
        claims: the leases of the run; `claims.fields` marks work as taken.
        may_continue: false once the run shall stop or can no longer renew its leases, or that of
            the lane; then nothing more is started.
        upcoming: returns ids of lanes that are served next, to read together what they need.
    """

    claims: LaneClaims
    may_continue: Callable[[Lane | None], bool]
    upcoming: Callable[[], list[str]]


class LaneRun:
    """Serves lanes of one kind.

    Safe to run in several processes at once and to kill at any point: a lane is leased by one run
    at a time, and what a dead run held is taken over when its lease ends.

    Args:
        db: the database.
        clock: source of time.
        kind: which lanes, and their limits.
        new_server: returns what does the work of one run.
        lost: finds work that nobody looks after.
        prepare: called before each run.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        kind: LaneKind,
        new_server: Callable[[RunContext], LaneServer],
        *,
        lost: LostLanes | None = None,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._kind = kind
        self._new_server = new_server
        self._lost = lost or LostLanes(db, clock, kind)
        self._prepare = prepare
        self._looked_for_lost_at = self._looked_for_waiting_at = NEVER

    def run(
        self,
        stop: Event | None = None,
        *,
        seconds: float | None = None,
        on_ended: Callable[[], object] = lambda: None,
    ) -> int:
        """Attempt everything that is due now; return how many attempts were made.

        Args:
            stop: ends the run early; what was not started goes back.
            seconds: after which no further lane is served.
            on_ended: called where that leaves lanes that are due.

        Raises:
            PyMongoError: the store is away. The next run looks for work that was lost meanwhile.
        """
        ends_at = None if seconds is None else time.monotonic() + seconds
        try:
            self._prepare()
            self._look_after_lanes()
            return self._serve(stop or Event(), ends_at, on_ended)
        except PyMongoError:
            self._looked_for_lost_at = self._looked_for_waiting_at = NEVER
            raise

    def _look_after_lanes(self) -> None:
        now = self._clock.precise()
        if now - self._looked_for_lost_at > self._kind.lease:
            self._lost.wake_lost()
            self._looked_for_lost_at = now
        if now - self._looked_for_waiting_at > self._kind.look_for_waiting:
            self._lost.wake_waiting()
            self._looked_for_waiting_at = now

    def _serve(self, stop: Event, ends_at: float | None, on_ended: Callable[[], object]) -> int:
        claims = LaneClaims(self._db, self._clock, self._kind, uuid4().hex)
        dispatcher = Dispatcher(claims, ends_at)
        waiting = dispatcher.waiting()
        if not waiting:
            return 0
        with Heartbeat(claims, self._kind.lease, stop) as heartbeat:
            server = self._new_server(RunContext(claims, heartbeat.is_safe, dispatcher.upcoming))
            worker = LaneWorker(
                self._kind, self._clock, claims, dispatcher, server, heartbeat.is_safe
            )
            count = min(self._kind.threads, waiting)
            with ThreadPoolExecutor(count, self._kind.name) as threads:
                sent = sum(threads.map(lambda _: worker.work(), range(count)))
        if dispatcher.has_ended:
            on_ended()
        return sent
