"""Rows of the delivery queue for a batch of routed items: built in memory, stored in bulk."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo import UpdateMany
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.vocabulary import (
    TEXT_TYPES,
    WAITING_ROW_STATES,
    WITHDRAWING_ACTIONS,
    RowState,
    SubscriberType,
)
from apps.publish.enqueue.content_api_copies import Copied
from apps.publish.enqueue.destinations import Destination
from apps.publish.enqueue.enqueue_service import Recipient
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.queue_rows import Consignment
from apps.publish.enqueue.shipment import Shipment
from apps.publish.queue.lanes import lanes_of, wake
from apps.publish.queue.rows import ORDER_SEQUENCE
from apps.store.collections import PUBLISH_QUEUE
from apps.store.mongo import raise_unless_duplicates
from apps.store.sequences import Bounds, Sequences

CHUNK = 2000
"""Rows written by one command, so that a large batch stays within what a command may hold."""


@dataclass
class Served:
    """What became of the destinations of one recipient of an item.

    Attributes:
        consignments: its deliveries.
        skipped: destinations that no format writes the item for, and why.
        left_out: destinations that packages keep it from, and why.
        takes_type: whether the subscriber takes items of this type at all.
    """

    recipient: Recipient
    consignments: list[Consignment] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    takes_type: bool = True


class Deliveries:
    """Collects what one batch sends, then numbers, formats and stores it.

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
        self._consignments: list[Consignment] = []
        self._rows: list[Document] = []

    @property
    def count(self) -> int:
        """How many deliveries the batch has."""
        return len(self._consignments)

    def add(
        self,
        shipment: Shipment,
        recipients: Sequence[Recipient],
        formats: Iterable[ItemFormats],
    ) -> list[Served]:
        """Note a delivery for each destination of each recipient, the content API included.

        Destinations whose format does not take the item are left out, and those that get it inside
        its package.

        Args:
            formats: of what each recipient gets, in their order.

        Returns:
            What became of each recipient, in their order.
        """
        pairs = zip(recipients, formats, strict=True)
        served = [self._serve(shipment, each, own) for each, own in pairs]
        # Only now, so that an item that breaks something is delivered to all of them or to nobody.
        for each in served:
            self._consignments += each.consignments
        return served

    def _serve(self, shipment: Shipment, recipient: Recipient, formats: ItemFormats) -> Served:
        served, item = Served(recipient), shipment.item
        if recipient.subscriber.type == SubscriberType.WIRE and item["type"] not in TEXT_TYPES:
            served.takes_type = False
            return served
        for destination in self._destinations(recipient):
            if text := _obstacle(item, recipient, destination):
                served.left_out.append(text)
                continue
            formatter = formats.formatter(destination.shown)
            if formatter is None:
                text = f"{destination.name}: no formatter {destination.shown['format']}"
                served.skipped.append(text)
                continue
            served.consignments.append(
                Consignment(shipment, recipient, destination, formatter, formats)
            )
        return served

    def _destinations(self, recipient: Recipient) -> tuple[Destination, ...]:
        subscriber = recipient.subscriber
        if recipient.api_enabled and self._has_content_api:
            return (*subscriber.destinations, subscriber.content_api)
        return subscriber.destinations

    def store(self, copied: Copied) -> None:
        """Store payloads and rows. What an earlier run stored already is left as it is.

        Args:
            copied: what became of the items' copies in the content API.
        """
        if not self._consignments:
            return
        self._build_rows(copied)
        payloads = {
            document["_id"]: document
            for formats in {id(c.formats): c.formats for c in self._consignments}.values()
            for document in formats.documents()
        }
        self._insert("publish_payloads", list(payloads.values()))
        if not self._insert("publish_queue", self._rows):
            self._adopt_stored()
        self._supersede()

    def announce(self) -> None:
        """Wake the lanes of the rows; the rows are stored by now."""
        waiting = (row for row in self._rows if row["state"] in WAITING_ROW_STATES)
        wake(self._db, lanes_of(waiting), self._clock.precise())

    def _build_rows(self, copied: Copied) -> None:
        """Number and format every delivery; numbers and places in the order are drawn in blocks."""
        numbers, now = self._numbers(), self._clock.now()
        for consignment in self._consignments:
            rows = consignment.rows(next(numbers[consignment.recipient.subscriber.sequence]), now)
            if consignment.destination.is_content_api:
                _settle(rows, copied, consignment.shipment.copy_key, now)
            self._rows += rows
        first = self._sequences.draw(ORDER_SEQUENCE, len(self._rows))
        for place, row in enumerate(self._rows, start=first):
            row["order_no"] = place

    def _numbers(self) -> dict[str, Iterator[int]]:
        """Draw the `published_seq_num` of all deliveries, by the keys of the counters."""
        subscribers = [consignment.recipient.subscriber for consignment in self._consignments]
        wanted = Counter([subscriber.sequence for subscriber in subscribers])
        bounds = {
            subscriber.sequence: Bounds.of(subscriber.sequence_num_settings, self._maximum)
            for subscriber in set(subscribers)
        }
        drawn = self._sequences.draw_wrapping(wanted, bounds)
        return {key: iter(numbers) for key, numbers in drawn.items()}

    def _insert(self, collection: str, documents: list[Document]) -> bool:
        """Insert what is not there yet; return False when some of it was."""
        all_new = True
        for start in range(0, len(documents), CHUNK):
            try:
                self._db[collection].insert_many(documents[start : start + CHUNK], ordered=False)
            except BulkWriteError as error:
                raise_unless_duplicates(error)
                all_new = False
        return all_new

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
        """Cancel what still waits to be sent of items that are withdrawn by this batch."""
        now = self._clock.precise()
        writes = [
            UpdateMany(
                {
                    "item_id": row["item_id"],
                    "lane": row["lane"],
                    "order_no": {"$lt": row["order_no"]},
                    "_id": {"$ne": row["_id"]},
                    "state": {"$in": list(WAITING_ROW_STATES)},
                },
                {
                    "$set": {
                        "state": RowState.CANCELED,
                        "superseded_by": row["_id"],
                        "_updated": now,
                    }
                },
            )
            for row in self._rows
            if row["publishing_action"] in WITHDRAWING_ACTIONS
        ]
        if writes:
            self._db[PUBLISH_QUEUE].bulk_write(writes, ordered=False)


def _obstacle(
    item: Mapping[str, Any], recipient: Recipient, destination: Destination
) -> str | None:
    """Return why a destination of a recipient is left out; None for one that is not."""
    whole = destination.takes_whole_packages
    if whole and item.get("published_in_package"):
        return f"{destination.name}: inside package {item['published_in_package']}"
    if recipient.only_packaged and not whole:
        return f"{destination.name}: does not take packages whole"
    return None


def _settle(rows: Iterable[Document], copied: Copied, key: str, now: datetime) -> None:
    """Say on the rows of the content API what became of the copy that they stand for."""
    for row in rows:
        if row["state"] != RowState.PENDING:
            continue
        if key in copied.waiting:
            row["copy_key"] = key
        elif key in copied.faults:
            fault = {"error_message": copied.faults[key], "copy_key": key}
            row.update({"state": RowState.FAILED, **fault})
        else:
            row.update({"state": RowState.SUCCESS, "completed_at": now})
