"""Results of a batch of routed items: queue rows with their payloads, and content API copies.

All of it is built in memory and stored in bulk. The two belong together: a queue row of the content
API stands for a copy, and says what became of it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from pymongo.collection import Collection
from pymongo.database import Database

from apps.content_api.backlog import CopyBacklog
from apps.content_api.copies import Copy, build_copy
from apps.core.clock import Clock
from apps.core.documents import number_of
from apps.core.service import Document
from apps.core.vocabulary import (
    TEXT_TYPES,
    WAITING_ROW_STATES,
    WITHDRAWING_ACTIONS,
    RowState,
    SubscriberType,
)
from apps.lanes.waking import wake
from apps.publish.enqueue.decisions import Line, Outcome
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.queue_rows import OutgoingItem, RowDraft
from apps.publish.enqueue.subscribers import Recipient, SubscriberDestination
from apps.publish.queue.actions import AS_READ, cancel_waiting
from apps.publish.queue.rows import ORDER_SEQUENCE, lanes_of
from apps.routing.filters.content_filters import FilterSet
from apps.routing.filters.fields import ItemView
from apps.store.batches import MOST_BYTES, NAMED
from apps.store.collections import PUBLISH_LANES, PUBLISH_PAYLOADS, PUBLISH_QUEUE
from apps.store.indexes import WAITING_ROWS
from apps.store.mongo import insert_missing
from apps.store.sequences import Bounds, Sequences

log = structlog.get_logger(__name__)

CHUNK = 2000
"""Rows written by one command, so that a large batch stays within what a command may hold."""


# Copies for the content API (routing contract 9).


@dataclass
class CopyOutcome:
    """Outcome of storing the copies of a batch.

    Attributes:
        waiting: keys of those that the content API did not take yet.
        faults: key to why there is no copy.
    """

    waiting: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)


class ContentApiCopies:
    """Collects the copies of one batch and stores them together.

    Args:
        backlog: stores them, at once or later.
        filters: some of them keep items out of the content API.
        now: time of the batch.
    """

    def __init__(self, backlog: CopyBacklog, filters: FilterSet, now: datetime) -> None:
        self._backlog = backlog
        self._filters = filters
        self._now = now
        self._copies: list[Copy] = []
        self._outcome = CopyOutcome()

    def add(
        self, item: OutgoingItem, recipients: Iterable[Recipient], formats: ItemFormats
    ) -> None:
        """Add the copy of an item: every item gets one, also when nobody may read it."""
        if self._stays_out(item):
            return
        # Who gets a package for destinations alone that take it whole has no use of its list.
        enabled = (r for r in recipients if r.api_enabled and not r.only_packaged)
        readers = [recipient.subscriber.id for recipient in enabled]
        try:
            ninjs = formats.content_api_document()
        except Exception as error:
            # An item that has no copy must still be delivered; its rows say why.
            log.exception("item.not_copied", item=item.row["item_id"])
            self._outcome.faults[item.copy_key] = f"The item could not be copied: {error}"
            return
        self._copies.append(build_copy(item.row, ninjs, readers, item.copy_key, self._now))

    def _stays_out(self, item: OutgoingItem) -> bool:
        if item.action in WITHDRAWING_ACTIONS:
            # A kill reaches whatever is there; what was only scheduled never was.
            return bool(item.row.get("only_scheduled"))
        return self._filters.blocks_api(ItemView(item.row, self._now))

    def store(self) -> CopyOutcome:
        """Store the copies; return what became of them."""
        self._outcome.waiting |= self._backlog.store(self._copies)
        self._copies.clear()
        return self._outcome


# Queue rows.


@dataclass
class Served:
    """The destinations of one recipient of an item, those left out included.

    Attributes:
        drafts: its queue rows, not formatted yet.
        skipped: destinations that no format writes the item for, and why.
        missing_formats: the formats of those.
        left_out: destinations that packages keep it from, and why.
        takes_type: whether the subscriber takes items of this type at all.
    """

    recipient: Recipient
    drafts: list[RowDraft] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    missing_formats: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    takes_type: bool = True

    @property
    def subscriber_id(self) -> Any:
        return self.recipient.subscriber.id

    def outcome(self, reason: str) -> Line:
        """Return outcome and reason of the recipient, in words for people.

        Args:
            reason: why it receives the item, where the recipient does not say.
        """
        obstacles = "; ".join((*self.skipped, *self.left_out))
        if self.drafts:
            said = self.recipient.reason or reason
            return Outcome.SENT, f"{said}; {obstacles}" if obstacles else said
        if not self.takes_type:
            return Outcome.MEDIA_TYPE, "wire gets text only"
        if self.skipped:
            return Outcome.NO_FORMATTER, obstacles
        return Outcome.IN_PACKAGE if self.left_out else Outcome.NO_DESTINATION, obstacles


class UnstoredPayloads:
    """What has been formatted and is not stored: a bounded number of bytes of it.

    Args:
        collection: where it is stored.
    """

    def __init__(self, collection: Collection[Document]) -> None:
        self._collection = collection
        self._formats: dict[int, ItemFormats] = {}
        self._bytes = 0

    @contextmanager
    def of(self, formats: ItemFormats) -> Iterator[None]:
        """Take what `formats` makes within the block; store it once there is much."""
        before = formats.unstored_bytes
        yield
        self._formats[id(formats)] = formats
        self._bytes += formats.unstored_bytes - before
        if self._bytes > MOST_BYTES:
            self.store()

    def store(self) -> None:
        """Store all of it; one command where it is not much."""
        # Packages that share a copy make the same payloads.
        documents = {
            document["_id"]: document
            for formats in self._formats.values()
            for document in formats.take_documents()
        }
        _insert(self._collection, list(documents.values()))
        self._formats.clear()
        self._bytes = 0


def _insert(collection: Collection[Document], documents: Sequence[Document]) -> bool:
    """Insert what is not there yet; return False when some of it was."""
    chunks = (documents[start : start + CHUNK] for start in range(0, len(documents), CHUNK))
    all_new = True
    for chunk in chunks:
        all_new = insert_missing(collection, chunk) and all_new
    return all_new


class QueueWriter:
    """Collects the queue rows of one batch, then numbers, formats and stores them.

    Numbers come before formats because some formats show theirs.

    Args:
        db: the database.
        clock: source of time.
        sequences: source of `published_seq_num` and `order_no`.
        settings: MAX_VALUE_OF_PUBLISH_SEQUENCE, CONTENTAPI_ENABLED.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        sequences: Sequences,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self._sequences = sequences
        self._maximum = int(settings["MAX_VALUE_OF_PUBLISH_SEQUENCE"])
        self._has_content_api = bool(settings["CONTENTAPI_ENABLED"])
        self._drafts: list[RowDraft] = []
        self._rows: list[Document] = []

    @property
    def count(self) -> int:
        """Number of queue rows of the batch; several parts of a format count once."""
        return len(self._drafts)

    def add(
        self,
        item: OutgoingItem,
        recipients: Sequence[Recipient],
        formats: Iterable[ItemFormats],
    ) -> list[Served]:
        """Add a queue row for each destination of each recipient, the content API included.

        Destinations whose format does not take the item are left out, and those that get it inside
        its package.

        Args:
            formats: of what each recipient gets, in their order.

        Returns:
            What became of each recipient, in their order.
        """
        pairs = zip(recipients, formats, strict=True)
        served = [self._serve(item, each, own) for each, own in pairs]
        # Only now, so that an item that breaks something is delivered to all of them or to nobody.
        for each in served:
            self._drafts += each.drafts
        return served

    def _serve(self, item: OutgoingItem, recipient: Recipient, formats: ItemFormats) -> Served:
        served = Served(recipient)
        is_text = item.row["type"] in TEXT_TYPES
        if recipient.subscriber.type == SubscriberType.WIRE and not is_text:
            served.takes_type = False
            return served
        for destination in self._destinations(recipient):
            if text := _obstacle(item.row, recipient, destination):
                served.left_out.append(text)
                continue
            formatter = formats.formatter(destination.shown)
            if formatter is None:
                text = f"{destination.name}: no formatter {destination.shown['format']}"
                served.skipped.append(text)
                served.missing_formats.append(str(destination.shown["format"]))
                continue
            served.drafts.append(RowDraft(item, recipient, destination, formatter, formats))
        return served

    def _destinations(self, recipient: Recipient) -> tuple[SubscriberDestination, ...]:
        subscriber = recipient.subscriber
        if recipient.api_enabled and self._has_content_api:
            return (*subscriber.destinations, subscriber.content_api)
        return subscriber.destinations

    def store(self, copies: CopyOutcome) -> None:
        """Store payloads and rows. What an earlier run stored already is left as it is.

        Large payloads are stored while others are formatted, so that they are not held all at once.

        Args:
            copies: what became of the copies in the content API.
        """
        if not self._drafts:
            return
        self._build_rows(copies)
        if not _insert(self._db[PUBLISH_QUEUE], self._rows):
            self._adopt_stored()
        self._supersede()

    def announce(self) -> None:
        """Wake the lanes of the rows; the rows are stored by now."""
        waiting = [row for row in self._rows if row["state"] in WAITING_ROW_STATES]
        routed = lanes_of(row for row in waiting if not row.get("resend_id"))
        # Somebody has asked for these: the receiver may be back (delivery contract B5).
        resent = lanes_of(row for row in waiting if row.get("resend_id"))
        lanes, now = self._db[PUBLISH_LANES], self._clock.precise()
        wake(lanes, routed, now)
        wake(lanes, resent, now, probe=True)

    def _build_rows(self, copies: CopyOutcome) -> None:
        """Number and format every row, and store what they send.

        Numbers and places in the order are drawn in blocks.
        """
        numbers, now = self._numbers(), self._clock.now()
        unstored = UnstoredPayloads(self._db[PUBLISH_PAYLOADS])
        for draft in self._drafts:
            with unstored.of(draft.formats):
                rows = draft.rows(next(numbers[draft.recipient.subscriber.sequence]), now)
            if draft.destination.is_content_api:
                _complete_api_rows(rows, copies, draft.item.copy_key, now)
            self._rows += rows
        unstored.store()
        first = self._sequences.draw(ORDER_SEQUENCE, len(self._rows))
        for place, row in enumerate(self._rows, start=first):
            row["order_no"] = place

    def _numbers(self) -> dict[str, Iterator[int]]:
        """Draw the `published_seq_num` of all rows, by the keys of the counters."""
        subscribers = {
            d.recipient.subscriber.sequence: d.recipient.subscriber for d in self._drafts
        }
        wanted = Counter(draft.recipient.subscriber.sequence for draft in self._drafts)
        bounds = {
            key: Bounds.of(subscriber.sequence_num_settings, self._maximum)
            for key, subscriber in subscribers.items()
        }
        drawn = self._sequences.draw_wrapping(wanted, bounds)
        return {key: iter(numbers) for key, numbers in drawn.items()}

    def _adopt_stored(self) -> None:
        """Go on with the ids and order of the rows that an earlier, interrupted run stored."""
        own = {
            "item_id": {"$in": sorted({row["item_id"] for row in self._rows})},
            "idempotency_key": {"$in": [row["idempotency_key"] for row in self._rows]},
        }
        fields = {"idempotency_key": 1, "order_no": 1, "state": 1}
        stored = self._db[PUBLISH_QUEUE].find(own, fields)
        by_key = {row["idempotency_key"]: row for row in stored}
        for row in self._rows:
            row.update(by_key[row["idempotency_key"]])

    def _supersede(self) -> None:
        """Cancel what still waits to be sent of items that are withdrawn by this batch.

        One command where something is withdrawn, five where something of that waits.
        """
        withdrawals = [r for r in self._rows if r["publishing_action"] in WITHDRAWING_ACTIONS]
        if not withdrawals:
            return
        last = {(r["item_id"], r["lane"]): r for r in withdrawals}
        waiting: Document = {
            "item_id": {"$in": sorted({row["item_id"] for row in withdrawals})},
            "state": WAITING_ROWS,
        }
        lanes = sorted({row["lane"] for row in withdrawals})
        if len(lanes) <= NAMED:
            # Of more lanes, most rows of the items are in one of them.
            waiting["lane"] = {"$in": lanes}
        fields = {**AS_READ, "item_id": 1, "order_no": 1}
        older = []
        by: dict[Any, Any] = {}
        for row in self._db[PUBLISH_QUEUE].find(waiting, fields):
            newer = last.get((row["item_id"], row["lane"]))
            # Rows that others wrote may have no place in the order: transmit sees to these.
            if (
                newer is not None
                and number_of(row, "order_no", newer["order_no"]) < newer["order_no"]
            ):
                older.append(row)
                by[row["_id"]] = newer["_id"]
        if older:
            cancel_waiting(self._db, older, self._clock.precise(), superseded_by=by)


def _obstacle(
    row: Mapping[str, Any], recipient: Recipient, destination: SubscriberDestination
) -> str | None:
    """Return why a destination of a recipient is left out; None for one that is not."""
    whole = destination.takes_whole_packages
    if whole and row.get("published_in_package"):
        return f"{destination.name}: inside package {row['published_in_package']}"
    if recipient.only_packaged and not whole:
        return f"{destination.name}: does not take packages whole"
    return None


def _complete_api_rows(
    rows: Iterable[Document], copies: CopyOutcome, key: str, now: datetime
) -> None:
    """Say on the rows of the content API what became of the copy that they stand for."""
    for row in rows:
        if row["state"] != RowState.PENDING:
            continue
        if key in copies.waiting:
            row["copy_key"] = key
        elif key in copies.faults:
            fault = {"error_message": copies.faults[key], "copy_key": key}
            row.update({"state": RowState.FAILED, **fault})
        else:
            row.update({"state": RowState.SUCCESS, "completed_at": now})
