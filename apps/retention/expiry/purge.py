"""Forgetting: finished deliveries with their payloads, archived items, mails, exports."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import text_of
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.core.vocabulary import FINAL_ROW_STATES
from apps.mail.outbox import Outbox
from apps.output.formats.export import forget_exports
from apps.publish.enqueue.refusals import forget_refusals
from apps.publish.queue.recipients import DELIVERED_FIELDS, Ledger, keep_delivered
from apps.store.collections import (
    ARCHIVE,
    ARCHIVED,
    PUBLISH_PAYLOADS,
    PUBLISH_QUEUE,
    RECIPIENTS,
    ROUTING_DECISIONS,
)
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

BATCH = 1000


class Purge:
    """Remove what has been kept for long enough, a batch at a time.

    Args:
        outbox: mails.
        settings: PUBLISH_QUEUE_EXPIRY_MINUTES, ARCHIVED_EXPIRY_MINUTES, LEGAL_ARCHIVE.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, *, outbox: Outbox, settings: Mapping[str, Any]
    ) -> None:
        self._db = db
        self._clock = clock
        self._outbox = outbox
        self._delivery_minutes = settings["PUBLISH_QUEUE_EXPIRY_MINUTES"]
        self._archived_minutes = settings["ARCHIVED_EXPIRY_MINUTES"]
        self._has_legal_archive = bool(settings["LEGAL_ARCHIVE"])

    def run(self) -> None:
        """Remove everything that is old enough; what cannot be removed keeps nothing else."""
        for step in (self._exports, self._deliveries, self._archived, self._refusals):
            try:
                step()
            except Exception as error:
                if is_outage(error):
                    raise
                log.exception("purge.failed", step=step.__name__)

    def _exports(self) -> None:
        forget_exports(self._db, self._clock.now())

    def _deliveries(self) -> None:
        if limit := self._limit(self._delivery_minutes):
            queries = self._finished(limit) if self._delivery_minutes > 0 else [{}]
            for query in queries:
                while not ASKED.is_set() and self._forget_deliveries(query):
                    pass
            self._outbox.purge(limit)

    def _archived(self) -> None:
        if limit := self._limit(self._archived_minutes):
            while not ASKED.is_set() and self._forget_archived(limit):
                pass

    def _refusals(self) -> None:
        forget_refusals(self._db, self._clock.now())

    def _limit(self, minutes: float | None) -> datetime | None:
        return self._clock.now() - timedelta(minutes=minutes) if minutes else None

    def _finished(self, before: datetime) -> list[Document]:
        """Return the queries of rows that ended before a time, and are on record elsewhere.

        Rows that others wrote may have ids that tell no time.
        """
        query: Document = {"state": {"$in": list(FINAL_ROW_STATES)}}
        if self._has_legal_archive:
            query["moved_to_legal"] = True
        old = {"_updated": {"$lt": before}}
        return [
            {**query, "_id": {"$lt": ObjectId.from_datetime(before)}},
            *({**query, **old, "_id": {"$gte": least}} for least in ("", float("-inf"))),
        ]

    def _forget_deliveries(self, query: Mapping[str, Any]) -> int:
        """Remove a batch of rows of the delivery queue (delivery contract 8); return how many."""
        fields = dict.fromkeys((*DELIVERED_FIELDS, "payload_id", "encoded_item_id"), 1)
        rows = list(self._db[PUBLISH_QUEUE].find(query, fields).sort("_id", 1).limit(BATCH))
        if not rows:
            return 0
        # Rows that others wrote may name no item: nobody goes by them.
        of_items = [row for row in rows if text_of(row, "item_id")]
        Ledger(self._db).keep(row["item_id"] for row in of_items)
        keep_delivered(self._db, of_items)
        # Payloads go first: a run that dies in between leaves rows, which the next one finds.
        self._forget_payloads(rows)
        gone = {"_id": {"$in": [row["_id"] for row in rows]}}
        self._db[PUBLISH_QUEUE].delete_many({**query, **gone})
        return len(rows)

    def _forget_payloads(self, rows: list[Document]) -> None:
        """Remove the payloads that none but `rows` refer to, by their id or that of a binary."""
        payloads, binaries = _referred(rows)
        others = self._db[PUBLISH_QUEUE].find(
            {
                "item_id": {"$in": sorted({text_of(row, "item_id") for row in rows})},
                "_id": {"$nin": [row["_id"] for row in rows]},
                "$or": [
                    {"payload_id": {"$in": sorted(payloads)}},
                    {"encoded_item_id": {"$in": sorted(binaries)}},
                ],
            },
            {"payload_id": 1, "encoded_item_id": 1},
        )
        used_payloads, used_binaries = _referred(others)
        self._db[PUBLISH_PAYLOADS].delete_many(
            {
                "$or": [
                    {"_id": {"$in": sorted(payloads - used_payloads)}},
                    {"encoded_item_id": {"$in": sorted(binaries - used_binaries)}},
                ],
                "_id": {"$nin": sorted(used_payloads)},
                "encoded_item_id": {"$nin": sorted(used_binaries)},
            }
        )

    def _forget_archived(self, before: datetime) -> int:
        """Remove archived items, and what is known of their recipients with the last row.

        Returns:
            How many rows went.
        """
        old = self._db[ARCHIVED].find({"_updated": {"$lt": before}}, {"item_id": 1})
        rows = list(old.sort("_updated", 1).limit(BATCH))
        if not rows:
            return 0
        ids = [row["_id"] for row in rows]
        items = {id_ for row in rows if (id_ := text_of(row, "item_id"))}
        later = {"item_id": {"$in": sorted(items)}, "_id": {"$nin": ids}}
        alive = {"_id": {"$in": sorted(items)}}
        staying = {
            *self._db[ARCHIVED].distinct("item_id", later),
            *self._db[ARCHIVE].distinct("_id", alive),
        }
        gone = {"$in": sorted(items - staying)}
        self._db[RECIPIENTS].delete_many({"_id": gone})
        self._db[ROUTING_DECISIONS].delete_many({"item_id": gone})
        self._db[ARCHIVED].delete_many({"_id": {"$in": ids}})
        return len(rows)


def _referred(rows: Iterable[Mapping[str, Any]]) -> tuple[set[str], set[ObjectId]]:
    """Return the ids of payloads and of binaries that `rows` refer to."""
    rows = list(rows)
    payloads = {id_ for row in rows if (id_ := text_of(row, "payload_id"))}
    binaries = (row.get("encoded_item_id") for row in rows)
    return payloads, {id_ for id_ in binaries if isinstance(id_, ObjectId)}
