"""The work of one thread of a run: lane after lane."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import structlog

from apps.core.clock import Clock
from apps.lanes.claims import Lane, LaneClaims, LaneOutcome
from apps.lanes.dispatcher import Dispatcher
from apps.lanes.kind import LaneKind
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)


class LaneServer(ABC):
    """What a kind of lanes does in one of them. Threads of a run share an instance."""

    @abstractmethod
    def serve(self, lane: Lane) -> LaneOutcome:
        """Do what is due in a lane that is leased; return what it came to.

        A batch, not everything: a run comes back at once to a lane with `more`. Whatever happens
        to one thing that is due belongs into the outcome and into that thing. An exception means
        that the lane could not be served; it is tried again after `look_again`.
        """

    def settle(self, lane: Lane) -> bool:
        """Take over what a process left in progress in a lane that is paused.

        Returns:
            Whether nothing is left; where something is, whoever serves the lane next takes it over.
        """
        return False

    def mend(self, lane: Lane) -> bool:
        """Take what made `serve` fail out of the way; return whether there was such.

        Called with the exception at hand, while the lane is leased.
        """
        return False


class LaneWorker:
    """Serves lanes until none is due.

    Args:
        kind: limits of the lanes.
        clock: source of time.
        claims: leases the lanes.
        dispatcher: source of lanes, shared by the threads of the run.
        server: what is done in a lane.
        may_continue: false once the run shall stop or can no longer renew its leases.
    """

    def __init__(
        self,
        kind: LaneKind,
        clock: Clock,
        claims: LaneClaims,
        dispatcher: Dispatcher,
        server: LaneServer,
        may_continue: Callable[[Lane | None], bool],
    ) -> None:
        self._kind = kind
        self._clock = clock
        self._claims = claims
        self._dispatcher = dispatcher
        self._server = server
        self._may_continue = may_continue

    def work(self) -> int:
        """Serve lanes; return how many deliveries were attempted."""
        sent = 0
        while self._may_continue(None) and (lane_id := self._dispatcher.next()):
            # A lane that crashes is tried no more by this run. Nor is one that stalls: before all
            # of it was tried in vain, the first of it would be due again, and the run never ended.
            may_serve_again = False
            try:
                outcome = self._serve(lane_id)
                sent += outcome.sent
                may_serve_again = not outcome.stalled
            except Exception as error:
                if is_outage(error):
                    raise
                log.exception("lane.crashed", lane=lane_id)
            finally:
                self._dispatcher.done(lane_id, again=may_serve_again)
        return sent

    def _serve(self, lane_id: str) -> LaneOutcome:
        lane = self._claims.lease(lane_id)
        if lane is None:
            return LaneOutcome()
        if lane.is_paused(self._clock.precise()):
            return self._rest(lane)
        # Holds if the delivery breaks off.
        later = self._clock.precise() + self._kind.look_again
        outcome = LaneOutcome(next_due=later, careful=True, incomplete=True)
        try:
            outcome = self._server.serve(lane)
            if outcome.incomplete:
                outcome.next_due = later
            return outcome
        except Exception as error:
            if is_outage(error) or not self._server.mend(lane):
                raise
            # What was in the way is gone; what is marked is taken over at once.
            log.warning("lane.mended", lane=lane_id, error=repr(error))
            outcome.more = True
            return LaneOutcome()
        finally:
            self._claims.release(lane, outcome)

    def _rest(self, lane: Lane) -> LaneOutcome:
        """Give back a lane that is paused."""
        outcome = LaneOutcome(careful=lane.careful, incomplete=lane.orphaned, pause=lane.pause)
        try:
            if self._server.settle(lane):
                outcome.incomplete = False
        finally:
            self._claims.release(lane, outcome)
        return outcome
