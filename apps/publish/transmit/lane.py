"""Delivers one claimed batch of a lane."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import Fault, RowState
from apps.lanes.breaker import Circuit
from apps.lanes.claims import Lane, LaneOutcome, Pause
from apps.lanes.kind import LaneKind
from apps.lanes.retries import has_unknown_outcome
from apps.lanes.worker import LaneServer
from apps.publish.queue.lane_state import DISABLED
from apps.publish.queue.payloads import BodiesAhead, Payloads
from apps.publish.transmit.attempt import Result, RowSender
from apps.publish.transmit.attempt_log import AttemptLog
from apps.publish.transmit.claim import LaneSelection, RowClaims
from apps.publish.transmit.destinations import Subscribers, mode_of
from apps.publish.transmit.failures import Failures, failure_of, is_critical
from apps.publish.transmit.recover import Recovery
from apps.publish.transmit.results import Results, ResultWriter
from transmitters.base import Mode, Transmitter

log = structlog.get_logger(__name__)

GONE = "It answered 410: it is gone."
HOPELESS = "Nothing has got through since {:%Y-%m-%d %H:%M} UTC, in {} attempts."


@dataclass(frozen=True)
class LaneTools:
    """The services that lane deliveries share within a run."""

    db: Database[Document]
    clock: Clock
    kind: LaneKind
    claims: RowClaims
    sender: RowSender
    payloads: Payloads
    registry: Registry[Transmitter]
    notifier: Notifier
    failures: Failures
    attempt_log: AttemptLog
    result_writer: ResultWriter
    on_claim: Callable[[], None]
    """Called with each lane that is looked into."""
    closed: set[Any]
    """Ids of subscribers that this run has closed."""
    recovery: Recovery
    may_continue: Callable[[Lane | None], bool]
    """False once the run shall stop or can no longer renew its leases, or that of a lane."""
    urgent_only: bool = False
    """The run is for what is urgent."""


def take_over(
    tools: LaneTools,
    lane: Lane,
    subscriber: Mapping[str, Any] | None,
    lost: Sequence[Document],
) -> LaneOutcome:
    """Give back what somebody left in progress in a lane, and clean up behind it.

    Args:
        subscriber: owner of the lane; None when it is gone.
        lost: rows that were being sent under an earlier lease, see `Recovery.find_lost`.
    """
    tools.sender.clean_up(lost, lane.id, subscriber)
    tools.recovery.take_over(lane, mode_of(lane.id, subscriber, tools.registry), lost)
    # Whatever ended the other process: go on one row at a time.
    return LaneOutcome(more=True, careful=True)


class RowServer(LaneServer):
    """Delivers the rows of lanes.

    Args:
        tools: see `LaneTools`.
        subscribers: owners of the lanes.
        upcoming: returns the lanes that are served next.
        limit: rows taken by one claim.
    """

    def __init__(
        self,
        tools: LaneTools,
        subscribers: Subscribers,
        upcoming: Callable[[], list[str]],
        limit: int,
    ) -> None:
        self._tools = tools
        self._subscribers = subscribers
        self._upcoming = upcoming
        self._limit = limit

    def serve(self, lane: Lane) -> LaneOutcome:
        self._tools.on_claim()
        self._subscribers.load([lane.id, *self._upcoming()])
        subscriber = self._subscribers.of(lane.id)
        is_closed = subscriber is not None and (
            subscriber["_id"] in self._tools.closed or not subscriber.get("is_active")
        )
        if is_closed or lane.orphaned or lane.sending:
            lost = self._tools.recovery.find_lost(lane)
            if lost or lane.sending:
                return take_over(self._tools, lane, subscriber, lost)
        if is_closed:
            # Its rows are kept; they go out in order when it is active again.
            later = self._tools.clock.precise() + self._tools.kind.look_again
            return LaneOutcome(next_due=later)
        return LaneDelivery(self._tools, lane, subscriber, self._limit).run()

    def settle(self, lane: Lane) -> bool:
        lost = self._tools.recovery.find_lost(lane) if lane.orphaned or lane.sending else []
        if lost or lane.sending:
            self._subscribers.load([lane.id])
            take_over(self._tools, lane, self._subscribers.of(lane.id), lost)
        if lane.document.get("urgent") and (waiting := self._tools.claims.withdrawals(lane)):
            self._tools.failures.withdrawal_held(waiting)
        return True

    def mend(self, lane: Lane) -> bool:
        """Fail the rows of a lane that nobody can send."""
        return self._tools.recovery.fail_malformed(lane) > 0


def leave_calm(selection: LaneSelection) -> None:
    """Leave what comes behind the last urgent row to others; some may have to go before it."""
    urgent = [place for place, row in enumerate(selection.rows, start=1) if row.get("priority")]
    last = max(urgent, default=0)
    selection.more |= last < len(selection.rows)
    selection.rows = selection.rows[:last]


def is_cut_short(selection: LaneSelection) -> bool:
    """Whether more urgent rows may be due than were selected."""
    rows = selection.rows
    return selection.more and bool(rows) and bool(rows[-1].get("priority"))


class LaneDelivery:
    """Delivers the rows that are due in one lane, in order (delivery contract O1 to O6).

    Args:
        tools: see `LaneTools`.
        lane: the claim.
        subscriber: owner of the lane; None when it is gone.
        limit: rows to take.
    """

    def __init__(
        self, tools: LaneTools, lane: Lane, subscriber: Mapping[str, Any] | None, limit: int
    ) -> None:
        self._tools = tools
        self._lane = lane
        self._is_gone = subscriber is None
        self._subscriber = subscriber or {}
        self._mode = mode_of(lane.id, subscriber, tools.registry)
        self._is_probe = lane.breaker.circuit is not Circuit.CLOSED
        self._limit = lane.limit(limit)
        self._is_failing = lane.failing
        self._deadline = time.monotonic() + tools.kind.batch_seconds
        self._outcome = LaneOutcome()

    def run(self) -> LaneOutcome:
        """Claim, deliver, record; return what it came to."""
        claims, mode = self._tools.claims, self._mode
        selection = claims.select(self._lane, mode, self._limit)
        if selection.has_lost:
            lost = self._tools.recovery.find_lost(self._lane)
            return take_over(self._tools, self._lane, self._subscriber or None, lost)
        if not self._tools.may_continue(self._lane):
            return LaneOutcome(more=True, careful=self._lane.careful)
        is_urgent = is_cut_short(selection)
        if self._tools.urgent_only:
            leave_calm(selection)
        self._outcome.more = selection.more
        # What waits for a retry is urgent when nothing else is due before.
        self._outcome.urgent = is_urgent or bool(not selection.more and selection.next_withdrawal)
        self._outcome.next_due = selection.next_due
        rows = claims.take(self._lane, selection)
        if len(rows) < len(selection.rows):
            # Whoever changes them may die before that.
            self._is_due_by(self._tools.clock.precise() + self._tools.kind.lease)
        if not rows:
            return self._outcome
        results = self._results(mode, selection)
        try:
            with self._tools.result_writer.looking_after(results):
                rows = self._without_outdated(rows, results)
                bodies = BodiesAhead(self._tools.payloads, rows)
                left = self._deliver(rows, bodies, results)
        finally:
            results.write()
        self._outcome.incomplete = results.is_incomplete
        self._outcome.more |= bool(left)
        is_urgent = self._outcome.urgent or any(row.get("priority") for row in left)
        self._outcome.urgent = bool(is_urgent)
        return self._outcome

    def _is_due_by(self, due_at: datetime) -> None:
        self._outcome.next_due = min(filter(None, (self._outcome.next_due, due_at)))

    def _results(self, mode: Mode, selection: LaneSelection) -> Results:
        tools = self._tools
        results = Results(
            tools.db,
            tools.clock,
            tools.notifier,
            self._lane,
            mode,
            on_recorded=self._act_on,
            on_failed=tools.failures.exhausted,
        )
        results.older |= selection.older
        results.older |= {r["item_id"] for r in selection.rows if r["state"] == RowState.RETRYING}
        return results

    def _without_outdated(self, rows: list[Document], results: Results) -> list[Document]:
        """Cancel repeats of what something newer is out of: a kill must have the last word.

        Looked at once they are noted as being sent: what is published from now on comes behind.
        """
        outdated = self._tools.claims.outdated(rows)
        for row in rows:
            if row["_id"] in outdated:
                now = self._tools.clock.precise()
                results.add(Result(row, {"state": RowState.CANCELED, "_updated": now}))
        return [row for row in rows if row["_id"] not in outdated]

    def _deliver(
        self, rows: Sequence[Document], bodies: BodiesAhead, results: Results
    ) -> list[Document]:
        """Deliver `rows`; return those that were not started."""
        if not self._subscriber.get("async"):
            return self._deliver_in_order(rows, bodies, results)
        lines: dict[str, list[Document]] = {}
        for row in rows:
            lines.setdefault(row["item_id"], []).append(row)
        with ThreadPoolExecutor(self._tools.kind.parallel) as threads:
            done = threads.map(
                lambda line: self._deliver_in_order(line, bodies, results), lines.values()
            )
            return [row for left in done for row in left]

    def _deliver_in_order(
        self, rows: Iterable[Document], bodies: BodiesAhead, results: Results
    ) -> list[Document]:
        left: list[Document] = []
        held_up: set[str] = set()
        for row in rows:
            if row["item_id"] in held_up:
                left.append(row)
                continue
            # The outcome of an older version is durable before the next one starts (delivery
            # contract C5): of each item at most the first row in progress may have been sent.
            results.write_of(row["item_id"])
            if results.is_incomplete or not self._may_start():
                # What another thread delivers may close the breaker again: nothing newer of the
                # item goes ahead of this.
                held_up.add(row["item_id"])
                left.append(row)
                continue
            subscriber = None if self._is_gone else self._subscriber
            result = self._tools.sender.send(row, self._lane.id, subscriber, bodies.take(row))
            self._tools.attempt_log.write(result, self._lane.token)
            results.add(result)
            self._count(result.row, result)
            if is_critical(self._subscriber, result) or self._gives_up(result):
                # Nothing more is sent to a subscriber that this closes, or a destination that it
                # disables.
                results.write()
            if result.state == RowState.RETRYING and self._mode is Mode.APPEND:
                held_up.add(row["item_id"])
        return left

    def _act_on(self, recorded: Sequence[Result]) -> None:
        """Let failures, and the first success after one, have their consequences.

        Only of results that are on record: who has lost the lease closes no subscriber.
        """
        self._tools.attempt_log.count(recorded)
        for result in recorded:
            if result.state == RowState.SUCCESS:
                self._succeeded(result)
            elif result.fault is not None and not self._is_gone:
                self._failed(result)

    def _succeeded(self, result: Result) -> None:
        health = self._lane.health
        if self._is_failing or health.is_told:
            self._is_failing = False
            self._tools.failures.recovered(result.row, was_failing=health.is_told)
        health.succeeded()

    def _failed(self, result: Result) -> None:
        """Report a failure, close the subscriber or disable the destination if need be."""
        failures, health = self._tools.failures, self._lane.health
        if result.code is not None:
            self._is_failing = True
            if failures.record(self._subscriber, result):
                self._tools.closed.add(self._subscriber["_id"])
        health.failed(failure_of(result), counts=result.fault == Fault.THEIRS)
        if result.fault != Fault.THEIRS:
            return
        if health.is_to_be_told:
            failures.failing(result, health.failures)
            health.told()
        if self._outcome.pause is None and (because := self._why_disable(result)):
            about = {"at": self._tools.clock.now(), "because": because}
            self._outcome.pause = Pause(DISABLED, about=about)
            failures.disabled(result, because)

    def _why_disable(self, result: Result) -> str:
        """Return why the destination is disabled after a failure; empty where it is not."""
        health = self._lane.health
        if self._gives_up(result):
            return GONE
        if self._may_disable and health.is_hopeless:
            return HOPELESS.format(health.since, health.failures)
        return ""

    @property
    def _may_disable(self) -> bool:
        """Whether the destinations of the subscriber may be disabled; unless it says otherwise."""
        return self._subscriber.get("disable_failing") is not False

    def _gives_up(self, result: Result) -> bool:
        """Whether the receiver has just said that it is gone, and is left alone from now on."""
        return result.is_gone and self._may_disable and self._lane.health.gives_up_gone

    def _may_start(self) -> bool:
        is_closed = self._subscriber.get("_id") in self._tools.closed
        is_in_time = time.monotonic() < self._deadline and not self._outcome.stalled
        is_up = self._is_probe or self._lane.breaker.circuit is Circuit.CLOSED
        is_open = not is_closed and self._outcome.pause is None
        return is_open and is_in_time and is_up and self._tools.may_continue(self._lane)

    def _count(self, row: Document, result: Result) -> None:
        self._outcome.sent += 1
        if result.answered is not None:
            self._lane.breaker.record(answered=result.answered, wait=result.wait)
        is_slow = result.seconds > self._tools.kind.slow_seconds
        self._outcome.careful |= is_slow or has_unknown_outcome(row)
        self._outcome.stalled |= is_slow and result.state == RowState.RETRYING
        if due_at := result.changes.get("next_retry_attempt_at"):
            self._is_due_by(due_at)
            self._outcome.urgent = bool(self._outcome.urgent or row.get("priority"))
