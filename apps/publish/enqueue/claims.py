"""Claims of published rows: which ones an enqueue run works on, and in which order.

Several runs may overlap. A row belongs to the run that turned it to `in_progress`; a run that dies
loses its rows when their lease ends (routing contract R1 to R4). Claimed rows that were scheduled
are published before they are routed.

Rows may have been stored by others. Whatever they hold, they can be claimed: what cannot be
compared counts as nothing here, and is refused when the row is routed.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import Event, Thread
from typing import Any
from uuid import uuid4

import structlog
from pymongo.database import Database
from pymongo.errors import OperationFailure, PyMongoError

from apps.archive.associations import associations_with_ids, stored_items
from apps.archive.events import tell_update
from apps.archive.journal.follow_ups import change as changing
from apps.archive.journal.follow_ups import record
from apps.archive.journal.journal import Journal
from apps.archive.packages import member_ids, with_newer_versions
from apps.core.clock import Clock
from apps.core.documents import number_of, object_of
from apps.core.errors import PreconditionFailed
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import ItemType, Operation, QueueState, State
from apps.publish.content.associated_items import come_out, scheduled_associations
from apps.publish.enqueue.references import associations_of
from apps.store.batches import first_batch
from apps.store.collections import PUBLISHED
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

UNFINISHED = [QueueState.PENDING, QueueState.IN_PROGRESS]

RENEWALS_PER_LEASE = 3

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
        batch_size: rows taken at once; fewer where they are large.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, lease: timedelta, batch_size: int
    ) -> None:
        self._rows = db[PUBLISHED]
        self._clock = clock
        self._lease = lease
        self._batch_size = batch_size
        self._waiting: list[Any] = []
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
            "last_queue_event": {"$not": {"$gte": now - self._lease}},
        }
        return int(released + self._rows.update_many(foreign, given_back).modified_count)

    def take(self) -> list[Document]:
        """Claim the next rows to route, in routing order; empty when there is nothing to do.

        Of one item, versions are taken only when everything earlier is finished or taken along;
        a rewrite waits for the story it rewrites, a package for its members, a story for what it
        may take along. Rows that wait are looked at by the next run again: they hide none that
        comes after them.
        """
        while found := sorted(self._due_scheduled() + self._pending(), key=_place):
            mine = self._mark(found)
            free = self._free(mine)
            if blocked := [row for row in mine if key_of(row) not in free]:
                self.put_off(blocked)
            if len(blocked) < len(mine) or not mine:
                return [row for row in mine if key_of(row) in free]
        return []

    def _due_scheduled(self) -> list[Document]:
        due = {
            "queue_state": QueueState.PENDING,
            "state": State.SCHEDULED,
            "schedule_settings.utc_publish_schedule": {"$lte": self._clock.now()},
            **self._not_waiting(),
        }
        return self._first(due)

    def _pending(self) -> list[Document]:
        ready = {
            "queue_state": QueueState.PENDING,
            "state": {"$ne": State.SCHEDULED},
            "queue_retry_at": {"$not": {"$gt": self._clock.precise()}},
            **self._not_waiting(),
        }
        return self._first(ready)

    def _first(self, query: Document) -> list[Document]:
        """Return the first rows of a query in routing order, as many as are routed at once."""
        return first_batch(self._rows.find(query).sort("publish_sequence_no", 1), self._batch_size)

    def _not_waiting(self) -> Document:
        return {"_id": {"$nin": self._waiting}} if self._waiting else {}

    def _mark(self, found: Sequence[Document]) -> list[Document]:
        ids = [row["_id"] for row in found]
        now = self._clock.precise()
        mark = {
            "queue_state": QueueState.IN_PROGRESS,
            "queue_owner": self.owner,
            "queue_lease_until": now + self._lease,
            "last_queue_event": now,
        }
        still_free = {"queue_state": QueueState.PENDING}
        try:
            marked = self._rows.update_many({"_id": {"$in": ids}, **still_free}, {"$set": mark})
            if marked.modified_count == len(ids):
                return list(found)
        except OperationFailure as error:
            if is_outage(error):
                raise
            for id_ in ids:
                self._mark_alone(id_, still_free, mark)
        # Another run was faster on some of them.
        own = {"_id": {"$in": ids}, "queue_owner": self.owner}
        won = [row["_id"] for row in self._rows.find(own, {"_id": 1})]
        return [row for row in found if row["_id"] in won]

    def _mark_alone(self, id_: Any, still_free: Document, mark: Document) -> None:
        """Claim one row. One that is as large as a row can be cannot be written: it is left out."""
        try:
            self._rows.update_one({"_id": id_, **still_free}, {"$set": mark})
        except OperationFailure as error:
            if is_outage(error):
                raise
            log.exception("published.not_claimed", published=str(id_))
            self._waiting.append(id_)

    def _free(self, mine: Sequence[Document]) -> set[str]:
        """Return the keys of the claimed rows that need not wait for rows of other runs.

        Looked at after claiming: of two runs that hold neighbouring versions, the one with the
        later version sees the earlier one and steps back.
        """
        free = {key_of(row) for row in mine}
        if not mine:
            return free
        waits_for = [waits_for_items(row) for row in mine]
        items = sorted(set().union(*waits_for))
        unfinished: dict[str, list[Document]] = defaultdict(list)
        for other in self._rows.find(
            {"item_id": {"$in": items}, "queue_state": {"$in": UNFINISHED}},
            dict.fromkeys(WAITING_FIELDS, 1),
        ):
            if isinstance(other["item_id"], str):
                unfinished[other["item_id"]].append(other)
        if all(key_of(other) in free for others in unfinished.values() for other in others):
            return free
        now = self._clock.now()
        # In routing order, so that a blocked version blocks the later ones.
        for row, wanted in zip(mine, waits_for, strict=True):
            others = (other for item in wanted for other in unfinished[item])
            if any(key_of(other) not in free and precedes(other, row, now) for other in others):
                free.discard(key_of(row))
        return free

    def put_off(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Give rows back; this run takes them no more."""
        ids = [row["_id"] for row in rows]
        self._waiting += ids
        self.give_back(ids)

    def give_back(self, ids: Iterable[Any]) -> None:
        """Return rows that are still claimed by this run to those that wait."""
        own = {"_id": {"$in": list(ids)}, "queue_owner": self.owner}
        self._rows.update_many(
            own, {"$set": {"queue_state": QueueState.PENDING, "queue_owner": None}}
        )

    def give_up(self, row: Mapping[str, Any]) -> None:
        """End a claimed row in `error`, without a reason: there is no room for one in it."""
        own = {"_id": row["_id"], "queue_owner": self.owner}
        done = {"$set": {"queue_state": QueueState.ERROR}, "$unset": {"queue_owner": 1}}
        self._rows.update_one(own, done)

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

    @contextmanager
    def kept(self, rows: Sequence[Mapping[str, Any]]) -> Iterator[None]:
        """Renew the lease of `rows` at each third of it, in the background, until the `with` ends.

        Without this, runs that overlap would take a batch that lasts longer than a lease from each
        other for ever. What this run has finished, or given back, is left alone.
        """
        ended = Event()

        def renew() -> None:
            while not ended.wait(self._lease.total_seconds() / RENEWALS_PER_LEASE):
                try:
                    self.renew(rows)
                except PyMongoError as error:
                    log.warning("published.lease_not_renewed", error=str(error))

        thread = Thread(target=renew, name="claim-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def key_of(row: Mapping[str, Any]) -> str:
    """Return what tells rows apart, whatever their ids are."""
    return repr(row["_id"])


def waits_for_items(row: Mapping[str, Any]) -> set[str]:
    """Return the ids of the items whose earlier versions are routed before `row`, its own among
    them.
    """
    ids = [row.get("item_id"), row.get("rewrite_of")]
    ids += [held.get("_id") for _key, held in associations_of(row)]
    if row.get("type") == ItemType.COMPOSITE:
        ids += member_ids(row.get("groups"))
    return {id_ for id_ in ids if id_ and isinstance(id_, str)}


def precedes(other: Mapping[str, Any], row: Mapping[str, Any], now: datetime) -> bool:
    """Whether `other` has to be routed before `row`. A row that is not due yet holds nothing up."""
    if other["_id"] == row["_id"] or _is_scheduled_for_later(other, now):
        return False
    return _place(other) < _place(row)


def _is_scheduled_for_later(row: Mapping[str, Any], now: datetime) -> bool:
    if row.get("state") != State.SCHEDULED:
        return False
    due_at = object_of(row, "schedule_settings").get("utc_publish_schedule")
    return not isinstance(due_at, datetime) or due_at > now


def _place(row: Mapping[str, Any]) -> int:
    return number_of(row, "publish_sequence_no")


# Scheduled rows that are due: the scheduled version becomes the published one.

CHANGED = ("state", "versioncreated", "_current_version", "groups", "associations")
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
        now, version = self._clock.now(), number_of(item, "_current_version", 1) + 1
        change = {"state": State.PUBLISHED, "versioncreated": now, "_current_version": version}
        own, shown = self._held(row, item)
        note = self._journal.action(self._follow_ups(row, {**change, **shown}), version)
        # A new etag: who has read the item as scheduled must not act on it as if it still were.
        written = {**change, **own, "_updated": now, "_etag": new_etag()}
        try:
            # The beginning of a correction changes the state and keeps the etag.
            self._journal.write(written, item, note, unless_changed=["state"])
        except PreconditionFailed:
            return False
        return True

    def _held(self, row: Document, item: Document) -> tuple[Document, Document]:
        """Return what the item and its row hold, where what they show has come out before.

        One command more where other items were scheduled with the item.
        """
        own, shown = self._groups(row, item)
        scheduled = dict(scheduled_associations(item))
        named = associations_with_ids({"associations": scheduled})
        items = stored_items(self._db, (held["_id"] for _, held in named))
        for holder, changes in ((item, own), (row, shown)):
            if any(scheduled_associations(holder)):
                changes["associations"] = come_out(holder, items, scheduled.keys())
        return own, shown

    def _groups(self, row: Document, item: Document) -> tuple[Document, Document]:
        """Return the groups of a package and of its row, with members that came out before.

        Saved groups of the item may differ from those that were scheduled.
        """
        if row.get("type") != ItemType.COMPOSITE:
            return {}, {}
        ids = {*member_ids(row.get("groups")), *member_ids(item.get("groups"))}
        out = {"item_id": {"$in": sorted(ids)}, "last_published_version": True}
        members = self._db[PUBLISHED].find({**out, "state": {"$ne": State.SCHEDULED}})
        versions = {m["item_id"]: number_of(m, "_current_version") for m in members}
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
