"""One enqueue run: from published rows to rows of the delivery queue."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.archive.journal.journal import Journal
from apps.content_api.backlog import CopyBacklog
from apps.core.clock import Clock
from apps.core.errors import PreconditionFailed
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import QueueState
from apps.publish.enqueue.batch import RoutingBatch, RoutingTools, Unroutable
from apps.publish.enqueue.claims import PublishedClaims, ScheduledRelease, predecessors
from apps.publish.enqueue.enqueue_service import enqueue_services
from apps.publish.enqueue.resends import ResendRequests, ResendRouter
from apps.publish.enqueue.rules import Alarm, Snapshots
from apps.routing.internal_destinations.copies import DeskCopies
from apps.store.collections import PUBLISHED
from apps.store.sequences import Sequences
from formatters.base import Formatter

log = structlog.get_logger(__name__)

RETRY_SECONDS = 10


@dataclass
class BatchOutcome:
    """Outcome of the published rows of one batch.

    Attributes:
        failed: rows with what is written to them.
        waiting: rows that wait for one that is tried again.
        held_up: items whose next versions have to wait.
    """

    queued: list[Document] = field(default_factory=list)
    not_transmitted: list[Document] = field(default_factory=list)
    failed: list[tuple[Document, Document]] = field(default_factory=list)
    waiting: list[Document] = field(default_factory=list)
    held_up: set[str] = field(default_factory=set)


class EnqueueContent:
    """Route what has been published.

    Safe to run in several processes at once and to kill at any point: what was claimed comes back
    when its lease ends, and rows that exist already are not written twice.

    Args:
        journal: completes publish actions that a dead process left undone.
        catch_up: corrects the packages around published rows, before these are routed, where a
            process died before it did.
        desk_copies: copies published rows to the desks of internal destinations.
        formatters: output formats by name.
        backlog: copies items into the content API; None where there is none.
        notifier: tells clients.
        wake_up: starts the transmit task now; losing the call costs one tick.
        on_released: called with each scheduled item that has come out.
        on_failed: called with published rows that cannot be routed and are not tried again.
        settings: LEASE_SECONDS, ENQUEUE_BATCH_SIZE, ENQUEUE_MAX_ATTEMPTS and those of the formats.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        journal: Journal,
        catch_up: Callable[[Sequence[Document]], None],
        desk_copies: DeskCopies,
        sequences: Sequences,
        formatters: Registry[Formatter],
        backlog: CopyBacklog | None,
        notifier: Notifier,
        wake_up: Callable[[], None],
        on_released: Callable[[Document], None],
        on_failed: Callable[[Sequence[Document]], None],
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self._journal = journal
        self._catch_up = catch_up
        self._desk_copies = desk_copies
        self._wake_up = wake_up
        self._on_failed = on_failed
        self._settings = settings
        alarm = Alarm(db, clock, notifier)
        snapshots = Snapshots(
            db,
            clock,
            alarm,
            content_api=backlog is not None,
            max_age=timedelta(seconds=settings["RULES_MAX_AGE_SECONDS"]),
        )
        self._tools = RoutingTools(
            db, clock, sequences, formatters, snapshots, backlog, notifier, settings
        )
        self._resends = ResendRouter(
            self._tools,
            ResendRequests(db, clock, timedelta(seconds=settings["LEASE_SECONDS"])),
            int(settings["ENQUEUE_MAX_ATTEMPTS"]),
            RETRY_SECONDS,
        )
        self._release = ScheduledRelease(db, clock, journal, notifier, on_released)

    def run(self) -> int:
        """Route everything that is waiting; return how many published rows were taken."""
        self._tools.snapshots.start_run()
        self._journal.complete_abandoned()
        claims = PublishedClaims(
            self._db,
            self._clock,
            timedelta(seconds=self._settings["LEASE_SECONDS"]),
            int(self._settings["ENQUEUE_BATCH_SIZE"]),
        )
        claims.release_expired()
        total = 0
        while batch := claims.take():
            total += len(batch)
            if self._route(batch, claims):
                self._wake_up()
        if self._resends.run():
            self._wake_up()
        self._desk_copies.send_scheduled()
        if self._tools.backlog is not None:
            self._tools.backlog.retry_due()
        return total

    def _route(self, batch: Sequence[Document], claims: PublishedClaims) -> int:
        """Route a claimed batch; return how many queue rows it made."""
        self._journal.clear_published({row["item_id"]: row["_id"] for row in batch})
        rows = self._release.release(batch)
        self._follow(rows, claims)
        routed = RoutingBatch(self._tools, rows)
        outcome = BatchOutcome()
        for row in rows:
            if outcome.held_up.isdisjoint({row["item_id"], *predecessors(row)}):
                self._route_one(row, routed, outcome)
            else:
                outcome.held_up.add(row["item_id"])
                outcome.waiting.append(row)
        if not claims.renew(rows):
            # Another run has routed the batch by now, perhaps by newer rules.
            claims.give_back(row["_id"] for row in rows)
            return 0
        routed.store()
        routed.announce()
        # Queue rows do not wait for the macros of other desks.
        self._desk_copies.send(rows)
        self._finish(outcome, claims)
        return routed.count

    def _follow(self, rows: Sequence[Document], claims: PublishedClaims) -> None:
        """Let packages catch up with `rows`; what is wrong with a package holds nothing else up."""
        try:
            self._catch_up(rows)
        except PreconditionFailed:
            claims.give_back(row["_id"] for row in rows)
            raise
        except PyMongoError:
            raise
        except Exception:
            items = sorted({row["item_id"] for row in rows})
            log.exception("packages.not_corrected", items=list(items))

    def _route_one(self, row: Document, batch: RoutingBatch, outcome: BatchOutcome) -> None:
        service = enqueue_services.get(row.get("operation") or "")
        if service is None:
            message = f"400: Unknown operation {row.get('operation')!r}"
            outcome.failed.append((row, self._failure(row, message, may_pass=False)))
            return
        try:
            added = batch.route(row, service)
        except Unroutable as error:
            failure = self._failure(row, str(error), may_pass=error.may_pass)
            outcome.failed.append((row, failure))
            if failure["queue_state"] == QueueState.PENDING:
                outcome.held_up.add(row["item_id"])
            else:
                batch.add_failed(row)
            return
        is_queued = added or row.get("revived")
        (outcome.queued if is_queued else outcome.not_transmitted).append(row)

    def _finish(self, outcome: BatchOutcome, claims: PublishedClaims) -> None:
        """Write the queue states of the batch in one command."""
        done = {"queue_owner": None, "queue_lease_until": None}
        writes = [
            UpdateOne(
                {"_id": row["_id"], "queue_owner": claims.owner},
                {"$set": {**done, "queue_state": state, "error_message": None}},
            )
            for state, rows in (
                (QueueState.QUEUED, outcome.queued),
                (QueueState.QUEUED_NOT_TRANSMITTED, outcome.not_transmitted),
            )
            for row in rows
        ]
        for row, failure in outcome.failed:
            own = {"_id": row["_id"], "queue_owner": claims.owner}
            writes.append(UpdateOne(own, {"$set": {**done, **failure}}))
        if writes:
            self._db[PUBLISHED].bulk_write(writes, ordered=False)
        ended = [{**row, **failure} for row, failure in outcome.failed]
        if given_up := [row for row in ended if row["queue_state"] == QueueState.ERROR]:
            self._on_failed(given_up)
        if outcome.waiting:
            claims.give_back(row["_id"] for row in outcome.waiting)

    def _failure(self, row: Document, message: str, *, may_pass: bool) -> Document:
        attempts = int(row.get("queue_attempts") or 0) + 1
        if not may_pass or attempts >= int(self._settings["ENQUEUE_MAX_ATTEMPTS"]):
            return {"queue_state": QueueState.ERROR, "error_message": message}
        wait = timedelta(seconds=RETRY_SECONDS * attempts)
        return {
            "queue_state": QueueState.PENDING,
            "queue_attempts": attempts,
            "queue_retry_at": self._clock.precise() + wait,
            "error_message": message,
        }
