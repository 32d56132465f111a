"""Items whose hour has come: the scheduled version becomes the published one, exactly once."""

from collections.abc import Callable, Sequence

from pymongo.database import Database

from apps.archive.events import tell_update
from apps.archive.journal.follow_ups import change as changing
from apps.archive.journal.follow_ups import record, with_follow_ups
from apps.archive.journal.journal import Journal
from apps.archive.packages import member_ids, with_newer_versions
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import ItemType, Operation, QueueState, State
from apps.store.collections import ARCHIVE, PUBLISHED

CHANGED = ("state", "versioncreated", "_current_version", "groups")
"""What the release changes, on the item and on its row."""


class ScheduledRelease:
    """Publish claimed rows that were scheduled (lifecycle contract 5.3).

    Args:
        journal: keeps the item and its version row together.
        notifier: tells clients.
        on_released: called with each item that has come out, as its published row holds it.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        journal: Journal,
        notifier: Notifier,
        on_released: Callable[[Document], None],
    ) -> None:
        self._db = db
        self._clock = clock
        self._journal = journal
        self._notifier = notifier
        self._on_released = on_released

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
        done = False
        # Whoever writes the item in between makes the move match nothing: look again.
        while not done and (item := self._waiting(row)) is not None:
            done = self._move(row, item)
        # The row tells, also when another run, or whoever wrote the item since, completed this.
        stored = self._db[PUBLISHED].find_one({"_id": row["_id"]})
        if stored is None or stored.get("state") != State.PUBLISHED:
            return False
        row.update({name: stored[name] for name in CHANGED if name in stored})
        if done:
            item = {**stored, "_id": stored["item_id"]}
            tell_update(self._notifier, [item])
            self._on_released(item)
        return True

    def _waiting(self, row: Document) -> Document | None:
        """Return the scheduled item of a row that is still its latest, None otherwise.

        The item may have been saved or moved since it was scheduled: its version has grown. It is
        read before the row, so an item that was taken back and scheduled anew is not mistaken.
        """
        # Whatever was begun on the item is completed first: its note must not get lost.
        self._journal.complete(row["item_id"])
        fields = {"_current_version": 1, "state": 1}
        item = self._db[ARCHIVE].find_one({"_id": row["item_id"]}, fields)
        if item is None or item.get("state") != State.SCHEDULED:
            return None
        unchanged = {"_id": row["_id"], "state": State.SCHEDULED}
        return item if self._db[PUBLISHED].find_one(unchanged, {"_id": 1}) else None

    def _move(self, row: Document, item: Document) -> bool:
        """Publish the item, then its row; False when somebody has written the item since."""
        now, version = self._clock.now(), int(item["_current_version"]) + 1
        change = {"state": State.PUBLISHED, "versioncreated": now, "_current_version": version}
        own, shown = self._groups(row)
        follow_ups = self._follow_ups(row, {**change, **shown})
        # A new etag: who has read the item as scheduled must not act on it as if it still were.
        note = with_follow_ups(self._journal.note(version), follow_ups)
        written = {**own, "_updated": now, "_etag": new_etag(), "journal": note}
        unchanged = {**item, "journal": None}
        done = self._db[ARCHIVE].update_one(unchanged, {"$set": {**change, **written}})
        self._journal.complete(row["item_id"])
        return bool(done.matched_count)

    def _groups(self, row: Document) -> tuple[Document, Document]:
        """Return what a package and its row show of members whose hour has come before.

        Saved groups of the item may differ from those that were scheduled.
        """
        if row.get("type") != ItemType.COMPOSITE:
            return {}, {}
        item = self._db[ARCHIVE].find_one({"_id": row["item_id"]}, {"groups": 1}) or {}
        ids = {*member_ids(row.get("groups")), *member_ids(item.get("groups"))}
        out = {"item_id": {"$in": sorted(ids)}, "last_published_version": True}
        members = self._db[PUBLISHED].find({**out, "state": {"$ne": State.SCHEDULED}})
        versions = {m["item_id"]: m.get("_current_version") or 0 for m in members}
        own = with_newer_versions(item.get("groups"), versions)
        return {"groups": own}, {"groups": with_newer_versions(row.get("groups"), versions)}

    def _follow_ups(self, row: Document, change: Document) -> list[Document]:
        """Return what follows on the item: an audit row, and the row of the outbox."""
        now = self._clock.now()
        item = {"_id": row["item_id"], "_current_version": change["_current_version"]}
        scheduled = {"_id": row["_id"], "state": State.SCHEDULED}
        return [
            record(Operation.PUBLISH, item, {"state": State.PUBLISHED}, None, now),
            changing("published", scheduled, {**change, "_updated": now}),
        ]

    def _drop(self, row: Document) -> None:
        self._db[PUBLISHED].update_one(
            {"_id": row["_id"]}, {"$set": {"queue_state": QueueState.QUEUED_NOT_TRANSMITTED}}
        )
