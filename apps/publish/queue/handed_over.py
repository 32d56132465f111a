"""Rows that were handed over: others carry the delivery out (delivery contract 2.2).

Such a row is in progress and in no lane, so nobody leases it and nobody takes it over. Who has it
calls it back when there is an outcome: then it waits in its lane again, and the transmitter is
asked for that. Whoever dies before has left a row that is found by its time to be looked at.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import number_of, object_of, text_of
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.lanes.waking import wake
from apps.publish.queue.rows import lane_of, lanes_of
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE
from transmitters.base import HandedOver

SECOND_LOOK = timedelta(seconds=10)
"""Wait after the first look, which is at once: the outcome may have come before the row was
handed over."""
LONGEST = 7
"""Doublings of that wait: 21 minutes."""
LOOKED_AT = 500
"""Rows of one look."""
HELD: Mapping[str, Any] = {"state": RowState.IN_PROGRESS, "lane": None}
"""What a row is while others have it."""
FORGOTTEN: Mapping[str, Any] = {
    **HELD,
    "handed_over": {"$exists": True, "$ne": None},
    "$or": [
        {"handed_over.to": {"$not": {"$type": "string"}}},
        {"handed_over.look_at": {"$not": {"$type": "date"}}},
    ],
}
"""Rows that others have written so that nobody finds them."""
STRANDED: Mapping[str, Any] = {**HELD, "handed_over": None}
"""Rows in progress that nobody has: in no lane, and not handed over."""


def handed_over(outcome: HandedOver, now: datetime) -> Document:
    """Return the fields of a row that was handed over."""
    note = {
        "to": outcome.to,
        "mark": outcome.mark,
        "at": now,
        "looks": 0,
        "look_at": now,
    }
    return {**HELD, "error_message": outcome.message or None, "handed_over": note}


def called_back(row: Mapping[str, Any]) -> HandedOver | None:
    """Return what a transmitter said when it handed a row over; None for other rows."""
    note = object_of(row, "handed_over")
    return HandedOver(text_of(note, "to"), text_of(note, "mark")) if note else None


def is_handed_over(row: Mapping[str, Any]) -> bool:
    """Whether others have the row now."""
    return row.get("state") == RowState.IN_PROGRESS and bool(object_of(row, "handed_over"))


class HandedOverRows:
    """The rows that others have.

    Args:
        db: the database.
        clock: source of time.
    """

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self._rows = db[PUBLISH_QUEUE]
        self._lanes = db[PUBLISH_LANES]
        self._clock = clock

    def call_back(self, owners: Iterable[str]) -> int:
        """Let the rows be sent again for their outcome; return how many.

        One command, three more where there are such.

        Args:
            owners: `to` of those that have an outcome.
        """
        wanted = {"handed_over.to": {"$in": sorted(set(owners))}, **HELD}
        fields = dict.fromkeys(("subscriber_id", "destination", "priority", "handed_over.at"), 1)
        rows = list(self._rows.find(wanted, fields))
        if not rows:
            return 0
        now = self._clock.precise()
        writes = []
        for row in rows:
            row["lane"] = lane_of(row)
            # Whoever has it by now was handed it at another time.
            same = {"_id": row["_id"], **HELD, "handed_over.at": row["handed_over"].get("at")}
            change = {"state": RowState.PENDING, "lane": row["lane"], "_updated": now}
            writes.append(UpdateOne(same, {"$set": change}))
        count = self._rows.bulk_write(writes, ordered=False).modified_count
        wake(self._lanes, lanes_of(rows), now)
        return count

    def to_look_at(self) -> list[Document]:
        """Return rows whose owners may have forgotten them, the longest first; one command."""
        due = {"handed_over.look_at": {"$lte": self._clock.precise()}, **HELD}
        found = self._rows.find(due, {"handed_over": 1}).sort("handed_over.look_at", 1)
        return list(found.limit(LOOKED_AT))

    def put_off(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Look at rows again later, each time after twice as long; one command, or none."""
        now = self._clock.precise()
        writes = []
        for row in rows:
            looks = number_of(row["handed_over"], "looks") + 1
            wait = SECOND_LOOK * 2 ** max(0, min(looks - 1, LONGEST))
            later = {"handed_over.looks": looks, "handed_over.look_at": now + wait}
            same = {"_id": row["_id"], **HELD, "handed_over.at": row["handed_over"].get("at")}
            writes.append(UpdateOne(same, {"$set": later}))
        if writes:
            self._rows.bulk_write(writes, ordered=False)

    def has_others(self, row: Mapping[str, Any]) -> bool:
        """Whether another row waits for the same as this one; one command."""
        note = object_of(row, "handed_over")
        same = {"handed_over.to": note.get("to"), "handed_over.mark": note.get("mark"), **HELD}
        return self._rows.find_one({**same, "_id": {"$ne": row["_id"]}}, {"_id": 1}) is not None
