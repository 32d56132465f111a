"""The expiry job (lifecycle contract 5.14)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from pymongo.database import Database

from apps.archive.journal.journal import Journal
from apps.archive.translations import unlinked
from apps.archive.visibility import audience
from apps.core.clock import Clock
from apps.core.errors import IncompleteWrite
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.core.vocabulary import State
from apps.publish.queue.recipients import Ledger, keep_delivered_of
from apps.retention.expiry.connections import Connections
from apps.retention.expiry.holds import Holds, missing_in_legal
from apps.retention.expiry.purge import Purge
from apps.retention.legal_archive.items import LegalItems
from apps.routing.filters.content_filters import FilterSet, compile_filters
from apps.routing.filters.fields import ItemView
from apps.store.batches import first_batch
from apps.store.collections import ARCHIVE, CONTENT_FILTERS, FILTER_CONDITIONS, VOCABULARIES
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

INVALID = "invalid"
"""`expiry_status` of items that wait for the long-term archive."""
NEVER_ARCHIVED = (State.KILLED, State.RECALLED)


class ContentExpiry:
    """Remove items whose time is over.

    Runs may overlap and may die at any point: an item is removed through the journal, so whoever
    comes next completes what was begun.

    Args:
        journal: removes items with all that belongs to them.
        purge: forgets finished deliveries, archived items and mails.
        legal: keeps the rest of their history.
        notifier: tells clients.
        settings: MAX_EXPIRY_QUERY_LIMIT, MAX_EXPIRY_LOOPS, LEGAL_ARCHIVE.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        journal: Journal,
        purge: Purge,
        legal: LegalItems,
        notifier: Notifier,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self._journal = journal
        self._purge = purge
        self._legal = legal
        self._notifier = notifier
        self._limit = int(settings["MAX_EXPIRY_QUERY_LIMIT"])
        self._loops = int(settings["MAX_EXPIRY_LOOPS"])
        self._has_legal_archive = bool(settings["LEGAL_ARCHIVE"])

    def run(self) -> int:
        """Remove everything that may go now; return how many items went."""
        self._journal.complete_abandoned()
        self._look_again()
        now = self._clock.now()
        removed = sum(self._remove_all(batch, now) for batch in self._expired(now))
        self._purge.run()
        self._notifier.push("content:expired")
        return removed

    def _look_again(self) -> None:
        """Consider items again that have reached the long-term archive since the last run."""
        waiting = self._db[ARCHIVE].find({"expiry_status": INVALID}, {"_id": 1})
        ids = [item["_id"] for item in waiting]
        if not ids:
            return
        still = missing_in_legal(self._db, ids) if self._has_legal_archive else set()
        arrived = set(ids) - still
        self._mark(arrived, None)

    def _expired(self, now: datetime) -> Iterator[list[Document]]:
        """Yield the items whose time is over, in batches."""
        query: Document = {
            "expiry": {"$lte": now},
            "expiry_status": {"$ne": INVALID},
            "$or": [{"task.desk": {"$nin": [None]}}, {"state": State.SPIKED}],
        }
        last = ""
        for _ in range(self._loops):
            after = {**query, "_id": {"$gt": last}}
            batch = first_batch(self._db[ARCHIVE].find(after).sort("_id", 1), self._limit)
            if not batch or ASKED.is_set():
                return
            yield batch
            last = batch[-1]["_id"]
        log.warning("expiry.unfinished", last=last, loops=self._loops)

    def _remove_all(self, batch: Sequence[Document], now: datetime) -> int:
        """Remove what may go of a batch; one item that is broken keeps no other from going."""
        try:
            return self._remove_batch(batch, now)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("expiry.failed", items=[item["_id"] for item in batch])
        if len(batch) == 1:
            return 0
        middle = len(batch) // 2
        return self._remove_all(batch[:middle], now) + self._remove_all(batch[middle:], now)

    def _remove_batch(self, batch: Collection[Document], now: datetime) -> int:
        connections = Connections(self._db, batch)
        holds = Holds(self._db, connections.items, now, has_legal_archive=self._has_legal_archive)
        self._mark(holds.not_in_legal & {item["_id"] for item in batch}, INVALID)
        going: set[str] = set()
        for item in batch:
            group = group_of(item, connections)
            if not group & holds.held:
                going |= group
        return self._remove([connections.items[id_] for id_ in sorted(going)], now)

    def _remove(self, items: Collection[Document], now: datetime) -> int:
        if not items:
            return 0
        # Some recipients may be known from the delivery queue only, which goes with the item.
        Ledger(self._db).keep(item["_id"] for item in items)
        keep_delivered_of(self._db, (item["_id"] for item in items))
        self._legal.keep_history([item["_id"] for item in items])
        unwanted = UnwantedInArchive(self._db, now)
        removed = 0
        for item in items:
            archive = item.get("state") not in NEVER_ARCHIVED and not unwanted.matches(item)
            try:
                is_gone = self._journal.remove(item, archive=archive, follow_ups=unlinked(item))
            except IncompleteWrite:
                continue
            if is_gone:
                removed += 1
                self._notifier.push(
                    "item:expired", audience=audience([item]), items={item["_id"]: 1}
                )
        return removed

    def _mark(self, ids: Collection[str], status: str | None) -> None:
        if ids:
            change = {"$set": {"expiry_status": status}}
            self._db[ARCHIVE].update_many({"_id": {"$in": sorted(ids)}}, change)


def group_of(item: Mapping[str, Any], connections: Connections) -> set[str]:
    """Return the ids of the items that `item` has to go with, itself included."""
    if item.get("state") in NEVER_ARCHIVED:
        return {item["_id"]}
    if item.get("state") == State.SPIKED:
        return {item["_id"], *connections.users(item["_id"])}
    return connections.group(item["_id"])


class UnwantedInArchive:
    """The content filters that keep items out of `archived`.

    Args:
        db: the database.
        now: the current time.
    """

    def __init__(self, db: Database[Document], now: datetime) -> None:
        self._now = now
        filters = list(db[CONTENT_FILTERS].find({}))
        self._ids = [f["_id"] for f in filters if f.get("is_archived_filter")]
        self._filters = self._compile(db, filters) if self._ids else None

    def _compile(self, db: Database[Document], filters: list[Document]) -> FilterSet:
        conditions = list(db[FILTER_CONDITIONS].find({}))
        return compile_filters(filters, conditions, list(db[VOCABULARIES].find({})))

    def matches(self, item: Mapping[str, Any]) -> bool:
        """Whether a filter keeps `item` out; one that cannot be decided does not."""
        if self._filters is None:
            return False
        view = ItemView(item, self._now)
        return any(self._filters.matches(id_, view) for id_ in self._ids)
