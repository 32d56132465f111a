"""Claims of published rows: which ones an enqueue run works on, and in which order.

Several runs may overlap. A row belongs to the run that turned it to `in_progress`; a run that dies
loses its rows when their lease ends (routing contract R1 to R4). Claimed rows that were scheduled
are published before they are routed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo.database import Database

from apps.archive.events import tell_update
from apps.archive.journal.follow_ups import change as changing
from apps.archive.journal.follow_ups import record
from apps.archive.journal.journal import Journal
from apps.archive.packages import member_ids, with_newer_versions
from apps.core.clock import Clock
from apps.core.errors import PreconditionFailed
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import ItemType, Operation, QueueState, State
from apps.publish.enqueue.references import associations_of
from apps.store.collections import PUBLISHED

UNFINISHED = [QueueState.PENDING, QueueState.IN_PROGRESS]

WAITING_FIELDS = (
    *("item_id", "publish_sequence_no", "state"),
    "schedule_settings.utc_publish_schedule",
)


class PublishedClaims:
    """Claims of one enqueue run.

    Args:
        db: the database.
        clock: source of time.
        lease: how long a claim is good for.
        batch_size: rows taken at once.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, lease: timedelta, batch_size: int
    ) -> None:
        self._rows = db[PUBLISHED]
        self._clock = clock
        self._lease = lease
        self._batch_size = batch_size
        self.owner = uuid4().hex

    def release_expired(self) -> int:
        """Give rows back whose run died; return how many. Rows that never had a lease count too."""
        now = self._clock.precise()
        dead = {"queue_state": QueueState.IN_PROGRESS, "queue_lease_until": {"$lt": now}}
        given_back = {"$set": {"queue_state": QueueState.PENDING, "queue_owner": None}}
        released = self._rows.update_many(dead, given_back).modified_count
        foreign = {
            "queue_state": QueueState.IN_PROGRESS,
            "queue_lease_until": None,
            "last_queue_event": {"$lt": now - self._lease},
        }
        return int(released + self._rows.update_many(foreign, given_back).modified_count)

    def take(self) -> list[Document]:
        """Claim the next rows to route, in routing order; empty when there is nothing to do.

        Of one item, versions are taken only when everything earlier is finished or taken along;
        a rewrite waits for the story it rewrites, a package for its members, a story for what it
        may take along.
        """
        found = sorted(self._due_scheduled() + self._pending(), key=_place)
        if not found:
            return []
        mine = self._mark(found)
        blocked = self._blocked(mine)
        if blocked:
            self.give_back(blocked)
        return [row for row in mine if row["_id"] not in blocked]

    def _due_scheduled(self) -> list[Document]:
        due = {
            "queue_state": QueueState.PENDING,
            "state": State.SCHEDULED,
            "schedule_settings.utc_publish_schedule": {"$lte": self._clock.now()},
        }
        return list(self._rows.find(due).sort("publish_sequence_no", 1).limit(self._batch_size))

    def _pending(self) -> list[Document]:
        ready = {
            "queue_state": QueueState.PENDING,
            "state": {"$ne": State.SCHEDULED},
            "queue_retry_at": {"$not": {"$gt": self._clock.precise()}},
        }
        return list(self._rows.find(ready).sort("publish_sequence_no", 1).limit(self._batch_size))

    def _mark(self, found: Sequence[Document]) -> list[Document]:
        ids = [row["_id"] for row in found]
        now = self._clock.precise()
        mark = {
            "queue_state": QueueState.IN_PROGRESS,
            "queue_owner": self.owner,
            "queue_lease_until": now + self._lease,
            "last_queue_event": now,
        }
        still_free = {"_id": {"$in": ids}, "queue_state": QueueState.PENDING}
        if self._rows.update_many(still_free, {"$set": mark}).modified_count == len(ids):
            return list(found)
        # Another run was faster on some of them.
        own = {"_id": {"$in": ids}, "queue_owner": self.owner}
        won = {row["_id"] for row in self._rows.find(own, {"_id": 1})}
        return [row for row in found if row["_id"] in won]

    def _blocked(self, mine: Sequence[Document]) -> set[Any]:
        """Return the ids of claimed rows that have to wait for rows of other runs.

        Looked at after claiming: of two runs that hold neighbouring versions, the one with the
        later version sees the earlier one and steps back.
        """
        if not mine:
            return set()
        waits_for = {row["_id"]: {row["item_id"], *predecessors(row)} for row in mine}
        items = sorted(set().union(*waits_for.values()))
        unfinished: dict[str, list[Document]] = defaultdict(list)
        for other in self._rows.find(
            {"item_id": {"$in": items}, "queue_state": {"$in": UNFINISHED}},
            dict.fromkeys(WAITING_FIELDS, 1),
        ):
            unfinished[other["item_id"]].append(other)
        taken = {row["_id"] for row in mine}
        if all(other["_id"] in taken for others in unfinished.values() for other in others):
            return set()
        now = self._clock.now()
        blocked: set[Any] = set()
        for row in mine:  # in routing order, so that a blocked version blocks the later ones
            others = (o for item in waits_for[row["_id"]] for o in unfinished[item])
            if any(
                precedes(other, row, now)
                for other in others
                if other["_id"] not in taken or other["_id"] in blocked
            ):
                blocked.add(row["_id"])
        return blocked

    def give_back(self, ids: Iterable[Any]) -> None:
        """Return rows that are still claimed by this run to those that wait."""
        own = {"_id": {"$in": list(ids)}, "queue_owner": self.owner}
        self._rows.update_many(
            own, {"$set": {"queue_state": QueueState.PENDING, "queue_owner": None}}
        )

    def renew(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Extend the lease of `rows`; False when another run has taken some of them."""
        own = {
            "_id": {"$in": [row["_id"] for row in rows]},
            "queue_owner": self.owner,
            "queue_state": QueueState.IN_PROGRESS,
        }
        until = self._clock.precise() + self._lease
        renewed = self._rows.update_many(own, {"$set": {"queue_lease_until": until}})
        return bool(renewed.matched_count == len(rows))


def predecessors(row: Mapping[str, Any]) -> set[str]:
    """Return the ids of other items whose earlier versions are routed before `row`."""
    ids = {row["rewrite_of"]} if row.get("rewrite_of") else set()
    held = (held.get("_id") for _key, held in associations_of(row))
    ids |= {id_ for id_ in held if isinstance(id_, str)}
    if row.get("type") == ItemType.COMPOSITE:
        ids |= set(member_ids(row.get("groups")))
    return ids


def precedes(other: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> bool:
    """Whether `other` has to be routed before `row`. A row that is not due yet holds nothing up."""
    if other["_id"] == row["_id"] or _is_scheduled_for_later(other, now):
        return False
    return _place(other) < _place(row)


def _is_scheduled_for_later(row: Mapping[str, Any], now: datetime) -> bool:
    if row.get("state") != State.SCHEDULED:
        return False
    due_at = (row.get("schedule_settings") or {}).get("utc_publish_schedule")
    return not isinstance(due_at, datetime) or due_at > now


def _place(row: Mapping[str, Any]) -> int:
    return int(row.get("publish_sequence_no") or 0)


# Scheduled rows that are due: the scheduled version becomes the published one.

CHANGED = ("state", "versioncreated", "_current_version", "groups")
"""Fields that the release changes, on the item and on its row."""


class ScheduledRelease:
    """Publish claimed rows that were scheduled, each exactly once (lifecycle contract 5.3).

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
        # The row says so, also when another process has completed this.
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
        item = self._journal.read(row["item_id"])
        if item is None or item.get("state") != State.SCHEDULED:
            return None
        unchanged = {"_id": row["_id"], "state": State.SCHEDULED}
        return item if self._db[PUBLISHED].find_one(unchanged, {"_id": 1}) else None

    def _move(self, row: Document, item: Document) -> bool:
        """Publish the item, then its row; False when somebody has written the item since."""
        now, version = self._clock.now(), int(item["_current_version"]) + 1
        change = {"state": State.PUBLISHED, "versioncreated": now, "_current_version": version}
        own, shown = self._groups(row, item)
        note = self._journal.action(self._follow_ups(row, {**change, **shown}), version)
        # A new etag: who has read the item as scheduled must not act on it as if it still were.
        written = {**change, **own, "_updated": now, "_etag": new_etag()}
        try:
            # The beginning of a correction changes the state and keeps the etag.
            self._journal.write(written, item, note, unless_changed=["state"])
        except PreconditionFailed:
            return False
        return True

    def _groups(self, row: Document, item: Document) -> tuple[Document, Document]:
        """Return the groups of a package and of its row, with members that came out before.

        Saved groups of the item may differ from those that were scheduled.
        """
        if row.get("type") != ItemType.COMPOSITE:
            return {}, {}
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
            changing(PUBLISHED, scheduled, {**change, "_updated": now}),
        ]

    def _drop(self, row: Document) -> None:
        self._db[PUBLISHED].update_one(
            {"_id": row["_id"]}, {"$set": {"queue_state": QueueState.QUEUED_NOT_TRANSMITTED}}
        )
