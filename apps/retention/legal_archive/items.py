"""Import of what was published (resources contract 19).

The rows of `published` are the list of what is to be done: `moved_to_legal` is set when everything
that belongs to a row is in the long-term archive. Every write may be repeated, so a process may die
at any point, and two may run at once.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReplaceOne, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, ConnectionFailure, PyMongoError

from apps.archive.journal.journal import NOT_IN_VERSIONS
from apps.archive.journal.removal import groups_with_members_in
from apps.core.service import Document
from apps.core.text import plain_text
from apps.core.vocabulary import State
from apps.retention.legal_archive.names import Names
from apps.store.collections import (
    ARCHIVE,
    ARCHIVE_VERSIONS,
    LEGAL_ARCHIVE,
    LEGAL_ARCHIVE_VERSIONS,
    PUBLISHED,
)
from apps.store.indexes import LEGAL_INDEXES, LateIndexes
from apps.store.mongo import raise_unless_duplicates

log = structlog.get_logger(__name__)

PAGE_SIZE = 100
SEARCHED = ("headline", "slugline", "description_text")
"""Fields whose words items are found by."""
SEARCH_TERMS = "search_terms"
WORD = re.compile(r"\w+")
NOT_MOVED: Document = {"moved_to_legal": {"$in": [False, None]}, "state": {"$ne": State.SCHEDULED}}
"""Published rows that the long-term archive lacks. What is only scheduled has not been out."""
ROW_ONLY = frozenset(
    {"item_id", "last_published_version", "queue_state", "error_message", "last_queue_event"}
    | {"publish_sequence_no", "moved_to_legal", "published_in_package", "only_scheduled"}
    | {"internal_destinations"}
    | {"revived", "queue_owner", "queue_lease_until", "queue_retry_at", "queue_attempts"}
)


@dataclass(frozen=True)
class Publication:
    """One item to import.

    Attributes:
        item_id: its id.
        version: the newest version among its rows.
        rows: its published rows that are not imported.
        document: the item of that version.
    """

    item_id: str
    version: int
    rows: Sequence[Document]
    document: Document


class LegalItems:
    """Copy published items with their versions and history.

    Args:
        db: the main database, which holds them.
        legal_db: the database of the long-term archive.
        is_on: whether there is a long-term archive; without one `run` does nothing.
        page_size: published rows taken at once.
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
        """Import everything that is missing; return how many published rows were.

        An item that cannot be imported is left for the next run, and does not stop the others.

        Raises:
            ConnectionFailure: one of the databases is away.
        """
        if not self._is_on:
            return 0
        count, last = 0, ObjectId("0" * 24)
        while rows := self._next(last, page_size or self._page_size):
            last = rows[-1]["_id"]
            count += self._import_rows(rows)
        return count

    def keep_history(self, item_ids: Collection[str]) -> None:
        """Copy what was done to items since they were imported: they are about to go.

        Args:
            item_ids: items of any kind; those that were never published are left out.
        """
        if not self._is_on:
            return
        ids = self._legal_db[LEGAL_ARCHIVE].distinct("_id", {"_id": {"$in": list(item_ids)}})
        history = self._missing(ids, "history", "item_id", "_id") if ids else []
        names = Names(self._db, history)
        self._write("legal_archive_history", (adding(names.in_history(row)) for row in history))

    def _next(self, last: ObjectId, limit: int) -> list[Document]:
        query = {**NOT_MOVED, "_id": {"$gt": last}}
        return list(self._db[PUBLISHED].find(query).sort("_id", 1).limit(limit))

    def _import_rows(self, rows: Sequence[Document]) -> int:
        try:
            self._import(self._publications(rows))
            return len(rows)
        except ConnectionFailure:
            # The database is away: none of the others would fare better.
            raise
        except (PyMongoError, ValueError, TypeError, KeyError) as error:
            items = {row.get("item_id") for row in rows}
            if len(items) == 1:
                log.error("legal_archive.failed", item=items.pop(), exc_info=error)
                return 0
        # One of them is in the way: each for itself.
        by_item: dict[Any, list[Document]] = {}
        for row in rows:
            by_item.setdefault(row.get("item_id"), []).append(row)
        return sum(self._import_rows(group) for group in by_item.values())

    def _publications(self, rows: Sequence[Document]) -> list[Publication]:
        """Return the items of `rows`, each as it was in the newest of its rows."""
        by_item: dict[str, list[Document]] = {}
        for row in rows:
            by_item.setdefault(row["item_id"], []).append(row)
        newest = {id_: max(group, key=version_of) for id_, group in by_item.items()}
        items = {i["_id"]: i for i in self._db[ARCHIVE].find({"_id": {"$in": list(newest)}})}
        # An item may have been worked on since; what was out is in its versions.
        stale = [
            id_
            for id_, row in newest.items()
            if id_ not in items or version_of(items[id_]) != version_of(row)
        ]
        items.update({id_: of_row(newest[id_]) for id_ in stale})
        items.update(self._versions({id_: newest[id_] for id_ in stale}))
        return [
            Publication(id_, version_of(row), by_item[id_], items[id_])
            for id_, row in newest.items()
        ]

    def _versions(self, rows: Mapping[str, Document]) -> dict[str, Document]:
        """Return the items that `rows` are copies of, as far as their versions are stored."""
        keys = [
            {"_id_document": id_, "_current_version": version_of(row)} for id_, row in rows.items()
        ]
        found = self._db[ARCHIVE_VERSIONS].find({"$or": keys}) if keys else ()
        return {version["_id_document"]: of_version(version, rows) for version in found}

    def _import(self, publications: Sequence[Publication]) -> None:
        ids = [publication.item_id for publication in publications]
        versions = self._missing(ids, "versions", "_id_document", "_current_version")
        known = {(v["_id_document"], version_of(v)) for v in versions} | self._known_versions(ids)
        # Of what was brought back from the archive, or written by others, there may be none.
        versions += [as_version(p) for p in publications if (p.item_id, p.version) not in known]
        history = self._missing(ids, "history", "item_id", "_id")
        names = Names(self._db, [*(p.document for p in publications), *versions, *history])
        self._write("legal_archive_versions", (adding_version(v, names) for v in versions))
        self._write("legal_archive_history", (adding(names.in_history(row)) for row in history))
        self._write("legal_archive", (replacing(p, names) for p in publications))
        # Last, and in the other database: whoever dies before imports the same again.
        moved = [row["_id"] for publication in publications for row in publication.rows]
        # The etag stays: for clients the row is the same.
        self._db[PUBLISHED].update_many({"_id": {"$in": moved}}, {"$set": {"moved_to_legal": True}})

    def _known_versions(self, ids: Sequence[str]) -> set[tuple[str, int]]:
        fields = {"_id_document": 1, "_current_version": 1}
        rows = self._legal_db[LEGAL_ARCHIVE_VERSIONS].find({"_id_document": {"$in": ids}}, fields)
        return {(row["_id_document"], version_of(row)) for row in rows}

    def _missing(self, ids: Sequence[str], what: str, item_field: str, key: str) -> list[Document]:
        """Return the versions, or rows of the history, that the long-term archive lacks."""
        known: dict[str, list[Any]] = {id_: [] for id_ in ids}
        fields = {item_field: 1, key: 1}
        kept = self._legal_db[f"legal_archive_{what}"]
        for row in kept.find({item_field: {"$in": ids}}, fields):
            known[row[item_field]].append(row[key])
        wanted = [{item_field: id_, key: {"$nin": keys}} for id_, keys in known.items()]
        return list(self._db[f"archive_{what}"].find({"$or": wanted}))

    def _write(self, collection: str, writes: Iterable[Any]) -> None:
        """Make repeatable writes; duplicates show that another run, or a newer version, was first.

        Raises:
            BulkWriteError: anything else went wrong.
        """
        operations = list(writes)
        if not operations:
            return
        self._indexes.ensure()
        try:
            self._legal_db[collection].bulk_write(operations, ordered=False)
        except BulkWriteError as error:
            raise_unless_duplicates(error)


def version_of(document: Mapping[str, Any]) -> int:
    """Return the version of an item, a version row or a published row; 1 where none is said."""
    return int(document.get("_current_version") or 1)


def of_row(row: Mapping[str, Any]) -> Document:
    """Return the item that a published row is a copy of."""
    item = {name: value for name, value in row.items() if name not in ROW_ONLY}
    return {**item, "_id": row["item_id"], "_current_version": version_of(row)}


def of_version(version: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return the item that a version row is a copy of."""
    item = {name: value for name, value in version.items() if name != "_id_document"}
    item["_id"] = version["_id_document"]
    item.setdefault("_created", rows[item["_id"]].get("_created"))
    return item


def as_version(publication: Publication) -> Document:
    """Return the version row that the item never had."""
    item = publication.document
    row = {name: value for name, value in item.items() if name not in NOT_IN_VERSIONS}
    return {
        **row,
        "_id": ObjectId(),
        "_id_document": publication.item_id,
        "_current_version": publication.version,
    }


def adding_version(version: Mapping[str, Any], names: Names) -> UpdateOne:
    """Return the write that adds a version, unless it is there."""
    kept = in_legal_archive(names.in_document(version))
    key = {name: kept.pop(name) for name in ("_id_document", "_current_version")}
    return UpdateOne(key, {"$setOnInsert": kept}, upsert=True)


def adding(row: Document) -> UpdateOne:
    """Return the write that adds a row of the history, unless it is there."""
    rest = {name: value for name, value in row.items() if name != "_id"}
    return UpdateOne({"_id": row["_id"]}, {"$setOnInsert": rest}, upsert=True)


def replacing(publication: Publication, names: Names) -> ReplaceOne:
    """Return the write that stores an item, unless a newer version of it is there."""
    item = in_legal_archive(names.in_document(publication.document))
    item["_current_version"] = publication.version
    item[SEARCH_TERMS] = search_terms(*(item.get(name) for name in SEARCHED))
    # A newer copy does not match, and its id keeps this one from being added.
    not_newer = {"_id": publication.item_id, "_current_version": {"$lte": publication.version}}
    return ReplaceOne(not_newer, item, upsert=True)


def in_legal_archive(item: Document) -> Document:
    """Return an item whose members, where it is a package, are found in the long-term archive."""
    if not item.get("groups"):
        return item
    return {**item, "groups": groups_with_members_in(LEGAL_ARCHIVE, item["groups"])}


def search_terms(*texts: Any) -> list[str]:
    """Return the words of `texts`, in lower case, each once."""
    words = WORD.findall(" ".join(plain_text(str(text)) for text in texts if text).lower())
    return sorted(set(words))
