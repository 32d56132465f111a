"""Import of finished deliveries (resources contract 19, delivery contract 8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from apps.core.service import Document
from apps.core.vocabulary import FINAL_ROW_STATES
from apps.routing.subscribers.stored_destinations import shown_config
from apps.store.collections import (
    LEGAL_PUBLISH_PAYLOADS,
    LEGAL_PUBLISH_QUEUE,
    PUBLISH_PAYLOADS,
    PUBLISH_QUEUE,
    SUBSCRIBERS,
)
from apps.store.indexes import LEGAL_INDEXES, LateIndexes
from apps.store.mongo import raise_unless_duplicates

log = structlog.get_logger(__name__)

PAGE_SIZE = 500
DELETED = "Deleted Subscriber"

NOT_KEPT = frozenset(
    {"_etag", "moved_to_legal", "lane", "lease_owner", "lease_until", "claim_token"}
    | {"unknown_outcomes", "next_retry_attempt_at", "copy_key"}
)
FINISHED: Document = {
    "moved_to_legal": {"$in": [False, None]},
    "state": {"$in": list(FINAL_ROW_STATES)},
}


class LegalQueue:
    """Copy finished rows of the delivery queue with what was sent; safe to repeat and to kill.

    Args:
        db: the main database, which holds them.
        legal_db: the database of the long-term archive.
        is_on: whether there is a long-term archive; without one `run` does nothing.
        page_size: rows taken at once.
    """

    def __init__(
        self,
        db: Database[Document],
        legal_db: Database[Document],
        *,
        is_on: bool,
        page_size: int = PAGE_SIZE,
    ) -> None:
        self._db = db
        self._legal_db = legal_db
        self._indexes = LateIndexes(legal_db, LEGAL_INDEXES)
        self._is_on = is_on
        self._page_size = page_size

    def run(self, page_size: int | None = None) -> int:
        """Import every finished delivery that is missing; return how many."""
        if not self._is_on:
            return 0
        count, last = 0, ObjectId("0" * 24)
        while rows := self._next(last, page_size or self._page_size):
            last = rows[-1]["_id"]
            self._import(rows)
            count += len(rows)
        return count

    def _next(self, last: ObjectId, limit: int) -> list[Document]:
        query = {**FINISHED, "_id": {"$gt": last}}
        return list(self._db[PUBLISH_QUEUE].find(query).sort("_id", 1).limit(limit))

    def _import(self, rows: Sequence[Document]) -> None:
        ids = list({row["subscriber_id"] for row in rows if row.get("subscriber_id")})
        found = self._db[SUBSCRIBERS].find({"_id": {"$in": ids}}, {"name": 1})
        names = {subscriber["_id"]: subscriber.get("name") for subscriber in found}
        self._indexes.ensure()
        self._keep_payloads(rows)
        self._legal_db[LEGAL_PUBLISH_QUEUE].bulk_write(
            [
                UpdateOne({"_id": row["_id"]}, {"$set": legal_row(row, names)}, upsert=True)
                for row in rows
            ],
            ordered=False,
        )
        # The etag stays: for clients the row is the same.
        self._db[PUBLISH_QUEUE].update_many(
            {"_id": {"$in": [row["_id"] for row in rows]}}, {"$set": {"moved_to_legal": True}}
        )

    def _keep_payloads(self, rows: Sequence[Document]) -> None:
        """Copy what was sent; many deliveries share one, and some name it by its binary only."""
        wanted = [
            {name: {"$in": sorted(keys)}}
            for name, field in (("_id", "payload_id"), ("encoded_item_id", "encoded_item_id"))
            if (keys := {row[field] for row in rows if row.get(field)})
        ]
        if not wanted:
            return
        known = self._legal_db[LEGAL_PUBLISH_PAYLOADS].distinct("_id", {"$or": wanted})
        missing = self._db[PUBLISH_PAYLOADS].find({"$or": wanted, "_id": {"$nin": known}})
        documents = list(missing)
        if not documents:
            return
        try:
            self._legal_db[LEGAL_PUBLISH_PAYLOADS].insert_many(documents, ordered=False)
        except BulkWriteError as error:
            # Another run stores the same.
            raise_unless_duplicates(error)


def legal_row(row: Mapping[str, Any], names: Mapping[Any, Any]) -> Document:
    """Return the row as it is kept: the subscriber by name, the destination without secrets."""
    kept = {name: value for name, value in row.items() if name not in NOT_KEPT and name != "_id"}
    destination = row.get("destination")
    if isinstance(destination, Mapping):
        config = shown_config(destination)
        kept["destination"] = {**destination, "config": config}
    subscriber_id = row.get("subscriber_id")
    return {
        **kept,
        "subscriber_id": names.get(subscriber_id) or DELETED,
        "_subscriber_id": subscriber_id,
    }
