"""Writes that follow the write of an item, as data: they can be stored in its note, and repeated.

A follow-up is one of

- `{"in": collection, "where": {field: value}, "set": {...}}`: change every document that has all
  of the values; once is the same as twice, as long as `where` or `set` says so;
- `{"in": collection, "where": {...}, "delete": True}`: remove them;
- `{"in": collection, "insert": {"_id": ..., ...}}`: add a document, unless it is there;
- `{"in": collection, "upsert": [{"_id": ..., ...}], "set": {...}}`: add documents unless they are
  there, and change all of them;
- `{"in": collection, "where": {...}, "add": {list field: entry}}`, or `"take"` for the reverse:
  change lists of documents;
- `{"in": collection, "where": {...}, "used_at": ...}`: count a use of a media item.

What others have stored does not keep them from being made: where a list is to be changed, what is
none counts as empty; where a number is to rise, what is none counts as 0, and the largest that
there is stays.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError, WriteError

from apps.core.documents import objects_of
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.store.collections import ARCHIVE_HISTORY
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

LARGEST = 2**63 - 1
"""The largest whole number that the store has."""


def change(collection: str, where: Mapping[str, Any], fields: Mapping[str, Any]) -> Document:
    """Return the follow-up that sets `fields`."""
    return {"in": collection, "where": dict(where), "set": dict(fields)}


def deletion(collection: str, where: Mapping[str, Any]) -> Document:
    """Return the follow-up that removes documents."""
    return {"in": collection, "where": dict(where), "delete": True}


def insertion(collection: str, document: Mapping[str, Any]) -> Document:
    """Return the follow-up that adds `document`, which has to bring its `_id`."""
    return {"in": collection, "insert": dict(document)}


def upserts(
    collection: str, documents: Iterable[Mapping[str, Any]], fields: Mapping[str, Any] | None = None
) -> Document:
    """Return the follow-up that adds `documents`, which bring their `_id`, and sets `fields`."""
    return {"in": collection, "upsert": [dict(d) for d in documents], "set": dict(fields or {})}


def addition(collection: str, where: Mapping[str, Any], entries: Mapping[str, Any]) -> Document:
    """Return the follow-up that puts one entry into each list, unless it is in there."""
    return {"in": collection, "where": dict(where), "add": dict(entries)}


def subtraction(collection: str, where: Mapping[str, Any], entries: Mapping[str, Any]) -> Document:
    """Return the follow-up that takes one entry out of each list."""
    return {"in": collection, "where": dict(where), "take": dict(entries)}


def media_use(collection: str, where: Mapping[str, Any], at: datetime) -> Document:
    """Return the follow-up that counts one use of media; `at` tells uses apart."""
    return {"in": collection, "where": dict(where), "used_at": at}


def record(
    operation: Operation,
    item: Mapping[str, Any],
    update: Mapping[str, Any],
    user_id: ObjectId | None,
    now: datetime,
) -> Document:
    """Return the follow-up that adds an audit row (lifecycle contract 3.13)."""
    row = {
        "_id": ObjectId(),
        "item_id": item["_id"],
        "user_id": user_id,
        "operation": operation,
        "update": dict(update),
        "version": item.get("_current_version", 1),
        "_created": now,
        "_updated": now,
    }
    return insertion(ARCHIVE_HISTORY, row)


class Unmade(NamedTuple):
    """A follow-up that could not be made, and why."""

    write: Document
    cause: str


def make_follow_ups(db: Database[Document], note: Mapping[str, Any]) -> list[Unmade]:
    """Make the follow-ups of a note, in order. Safe to repeat.

    Returns:
        Those that could not be made. They keep none of the others from being made.

    Raises:
        PyMongoError: the store is in trouble.
    """
    unmade = []
    for write in objects_of(note, "follow_ups"):
        try:
            _make(db, write)
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("journal.follow_up_failed", collection=str(write.get("in")))
            unmade.append(Unmade(write, repr(error)))
    return unmade


def with_follow_ups(note: Document, writes: Iterable[Mapping[str, Any]]) -> Document:
    """Return `note` with further follow-ups."""
    return {**note, "follow_ups": [*(note.get("follow_ups") or ()), *writes]}


def with_history(
    note: Document,
    operation: Operation,
    user_id: ObjectId | None,
    changed: Iterable[str] | None = None,
) -> Document:
    """Return `note` with an audit row that is read from the item (lifecycle contract 3.13).

    Args:
        changed: names of the changed fields; None for the whole item.
    """
    history: Document = {"_id": ObjectId(), "operation": operation, "user_id": user_id}
    if changed is not None:
        history["changed"] = sorted(changed)
    return {**note, "history": history}


def add_once(collection: Collection[Document], row_id: Any, document: Mapping[str, Any]) -> None:
    """Add a document unless it is there, or somebody adds it at the same moment."""
    try:
        collection.insert_one({**document, "_id": row_id})
    except DuplicateKeyError:
        return


def _make(db: Database[Document], write: Mapping[str, Any]) -> None:
    try:
        _change(db, write)
    except WriteError:
        _repair(db, write)
        _change(db, write)


def _repair(db: Database[Document], write: Mapping[str, Any]) -> None:
    """Let fields have the form that the operator of a follow-up needs."""
    for field in (*write.get("add", ()), *write.get("take", ())):
        _replace(db, write, field, {field: {"$not": {"$type": "array"}}}, [])
    if "used_at" in write:
        field = "used_count"
        # An array of numbers is of the type `number`, too.
        no_number = [{field: {"$type": "array"}}, {field: {"$not": {"$type": "number"}}}]
        _replace(db, write, field, {"$or": no_number}, 0)
        _replace(db, write, field, {field: {"$gte": LARGEST}}, LARGEST - 1)


def _replace(
    db: Database[Document], write: Mapping[str, Any], field: str, broken: Document, value: Any
) -> None:
    """Set a field of the documents of a follow-up that is there and `broken`, a query."""
    found = {"$and": [write["where"], {field: {"$exists": True}}, broken]}
    db[write["in"]].update_many(found, {"$set": {field: value}})


def _change(db: Database[Document], write: Mapping[str, Any]) -> None:
    collection = db[write["in"]]
    if "insert" in write:
        document = dict(write["insert"])
        add_once(collection, document.pop("_id"), document)
    elif "upsert" in write:
        collection.bulk_write([_upsert(d, write["set"]) for d in write["upsert"]], ordered=False)
    elif write.get("delete"):
        collection.delete_many(write["where"])
    elif "add" in write:
        collection.update_many(write["where"], {"$addToSet": write["add"]})
    elif "take" in write:
        collection.update_many(write["where"], {"$pull": write["take"]})
    elif "used_at" in write:
        not_counted = {**write["where"], "used_updated": {"$ne": write["used_at"]}}
        marks = {"used": True, "used_updated": write["used_at"]}
        collection.update_many(not_counted, {"$set": marks, "$inc": {"used_count": 1}})
    else:
        collection.update_many(write["where"], {"$set": write["set"]})


def _upsert(document: Mapping[str, Any], fields: Mapping[str, Any]) -> UpdateOne:
    rest = {n: v for n, v in document.items() if n != "_id" and n not in fields}
    change: Document = {"$setOnInsert": rest, **({"$set": fields} if fields else {})}
    return UpdateOne({"_id": document["_id"]}, change, upsert=True)
