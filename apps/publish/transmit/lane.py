"""Delivers one claimed batch of a lane."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.clock import Clock
from apps.core.errors import FormatError, NotFound, PermanentFailure, PluginError
from apps.core.notifier import Notifier
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.media.storage import MediaStorage
from apps.publish.queue.payloads import Body, Payloads
from apps.publish.transmit.attempt import Attempts, Result
from apps.publish.transmit.claim import Lane, LaneClaims, Selection
from apps.publish.transmit.destinations import TransmitterPool, resolve
from apps.publish.transmit.failures import Failures
from apps.publish.transmit.recover import UNKNOWN
from apps.publish.transmit.results import Results
from apps.routing.subscribers.stored_destinations import CONTENT_API_DESTINATION, destination_id
from apps.secrets.vault import UnreadableSecret, Vault
from apps.store.collections import PUBLISH_QUEUE, PUBLISHED
from transmitters.base import Delivery, MediaFile, Mode, Transmitter

log = structlog.get_logger(__name__)

SLOW_SECONDS = 1.0
BATCH_SECONDS = 20.0
"""Time after which a batch ends, so that slow lanes do not hold rows that could be canceled."""
PARALLEL_LINES = 4
NOTHING_TO_SEND = "There is nothing to send: the row has no formatted item"
NO_SUBSCRIBER = "The subscriber does not exist any more"
MODE = Mode.APPEND
"""How versions are treated where the type of the destination is not known."""


@dataclass(frozen=True)
class LaneTools:
    """What lane deliveries share within a run."""

    db: Database[Document]
    clock: Clock
    claims: LaneClaims
    attempts: Attempts
    payloads: Payloads
    transmitters: TransmitterPool
    registry: Registry[Transmitter]
    vault: Vault
    notifier: Notifier
    media: MediaStorage
    failures: Failures
    format_row: Callable[[Document], str]
    """Formats what could not be formatted before; returns the id of the payload."""
    closed: set[Any]
    """Ids of subscribers that this run has closed."""
    may_continue: Callable[[], bool]
    """False once the run shall stop or can no longer renew its leases."""
    on_failed: Callable[[Sequence[Document]], None]
    """Called with rows of one lane that have failed for good."""


@dataclass
class Batch:
    """What one batch came to.

    Attributes:
        sent: attempts made.
        more: whether more is due in the lane.
        next_due: when something that waits becomes due.
        careful: whether the next claim should take one row only.
        unsettled: whether rows are left that are marked as being sent.
    """

    sent: int = 0
    more: bool = False
    next_due: datetime | None = None
    careful: bool = False
    unsettled: bool = False


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
        self._limit = 1 if lane.careful else limit
        self._is_failing = lane.failing
        self._deadline = time.monotonic() + BATCH_SECONDS
        self._batch = Batch()

    def run(self) -> Batch:
        """Claim, deliver, record; return what it came to."""
        mode = self._mode()
        selection = self._tools.claims.select(self._lane, mode, self._limit)
        self._cancel(selection.superseded)
        self._batch.more = selection.more
        self._batch.next_due = selection.next_due
        if not selection.rows:
            return self._batch
        rows = self._tools.claims.mark(self._lane, selection.rows)
        results = self._results(mode, selection)
        try:
            rows = self._without_outdated(rows, results)
            bodies = self._tools.payloads.load(rows)
            left = self._deliver(rows, bodies, results)
        finally:
            results.close()
        self._batch.unsettled = results.is_incomplete
        if left:
            self._give_back(left)
        return self._batch

    def _mode(self) -> Mode:
        """Return how the destination treats versions; unknown types are refused row by row."""
        own = self._subscriber.get("destinations") or ()
        for destination in (*own, CONTENT_API_DESTINATION):
            if self._lane.id.endswith(f":{destination_id(destination)}"):
                cls = self._tools.registry.find(str(destination.get("delivery_type")))
                return cls.mode if cls else MODE
        return MODE

    def _results(self, mode: Mode, selection: Selection) -> Results:
        tools = self._tools
        results = Results(tools.db, tools.clock, tools.notifier, self._lane, mode, tools.on_failed)
        results.older |= selection.older
        results.older |= {r["item_id"] for r in selection.rows if r["state"] == RowState.RETRYING}
        return results

    def _without_outdated(self, rows: list[Document], results: Results) -> list[Document]:
        """Cancel repeats of what something newer is out of: a kill must have the last word.

        Looked at once they are marked as being sent: what is published from now on comes behind.
        """
        repeats = [row for row in rows if row.get("resend_id") and row.get("publish_sequence_no")]
        if not repeats:
            return rows
        of_items = {"item_id": {"$in": sorted({row["item_id"] for row in repeats})}}
        fields = {"item_id": 1, "publish_sequence_no": 1}
        newest: dict[str, int] = {}
        for out in self._tools.db[PUBLISHED].find(of_items, fields):
            number = int(out.get("publish_sequence_no") or 0)
            newest[out["item_id"]] = max(number, newest.get(out["item_id"], 0))
        outdated = {
            row["_id"]
            for row in repeats
            if newest.get(row["item_id"], 0) > row["publish_sequence_no"]
        }
        for row in repeats:
            if row["_id"] in outdated:
                now = self._tools.clock.precise()
                results.add(Result(row, {"state": RowState.CANCELED, "_updated": now}))
        return [row for row in rows if row["_id"] not in outdated]

    def _deliver(
        self, rows: Sequence[Document], bodies: Mapping[Any, Body], results: Results
    ) -> list[Document]:
        """Deliver `rows`; return those that were not started."""
        if not self._subscriber.get("async"):
            return self._deliver_in_order(rows, bodies, results)
        lines: dict[str, list[Document]] = {}
        for row in rows:
            lines.setdefault(row["item_id"], []).append(row)
        with ThreadPoolExecutor(PARALLEL_LINES) as threads:
            done = threads.map(
                lambda line: self._deliver_in_order(line, bodies, results), lines.values()
            )
            return [row for left in done for row in left]

    def _deliver_in_order(
        self, rows: Iterable[Document], bodies: Mapping[Any, Body], results: Results
    ) -> list[Document]:
        left: list[Document] = []
        held_up: set[str] = set()
        for row in rows:
            if row["item_id"] in held_up or not self._may_start():
                left.append(row)
                continue
            # Success of an older version is durable before the next one starts (delivery
            # contract C5).
            results.settle(row["item_id"])
            result, mode = self._attempt(row, bodies.get(row["_id"]))
            results.add(result)
            self._note(row, result)
            self._act_on(result)
            if result.state == RowState.RETRYING and mode is Mode.APPEND:
                held_up.add(row["item_id"])
        return left

    def _act_on(self, result: Result) -> None:
        """Let a failure, or the first success after one, have its consequences."""
        failures = self._tools.failures
        if result.state == RowState.SUCCESS and self._is_failing:
            self._is_failing = False
            failures.recovered(result.row)
        elif result.code is not None and not self._is_gone:
            self._is_failing = True
            if failures.note(self._subscriber, result):
                self._tools.closed.add(self._subscriber["_id"])

    def _may_start(self) -> bool:
        is_closed = self._subscriber.get("_id") in self._tools.closed
        return not is_closed and self._tools.may_continue() and time.monotonic() < self._deadline

    def _attempt(self, row: Document, body: Body | None) -> tuple[Result, Mode]:
        attempts = self._tools.attempts
        if self._is_gone:
            return attempts.failed(row, refused(8001, "Subscriber is closed", NO_SUBSCRIBER)), MODE
        try:
            destination = resolve(row, self._subscriber, self._tools.vault)
            transmitter = self._tools.transmitters.get(self._lane.id, destination)
        except UnreadableSecret as error:
            unreadable = refused(9004, "Queue item could not be sent", str(error))
            return attempts.failed(row, unreadable), MODE
        except PluginError as error:
            return attempts.failed(row, error), MODE
        if body is None and row.get("unformatted"):
            try:
                body = self._format(row)
            except PyMongoError:
                raise
            except Exception as error:
                log.exception("item.not_formatted", row=str(row["_id"]), item=row["item_id"])
                return attempts.failed(row, error), transmitter.mode
        if body is None:
            nothing = refused(9004, "Queue item could not be sent", NOTHING_TO_SEND)
            return attempts.failed(row, nothing), transmitter.mode
        delivery = delivery_of(row, body, self._tools.media)
        return attempts.send(row, transmitter, delivery), transmitter.mode

    def _format(self, row: Document) -> Body | None:
        """Return the body of a row that could not be formatted before.

        Raises:
            PermanentFailure: the format refuses the item.
        """
        try:
            row["payload_id"] = self._tools.format_row(row)
        except FormatError as error:
            name = "FormatterError"
            raise PermanentFailure(error.code, name, error.text, error.cause) from error
        return self._tools.payloads.load([row]).get(row["_id"])

    def _note(self, row: Document, result: Result) -> None:
        self._batch.sent += 1
        died_before = any(a.get("outcome") == UNKNOWN for a in (row.get("attempts") or ())[-1:])
        self._batch.careful |= result.seconds > SLOW_SECONDS or died_before
        due_at = result.changes.get("next_retry_attempt_at")
        if due_at:
            self._batch.next_due = min(filter(None, (self._batch.next_due, due_at)))

    def _cancel(self, superseded: Mapping[Any, Any]) -> None:
        for row_id, newer in superseded.items():
            self._tools.db[PUBLISH_QUEUE].update_one(
                {"_id": row_id, "state": {"$in": [RowState.PENDING, RowState.RETRYING]}},
                {"$set": {"state": RowState.CANCELED, "superseded_by": newer}},
            )

    def _give_back(self, rows: Sequence[Document]) -> None:
        """Return rows that were not started to the state they were taken in."""
        for state in (RowState.PENDING, RowState.RETRYING):
            ids = [row["_id"] for row in rows if row["state"] == state]
            if ids:
                own = {"_id": {"$in": ids}, "claim_token": self._lane.token}
                self._tools.db[PUBLISH_QUEUE].update_many(
                    {**own, "state": RowState.IN_PROGRESS}, {"$set": {"state": state}}
                )
        self._batch.more = True


def refused(code: int, text: str, cause: str) -> PermanentFailure:
    """Return the error of a row that cannot be sent at all."""
    return PermanentFailure(code, "PublishQueueError", text, cause)


def delivery_of(row: Mapping[str, Any], body: Body, media: MediaStorage) -> Delivery:
    """Return what a transmitter is handed for a row.

    Args:
        media: where the binaries are that the item refers to.
    """

    def open_media(media_id: str) -> MediaFile | None:
        try:
            file = media.get(media_id)
        except NotFound:
            return None
        return MediaFile(file.filename or media_id, file.content_type, file.read())

    return Delivery(
        key=str(row.get("idempotency_key") or row["_id"]),
        item_id=row["item_id"],
        item_version=int(row.get("item_version") or 1),
        content_type=str(row.get("content_type") or ""),
        publishing_action=str(row.get("publishing_action") or ""),
        headline=row.get("headline"),
        body=body.data,
        media_type=body.media_type,
        file_extension=body.file_extension,
        sequence_number=int(row.get("published_seq_num") or 0),
        inside_package=row.get("published_in_package"),
        attempt=int(row.get("retry_attempt") or 0) + 1,
        queued_at=row.get("_created"),
        open_media=open_media,
    )
