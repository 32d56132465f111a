"""Serves the lanes of integrations: what is due of their records, in order, several at a time."""

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event, Lock
from time import monotonic
from typing import Any

import structlog
from bson import ObjectId
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.lanes import (
    Circuit,
    Lane,
    LaneKind,
    LaneOutcome,
    LaneRun,
    LaneServer,
    Pause,
    RunContext,
)
from apps.publisher.run.results import DOWN
from apps.publisher.run.steps import Steps
from apps.publisher.run.upkeep import SiteSync
from apps.publisher.schema import IntegrationState, Phase, WishAction
from apps.store.collections import (
    PUBLISHER_INTEGRATIONS,
    PUBLISHER_LANES,
    PUBLISHING_RECORDS,
)
from apps.store.mongo import is_outage
from transmitters.cms.base import Platform, PlatformError

log = structlog.get_logger(__name__)

BATCH = 50
"""Records that are looked at together; what is more urgent is looked for again after them."""
AUTH, RATE_LIMITED = "auth", "rate_limited"
"""Why a lane rests."""


def lane_id_of(integration: object) -> str | None:
    """Return the lane of an integration's records."""
    return str(integration) if isinstance(integration, ObjectId) else None


def site_lanes(**limits: Any) -> LaneKind:
    """Return the lanes of integrations.

    Args:
        limits: fields of the kind that settings decide on: `lease`, `threads`, `retries`.
    """
    return LaneKind(
        name="sites",
        lanes=PUBLISHER_LANES,
        work=PUBLISHING_RECORDS,
        in_progress={"lease_owner": {"$type": "string"}},
        waiting={"next_attempt_at": {"$type": "date"}},
        lane_field="integration",
        lane_id=lane_id_of,
        # A request to a site may take a minute, and an upload five.
        slow_seconds=60.0,
        **limits,
    )


class SiteServer(LaneServer):
    """Carries out the wishes of one integration.

    Args:
        db: the database.
        clock: source of the current time.
        kind: the lanes.
        steps: takes one record through its wish.
        platform_of: see `Steps`.
        may_continue: see `RunContext`.
        sync: reads what sites have; None where nobody does.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        kind: LaneKind,
        steps: Steps,
        platform_of: Callable[[Mapping[str, Any]], Platform],
        may_continue: Callable[[Lane | None], bool],
        sync: SiteSync | None = None,
    ) -> None:
        self._sync = sync
        self._integrations = db[PUBLISHER_INTEGRATIONS]
        self._records = db[PUBLISHING_RECORDS]
        self._clock = clock
        self._kind = kind
        self._steps = steps
        self._platform_of = platform_of
        self._may_continue = may_continue

    def serve(self, lane: Lane) -> LaneOutcome:
        wanted = {"_id": ObjectId(lane.id)}
        integration = self._integrations.find_one(wanted)
        if integration is None:
            return LaneOutcome()
        if pause := self._pause(integration):
            return LaneOutcome(pause=pause)
        started_with, tally = lane.breaker.circuit, Tally()
        due = self._due(integration["_id"])
        has_more = len(due) == BATCH
        sync = self._sync
        if sync is not None and started_with is Circuit.CLOSED and sync.is_due(integration):
            urgent = [record for record in due if _retracts(record)]
            if not urgent:
                return self._synced(lane, integration, sync)
            due, has_more = urgent, True
        if started_with is Circuit.OPEN:
            due = [record for record in due if _retracts(record)]
        if started_with is not Circuit.CLOSED:
            due = due[:1]
        alone = started_with is not Circuit.CLOSED
        done = self._carry_out(lane, integration, due, tally, alone=alone)
        is_closed = lane.breaker.circuit is Circuit.CLOSED
        left = len(done) < len(due) or has_more
        return LaneOutcome(
            sent=sum(done),
            more=left and sum(done) > 0 and is_closed,
            next_due=self._next_due(integration, only_retractions=not is_closed),
            pause=self._pause(integration),
            counts=tally.counts,
        )

    def _synced(self, lane: Lane, integration: Document, sync: SiteSync) -> LaneOutcome:
        """Read what the site has, before stories go by it; what is due is done right after."""
        error = sync.read(integration)
        lane.breaker.record(answered=error is None or error.error_class not in DOWN)
        return LaneOutcome(next_due=self._clock.precise())

    def _pause(self, integration: Mapping[str, Any]) -> Pause | None:
        """Return the rest that a site's last answer asks for."""
        if integration.get("state") == IntegrationState.AUTH_FAILED:
            return Pause(AUTH)
        until = integration.get("paused_until")
        if until is not None and until > self._clock.precise():
            return Pause(RATE_LIMITED, until)
        return None

    def _due(self, integration: Any) -> list[Document]:
        """Return what is due: retractions, then wishes by their age, later looks last."""
        now = self._clock.precise()
        query = {"integration": integration, "next_attempt_at": {"$lte": now}}
        fields = {"desired.action": 1, "desired.at": 1, "phase": 1, "claim_token": 1}
        urgent = {**query, "desired.action": WishAction.RETRACT, "phase": {"$ne": Phase.IDLE}}
        found = [
            *self._records.find(urgent, fields).sort("next_attempt_at", 1).limit(BATCH),
            *self._records.find(query, fields).sort("next_attempt_at", 1).limit(BATCH),
        ]
        known = {record["_id"]: record for record in found}
        return sorted(known.values(), key=lambda record: _rank(record, now))[:BATCH]

    def _next_due(
        self, integration: Mapping[str, Any], *, only_retractions: bool
    ) -> datetime | None:
        query: Document = {"integration": integration["_id"], "next_attempt_at": {"$type": "date"}}
        if only_retractions:
            query["desired.action"] = WishAction.RETRACT
        fields = {"next_attempt_at": 1}
        first = self._records.find_one(query, fields, sort=[("next_attempt_at", 1)])
        times = [first["next_attempt_at"] if first else None]
        if self._sync is not None:
            times.append(self._sync.retry_at(integration))
        return min(filter(None, times), default=None)

    def _carry_out(
        self,
        lane: Lane,
        integration: Document,
        due: list[Document],
        tally: "Tally",
        *,
        alone: bool,
    ) -> list[bool]:
        """Carry out what is due; return for each record that was started whether it was due."""
        deadline = monotonic() + self._kind.batch_seconds

        def may_start() -> bool:
            is_up = alone or lane.breaker.circuit is Circuit.CLOSED
            is_in_time = monotonic() < deadline and self._may_continue(lane)
            return is_up and is_in_time and self._pause(integration) is None

        platform = self._opened(integration) if due else None

        def carry_out(record: Document) -> bool | None:
            if not may_start():
                return None
            return self._one(lane, integration, platform, record, tally)

        count = 1
        if platform is not None and not alone and not lane.careful:
            count = int(platform.site.options.get("parallel") or platform.parallel)
        with ThreadPoolExecutor(max(1, min(count, len(due))), self._kind.name) as threads:
            results = list(threads.map(carry_out, due))
        return [result for result in results if result is not None]

    def _opened(self, integration: Mapping[str, Any]) -> Platform | None:
        """Return the platform that all records of a batch share; None where each has to fail."""
        try:
            return self._platform_of(integration)
        except PlatformError:
            return None

    def _one(
        self,
        lane: Lane,
        integration: Document,
        platform: Platform | None,
        record: Document,
        tally: "Tally",
    ) -> bool:
        try:
            result = self._steps.carry_out(
                record["_id"],
                integration,
                platform=platform,
                holds_lane=True,
                on_answer=lambda answered: lane.breaker.record(answered=answered),
                on_counts=tally.add,
            )
        except Exception as error:
            if is_outage(error):
                raise
            # One record keeps no other from going on.
            log.exception("publisher.record_crashed", record=str(record["_id"]))
            self._put_off(record)
            return True
        return result is not None

    def _put_off(self, record: Document) -> None:
        later = self._clock.precise() + self._kind.look_again
        self._records.update_one(
            {"_id": record["_id"], "claim_token": int(record.get("claim_token") or 0) + 1},
            {"$set": {"next_attempt_at": later, "lease_owner": None, "lease_until": None}},
        )


class Tally:
    """Adds up what the threads of a lane count."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._lock = Lock()

    def add(self, counts: Mapping[str, float]) -> None:
        with self._lock:
            self.counts.update(counts)


def _retracts(record: Mapping[str, Any]) -> bool:
    action = (record.get("desired") or {}).get("action")
    return action == WishAction.RETRACT and record.get("phase") != Phase.IDLE


def _rank(record: Mapping[str, Any], now: datetime) -> tuple[int, datetime]:
    is_later_look = record.get("phase") == Phase.IDLE
    wanted_at = (record.get("desired") or {}).get("at") or now
    return (2 if is_later_look else 0 if _retracts(record) else 1, wanted_at)


class SiteRun:
    """Carries out everything that is due at all sites.

    Safe to run in several processes at once and to kill at any point.

    Args:
        db: the database.
        clock: source of the current time.
        kind: the lanes, see `site_lanes`.
        steps: takes one record through its wish.
        platform_of: see `Steps`.
        prepare: called before each run.
        sync: reads what sites have; None where nobody does.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        kind: LaneKind,
        steps: Steps,
        platform_of: Callable[[Mapping[str, Any]], Platform],
        prepare: Callable[[], object] = lambda: None,
        sync: SiteSync | None = None,
    ) -> None:
        def new_server(context: RunContext) -> LaneServer:
            return SiteServer(db, clock, kind, steps, platform_of, context.may_continue, sync)

        self._lanes = LaneRun(db, clock, kind, new_server, prepare=prepare)

    def run(self, stop: Event = ASKED) -> int:
        """Carry out what is due now; return how many records were worked on.

        Args:
            stop: ends the run early; unless given, it ends when the process is asked to.

        Raises:
            PyMongoError: the store is away.
        """
        return self._lanes.run(stop)
