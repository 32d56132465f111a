"""One run: serves everything that is due in the lanes of one kind, several lanes at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from uuid import uuid4

from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.lanes.claims import Lane, LaneClaims
from apps.lanes.dispatcher import Dispatcher, Heartbeat, HeldUp, Turns
from apps.lanes.kind import LaneKind
from apps.lanes.recovery import LostLanes
from apps.lanes.threads import LaneThreads, Places
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
        urgent_only: the run is for what is urgent; the rest of a lane is left to others.
    """

    claims: LaneClaims
    may_continue: Callable[[Lane | None], bool]
    upcoming: Callable[[], list[str]]
    urgent_only: bool = False


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
        finish: called when the last thread of a run has ended that this did not wait for.
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
        finish: Callable[[], object] = lambda: None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._kind = kind
        self._new_server = new_server
        self._lost = lost or LostLanes(db, clock, kind)
        self._prepare = prepare
        self._finish = finish
        self._held_up = HeldUp(kind)
        self._turns = Turns()
        self._places = Places(kind)
        self._looked_for_lost_at = self._looked_for_waiting_at = NEVER

    def run(
        self,
        stop: Event = ASKED,
        *,
        seconds: float | None = None,
        on_ended: Callable[[], object] = lambda: None,
        urgent_only: bool = False,
    ) -> int:
        """Attempt everything that is due now; return how many attempts were made.

        Args:
            stop: ends the run early; what was not started goes back. Unless given, the run ends
                when the process is asked to.
            seconds: after which no further lane is served, and what a receiver holds up is not
                waited for.
            on_ended: called where either leaves lanes that are due.
            urgent_only: serve only lanes that hold something urgent.

        Raises:
            PyMongoError: the store is away. The next run looks for work that was lost meanwhile.
        """
        if stop.is_set():
            return 0
        ends_at = None if seconds is None else time.monotonic() + seconds
        try:
            self._prepare()
            self._look_after_lanes()
            return self._serve(stop, ends_at, on_ended, urgent_only)
        except PyMongoError:
            self._looked_for_lost_at = self._looked_for_waiting_at = NEVER
            raise

    def wait(self) -> None:
        """Wait for what runs have left to itself."""
        self._places.wait()

    def _look_after_lanes(self) -> None:
        now = self._clock.precise()
        if now - self._looked_for_lost_at > self._kind.lease:
            self._lost.wake_lost()
            self._looked_for_lost_at = now
        if now - self._looked_for_waiting_at > self._kind.look_for_waiting:
            self._lost.wake_waiting()
            self._looked_for_waiting_at = now

    def _serve(
        self,
        stop: Event,
        ends_at: float | None,
        on_ended: Callable[[], object],
        urgent_only: bool,
    ) -> int:
        claims = LaneClaims(self._db, self._clock, self._kind, uuid4().hex)
        dispatcher = Dispatcher(
            claims,
            self._kind,
            self._held_up,
            self._turns,
            ends_at=ends_at,
            urgent_only=urgent_only,
        )
        waiting = dispatcher.waiting()
        if not waiting:
            return 0
        heartbeat = Heartbeat(claims, self._kind.lease, stop, self._held_up)
        context = RunContext(claims, heartbeat.is_safe, dispatcher.upcoming, urgent_only)
        server = self._new_server(context)
        worker = LaneWorker(self._kind, self._clock, claims, dispatcher, server, heartbeat.is_safe)
        threads = LaneThreads(self._kind, self._places, dispatcher, worker, heartbeat, self._finish)
        sent = threads.serve(waiting)
        if stop.is_set() or (dispatcher.has_ended and dispatcher.has_left_lanes):
            on_ended()
        return sent
