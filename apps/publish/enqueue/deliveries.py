"""Rows of the delivery queue for a batch of routed items: built in memory, stored in bulk."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import UpdateMany
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from apps.core.clock import Clock
from apps.core.errors import FormatError
from apps.core.service import Document
from apps.core.vocabulary import (
    TEXT_TYPES,
    WAITING_ROW_STATES,
    WITHDRAWING_ACTIONS,
    PublishingAction,
    RowState,
    SubscriberType,
)
from apps.publish.enqueue.enqueue_service import Recipient
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.queue.lanes import lanes_of, wake
from apps.publish.queue.rows import (
    ORDER_SEQUENCE,
    RowKey,
    lane_id,
    new_row,
    shown_destination,
)
from apps.store.mongo import raise_unless_duplicates
from apps.store.sequences import Bounds, Sequences

logger = logging.getLogger(__name__)

CHUNK = 2000
"""Rows written by one command, so that a large batch stays within what a command may hold."""


class Deliveries:
    """Collects the rows of one batch.

    Args:
        db: the database.
        clock: source of time.
        sequences: source of `published_seq_num` and `order_no`.
        settings: MAX_VALUE_OF_PUBLISH_SEQUENCE.
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
        self._rows: list[Document] = []
        self._payloads: dict[str, Document] = {}
        self._bounds: dict[str, Bounds] = {}

    @property
    def count(self) -> int:
        """How many rows the batch has so far."""
        return len(self._rows)

    def add(
        self,
        item: Mapping[str, Any],
        action: PublishingAction,
        recipients: Sequence[Recipient],
        formats: ItemFormats,
    ) -> int:
        """Add a row for each destination of each recipient; return how many.

        A destination whose format fails gets a `failed` row that says why; the others get theirs.
        """
        before = len(self._rows)
        for recipient in recipients:
            if recipient.subscriber.type == SubscriberType.WIRE and item["type"] not in TEXT_TYPES:
                continue
            for destination in recipient.subscriber.destinations:
                self._add_destination(item, action, recipient, destination, formats)
        self._payloads.update({p["_id"]: p for p in formats.documents()})
        return len(self._rows) - before

    def _add_destination(
        self,
        item: Mapping[str, Any],
        action: PublishingAction,
        recipient: Recipient,
        destination: Mapping[str, Any],
        formats: ItemFormats,
    ) -> None:
        formatter = formats.formatter(destination)
        if formatter is None:
            return
        shown = shown_destination(destination)
        base = self._base(item, action, recipient, shown)
        key = self._key(item, action, recipient, shown)
        try:
            payloads = formats.payloads(formatter, shown["config"], base["lane"], 0)
        except FormatError as error:
            self._append({**base, **_unformatted(str(error)), "idempotency_key": key(0).text})
            return
        except Exception as error:
            # A format that breaks on an item must not keep it from other destinations.
            logger.exception("item %s could not be formatted", item["item_id"])
            text = f"The item could not be formatted: {error!r}"
            self._append({**base, **_unformatted(text), "idempotency_key": key(0).text})
            return
        for part, payload in enumerate(payloads):
            self._append(
                {
                    **base,
                    "idempotency_key": key(part).text,
                    "payload_id": payload.id,
                    "item_encoding": payload.formatted.encoding,
                }
            )

    def _key(
        self,
        item: Mapping[str, Any],
        action: PublishingAction,
        recipient: Recipient,
        shown: Mapping[str, Any],
    ) -> Any:
        def key(part: int) -> RowKey:
            return RowKey(
                item_id=item["item_id"],
                item_version=int(item.get("_current_version") or 1),
                subscriber_id=recipient.subscriber.id,
                destination_id=shown["_id"],
                publishing_action=action,
                part=part,
            )

        return key

    def _base(
        self,
        item: Mapping[str, Any],
        action: PublishingAction,
        recipient: Recipient,
        shown: Mapping[str, Any],
    ) -> Document:
        subscriber = recipient.subscriber
        self._bounds[_sequence_key(subscriber.id)] = Bounds.of(
            subscriber.sequence_num_settings, self._maximum
        )
        return {
            "item_id": item["item_id"],
            "item_version": item.get("_current_version"),
            "subscriber_id": subscriber.id,
            "codes": list(recipient.codes),
            "destination": shown,
            "lane": lane_id(subscriber.id, shown["_id"]),
            "publishing_action": action,
            "unique_name": item.get("unique_name"),
            "headline": item.get("headline"),
            "content_type": item.get("type"),
            "publish_schedule": item.get("publish_schedule"),
            "published_in_package": item.get("published_in_package"),
            "ingest_provider": item.get("ingest_provider"),
            # A withdrawal overtakes everything else that waits for its destination.
            "priority": bool(subscriber.priority) or action in WITHDRAWING_ACTIONS,
        }

    def _append(self, fields: Document) -> None:
        key = _sequence_key(fields["subscriber_id"])
        self._rows.append(new_row(self._clock.now(), sequence=key, **fields))

    def store(self) -> None:
        """Store payloads and rows. What an earlier run stored already is left as it is."""
        if not self._rows:
            return
        self._number()
        self._insert("publish_payloads", list(self._payloads.values()))
        if not self._insert("publish_queue", self._rows):
            self._adopt_stored()
        self._supersede()

    def announce(self) -> None:
        """Wake the lanes of the rows; the rows are stored by now."""
        waiting = (row for row in self._rows if row["state"] == RowState.PENDING)
        wake(self._db, lanes_of(waiting), self._clock.precise())

    def _number(self) -> None:
        """Give every row its sequence number and its place in the order, drawn in blocks."""
        wanted: dict[str, int] = {}
        for row in self._rows:
            wanted[row["sequence"]] = wanted.get(row["sequence"], 0) + 1
        numbers = self._sequences.draw_wrapping(wanted, self._bounds)
        order = self._sequences.draw(ORDER_SEQUENCE, len(self._rows))
        following = {key: iter(drawn) for key, drawn in numbers.items()}
        for place, row in enumerate(self._rows):
            row["published_seq_num"] = next(following[row.pop("sequence")])
            row["order_no"] = order + place

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
        keys = [row["idempotency_key"] for row in self._rows]
        fields = {"idempotency_key": 1, "order_no": 1, "state": 1}
        stored = self._db["publish_queue"].find({"idempotency_key": {"$in": keys}}, fields)
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
            self._db["publish_queue"].bulk_write(writes, ordered=False)


def _unformatted(message: str) -> Document:
    return {"state": RowState.FAILED, "error_message": message}


def _sequence_key(subscriber_id: Any) -> str:
    return f"subscribers_{subscriber_id}"
