"""Items whose hour has come: the scheduled version becomes the published one, exactly once."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.archive.journal import Journal
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import Operation, QueueState, State


class ScheduledRelease:
    """Publish claimed rows that were scheduled (lifecycle contract 5.3).

    Args:
        journal: keeps the item and its version row together.
        notifier: tells clients.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, journal: Journal, notifier: Notifier
    ) -> None:
        self._db = db
        self._clock = clock
        self._journal = journal
        self._notifier = notifier

    def release(self, rows: Sequence[Document]) -> list[Document]:
        """Return the rows to route: scheduled ones as published, dropped ones left out."""
        ready = []
        for row in rows:
            if row.get("state") != State.SCHEDULED or self._publish(row):
                ready.append(row)
            else:
                self._drop(row)
        return ready

    def _publish(self, row: Document) -> bool:
        """Move item and row to `published`; False when the item is not scheduled any more.

        Every step is conditional on what it changes, so a run that finds the work half done by one
        that died completes it without raising the version again.
        """
        now, version = self._clock.now(), int(row["_current_version"]) + 1
        change = {"state": State.PUBLISHED, "versioncreated": now, "_current_version": version}
        item = {"_id": row["item_id"]}
        archive = self._db["archive"]
        # A new etag: who has read the item as scheduled must not act on it as if it still were.
        written = {"_updated": now, "_etag": new_etag(), "journal": self._journal.note(version)}
        archive.update_one(
            {**item, "state": State.SCHEDULED, "_current_version": version - 1},
            {"$set": {**change, **written}},
        )
        stored = archive.find_one({**item, "state": State.PUBLISHED, "_current_version": version})
        if stored is None:
            return False
        self._journal.add_version(stored)
        self._record(row, stored)
        self._journal.clear([row["item_id"]], [version])
        row.update({**change, "versioncreated": stored["versioncreated"]})
        self._db["published"].update_one(
            {"_id": row["_id"]},
            {"$set": {**change, "versioncreated": stored["versioncreated"], "_updated": now}},
        )
        self._tell(stored)
        return True

    def _record(self, row: Document, item: Document) -> None:
        derived = ObjectId(sha256(b"released" + row["_id"].binary).digest()[:12])
        history = {
            "item_id": item["_id"],
            "user_id": None,
            "operation": Operation.PUBLISH,
            "update": {"state": State.PUBLISHED},
            "version": item["_current_version"],
            "_created": self._clock.now(),
            "_updated": self._clock.now(),
        }
        self._db["archive_history"].update_one(
            {"_id": derived}, {"$setOnInsert": history}, upsert=True
        )

    def _drop(self, row: Document) -> None:
        self._db["published"].update_one(
            {"_id": row["_id"]}, {"$set": {"queue_state": QueueState.QUEUED_NOT_TRANSMITTED}}
        )

    def _tell(self, item: Document) -> None:
        task: dict[str, Any] = item.get("task") or {}
        self._notifier.push(
            "content:update",
            user="",
            items={str(item["_id"]): 1},
            desks={str(task["desk"]): 1} if task.get("desk") else {},
            stages={str(task["stage"]): 1} if task.get("stage") else {},
        )
