"""Writes copies into `items` and `items_versions` (routing contract 9).

Any number of processes may write the same copy, or different versions of an item, in any order and
as often as they like: the newest version wins, each version has one row, and nothing that was
canceled is usable again.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import structlog
from pymongo import InsertOne, ReplaceOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError

from apps.content_api.copies import CANCELED, Copy, canceled_by, merged, united, version_of
from apps.core.clock import Clock
from apps.core.errors import ServerError
from apps.core.service import Document, new_etag
from apps.core.vocabulary import PubStatus
from apps.store.collections import ITEMS, ITEMS_VERSIONS
from apps.store.indexes import CONTENT_INDEXES, LateIndexes
from apps.store.mongo import raise_unless_duplicates

log = structlog.get_logger(__name__)

MAX_TRIES = 20
ITEM_ALONE = ("_id", "_etag", CANCELED)
"""Fields of items that their versions do not have."""


class CopyStore:
    """The stored items of the content API.

    Args:
        db: its database.
        clock: source of time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._indexes = LateIndexes(db, CONTENT_INDEXES)

    def store(self, copies: Sequence[Copy]) -> None:
        """Store copies; four commands, more where another process writes the same items.

        A process that dies in between is to store them again.

        Raises:
            PyMongoError: some of them may not be stored.
            ServerError: other processes were faster every time.
        """
        self._indexes.ensure()
        for _ in range(MAX_TRIES):
            plan = Plan(self._clock, self._read(copies))
            for copy in copies:
                plan.add(copy)
            if self._write_items(plan.writes()):
                self._write_versions(plan.versions.values())
                self._cancel_versions({copy.id for copy in copies})
                return
        raise ServerError("The items of the content API could not be written")

    def _read(self, copies: Iterable[Copy]) -> dict[str, Document]:
        """Return the items that the copies change, and those that they are rewrites of."""
        ids = {id_ for copy in copies for id_ in (copy.id, copy.document.get("evolvedfrom")) if id_}
        found = self._db[ITEMS].find({"_id": {"$in": sorted(map(str, ids))}})
        return {item["_id"]: item for item in found}

    def _write_items(self, writes: Sequence[Any]) -> bool:
        """Write items; False when another process has written one of them since it was read."""
        try:
            done = self._db[ITEMS].bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            raise_unless_duplicates(error)
            return False
        return done.matched_count + done.inserted_count == len(writes)

    def _write_versions(self, versions: Iterable[Document]) -> None:
        writes = [
            ReplaceOne(
                {
                    "_id_document": version["_id_document"],
                    "_current_version": version["_current_version"],
                },
                version,
                upsert=True,
            )
            for version in versions
        ]
        try:
            self._db[ITEMS_VERSIONS].bulk_write(writes, ordered=False)
        except BulkWriteError as error:
            # Another process has just stored the same version.
            raise_unless_duplicates(error)

    def _cancel_versions(self, ids: Iterable[str]) -> None:
        """Hide the versions that were withdrawn.

        Items are looked at after the versions are written: of two processes that write versions of
        one item, the later one sees what both have done.
        """
        query = {"_id": {"$in": sorted(ids)}, CANCELED: {"$gt": 0}}
        for item in list(self._db[ITEMS].find(query, {CANCELED: 1})):
            versions = {
                "_id_document": item["_id"],
                "_current_version": {"$lte": item[CANCELED]},
                "pubstatus": {"$ne": PubStatus.CANCELED},
            }
            hidden = {"$set": {"pubstatus": PubStatus.CANCELED}}
            self._db[ITEMS_VERSIONS].update_many(versions, hidden)


class Plan:
    """What becomes of the stored items when copies are added in their order.

    Args:
        stored: items as they are stored, by id.
    """

    def __init__(self, clock: Clock, stored: dict[str, Document]) -> None:
        self._now = clock.now()
        self._stored = stored
        self._items = dict(stored)
        self._changed: dict[str, None] = {}
        self.versions: dict[tuple[str, int], Document] = {}

    def add(self, copy: Copy) -> None:
        """Note what a copy changes."""
        before = self._items.get(copy.id)
        parent = self._parent(copy)
        document = merged(copy, before, parent, self._now)
        if before is not None and copy.version < version_of(before):
            # The newer version stays; what was withdrawn by it or by this one is hidden below.
            self._items[copy.id] = self._added_to(before, copy)
        else:
            self._items[copy.id] = document
            if parent is not None:
                self._link(parent, copy.id)
        self._changed[copy.id] = None
        version = {key: value for key, value in document.items() if key not in ITEM_ALONE}
        self.versions[copy.id, copy.version] = {"_id_document": copy.id, **version}

    def _parent(self, copy: Copy) -> Document | None:
        evolved_from = copy.document.get("evolvedfrom")
        if not evolved_from or evolved_from == copy.id:
            return None
        parent = self._items.get(str(evolved_from))
        if parent is None:
            log.warning("content_api.no_parent", item=copy.id, parent=evolved_from)
        return parent

    def _added_to(self, item: Document, copy: Copy) -> Document:
        """Return a newer version with the readers of an older one."""
        readers = united(item.get("subscribers"), copy.subscribers)
        withdrawn = canceled_by(item, copy.document)
        marked = {CANCELED: withdrawn} if withdrawn else {}
        return {**item, **marked, "subscribers": readers, "_etag": new_etag()}

    def _link(self, parent: Document, child: str) -> None:
        if parent.get("nextversion") != child:
            linked = {**parent, "nextversion": child, "_etag": new_etag()}
            self._items[parent["_id"]] = linked
            self._changed[parent["_id"]] = None

    def writes(self) -> list[Any]:
        """Return the writes of items. Each fails when the item is not as it was read."""
        writes: list[Any] = []
        for id_ in self._changed:
            before = self._stored.get(id_)
            if before is None:
                writes.append(InsertOne(self._items[id_]))
            else:
                unchanged = {"_id": id_, "_etag": before.get("_etag")}
                writes.append(ReplaceOne(unchanged, self._items[id_]))
        return writes
