"""Reasons for which an item stays although its time may be over (lifecycle contract 5.14)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from pymongo.database import Database

from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import FINAL_ROW_STATES, QueueState, State
from apps.retention.legal_archive.items import NOT_MOVED as ITEMS_NOT_MOVED
from apps.retention.legal_archive.queue import FINISHED as DELIVERIES_NOT_MOVED
from apps.store.by_id import find_all_by_id
from apps.store.collections import ASSIGNMENTS, DESKS, PUBLISH_QUEUE, PUBLISHED, PUBLISHING_RECORDS

NOT_ROUTED = [QueueState.PENDING, QueueState.IN_PROGRESS]
OUT = (State.PUBLISHED, State.CORRECTED)
ASSIGNMENT_ENDED = ["completed", "cancelled"]


class Holds:
    """The items of one batch that cannot go now; one command for each reason.

    Args:
        db: the database.
        items: by id; all are looked at together.
        now: the current time.
        has_legal_archive: nothing goes before the long-term archive has it.

    Attributes:
        held: ids of items that cannot go now, for whatever reason.
        not_in_legal: those that the long-term archive does not have yet.
    """

    def __init__(
        self,
        db: Database[Document],
        items: Mapping[str, Document],
        now: datetime,
        *,
        has_legal_archive: bool,
    ) -> None:
        self._db = db
        self._items = items
        self.not_in_legal = self._not_in_legal() if has_legal_archive else set()
        self.held = {id_ for id_, item in items.items() if not is_expired(item, now)}
        self.held |= self._preserved() | self._not_delivered() | self._assigned()
        self.held |= self.not_in_legal

    def _preserved(self) -> set[str]:
        """Return what is out on desks that keep what they have published."""
        desks = {
            id_: desk_of(item) for id_, item in self._items.items() if item.get("state") in OUT
        }
        wanted = {"_id": {"$in": list(desks.values())}, "preserve_published_content": True}
        keeping = [desk["_id"] for desk in self._db[DESKS].find(wanted, {"_id": 1})]
        return {id_ for id_, desk in desks.items() if desk in keeping}

    def _not_delivered(self) -> set[str]:
        """Return what is still on its way to somebody."""
        ids: Collection[str] = list(self._items)
        not_routed = {"item_id": {"$in": ids}, "queue_state": {"$in": NOT_ROUTED}}
        not_sent = {"item_id": {"$in": ids}, "state": {"$nin": list(FINAL_ROW_STATES)}}
        on_their_way = self._db[PUBLISHED].distinct("item_id", not_routed)
        # Wishes of CMS sites; later looks at what is there need no item.
        not_shown = {
            "content": {"$in": ids},
            "next_attempt_at": {"$type": "date"},
            "phase": {"$ne": "idle"},
        }
        return {
            *on_their_way,
            *self._db[PUBLISH_QUEUE].distinct("item_id", not_sent),
            *self._db[PUBLISHING_RECORDS].distinct("content", not_shown),
        }

    def _assigned(self) -> set[str]:
        """Return what belongs to an assignment that somebody still works on."""
        assignments = {
            id_: item["assignment_id"]
            for id_, item in self._items.items()
            if item.get("assignment_id")
        }
        if not assignments:
            return set()
        state = {"assigned_to.state": 1}
        found = find_all_by_id(self._db[ASSIGNMENTS], assignments.values(), state)
        return {
            id_
            for id_, wanted in assignments.items()
            if (assignment := found.get(wanted))
            and object_of(assignment, "assigned_to").get("state") not in ASSIGNMENT_ENDED
        }

    def _not_in_legal(self) -> set[str]:
        return missing_in_legal(self._db, list(self._items))


def missing_in_legal(db: Database[Document], ids: Collection[str]) -> set[str]:
    """Return those of `ids` of which rows, or finished deliveries, are not in the legal archive."""
    rows = {"item_id": {"$in": list(ids)}, **ITEMS_NOT_MOVED}
    deliveries = {"item_id": {"$in": list(ids)}, **DELIVERIES_NOT_MOVED}
    return {
        *db[PUBLISHED].distinct("item_id", rows),
        *db[PUBLISH_QUEUE].distinct("item_id", deliveries),
    }


def is_expired(item: Mapping[str, Any], now: datetime) -> bool:
    """Whether the item's time is over; an item without an expiry lives for ever."""
    expiry = item.get("expiry")
    return isinstance(expiry, datetime) and expiry <= now


def desk_of(item: Mapping[str, Any]) -> Any:
    """Return the id of the item's desk, or None."""
    return object_of(item, "task").get("desk")
