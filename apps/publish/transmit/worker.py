"""The work of one thread of a transmit run: lane after lane."""

from datetime import timedelta

import structlog

from apps.lanes.claims import Lane
from apps.lanes.dispatcher import Dispatcher
from apps.publish.transmit.destinations import Subscribers
from apps.publish.transmit.lane import LaneDelivery, LaneOutcome, LaneTools, take_over
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

LOOK_AGAIN = timedelta(seconds=60)
"""Wait before a lane is tried again that could not be served, or whose subscriber is inactive."""


class LaneWorker:
    """Serves lanes until none is due.

    Args:
        tools: see `LaneTools`.
        dispatcher: source of lanes, shared by the threads of the run.
        subscribers: owners of the lanes.
        limit: rows taken by one claim.
    """

    def __init__(
        self,
        tools: LaneTools,
        dispatcher: Dispatcher,
        subscribers: Subscribers,
        limit: int,
    ) -> None:
        self._tools = tools
        self._dispatcher = dispatcher
        self._subscribers = subscribers
        self._limit = limit

    def work(self) -> int:
        """Serve lanes; return how many deliveries were attempted."""
        sent = 0
        while self._tools.may_continue(None) and (lane_id := self._dispatcher.next()):
            try:
                outcome = self._serve(lane_id)
            except Exception as error:
                if is_outage(error):
                    raise
                # It counts as busy, so that this run tries it no more and goes on with the others.
                log.exception("lane.crashed", lane=lane_id)
                continue
            sent += outcome.sent
            # One that stalls stays busy, too: before all of it was tried in vain, the first of it
            # would be due again, and the run would never end.
            if not outcome.stalled:
                self._dispatcher.done(lane_id)
        return sent

    def _serve(self, lane_id: str) -> LaneOutcome:
        lane = self._tools.lanes.lease(lane_id)
        if lane is None:
            return LaneOutcome()
        # Holds if the delivery breaks off.
        later = self._tools.clock.precise() + LOOK_AGAIN
        outcome = LaneOutcome(next_due=later, careful=True, incomplete=True)
        try:
            outcome = self._deliver(lane)
            if outcome.incomplete:
                outcome.next_due = later
            return outcome
        except Exception as error:
            if is_outage(error) or not self._tools.recovery.fail_malformed(lane):
                raise
            # What was in the way is gone; what is marked is taken over at once.
            log.warning("lane.malformed_rows_failed", lane=lane_id, error=repr(error))
            outcome.more = True
            return LaneOutcome()
        finally:
            self._tools.lanes.release(
                lane,
                more=outcome.more,
                next_due=outcome.next_due,
                careful=outcome.careful,
                incomplete=outcome.incomplete,
            )

    def _deliver(self, lane: Lane) -> LaneOutcome:
        self._subscribers.load([lane.id, *self._dispatcher.upcoming()])
        subscriber = self._subscribers.of(lane.id)
        is_closed = subscriber is not None and (
            subscriber["_id"] in self._tools.closed or not subscriber.get("is_active")
        )
        if is_closed or lane.orphaned:
            lost = self._tools.recovery.find_lost(lane)
            if lost:
                return take_over(self._tools, lane, subscriber, lost)
        if is_closed:
            # Its rows are kept; they go out in order when it is active again.
            return LaneOutcome(next_due=self._tools.clock.precise() + LOOK_AGAIN)
        return LaneDelivery(self._tools, lane, subscriber, self._limit).run()
