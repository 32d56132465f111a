"""Which published rows an enqueue run works on: claims with leases, versions in order.

Several runs may overlap. A row belongs to whoever turned it to `in_progress`; a run that dies
loses its rows when their lease ends (routing contract R1 to R4).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pymongo.database import Database

from apps.archive.packages import member_ids
from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.vocabulary import ItemType, QueueState, State
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
    """Whether `other` has to be routed before `row`. What waits for its hour holds nothing up."""
    if other["_id"] == row["_id"] or _waits_for_its_hour(other, now):
        return False
    return _place(other) < _place(row)


def _waits_for_its_hour(row: Mapping[str, Any], now: datetime) -> bool:
    if row.get("state") != State.SCHEDULED:
        return False
    hour = (row.get("schedule_settings") or {}).get("utc_publish_schedule")
    return not isinstance(hour, datetime) or hour > now


def _place(row: Mapping[str, Any]) -> int:
    return int(row.get("publish_sequence_no") or 0)
