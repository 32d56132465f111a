"""Import of finished deliveries (resources contract 19, delivery contract 8)."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from pymongo import UpdateOne

from apps.core.ids import ById
from apps.core.service import Document
from apps.core.vocabulary import FINAL_ROW_STATES
from apps.retention.legal_archive.paged_import import PagedImport
from apps.routing.subscribers.stored_destinations import shown_config
from apps.store.batches import batches, size_of
from apps.store.by_id import find_all_by_id
from apps.store.collections import (
    LEGAL_PUBLISH_PAYLOADS,
    LEGAL_PUBLISH_QUEUE,
    PUBLISH_PAYLOADS,
    PUBLISH_QUEUE,
    SUBSCRIBERS,
)
from apps.store.mongo import insert_missing, is_outage

log = structlog.get_logger(__name__)

DELETED = "Deleted Subscriber"

NOT_KEPT = frozenset(
    {"_etag", "moved_to_legal", "lane", "lease_owner", "lease_until", "claim_token"}
    | {"unknown_outcomes", "next_retry_attempt_at", "copy_key", "handed_over", "progress"}
    | {"is_replaceable"}
)
FINISHED: Document = {
    "moved_to_legal": {"$in": [False, None]},
    "state": {"$in": list(FINAL_ROW_STATES)},
}


class LegalQueue(PagedImport):
    """Copy finished rows of the delivery queue with what was sent.

    A row that cannot be imported is left for the next run, and does not stop the others.
    """

    collection = PUBLISH_QUEUE
    not_moved = FINISHED
    page_size = 500

    def _import_rows(self, rows: Sequence[Document]) -> int:
        try:
            return self._import(rows)
        except Exception as error:
            if is_outage(error):
                raise
            if len(rows) == 1:
                log.error("legal_queue.failed", row=str(rows[0]["_id"]), exc_info=error)
                return 0
        # One of them is in the way.
        middle = len(rows) // 2
        return self._import_rows(rows[:middle]) + self._import_rows(rows[middle:])

    def _import(self, rows: Sequence[Document]) -> int:
        ids = [row.get("subscriber_id") for row in rows]
        subscribers = find_all_by_id(self._db[SUBSCRIBERS], ids, {"name": 1})
        self._indexes.ensure()
        self._keep_payloads(rows)
        self._legal_db[LEGAL_PUBLISH_QUEUE].bulk_write(
            [
                UpdateOne({"_id": row["_id"]}, {"$set": legal_row(row, subscribers)}, upsert=True)
                for row in rows
            ],
            ordered=False,
        )
        self._mark_moved([row["_id"] for row in rows])
        return len(rows)

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
        for batch in batches(missing, size_of, len(rows)):
            # Another run may store the same.
            insert_missing(self._legal_db[LEGAL_PUBLISH_PAYLOADS], batch)


def legal_row(row: Mapping[str, Any], subscribers: ById[Document]) -> Document:
    """Return the row as it is kept: the subscriber by name, the destination without secrets."""
    kept = {name: value for name, value in row.items() if name not in NOT_KEPT and name != "_id"}
    destination = row.get("destination")
    if isinstance(destination, Mapping):
        config = shown_config(destination)
        kept["destination"] = {**destination, "config": config}
    subscriber_id = row.get("subscriber_id")
    return {
        **kept,
        "subscriber_id": (subscribers.get(subscriber_id) or {}).get("name") or DELETED,
        "_subscriber_id": subscriber_id,
    }
