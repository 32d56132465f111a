"""Deliveries that have become old while nothing was sent (delivery contract 7.1).

They are held back until somebody says what becomes of them. Withdrawals are not: whoever has got a
story has to be told, however late. A lane that goes on without anybody being asked, because its
subscriber was activated, remembers up to which place in its order it holds them back (`held_to`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import CONTENT_API, WITHDRAWING_ACTIONS, RowState
from apps.publish.queue.actions import AS_READ, cancel_waiting
from apps.publish.queue.lane_state import HELD_TO
from apps.publish.queue.rows import notify_rows
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE
from apps.store.indexes import WAITING_ROWS

BATCH = 500
HELD: Mapping[str, Any] = {
    "state": WAITING_ROWS,
    "publishing_action": {"$nin": sorted(WITHDRAWING_ACTIONS)},
}
"""Rows that may be held back."""


@dataclass(frozen=True)
class Older:
    """Deliveries of a lane that have become old.

    Attributes:
        count: how many there are.
        oldest: when the first of them was queued; None where there is none.
    """

    count: int = 0
    oldest: datetime | None = None


class OlderRows:
    """Finds, holds back and cancels deliveries that have become old.

    Args:
        db: the database.
        clock: source of time.
        notifier: tells clients.
        hours: age from which on somebody has to say what becomes of a delivery; 0 for never.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, notifier: Notifier, hours: float
    ) -> None:
        self._db = db
        self._rows = db[PUBLISH_QUEUE]
        self._lanes = db[PUBLISH_LANES]
        self._clock = clock
        self._notifier = notifier
        self.hours = hours

    def of(self, lane: str) -> Older:
        """Return what there is in a lane; one command, which reads what waits there."""
        if not self.hours:
            return Older()
        pipeline = [
            {"$match": {"lane": lane, **self._old}},
            {"$group": {"_id": None, "count": {"$sum": 1}, "oldest": {"$min": "$_created"}}},
        ]
        for found in self._rows.aggregate(pipeline):
            return Older(found["count"], found["oldest"])
        return Older()

    def count(self, lane: str, most: int) -> int:
        """Return how many there are in a lane, `most` at most; one command."""
        if not self.hours:
            return 0
        return self._rows.count_documents({"lane": lane, **self._old}, limit=most)

    def hold(self, subscriber_id: Any) -> None:
        """Hold back what there is in the lanes of a subscriber; one command, two where there is.

        Not what the content API shows: that is copied when it is published.
        """
        if not self.hours:
            return
        pipeline = [
            {
                "$match": {
                    "subscriber_id": subscriber_id,
                    "destination.delivery_type": {"$ne": CONTENT_API},
                    **self._old,
                }
            },
            {"$group": {"_id": "$lane", "last": {"$max": "$order_no"}}},
        ]
        writes = [
            UpdateOne({"_id": found["_id"]}, {"$max": {HELD_TO: found["last"]}}, upsert=True)
            for found in self._rows.aggregate(pipeline)
            if isinstance(found["_id"], str) and isinstance(found["last"], int)
        ]
        if writes:
            self._lanes.bulk_write(writes, ordered=False)

    def cancel(self, lane: str) -> int:
        """Cancel what there is in a lane; return how many. Two commands for each 500 of them."""
        canceled = 0
        old = {"lane": lane, **self._old}
        while rows := list(self._rows.find(old, AS_READ).limit(BATCH)):
            done = cancel_waiting(self._db, rows, self._clock.precise())
            if not done:
                # What is left is being sent.
                break
            canceled += len(done)
            gone = [{**r, "state": RowState.CANCELED} for r in rows if r["_id"] in done]
            notify_rows(self._notifier, gone)
        return canceled

    @property
    def _old(self) -> Document:
        since = self._clock.now() - timedelta(hours=self.hours)
        return {**HELD, "_created": {"$lt": since}}
