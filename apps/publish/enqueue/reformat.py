"""Rows that could not be formatted when they were made: formatted once more, before they are sent.

A format that refuses an item has said its last word; what broke for another reason, such as a store
that was away or a fault that is mended by now, is worth another try (routing contract 8.1).
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.archive.packages import is_package
from apps.core.errors import NotFound
from apps.core.service import Document, new_etag
from apps.core.vocabulary import RowState
from apps.publish.enqueue.formatting import ItemFormats, ItemFormatting, Payload
from apps.publish.enqueue.packages import own_package
from apps.publish.enqueue.subscribers import compile_subscriber
from apps.publish.queue.recipients import Ledger
from apps.publish.queue.rows import ORDER_SEQUENCE, RowKey
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISH_PAYLOADS, PUBLISH_QUEUE, PUBLISHED, SUBSCRIBERS
from apps.store.mongo import insert_missing
from apps.store.sequences import Sequences


class Reformatting:
    """Formats the item of a row and stores what comes of it. Safe to repeat.

    Args:
        db: the database.
        sequences: source of `order_no`.
        formatting: builds the formats of items.
    """

    def __init__(
        self, db: Database[Document], sequences: Sequences, formatting: ItemFormatting
    ) -> None:
        self._db = db
        self._sequences = sequences
        self._formatting = formatting

    def format(self, row: Document) -> str:
        """Return the id of the payload of `row`; further parts become rows of their own.

        Raises:
            FormatError: the item cannot be written in this format.
            PluginError: there is no such format any more.
            NotFound: the item, or its subscriber, is gone.
        """
        destination = row["destination"]
        formatter = self._formatting.formatters.get(str(destination.get("format")))
        found = find_by_id(self._db[SUBSCRIBERS], row["subscriber_id"])
        if found is None:
            raise NotFound("The subscriber does not exist any more")
        formats = self._formats(row, found["_id"])
        first, *others = formats.payloads(
            formatter,
            destination.get("config") or {},
            row["lane"],
            int(row["published_seq_num"]),
            compile_subscriber(found),
        )
        insert_missing(self._db[PUBLISH_PAYLOADS], formats.take_documents())
        if others:
            insert_missing(self._db[PUBLISH_QUEUE], self._further_rows(row, others))
        done = {"$set": first.row_fields, "$unset": {"unformatted": 1}}
        # Whoever has claimed the row since then writes what it sends.
        own = {"_id": row["_id"], "claim_token": row.get("claim_token")}
        self._db[PUBLISH_QUEUE].update_one(own, done)
        return first.id

    def _formats(self, row: Mapping[str, Any], subscriber_id: Any) -> ItemFormats:
        version = {"item_id": row["item_id"], "_current_version": row["item_version"]}
        item = self._db[PUBLISHED].find_one(version, sort=[("publish_sequence_no", -1)])
        if item is None:
            raise NotFound("The item is not published any more")
        if is_package(item):
            ledger = Ledger(self._db)
            ledger.load([row["item_id"]], look_back=[])
            entry = ledger.of(row["item_id"]).get(subscriber_id)
            item = own_package(item, entry.members if entry else ())
        return self._formatting.formats_of(item)

    def _further_rows(self, row: Document, payloads: list[Payload]) -> list[Document]:
        first = self._sequences.draw(ORDER_SEQUENCE, len(payloads))
        return [
            {
                **{name: value for name, value in row.items() if name not in OF_ONE_ROW},
                "_id": ObjectId(),
                "_etag": new_etag(),
                "state": RowState.PENDING,
                "retry_attempt": 0,
                "order_no": first + place,
                **payload.row_fields,
                "idempotency_key": RowKey(
                    item_id=row["item_id"],
                    item_version=int(row["item_version"]),
                    subscriber_id=row["subscriber_id"],
                    destination_id=row["destination"]["_id"],
                    publishing_action=row["publishing_action"],
                    part=place + 1,
                    resend_id=str(row.get("resend_id") or ""),
                ).text,
            }
            for place, payload in enumerate(payloads)
        ]


OF_ONE_ROW = frozenset(
    {"unformatted", "error_message", "attempts", "next_retry_attempt_at", "claim_token"}
    | {"lease_owner", "lease_until", "transmit_started_at"}
)
"""Fields of a row that its further parts do not share."""
