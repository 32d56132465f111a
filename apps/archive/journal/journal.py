"""The journal: items are stored with a note of what follows (see the docstring of the package)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.archive.journal.copied_rows import copy_rows
from apps.archive.journal.follow_ups import add_once, make_follow_ups
from apps.archive.journal.removal import remove_item
from apps.archive.schema import LOCK_FIELDS, NOT_VERSIONED
from apps.core.clock import Clock
from apps.core.errors import EtagMismatch
from apps.core.service import Document, new_etag, unchanged
from apps.core.vocabulary import QueueState, State
from apps.mail.outbox import mail_rows
from apps.store.collections import (
    ARCHIVE,
    ARCHIVE_AUTOSAVE,
    ARCHIVE_HISTORY,
    ARCHIVE_VERSIONS,
    ARCHIVED,
    MAILS,
    PUBLISHED,
)
from apps.store.mongo import insert_missing, raise_unless_duplicates

ABANDONED_AFTER = timedelta(seconds=5)
"""Age at which a note counts as abandoned: its process has died."""

NOT_IN_VERSIONS = NOT_VERSIONED | {"_id", "_created", "journal"}
NOT_IN_PUBLISHED = frozenset({*LOCK_FIELDS, "_id", "_created", "_updated", "_etag", "journal"})


class Journal:
    """Stores items together with everything that follows.

    Args:
        db: the database.
        clock: source of time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._clock = clock

    # Notes.

    def note(self, version: int) -> Document:
        """Return the note of a save: a version row is to follow."""
        return {"at": self._clock.precise(), "version": version}

    def action(self, follow_ups: Iterable[Document], version: int | None = None) -> Document:
        """Return the note of an editor's action.

        Args:
            follow_ups: writes that follow; see `apps/archive/journal/follow_ups.py`.
            version: the item's version afterwards; None for actions that make no version.
        """
        note = {"at": self._clock.precise(), "follow_ups": list(follow_ups)}
        return note if version is None else {**note, "version": version}

    def publication(
        self,
        updates: Mapping[str, Any],
        sequence_no: int,
        user_id: ObjectId | None,
    ) -> Document:
        """Return the note of a publish action: version, history and published row follow.

        Args:
            updates: what the action stores on the item, `operation` and version among it.
        """
        return {
            **self.note(updates["_current_version"]),
            "row_id": ObjectId(),
            "sequence_no": sequence_no,
            "operation": updates["operation"],
            "user_id": user_id,
            "changed": sorted(updates),
        }

    # Writes of items with everything that follows.

    def write(
        self,
        updates: Document,
        original: Document,
        note: Document,
        unless_changed: Iterable[str] = (),
    ) -> None:
        """Store a save or an editor's action with all that follows.

        Args:
            updates: what is stored on the item.
            original: the item as it was read.
            note: what follows.
            unless_changed: see `store`.

        Raises:
            PreconditionFailed: the item was written since `original` was read.
        """
        self.store(updates, original, note, unless_changed)
        self._add_rows({**original, **updates}, note)
        self._clear([original["_id"]], [note])

    def create(self, item: Document, note: Document) -> None:
        """Store a new item with all that follows.

        Raises:
            DuplicateKeyError: an item of this id is there.
        """
        self._db[ARCHIVE].insert_one({**item, "journal": note})
        self._add_rows(item, note)
        self._clear([item["_id"]], [note])

    def create_many(self, items: Sequence[Document]) -> None:
        """Store new items, each with the note that is in its field `journal`, and what follows."""
        self._db[ARCHIVE].insert_many(items)
        for item in items:
            self._add_rows(item, item["journal"])
        self._clear([item["_id"] for item in items], [item["journal"] for item in items])

    def remove(
        self, original: Document, *, archive: bool, follow_ups: Iterable[Document] = ()
    ) -> bool:
        """Remove an item with all that belongs to it; safe against a crash at any point.

        Whoever writes the item meanwhile comes too late: the removal is completed first.

        Args:
            original: the item as it was read.
            archive: keep its published rows in `archived`, and its recipients on record.
            follow_ups: writes of other documents that belong to it.

        Returns:
            Whether it is gone; not if somebody has written it since, or is about to.
        """
        note = {**self.action(follow_ups), "removal": {"archive": archive}}
        same = {**unchanged(original), "expiry": original.get("expiry"), "journal": None}
        if not self._db[ARCHIVE].update_one(same, {"$set": {"journal": note}}).matched_count:
            return False
        remove_item(self._db, original["_id"], note)
        return True

    # Publish actions: the item first, then what follows.

    def store(
        self,
        updates: Document,
        original: Document,
        note: Document,
        unless_changed: Iterable[str] = (),
    ) -> None:
        """Store `updates` on the item with the `note` of what follows; one command.

        Args:
            unless_changed: fields that writes change without changing the etag; they have to be
                as in `original`, too.

        Raises:
            EtagMismatch: the item was written since `original` was read.
        """
        condition = {**unchanged(original), "journal": None}
        condition.update({field: original.get(field) for field in unless_changed})
        change = {"$set": {**updates, "journal": note}}
        archive = self._db[ARCHIVE]
        if archive.update_one(condition, change).matched_count:
            return
        # Either the item changed, or its last write still has rows to come.
        self.complete(original["_id"])
        if not archive.update_one(condition, change).matched_count:
            raise EtagMismatch()

    def store_new(self, item: Document, note: Document) -> bool:
        """Store an item that comes back with the `note` of what follows; False if it is there."""
        try:
            self._db[ARCHIVE].insert_one({**item, "journal": note})
        except DuplicateKeyError:
            return False
        return True

    def add_publication(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Write the rows of a publish action in the order that loses nothing; three commands.

        The note's `follow_ups` are made before. A note with a `mail` (`subject`, `text`, `to`)
        adds its rows of the outbox, one with `revived` removes what was archived of the item.

        The published row comes last, for once it is there the item is delivered.

        Args:
            item: the item as stored.
            note: its `journal`.
        """
        self.add_version(item)
        make_follow_ups(self._db, note)
        row = history_row(item, note, self._clock.now())
        add_once(self._db[ARCHIVE_HISTORY], note["row_id"], row)
        if note.get("mail"):
            self.add_mails(note)
        if note.get("revived"):
            self._db[ARCHIVED].delete_many({"item_id": item["_id"]})
        row_id = note["row_id"]
        # Older ones only: this may be a process that wakes up after others have completed the
        # action and made the next.
        others = {
            "item_id": item["_id"],
            "_id": {"$ne": row_id},
            "publish_sequence_no": {"$not": {"$gt": note["sequence_no"]}},
        }
        try:
            done = self._db[PUBLISHED].bulk_write(
                [
                    UpdateMany(
                        {**others, "last_published_version": True},
                        {"$set": {"last_published_version": False}},
                    ),
                    # What was only scheduled must not come out after a newer action.
                    UpdateMany(
                        {**others, "queue_state": QueueState.PENDING, "state": State.SCHEDULED},
                        {"$set": {"queue_state": QueueState.QUEUED_NOT_TRANSMITTED}},
                    ),
                    UpdateOne(
                        {"_id": row_id},
                        {"$setOnInsert": published_row(item, note, self._clock.now())},
                        upsert=True,
                    ),
                ]
            )
        except BulkWriteError as error:
            # The row comes last: somebody who completes the action has just added it.
            raise_unless_duplicates(error)
            return
        if item.get("state") == State.SCHEDULED and done.upserted_count:
            self._take_back_late_schedule(item["_id"], note)

    def _take_back_late_schedule(self, item_id: str, note: Mapping[str, Any]) -> None:
        """Remove the row of a schedule again that was taken back before this process added it.

        Others had completed the action, and the row had gone with the schedule.
        """
        rows = self._db[PUBLISHED]
        item = self._db[ARCHIVE].find_one({"_id": item_id}, {"state": 1})
        newer = {"item_id": item_id, "publish_sequence_no": {"$gt": note["sequence_no"]}}
        is_superseded = rows.find_one(newer, {"_id": 1}) is not None
        if item is not None and item.get("state") == State.SCHEDULED and not is_superseded:
            return
        rows.delete_one({"_id": note["row_id"], "state": State.SCHEDULED})
        if is_superseded:
            return
        out = {"item_id": item_id, "state": {"$ne": State.SCHEDULED}}
        last = rows.find_one(out, {"_id": 1}, sort=[("publish_sequence_no", -1)])
        if last is not None:
            rows.update_one({"_id": last["_id"]}, {"$set": {"last_published_version": True}})

    def add_version(self, item: Mapping[str, Any]) -> None:
        """Write the version row of `item` as it stands; writing it again changes nothing."""
        try:
            self._db[ARCHIVE_VERSIONS].insert_one(version_row(item))
        except DuplicateKeyError:
            return

    def add_mails(self, note: Mapping[str, Any]) -> None:
        """Write the mails of a publish action into the outbox; those that are there stay."""
        mail = note["mail"]
        rows = mail_rows(note["row_id"], mail["subject"], mail["text"], mail["to"], note["at"])
        insert_missing(self._db[MAILS], rows)

    def clear_published(self, row_ids: Mapping[str, ObjectId]) -> None:
        """Remove the notes of publish actions; one command for any number of items.

        Args:
            row_ids: item id to the published row that was found.
        """
        if row_ids:
            self._db[ARCHIVE].update_many(
                {
                    "_id": {"$in": list(row_ids)},
                    "journal.row_id": {"$in": list(row_ids.values())},
                },
                {"$unset": {"journal": 1}},
            )

    # What was interrupted.

    def read(self, item_id: str) -> Document | None:
        """Return the item without a note, all of its last write in place; None for no such item."""
        item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is not None and item.get("journal"):
            self.complete(item_id)
            item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is not None:
            item.pop("journal", None)
        return item

    def complete(self, item_id: str) -> None:
        """Write what an interrupted write of the item left undone. Safe to repeat."""
        item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is None or not item.get("journal"):
            return
        note = item["journal"]
        if "removal" in note:
            remove_item(self._db, item_id, note)
            return
        if "row_id" in note:
            self.add_publication(item, note)
            # Unsaved content is older than what has gone out.
            self._db[ARCHIVE_AUTOSAVE].delete_one({"_id": item_id})
        else:
            self._add_rows(item, note)
        self._clear([item_id], [note])

    def complete_abandoned(self) -> int:
        """Complete all writes whose processes have died; return how many."""
        limit = self._clock.precise() - ABANDONED_AFTER
        abandoned = list(self._db[ARCHIVE].find({"journal.at": {"$lte": limit}}, {"_id": 1}))
        for item in abandoned:
            self.complete(item["_id"])
        return len(abandoned)

    def _add_rows(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Make the writes that the note of a save or an action tells of. Safe to repeat."""
        if copies := note.get("copies"):
            copy_rows(self._db, item, copies)
        if "version" in note:
            self.add_version(item)
        if history := note.get("history"):
            row = history_row(item, history, self._clock.now())
            add_once(self._db[ARCHIVE_HISTORY], history["_id"], row)
        make_follow_ups(self._db, note)

    def _clear(self, item_ids: list[str], notes: Iterable[Mapping[str, Any]]) -> None:
        """Remove notes of which everything is there; one command."""
        times = [note["at"] for note in notes]
        done = {"_id": {"$in": item_ids}, "journal.at": {"$in": times}}
        self._db[ARCHIVE].update_many(done, {"$unset": {"journal": 1}})


def version_row(item: Mapping[str, Any]) -> Document:
    """Return the row of `archive_versions` that keeps `item` as it stands."""
    row = {name: value for name, value in item.items() if name not in NOT_IN_VERSIONS}
    return {**row, "_id_document": item["_id"], "_current_version": item["_current_version"]}


def published_row(item: Mapping[str, Any], note: Mapping[str, Any], now: datetime) -> Document:
    """Return the row of `published` for `item` as stored (lifecycle contract 1.8)."""
    row = {name: value for name, value in item.items() if name not in NOT_IN_PUBLISHED}
    row.update({mark: True for mark in ("only_scheduled", "revived") if note.get(mark)})
    row.update(note.get("row") or {})
    if marks := note.get("marks"):
        row["associations"] = _marked(row.get("associations") or {}, marks)
    return {
        **row,
        "item_id": item["_id"],
        "last_published_version": True,
        "queue_state": QueueState.PENDING,
        "publish_sequence_no": note["sequence_no"],
        "moved_to_legal": False,
        "versioncreated": now,
        "_created": now,
        "_updated": now,
        "_etag": new_etag(),
    }


def _marked(associations: Mapping[str, Any], marks: Mapping[str, Any]) -> Document:
    """Return associations that show the action of the item that holds them."""
    shown = {"state": marks["state"], "operation": marks["operation"]}
    return {
        key: {**held, **shown} if key in marks["keys"] else held
        for key, held in associations.items()
    }


NOT_IN_HISTORY = frozenset(
    {"_id", "_etag", "_created", "_updated", "_current_version", "version", "versioncreated"}
    | {"firstcreated", "original_creator", "guid", "family_id", "force_unlock", "journal"}
    | {*LOCK_FIELDS}
)


def history_row(
    item: Mapping[str, Any],
    note: Mapping[str, Any],
    now: datetime,
) -> Document:
    """Return the audit row of one operation (lifecycle contract 3.13).

    Args:
        item: as the operation stored it.
        note: `operation`, `user_id`, and the names of the `changed` fields.
    """
    changes = {name: item[name] for name in note.get("changed", item) if name in item}
    return {
        "item_id": item["_id"],
        "user_id": note["user_id"],
        "operation": note["operation"],
        "update": {name: value for name, value in changes.items() if name not in NOT_IN_HISTORY},
        "version": item.get("_current_version", 1),
        "_created": now,
        "_updated": now,
    }
