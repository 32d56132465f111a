"""The journal: items are stored with a note of what follows (see the docstring of the package)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReplaceOne, ReturnDocument, UpdateMany
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.archive.journal.copied_rows import copy_rows
from apps.archive.journal.follow_ups import Unmade, add_once, make_follow_ups, with_follow_ups
from apps.archive.journal.removal import remove_item
from apps.archive.schema import LOCK_FIELDS, NOT_VERSIONED
from apps.core.clock import Clock
from apps.core.documents import number_of
from apps.core.errors import EtagMismatch, IncompleteWrite
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
from apps.store.mongo import insert_missing, is_outage, raise_unless_duplicates

log = structlog.get_logger(__name__)

ABANDONED_AFTER = timedelta(seconds=5)
"""Age at which a note counts as abandoned: its process has died."""

FIRST_RETRY = timedelta(seconds=10)
LONGEST_RETRY = timedelta(hours=1)
"""Waits after the first failure to complete a write, then twice as long each time, and at most."""
MOST_ATTEMPTS = 1_000_000
"""A count that stops here."""
CAUSE_LENGTH = 500

LINKS = ("rewritten_by", "translations", "translation_id", "translated_from", "linked_in_packages")
"""Fields that writes of other items change without changing the etag.

What has been read of an item may lack the newest of them; its rows are to show them.
"""

NOT_IN_VERSIONS = NOT_VERSIONED | {"_id", "_created", "journal"}
NOT_IN_PUBLISHED = frozenset({*LOCK_FIELDS, "_id", "_created", "_updated", "_etag", "journal"})


class Journal:
    """Stores items together with everything that follows.

    Args:
        db: the database.
        clock: source of time.
        on_incomplete: called with an item whose last write cannot be completed, and why; once for
            each write.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        on_incomplete: Callable[[Mapping[str, Any], str], None] = lambda item, cause: None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._on_incomplete = on_incomplete

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
            original: the item as it was read; see `store`.
            note: what follows.
            unless_changed: see `store`.

        Raises:
            PreconditionFailed: the item was written since `original` was read.
            IncompleteWrite: something that is the item's own cannot be written, of this write or
                of the one before.
        """
        self.store(updates, original, note, unless_changed)
        if self._add_rows({**original, **updates}, note):
            self._clear([original["_id"]], [note])

    def create(self, item: Document, note: Document) -> None:
        """Store a new item with all that follows.

        Raises:
            DuplicateKeyError: an item of this id is there.
            IncompleteWrite: something that is the item's own cannot be written.
        """
        self._db[ARCHIVE].insert_one({**item, "journal": note})
        if self._add_rows(item, note):
            self._clear([item["_id"]], [note])

    def create_many(self, items: Sequence[Document]) -> None:
        """Store new items, each with the note that is in its field `journal`, and what follows."""
        self._db[ARCHIVE].insert_many(items)
        done = [item for item in items if self._add_rows(item, item["journal"])]
        if done:
            self._clear([item["_id"] for item in done], [item["journal"] for item in done])

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

        Raises:
            IncompleteWrite: something that belongs to it cannot be removed.
        """
        note = {**self.action(follow_ups), "removal": {"archive": archive}}
        same = {**unchanged(original), "expiry": original.get("expiry"), "journal": None}
        if not self._db[ARCHIVE].update_one(same, {"$set": {"journal": note}}).matched_count:
            return False
        with self._completing(original, note):
            unmade = self._remove(original, note)
        if unmade:
            raise IncompleteWrite(original["_id"], unmade[0].cause)
        return True

    def _remove(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> list[Unmade]:
        unmade = remove_item(self._db, item["_id"], note)
        if unmade:
            self._put_off(item, note, unmade[0].cause)
        return unmade

    # Publish actions: the item first, then what follows.

    def store(
        self,
        updates: Document,
        original: Document,
        note: Document,
        unless_changed: Iterable[str] = (),
    ) -> None:
        """Store `updates` on the item with the `note` of what follows; one command, seldom more.

        Where the last write has left writes of other documents that could not be made, they are
        added to `note`: they keep nobody from going on with the item.

        Args:
            original: the item as it was read; gets the links that others have written since.
            unless_changed: fields that writes change without changing the etag; they have to be
                as in `original`, too.

        Raises:
            EtagMismatch: the item was written since `original` was read.
            IncompleteWrite: something that is the item's own cannot be written, of the last write.
        """
        condition = {**unchanged(original), "journal": None}
        condition.update({field: original.get(field) for field in unless_changed})
        if self._store(condition, updates, original, note):
            return
        # Either the item changed, or its last write still has rows to come.
        try:
            self.complete(original["_id"])
        except IncompleteWrite as error:
            if error.left is None:
                raise
            condition["journal.attempts"] = {"$gt": 0}
            del condition["journal"]
            note.update(with_follow_ups({"follow_ups": error.left}, note.get("follow_ups") or ()))
            # Administrators know.
            note["attempts"] = 1
        if not self._store(condition, updates, original, note):
            raise EtagMismatch()

    def _store(
        self, condition: Document, updates: Document, original: Document, note: Document
    ) -> bool:
        """Write the item if it is as expected; `original` gets the links that it has by now."""
        items, update = self._db[ARCHIVE], {"$set": {**updates, "journal": note}}
        # Mostly nobody has written links meanwhile. Then nothing has to be read, and a store that
        # carries out findAndModify by reading the collection looks the item up.
        links = [name for name in LINKS if name not in updates]
        if items.update_one({**_same(original, links), **condition}, update).matched_count:
            return True
        stored = items.find_one_and_update(
            condition, update, projection=LINKS, return_document=ReturnDocument.AFTER
        )
        if stored is None:
            return False
        original.update({name: value for name, value in stored.items() if name not in updates})
        return True

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

        Raises:
            IncompleteWrite: something that is the item's own cannot be written.
        """
        with self._completing(item, note):
            self._add_publication(item, note)

    def _add_publication(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> list[Unmade]:
        self.add_version(item)
        if unmade := make_follow_ups(self._db, note):
            # Noted before the row is there: whoever routes it clears the notes of what is complete.
            self._put_off(item, note, unmade[0].cause)
        row = history_row(item, note, self._clock.now())
        add_once(self._db[ARCHIVE_HISTORY], note["row_id"], row)
        if note.get("mail"):
            self.add_mails(note)
        if note.get("revived"):
            self._db[ARCHIVED].delete_many({"item_id": item["_id"]})
        self._add_published_row(item, note)
        return unmade

    def _add_published_row(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> None:
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
                    # An insert would be a command of its own. Where the row is there, nothing
                    # matches, and its id is a duplicate.
                    ReplaceOne(
                        {"_id": row_id, "item_id": {"$exists": False}},
                        {**published_row(item, note, self._clock.now()), "_id": row_id},
                        upsert=True,
                    ),
                ]
            )
        except BulkWriteError as error:
            # The row comes last: somebody who completes the action has just added it.
            raise_unless_duplicates(error)
            return
        if item.get("state") == State.SCHEDULED:
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

    def next_version(self, original: Mapping[str, Any]) -> int:
        """Return the number of the next version of an item.

        What others have written without a version becomes version 1, with its row.
        """
        stored = original.get("_current_version")
        if stored is not None:
            return int(stored) + 1
        self.add_version({**original, "_current_version": 1})
        return 2

    def add_mails(self, note: Mapping[str, Any]) -> None:
        """Write the mails of a publish action into the outbox; those that are there stay."""
        mail = note["mail"]
        rows = mail_rows(note["row_id"], mail["subject"], mail["text"], mail["to"], note["at"])
        insert_missing(self._db[MAILS], rows)

    def clear_published(self, row_ids: Mapping[str, Any]) -> int:
        """Remove the notes of publish actions; one command for any number of items.

        Notes of writes that cannot be completed stay.

        Args:
            row_ids: item id to the published row that was found.

        Returns:
            How many items had such a note: so many of them exist for sure.
        """
        if not row_ids:
            return 0
        complete = {
            "_id": {"$in": list(row_ids)},
            "journal.row_id": {"$in": list(row_ids.values())},
            "journal.attempts": None,
        }
        cleared = self._db[ARCHIVE].update_many(complete, {"$unset": {"journal": 1}})
        return int(cleared.matched_count)

    # What was interrupted.

    def read(self, item_id: str) -> Document | None:
        """Return the item without a note; None for no such item.

        All of its last write is in place, but for writes of other documents that cannot be made.

        Raises:
            IncompleteWrite: something that is the item's own is missing.
        """
        item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is not None and item.get("journal"):
            self.complete_own(item_id)
            item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is not None:
            item.pop("journal", None)
        return item

    def complete(self, item_id: str) -> None:
        """Write what an interrupted write of the item left undone. Safe to repeat.

        Raises:
            IncompleteWrite: some of it cannot be written. The note stays, and counts the attempts.
        """
        item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is None or item.get("journal") is None:
            return
        note = item["journal"]
        if not note or not isinstance(note, Mapping):
            # Written by others, and says nothing.
            same = {"_id": item_id, "journal": note}
            self._db[ARCHIVE].update_one(same, {"$unset": {"journal": 1}})
            return
        with self._completing(item, note):
            unmade = self._complete(item, note)
        if unmade:
            left = None if "removal" in note else [each.write for each in unmade]
            raise IncompleteWrite(item_id, unmade[0].cause, left)

    def complete_own(self, item_id: str) -> None:
        """As `complete`, but bear with writes of other documents that cannot be made.

        Raises:
            IncompleteWrite: something that is the item's own is missing.
        """
        try:
            self.complete(item_id)
        except IncompleteWrite as error:
            if error.left is None:
                raise

    def complete_abandoned(self) -> int:
        """Complete all writes whose processes have died; return how many.

        One that cannot be completed keeps no other from it, and is tried again after a while that
        grows with each attempt.
        """
        now = self._clock.precise()
        due = {
            "journal.at": {"$lte": now - ABANDONED_AFTER},
            "journal.retry_at": {"$not": {"$gt": now}},
        }
        completed = 0
        for item in list(self._db[ARCHIVE].find(due, {"_id": 1})):
            try:
                self.complete(item["_id"])
            except IncompleteWrite:
                continue
            completed += 1
        return completed

    def _complete(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> list[Unmade]:
        """Write what a note says; return the writes of other documents that cannot be made."""
        if "removal" in note:
            return self._remove(item, note)
        if "row_id" in note:
            unmade = self._add_publication(item, note)
            # Unsaved content is older than what has gone out.
            self._db[ARCHIVE_AUTOSAVE].delete_one({"_id": item["_id"]})
        else:
            unmade = self._add_own_rows(item, note)
        if not unmade:
            self._clear([item["_id"]], [note])
        return unmade

    def _add_rows(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> bool:
        """Make the writes that the note of a save or an action tells of. Safe to repeat.

        Returns:
            Whether all are made. Those of other documents that are not are tried again later.

        Raises:
            IncompleteWrite: something that is the item's own cannot be written.
        """
        with self._completing(item, note):
            return not self._add_own_rows(item, note)

    def _add_own_rows(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> list[Unmade]:
        if copies := note.get("copies"):
            copy_rows(self._db, item, copies)
        if "version" in note:
            self.add_version(item)
        if history := note.get("history"):
            row = history_row(item, history, self._clock.now())
            add_once(self._db[ARCHIVE_HISTORY], history["_id"], row)
        if unmade := make_follow_ups(self._db, note):
            self._put_off(item, note, unmade[0].cause)
        return unmade

    @contextmanager
    def _completing(self, item: Mapping[str, Any], note: Mapping[str, Any]) -> Iterator[None]:
        """Tell apart what is wrong with the item and what is wrong with the store.

        Raises:
            IncompleteWrite: something cannot be written; the note says so.
        """
        try:
            yield
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("journal.incomplete", item=str(item["_id"]))
            self._put_off(item, note, repr(error))
            raise IncompleteWrite(item["_id"], repr(error)[:CAUSE_LENGTH]) from error

    def _put_off(self, item: Mapping[str, Any], note: Mapping[str, Any], cause: str) -> None:
        """Count a failed attempt in the note, and say when the next one is due."""
        attempts = min(number_of(note, "attempts"), MOST_ATTEMPTS) + 1
        wait = min(LONGEST_RETRY, FIRST_RETRY * 2 ** min(attempts - 1, 20))
        same = {"_id": item["_id"], "journal.at": note.get("at")}
        counted = {**same, "journal.attempts": note.get("attempts")}
        change = {
            "journal.attempts": attempts,
            "journal.retry_at": self._clock.precise() + wait,
            "journal.error_message": cause[:CAUSE_LENGTH],
        }
        done = self._db[ARCHIVE].update_one(counted, {"$set": change})
        if done.modified_count and attempts == 1:
            self._on_incomplete(item, cause[:CAUSE_LENGTH])

    def _clear(self, item_ids: list[str], notes: Iterable[Mapping[str, Any]]) -> None:
        """Remove notes of which everything is there; one command."""
        times = [note.get("at") for note in notes]
        done = {"_id": {"$in": item_ids}, "journal.at": {"$in": times}}
        self._db[ARCHIVE].update_many(done, {"$unset": {"journal": 1}})


def _same(item: Mapping[str, Any], names: Iterable[str]) -> Document:
    """Return the filter that matches where fields of an item are as they were read."""
    # `$eq`: a value is never taken for operators.
    return {name: {"$eq": item[name]} if name in item else {"$exists": False} for name in names}


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
