"""Import of what was published (resources contract 19).

The rows of `published` are the list of what is to be done: `moved_to_legal` is set when everything
that belongs to a row is in the long-term archive. Every write may be repeated, so a process may die
at any point, and two may run at once.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import structlog
from bson import ObjectId
from pymongo import ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from apps.archive.journal.journal import NOT_IN_VERSIONS
from apps.archive.journal.removal import groups_with_members_in
from apps.archive.visibility import task_of
from apps.core.service import Document
from apps.core.text import plain_text
from apps.core.vocabulary import State
from apps.retention.legal_archive.names import Names
from apps.retention.legal_archive.paged_import import PagedImport
from apps.store.batches import batches, size_of
from apps.store.collections import (
    ARCHIVE,
    ARCHIVE_HISTORY,
    ARCHIVE_VERSIONS,
    LEGAL_ARCHIVE,
    LEGAL_ARCHIVE_HISTORY,
    LEGAL_ARCHIVE_VERSIONS,
    PUBLISHED,
)
from apps.store.mongo import is_away, raise_unless_duplicates

log = structlog.get_logger(__name__)

MOST_WRITES = 5000
"""Documents that are written together."""
SEARCHED = ("headline", "slugline", "description_text")
"""Fields whose words items are found by."""
SEARCH_TERMS = "search_terms"
STAGE = "stage_id"
"""Field with the id of an item's stage, which stands in it by its name: users may be kept from it.
"""
WORD = re.compile(r"\w+")
NOT_MOVED: Document = {"moved_to_legal": {"$in": [False, None]}, "state": {"$ne": State.SCHEDULED}}
"""Published rows that the long-term archive lacks. What is only scheduled has not been out."""
ROW_ONLY = frozenset(
    {"item_id", "last_published_version", "queue_state", "error_message", "last_queue_event"}
    | {"publish_sequence_no", "moved_to_legal", "published_in_package", "only_scheduled"}
    | {"internal_destinations"}
    | {"revived", "queue_owner", "queue_lease_until", "queue_retry_at", "queue_attempts"}
)


class _Rows(NamedTuple):
    """A collection whose rows belong to items, and where the long-term archive keeps them.

    Attributes:
        item_field: names the item.
        key: tells the rows of one item apart.
    """

    stored_in: str
    kept_in: str
    item_field: str
    key: str


VERSIONS = _Rows(ARCHIVE_VERSIONS, LEGAL_ARCHIVE_VERSIONS, "_id_document", "_current_version")
HISTORY = _Rows(ARCHIVE_HISTORY, LEGAL_ARCHIVE_HISTORY, "item_id", "_id")


@dataclass(frozen=True)
class PublishedItem:
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


class _Kept(NamedTuple):
    """A document that is to be in the long-term archive.

    Attributes:
        kept_in: the collection there.
        document: as it is stored here.
        write: makes the write that puts it there.
    """

    kept_in: str
    document: Document
    write: Callable[[Names], UpdateOne | ReplaceOne[Document]]


def _size_of_kept(kept: _Kept) -> int:
    return size_of(kept.document)


class LegalItems(PagedImport):
    """Copy published items with their versions and history.

    An item that cannot be imported is left for the next run, and does not stop the others.
    """

    collection = PUBLISHED
    not_moved = NOT_MOVED
    page_size = 100

    def keep_history(self, item_ids: Collection[str]) -> None:
        """Copy what was done to items since they were imported: they are about to go.

        Args:
            item_ids: items of any kind; those that were never published are left out.
        """
        if not self._is_on:
            return
        ids = self._legal_db[LEGAL_ARCHIVE].distinct("_id", {"_id": {"$in": list(item_ids)}})
        for batch in batches(self._missing(HISTORY, ids) if ids else (), size_of, MOST_WRITES):
            names = Names(self._db, batch)
            self._write(LEGAL_ARCHIVE_HISTORY, [adding_history(row, names) for row in batch])

    def _import_rows(self, rows: Sequence[Document]) -> int:
        try:
            self._import(self._items_of(rows))
            return len(rows)
        except Exception as error:
            if isinstance(error, PyMongoError) and is_away(error):
                # None of the others would fare better.
                raise
            items = {str(row.get("item_id")) for row in rows}
            if len(items) == 1:
                log.error("legal_archive.failed", item=items.pop(), exc_info=error)
                return 0
        # One of them is in the way: each for itself.
        by_item: dict[str, list[Document]] = {}
        for row in rows:
            by_item.setdefault(str(row.get("item_id")), []).append(row)
        return sum(self._import_rows(group) for group in by_item.values())

    def _items_of(self, rows: Sequence[Document]) -> list[PublishedItem]:
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
            PublishedItem(id_, version_of(row), by_item[id_], items[id_])
            for id_, row in newest.items()
        ]

    def _versions(self, rows: Mapping[str, Document]) -> dict[str, Document]:
        """Return the items that `rows` are copies of, as far as their versions are stored."""
        keys = [
            {"_id_document": id_, "_current_version": version_of(row)} for id_, row in rows.items()
        ]
        found = self._db[ARCHIVE_VERSIONS].find({"$or": keys}) if keys else ()
        return {version["_id_document"]: of_version(version, rows) for version in found}

    def _import(self, items: Sequence[PublishedItem]) -> None:
        for batch in batches(self._kept_of(items), _size_of_kept, MOST_WRITES):
            names = Names(self._db, [each.document for each in batch])
            for collection in (LEGAL_ARCHIVE_VERSIONS, LEGAL_ARCHIVE_HISTORY, LEGAL_ARCHIVE):
                self._write(
                    collection, [each.write(names) for each in batch if each.kept_in == collection]
                )
        # Last, and in the other database: whoever dies before imports the same again.
        self._mark_moved([row["_id"] for item in items for row in item.rows])

    def _kept_of(self, items: Sequence[PublishedItem]) -> Iterator["_Kept"]:
        """Yield what is kept of items: versions and history first, an item after all of its own."""
        ids = [item.item_id for item in items]
        known = self._known_versions(ids)
        for version in self._missing(VERSIONS, ids):
            known.add((version["_id_document"], version_of(version)))
            yield _Kept(LEGAL_ARCHIVE_VERSIONS, version, partial(adding_version, version))
        for item in items:
            # Of what was brought back from the archive, or written by others, there may be none.
            if (item.item_id, item.version) not in known:
                version = as_version(item)
                yield _Kept(LEGAL_ARCHIVE_VERSIONS, version, partial(adding_version, version))
        for row in self._missing(HISTORY, ids):
            yield _Kept(LEGAL_ARCHIVE_HISTORY, row, partial(adding_history, row))
        for item in items:
            yield _Kept(LEGAL_ARCHIVE, item.document, partial(replacing, item))

    def _known_versions(self, ids: Sequence[str]) -> set[tuple[str, int]]:
        fields = {"_id_document": 1, "_current_version": 1}
        rows = self._legal_db[LEGAL_ARCHIVE_VERSIONS].find({"_id_document": {"$in": ids}}, fields)
        return {(row["_id_document"], version_of(row)) for row in rows}

    def _missing(self, rows: "_Rows", ids: Sequence[str]) -> Iterable[Document]:
        """Return the rows of items that the long-term archive lacks; they are read as needed."""
        known: dict[str, list[Any]] = {id_: [] for id_ in ids}
        fields = {rows.item_field: 1, rows.key: 1}
        kept = self._legal_db[rows.kept_in]
        for row in kept.find({rows.item_field: {"$in": ids}}, fields):
            known[row[rows.item_field]].append(row[rows.key])
        wanted = [{rows.item_field: id_, rows.key: {"$nin": keys}} for id_, keys in known.items()]
        return self._db[rows.stored_in].find({"$or": wanted})

    def _write(self, collection: str, operations: Sequence[Any]) -> None:
        """Make repeatable writes; duplicates show that another run, or a newer version, was first.

        Raises:
            BulkWriteError: anything else went wrong.
        """
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


def as_version(published: PublishedItem) -> Document:
    """Return the version row that the item never had."""
    item = published.document
    row = {name: value for name, value in item.items() if name not in NOT_IN_VERSIONS}
    return {
        **row,
        "_id": ObjectId(),
        "_id_document": published.item_id,
        "_current_version": published.version,
    }


def adding_version(version: Mapping[str, Any], names: Names) -> UpdateOne:
    """Return the write that adds a version, unless it is there."""
    kept = {**in_legal_archive(names.in_document(version)), **_stage_of(version)}
    key = {name: kept.pop(name) for name in ("_id_document", "_current_version")}
    return UpdateOne(key, {"$setOnInsert": kept}, upsert=True)


def adding_history(row: Document, names: Names) -> UpdateOne:
    """Return the write that adds a row of the history, unless it is there."""
    row = names.in_history(row)
    rest = {name: value for name, value in row.items() if name != "_id"}
    return UpdateOne({"_id": row["_id"]}, {"$setOnInsert": rest}, upsert=True)


def replacing(published: PublishedItem, names: Names) -> ReplaceOne:
    """Return the write that stores an item, unless a newer version of it is there."""
    item = in_legal_archive(names.in_document(published.document))
    item.update(_stage_of(published.document))
    item["_current_version"] = published.version
    item[SEARCH_TERMS] = search_terms(*(item.get(name) for name in SEARCHED))
    # A newer copy does not match, and its id keeps this one from being added.
    not_newer = {"_id": published.item_id, "_current_version": {"$lte": published.version}}
    return ReplaceOne(not_newer, item, upsert=True)


def _stage_of(item: Mapping[str, Any]) -> Document:
    stage = task_of(item).get("stage")
    return {STAGE: stage} if stage else {}


def in_legal_archive(item: Document) -> Document:
    """Return an item whose members, where it is a package, are found in the long-term archive."""
    if not item.get("groups"):
        return item
    return {**item, "groups": groups_with_members_in(LEGAL_ARCHIVE, item["groups"])}


def search_terms(*texts: Any) -> list[str]:
    """Return the words of `texts`, in lower case, each once."""
    words = WORD.findall(" ".join(plain_text(str(text)) for text in texts if text).lower())
    return sorted(set(words))
