"""One attempt at one delivery: from a queue row to its outcome.

Stores nothing but what had to be formatted first.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from pymongo.errors import PyMongoError

from apps.core import json
from apps.core.clock import Clock
from apps.core.documents import text_of
from apps.core.errors import (
    DeliveryError,
    FormatError,
    NotFound,
    PermanentFailure,
    PluginError,
)
from apps.core.service import Document
from apps.core.vocabulary import Fault, RowState
from apps.lanes.retries import RetryPolicy, attempt_note, noted
from apps.media.storage import MediaStorage
from apps.publish.queue.handed_over import called_back, handed_over
from apps.publish.queue.payloads import BodiesAhead, Body, Payloads
from apps.publish.queue.rows import fault_of, without_faults
from apps.publish.transmit.destinations import TransmitterPool, resolve
from apps.routing.subscribers.stored_destinations import destination_id
from apps.secrets.vault import UnreadableSecret, Vault
from transmitters.base import (
    Delivery,
    HandedOver,
    MediaFile,
    Receipt,
    Superseded,
    Transmitter,
)

BEHIND_SECONDS = 60
"""Longest wait of a version that newer versions of its item wait for."""
MESSAGE_LENGTH = 1000
LARGEST_PROGRESS = 4096
"""Bytes of what an attempt leaves for the next one to know, as JSON."""
NOTHING_TO_SEND = "There is nothing to send: the row has no formatted item"
NO_SUBSCRIBER = "The subscriber does not exist any more"
NO_SUCH_TYPE = "Nothing is sent to such a destination: give it another type, or remove it"
UNUSABLE = "The configuration of the destination cannot be used"

log = structlog.get_logger(__name__)


@dataclass
class Result:
    """Result of an attempt: the fields to write on the row.

    Attributes:
        row: the row as claimed.
        seconds: how long the attempt took.
        size: bytes of the formatted item; None where nothing was sent.
        code: where it failed with one (delivery contract 4).
        cause: what happened, for people.
        answered: whether the receiver is there: it accepted or refused; None where it was not
            asked.
        fault: whose fault it is that it was not taken; None where it was.
        is_gone: the receiver says that it is gone.
        wait: seconds that it asks to be left alone; None where it does not.
    """

    row: Document
    changes: Document = field(default_factory=dict)
    seconds: float = 0.0
    size: int | None = None
    code: int | None = None
    cause: str = ""
    answered: bool | None = None
    fault: Fault | None = None
    is_gone: bool = False
    wait: float | None = None

    @property
    def state(self) -> RowState:
        return RowState(self.changes["state"])


class Attempts:
    """Sends rows and turns what happens into row states (delivery contract 1, 2.1).

    Args:
        clock: source of time.
        policy: when to try again.
    """

    def __init__(self, clock: Clock, policy: RetryPolicy) -> None:
        self._clock = clock
        self._policy = policy

    def send(self, row: Document, transmitter: Transmitter, delivery: Delivery) -> Result:
        """Send one row; never raises for what the receiver or the transmitter does."""
        result = self._sent(row, transmitter, delivery)
        result.size = len(delivery.body)
        return result

    def _sent(self, row: Document, transmitter: Transmitter, delivery: Delivery) -> Result:
        started = time.monotonic()
        try:
            receipt = transmitter.send(delivery)
        except DeliveryError as error:
            return self.failed(row, error, started, transmitter.redact)
        except Exception as error:  # noqa: BLE001 - logged, without what is secret in it
            trace = transmitter.redact(traceback.format_exc())
            log.error("delivery.crashed", row=str(row["_id"]), item=row["item_id"], exception=trace)
            return self.failed(row, error, started, transmitter.redact)
        return self._accepted(row, receipt, started)

    def _accepted(
        self, row: Document, receipt: Receipt | HandedOver | Superseded, started: float
    ) -> Result:
        """Return the result of a delivery that is done, pointless, or carried out by others."""
        now, status = self._clock.precise(), None
        places: Document = {}
        changes: Document
        match receipt:
            case HandedOver():
                changes = handed_over(receipt, now)
            case Superseded():
                changes = {"state": RowState.CANCELED, "error_message": None}
            case Receipt():
                changes = {"state": RowState.SUCCESS, "completed_at": now, "error_message": None}
                if row.get("progress"):
                    changes["progress"] = None
                if row.get("fault"):
                    changes["fault"] = None
                status = receipt.status
                places = {"external_id": receipt.external_id, "external_url": receipt.external_url}
        said = {name: place for name, place in places.items() if place}
        result = self._result(row, changes, started, now, status, receipt.message, said)
        result.answered = True
        return result

    def failed(
        self,
        row: Document,
        error: Exception,
        started: float | None = None,
        redact: Callable[[str], str] = str,
    ) -> Result:
        """Return the result of a failure: `retrying`, or `failed` when that is no use any more.

        Args:
            started: when the attempt began, by the monotonic clock; None where there was none.
            redact: takes what is secret out of a text.
        """
        now = self._clock.precise()
        tries = int(row.get("retry_attempt") or 0)
        status = error.response_status if isinstance(error, DeliveryError) else None
        message = redact(str(error))[:MESSAGE_LENGTH]
        hopeless = isinstance(error, (PermanentFailure, PluginError))
        changes: Document = {"error_message": message}
        wait = error.retry_after if isinstance(error, DeliveryError) else None
        is_extra = self._is_extra_try(row, now)
        own: datetime | None = row.get("next_retry_attempt_at") if is_extra else None
        next_try = self._policy.after_failure(
            tries,
            now,
            final=hopeless,
            counts=not is_extra,
            retry_after=wait,
            # Its time stays: otherwise what newer versions wait for would never end.
            due_at=max(own, now + timedelta(seconds=wait or 0)) if own else None,
        )
        fault = fault_in(error)
        if next_try.due_at is None:
            changes["state"] = RowState.FAILED
            changes["fault"] = fault
        else:
            changes["state"] = RowState.RETRYING
            changes["next_retry_attempt_at"] = next_try.due_at
            changes["retry_attempt"] = next_try.tries
            if row.get("fault"):
                changes["fault"] = None
        result = self._result(row, changes, started, now, status, message)
        result.fault, result.wait = fault, wait
        if isinstance(error, DeliveryError):
            result.is_gone = error.is_gone
            result.code, result.cause = error.code, redact(str(error.cause))
            if error.progress is not None and (progress := _kept(error.progress, row, redact)):
                changes["progress"] = progress
            if error.is_replaceable:
                changes["is_replaceable"] = True
        if started is not None:
            result.answered = _answered(error)
        return result

    def _is_extra_try(self, row: Mapping[str, Any], now: datetime) -> bool:
        """Whether the row was tried before its time because newer versions wait for it."""
        due_at = row.get("next_retry_attempt_at")
        attempts = row.get("attempts") or ()
        if row["state"] != RowState.RETRYING or due_at is None or not attempts:
            return False
        waited = (now - attempts[-1]["at"]).total_seconds()
        return bool(due_at > now and waited >= BEHIND_SECONDS)

    def _result(
        self,
        row: Document,
        changes: Document,
        started: float | None,
        now: datetime,
        status: int | None,
        message: str,
        said: Mapping[str, Any] | None = None,
    ) -> Result:
        """Return a result with its note.

        Args:
            said: what else the receiver said of itself.
        """
        seconds = time.monotonic() - started if started is not None else 0.0
        state = changes["state"]
        attempt = attempt_note(
            now, str(state), ms=round(seconds * 1000), status=status, message=message
        )
        changes["attempts"] = noted(row.get("attempts"), {**attempt, **(said or {})})
        if row.get("handed_over"):
            changes.setdefault("handed_over", None)
        changes["unknown_outcomes"] = 0
        changes["_updated"] = now
        return Result(row, changes, seconds)


def fault_in(error: Exception) -> Fault:
    """Return whose fault a failure is. What no transmitter has thought of is ours."""
    is_theirs = isinstance(error, DeliveryError) and not error.is_ours
    return Fault.THEIRS if is_theirs else Fault.OURS


def _kept(
    progress: Mapping[str, Any], row: Mapping[str, Any], redact: Callable[[str], str]
) -> str | None:
    """Return what an attempt says of its progress as rows keep it; None where they cannot.

    As text, since not everything that JSON holds can be stored as it is.
    """
    try:
        text = redact(json.dumps(progress).decode())
    except (TypeError, ValueError, RecursionError):
        log.error("delivery.progress_unreadable", row=str(row["_id"]))
        return None
    if len(text.encode()) > LARGEST_PROGRESS:
        log.error("delivery.progress_too_large", row=str(row["_id"]))
        return None
    return text


def _progress_of(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what earlier attempts at a row have left for the next one to know."""
    progress: Any = None
    with suppress(ValueError):
        progress = json.loads(text_of(row, "progress") or "{}")
    return progress if isinstance(progress, Mapping) else {}


def _answered(error: Exception) -> bool | None:
    """Whether a receiver is there that did not accept a delivery; None where it was not asked."""
    if isinstance(error, DeliveryError) and error.is_receiver_up:
        return True
    if isinstance(error, PermanentFailure):
        return True if error.response_status is not None else None
    return False


class RowSender:
    """Makes the attempt at a queue row: finds its destination, transmitter and body, then sends it.

    Args:
        attempts: sends rows.
        transmitters: of the destinations.
        vault: decrypts the secrets of destinations.
        media: the binaries that deliveries take along.
        payloads: bodies of rows.
        find_item: returns the version of the item that a row is about, None when it is gone.
        format_row: formats what could not be formatted before; returns the id of the payload.
    """

    def __init__(
        self,
        attempts: Attempts,
        *,
        transmitters: TransmitterPool,
        vault: Vault,
        media: MediaStorage,
        payloads: Payloads,
        find_item: Callable[[Mapping[str, Any]], Document | None],
        format_row: Callable[[Document], str],
    ) -> None:
        self._attempts = attempts
        self._transmitters = transmitters
        self._vault = vault
        self._media = media
        self._payloads = payloads
        self._find_item = find_item
        self._format_row = format_row

    def send(
        self, row: Document, lane: str, subscriber: Mapping[str, Any] | None, body: Body | None
    ) -> Result:
        """Return what the attempt came to.

        Args:
            lane: id of the row's lane.
            subscriber: owner of the lane; None when it is gone.
            body: what is sent, where that is known.

        Raises:
            PyMongoError: the row could not be formatted, for want of the store.
        """
        if subscriber is None:
            gone = refused(8001, "Subscriber is closed", NO_SUBSCRIBER)
            return self._attempts.failed(row, gone)
        if fault := fault_of(row):
            return self._unsendable(without_faults(row), fault)
        try:
            destination = resolve(row, subscriber, self._vault)
            transmitter = self._transmitters.get(lane, destination)
        except UnreadableSecret as error:
            return self._unsendable(row, str(error))
        except PluginError as error:
            return self._unsendable(row, f"{error}. {NO_SUCH_TYPE}")
        except Exception:
            # Of a config that others wrote; what is wrong with it may hold a secret.
            log.exception("destination.unusable", row=str(row["_id"]), item=row["item_id"])
            return self._unsendable(row, UNUSABLE)
        return self._transmit(row, transmitter, body)

    def clean_up(
        self, rows: Iterable[Document], lane: str, subscriber: Mapping[str, Any] | None
    ) -> None:
        """Let the destinations of `rows` be cleaned up after a process that died.

        What goes wrong with that is logged: it keeps nothing from being sent.

        Args:
            lane: id of the rows' lane.
            subscriber: owner of the lane; None when it is gone.
        """
        if subscriber is None:
            return
        by_destination: dict[str, list[Document]] = {}
        for row in rows:
            by_destination.setdefault(destination_id(row.get("destination") or {}), []).append(row)
        for lost in by_destination.values():
            try:
                destination = resolve(lost[0], subscriber, self._vault)
                self._transmitters.get(lane, destination).clean_up(self._deliveries(lost))
            except Exception as error:  # noqa: BLE001 - logged, without the secrets in a traceback
                log.warning("delivery.not_cleaned_up", lane=lane, error=type(error).__name__)

    def _deliveries(self, rows: Sequence[Document]) -> Iterator[Delivery]:
        """Yield what was sent for rows; their bodies are read where somebody wants to know."""
        bodies = BodiesAhead(self._payloads, rows)
        for row in rows:
            if not fault_of(row) and (body := bodies.take(row)):
                yield self._delivery(row, body)

    def _delivery(self, row: Document, body: Body) -> Delivery:
        return delivery_of(row, body, self._media, partial(self._find_item, row))

    def _unsendable(self, row: Document, why: str) -> Result:
        return self._attempts.failed(row, refused(9004, "Queue item could not be sent", why))

    def _transmit(self, row: Document, transmitter: Transmitter, body: Body | None) -> Result:
        if body is None and row.get("unformatted"):
            try:
                body = self._format(row)
            except PyMongoError:
                raise
            except Exception as error:
                log.exception("item.not_formatted", row=str(row["_id"]), item=row["item_id"])
                return self._attempts.failed(row, error)
        if body is None:
            return self._unsendable(row, NOTHING_TO_SEND)
        return self._attempts.send(row, transmitter, self._delivery(row, body))

    def _format(self, row: Document) -> Body | None:
        """Return the body of a row that could not be formatted before.

        Raises:
            PermanentFailure: the format refuses the item.
        """
        try:
            row["payload_id"] = self._format_row(row)
        except FormatError as error:
            name = "FormatterError"
            raise PermanentFailure(
                error.code, name, error.text, error.cause, is_ours=True
            ) from error
        return self._payloads.load([row]).get(row["_id"])


def refused(code: int, text: str, cause: str) -> PermanentFailure:
    """Return the error of a row that cannot be sent at all."""
    return PermanentFailure(code, "PublishQueueError", text, cause, is_ours=True)


def delivery_of(
    row: Mapping[str, Any],
    body: Body,
    media: MediaStorage,
    open_item: Callable[[], Document | None],
) -> Delivery:
    """Return what a transmitter is handed for a row.

    Args:
        media: where the binaries are that the item refers to.
        open_item: returns the version of the item that the row is about.
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
        is_resent=row.get("resend_id") is not None,
        handed_over=called_back(row),
        progress=_progress_of(row),
        open_media=open_media,
        open_item=open_item,
    )
