"""Writes of one item that span several collections, made safe against a crash at any instruction.

A write of an item belongs to several documents: the item itself, its version row, and for the
publish actions the history row and the published row. MongoDB promises no more than one document
at a time, so the item is stored first, in one conditional update that also notes in its field
`journal` what is still to follow. The note makes the rest repeatable: ids and numbers are in it,
the content is the item's own. It is removed when the rest is there; until then no other write of
the item goes through without completing it first.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.archive.journal.copied_rows import copy_rows
from apps.archive.journal.follow_ups import add_once, follow_up
from apps.archive.journal.removal import remove_item
from apps.archive.schema import NOT_VERSIONED
from apps.core.clock import Clock
from apps.core.errors import EtagMismatch
from apps.core.service import Document, new_etag, unchanged
from apps.core.vocabulary import Operation, QueueState, State
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
from apps.store.mongo import raise_unless_duplicates

OVERDUE = timedelta(seconds=5)
"""Age at which a note is taken for left behind by a process that died."""

NOT_IN_VERSIONS = NOT_VERSIONED | {"_id", "_created", "journal"}
NOT_IN_PUBLISHED = frozenset(
    {"_id", "_created", "_updated", "_etag", "journal"}
    | {"lock_user", "lock_time", "lock_action", "lock_session"}
)


class Journal:
    """Store items together with the rows that belong to them.

    Args:
        db: the database.
        clock: source of time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def note(self, version: int) -> Document:
        """Return the note of a save: a version row is to follow."""
        return {"at": self._clock.precise(), "version": version}

    def telling(
        self,
        note: Document,
        operation: Operation,
        user_id: ObjectId | None,
        changed: Iterable[str] | None = None,
    ) -> Document:
        """Return `note` with an audit row that follows.

        Args:
            changed: names of the changed fields; None for the whole item.
        """
        told: Document = {"_id": ObjectId(), "operation": operation, "user_id": user_id}
        if changed is not None:
            told["changed"] = sorted(changed)
        return {**note, "told": told}

    def action(self, follow_ups: Iterable[Document], version: int | None = None) -> Document:
        """Return the note of an editor's action.

        Args:
            follow_ups: writes that follow; see `apps/archive/journal/follow_ups.py`.
            version: the item's version afterwards; None for actions that make no version.
        """
        note = {"at": self._clock.precise(), "follow_ups": list(follow_ups)}
        return note if version is None else {**note, "version": version}

    def write(
        self,
        updates: Document,
        original: Document,
        note: Document,
        unless_changed: Iterable[str] = (),
    ) -> None:
        """Store an editor's action with all that follows.

        Args:
            unless_changed: as of `store`.

        Raises:
            EtagMismatch: the item was written since `original` was read.
        """
        self.store(updates, original, note, unless_changed)
        self.complete({**original, **updates}, note)

    def complete(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Make the writes that `note` tells of, then remove it. Safe to repeat."""
        self.add_rows(item, note)
        self._db[ARCHIVE].update_one(
            {"_id": item["_id"], "journal.at": note["at"]}, {"$unset": {"journal": 1}}
        )

    def add_rows(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> None:
        """Make the writes that the note of a save or an action tells of. Safe to repeat."""
        if copies := note.get("copies"):
            copy_rows(self._db, item, copies)
        if "version" in note:
            self.add_version(item)
        if told := note.get("told"):
            row = history_row(item, told, self._clock.now())
            add_once(self._db[ARCHIVE_HISTORY], told["_id"], row)
        follow_up(self._db, note)

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
        self.settle(original["_id"])
        if not archive.update_one(condition, change).matched_count:
            raise EtagMismatch()

    def store_new(self, item: Document, note: Document) -> bool:
        """Store an item that comes back with the `note` of what follows; False if it is there."""
        try:
            self._db[ARCHIVE].insert_one({**item, "journal": note})
        except DuplicateKeyError:
            return False
        return True

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

    def add_version(self, item: Mapping[str, Any]) -> None:
        """Write the version row of `item` as it stands; writing it again changes nothing."""
        try:
            self._db[ARCHIVE_VERSIONS].insert_one(version_row(item))
        except DuplicateKeyError:
            return

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
        follow_up(self._db, note)
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
            self._db[PUBLISHED].bulk_write(
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

    def add_mails(self, note: Mapping[str, Any]) -> None:
        """Write the mails of a publish action into the outbox; those that are there stay."""
        mail = note["mail"]
        rows = mail_rows(note["row_id"], mail["subject"], mail["text"], mail["to"], note["at"])
        if not rows:
            return
        try:
            self._db[MAILS].insert_many(rows, ordered=False)
        except BulkWriteError as error:
            raise_unless_duplicates(error)

    def clear(self, item_ids: Iterable[str], versions: Iterable[int] | None = None) -> None:
        """Remove the notes of items whose rows are all there."""
        condition: Document = {"_id": {"$in": list(item_ids)}}
        if versions is not None:
            condition["journal.version"] = {"$in": list(versions)}
        self._db[ARCHIVE].update_many(condition, {"$unset": {"journal": 1}})

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

    def settle(self, item_id: str) -> None:
        """Complete what an interrupted write of the item left undone. Safe to repeat."""
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
            self.add_rows(item, note)
        self._db[ARCHIVE].update_one(
            {"_id": item_id, "journal.at": note["at"]}, {"$unset": {"journal": 1}}
        )

    def settle_overdue(self) -> int:
        """Complete all writes that a dead process left undone; return how many."""
        limit = self._clock.precise() - OVERDUE
        overdue = list(self._db[ARCHIVE].find({"journal.at": {"$lte": limit}}, {"_id": 1}))
        for item in overdue:
            self.settle(item["_id"])
        return len(overdue)


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
    | {"lock_user", "lock_session", "lock_time", "lock_action"}
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
