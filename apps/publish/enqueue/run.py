"""One enqueue run: from published rows to rows of the delivery queue."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Protocol

import structlog
from pymongo import UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import OperationFailure

from apps.archive.journal.journal import Journal
from apps.content_api.backlog import CopyBacklog
from apps.core.clock import Clock
from apps.core.documents import number_of, text_of
from apps.core.errors import PreconditionFailed
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.core.vocabulary import WITHDRAWING_OPERATIONS, QueueState
from apps.publish.enqueue.batch import RoutingBatch, RoutingTools, Unroutable
from apps.publish.enqueue.claims import (
    PublishedClaims,
    ScheduledRelease,
    key_of,
    waits_for_items,
)
from apps.publish.enqueue.enqueue_service import enqueue_services
from apps.publish.enqueue.resends import ResendRequests, ResendRouter
from apps.publish.enqueue.rules import Alarm, Marks, Snapshots
from apps.routing.filters.content_filters import FilterSet
from apps.routing.internal_destinations.copies import DeskCopies
from apps.store.collections import ARCHIVE, PUBLISHED
from apps.store.mongo import is_outage
from apps.store.sequences import Sequences
from formatters.base import Formatter

log = structlog.get_logger(__name__)

RETRY_SECONDS = 10
MESSAGE_LENGTH = 1000
MOST_ATTEMPTS = 1_000_000
"""A count that stops here."""
FAILED = "500: Failed to publish the item"
NO_ITEM = "404: Item {} does not exist"
NAMES_NO_ITEM = "400: The row names no item"


@dataclass
class BatchOutcome:
    """Outcome of the published rows of one batch.

    Attributes:
        failed: rows with what is written to them.
        waiting: rows that wait for one that is tried again, or are tried again themselves.
        held_up: items whose next versions have to wait.
    """

    queued: list[Document] = field(default_factory=list)
    not_transmitted: list[Document] = field(default_factory=list)
    failed: list[tuple[Document, Document]] = field(default_factory=list)
    waiting: list[Document] = field(default_factory=list)
    held_up: set[str] = field(default_factory=set)

    def put_off(self, rows: Sequence[Document]) -> None:
        """Let rows be routed once more, whatever became of them."""
        again = {key_of(row) for row in rows}
        for ended in (self.queued, self.not_transmitted):
            ended[:] = [row for row in ended if key_of(row) not in again]
        self.failed = [each for each in self.failed if key_of(each[0]) not in again]
        self.waiting += rows
        self.held_up |= {text_of(row, "item_id") for row in rows}


class Follower(Protocol):
    """Acts on what goes out besides the subscribers' deliveries.

    Attributes:
        collections: what it goes by. How many documents they hold is known for each batch.
    """

    collections: Sequence[str]

    def follow(
        self, rows: Sequence[Document], filters: FilterSet, marks: Marks
    ) -> Sequence[Document]:
        """Act on published rows, which are claimed. Safe to repeat.

        Args:
            filters: the content filters.
            marks: of its collections; those that are empty have none.

        Returns:
            Rows that it could not act on now: they are routed, and handed to it, once more.

        Raises:
            PyMongoError: it has to be tried again.
        """
        ...


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
        followers: others who act on what goes out.
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
        followers: Sequence[Follower] = (),
    ) -> None:
        self._db = db
        self._followers = followers
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
            watched=[name for follower in followers for name in follower.collections],
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
        """Route everything that is waiting; return how many published rows were taken.

        A process that is asked to end finishes the batch that it has claimed.
        """
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
        while not ASKED.is_set() and (batch := claims.take()):
            total += len(batch)
            held_up: set[str] = set()
            with claims.kept(batch):
                for part in _tried_before_last(batch):
                    self._route(part, claims, held_up)
        if ASKED.is_set():
            return total
        if self._resends.run():
            self._wake_up()
        _attempt(self._desk_copies.send_scheduled)
        if self._tools.backlog is not None:
            _attempt(self._tools.backlog.retry_due)
        return total

    def _route(self, rows: Sequence[Document], claims: PublishedClaims, held_up: set[str]) -> None:
        """Route claimed rows; whatever is wrong with one of them keeps no other from going out.

        They are routed together. Where that fails they are halved, until the row that is in the way
        is alone. Withdrawals come first then, each after what it waits for.

        Args:
            held_up: items whose next versions have to wait; grows.
        """
        try:
            made = self._route_together(rows, claims, held_up)
        except Exception as error:
            if is_outage(error):
                raise
            # What is wrong with the rules is no fault of a row.
            self._tools.snapshots.current()
            if len(rows) == 1:
                self._fail(rows[0], error, claims, held_up)
                return
            log.warning("enqueue.batch_halved", rows=len(rows), error=repr(error))
            ordered = _withdrawals_first(rows)
            middle = len(rows) // 2
            for part in (ordered[:middle], ordered[middle:]):
                self._route(part, claims, held_up)
        else:
            if made:
                self._wake_up()

    def _route_together(
        self, batch: Sequence[Document], claims: PublishedClaims, held_up: set[str]
    ) -> int:
        """Route a claimed batch; return how many queue rows it made."""
        outcome = BatchOutcome(held_up=set(held_up))
        rows = self._release.release(self._of_items(batch, outcome))
        rows = self._follow(rows, outcome)
        if not rows:
            self._finish(outcome, claims)
            held_up |= outcome.held_up
            return 0
        routed = RoutingBatch(self._tools, rows)
        for row in rows:
            if outcome.held_up.isdisjoint(waits_for_items(row)):
                self._route_one(row, routed, outcome)
            else:
                outcome.held_up.add(row["item_id"])
                outcome.waiting.append(row)
        if not claims.renew(rows):
            # Another run has routed the batch by now, perhaps by newer rules.
            claims.give_back(row["_id"] for row in batch)
            return 0
        routed.store()
        routed.announce()
        # Queue rows do not wait for the macros of other desks.
        _attempt(lambda: self._desk_copies.send(rows))
        waiting = [row["_id"] for row in outcome.waiting]
        outcome.put_off(self._tell_followers([row for row in rows if row["_id"] not in waiting]))
        self._finish(outcome, claims)
        held_up |= outcome.held_up
        return routed.count

    def _tell_followers(self, rows: Sequence[Document]) -> list[Document]:
        """Let others act on what is routed; what goes wrong there holds up no delivery.

        Returns:
            Rows that have to be routed again, for one of them could not act on them.

        Raises:
            PyMongoError: all of the rows have to.
        """
        snapshots = self._tools.snapshots
        again: dict[str, Document] = {}

        def tell(follower: Follower) -> None:
            marks = {n: m for n, m in snapshots.marks.items() if n in follower.collections}
            left = follower.follow(rows, snapshots.current_filters(), marks)
            again.update({key_of(row): row for row in left})

        for follower in self._followers:
            _attempt(partial(tell, follower))
        return list(again.values())

    def _of_items(self, batch: Sequence[Document], outcome: BatchOutcome) -> list[Document]:
        """Return the rows whose items exist; the others have failed.

        Clears the notes of their publish actions, which tells of most items that they exist.
        """
        named = {id_: row["_id"] for row in batch if (id_ := text_of(row, "item_id"))}
        known = set(named)
        if self._journal.clear_published(named) < len(named):
            found = self._db[ARCHIVE].find({"_id": {"$in": sorted(named)}}, {"_id": 1})
            known = {item["_id"] for item in found}
        rows = []
        for row in batch:
            id_ = text_of(row, "item_id")
            if id_ in known:
                rows.append(row)
                continue
            message = NO_ITEM.format(id_) if id_ else NAMES_NO_ITEM
            outcome.failed.append((row, self._failure(row, message, may_pass=False)))
        return rows

    def _follow(self, rows: Sequence[Document], outcome: BatchOutcome) -> list[Document]:
        """Let packages catch up with `rows`; what is wrong with a package holds nothing else up.

        Returns:
            The rows to go on with. Those whose packages others keep writing are to wait.
        """
        try:
            self._catch_up(rows)
        except Exception as error:
            if is_outage(error):
                raise
            if len(rows) > 1:
                return [kept for row in rows for kept in self._follow([row], outcome)]
            (row,) = rows
            if isinstance(error, PreconditionFailed):
                outcome.held_up.add(row["item_id"])
                outcome.waiting.append(row)
                return []
            log.exception("packages.not_corrected", item=row["item_id"])
        return list(rows)

    def _fail(
        self, row: Document, error: Exception, claims: PublishedClaims, held_up: set[str]
    ) -> None:
        """Note on a claimed row that it could not be routed."""
        log.error("item.not_routed", item=str(row.get("item_id")), exc_info=error)
        outcome = BatchOutcome()
        failure = self._failure(row, f"{FAILED}: {str(error) or repr(error)}", may_pass=True)
        outcome.failed.append((row, failure))
        if failure["queue_state"] == QueueState.PENDING:
            held_up.add(text_of(row, "item_id"))
        # A withdrawal that reaches no subscriber reaches the others.
        outcome.put_off(self._tell_followers([row]))
        held_up |= outcome.held_up
        try:
            self._finish(outcome, claims)
        except OperationFailure as unwritten:
            if is_outage(unwritten):
                raise
            # There is no room for the reason.
            claims.give_up(row)

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
        writes: list[UpdateOne | UpdateMany] = [
            UpdateMany(
                {"_id": {"$in": [row["_id"] for row in rows]}, "queue_owner": claims.owner},
                {"$set": {**done, "queue_state": state, "error_message": None}},
            )
            for state, rows in (
                (QueueState.QUEUED, outcome.queued),
                (QueueState.QUEUED_NOT_TRANSMITTED, outcome.not_transmitted),
            )
            if rows
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
            claims.put_off(outcome.waiting)

    def _failure(self, row: Document, message: str, *, may_pass: bool) -> Document:
        message = message[:MESSAGE_LENGTH]
        attempts = min(number_of(row, "queue_attempts"), MOST_ATTEMPTS) + 1
        if not may_pass or attempts >= int(self._settings["ENQUEUE_MAX_ATTEMPTS"]):
            return {"queue_state": QueueState.ERROR, "error_message": message}
        wait = timedelta(seconds=RETRY_SECONDS * attempts)
        return {
            "queue_state": QueueState.PENDING,
            "queue_attempts": attempts,
            "queue_retry_at": self._clock.precise() + wait,
            "error_message": message,
        }


def _attempt(step: Callable[[], object]) -> None:
    """Make a step that what is routed does not depend on.

    Raises:
        PyMongoError: the store is in trouble.
    """
    try:
        step()
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("enqueue.step_failed")


def _tried_before_last(batch: Sequence[Document]) -> Iterator[list[Document]]:
    """Yield the rows that are routed for the first time, then the others.

    So one that cannot be routed breaks no batch twice. Each part is in routing order, and whatever
    waits for a row that has failed before comes behind it.
    """
    first: list[Document] = []
    again: list[Document] = []
    items: set[str] = set()
    for row in batch:
        wanted = waits_for_items(row)
        if number_of(row, "queue_attempts") > 0 or not items.isdisjoint(wanted):
            items.add(text_of(row, "item_id"))
            again.append(row)
        else:
            first.append(row)
    yield from filter(None, (first, again))


def _withdrawals_first(rows: Sequence[Document]) -> list[Document]:
    """Return rows with withdrawals, and whatever these wait for, before all others."""
    urgent: list[Document] = []
    others: list[Document] = []
    items: set[str] = set()
    for row in reversed(rows):
        is_withdrawal = row.get("operation") in WITHDRAWING_OPERATIONS
        if is_withdrawal or text_of(row, "item_id") in items:
            items |= waits_for_items(row)
            urgent.append(row)
        else:
            others.append(row)
    return [*reversed(urgent), *reversed(others)]
