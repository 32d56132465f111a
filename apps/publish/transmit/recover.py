"""Rows that nobody looks after: left by a process that died, or written by others."""

from collections.abc import Callable, Sequence
from datetime import timedelta

from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import WAITING_ROW_STATES, RowState
from apps.publish.queue.rows import (
    ORDER_SEQUENCE,
    complete_row,
    fault_of,
    lanes_of,
    notify_rows,
    wake,
)
from apps.publish.transmit.attempt import ATTEMPTS_KEPT
from apps.publish.transmit.claim import Lane
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE
from apps.store.sequences import Sequences

MAX_UNKNOWN = 3
"""Unknown outcomes in a row after which a delivery is given up."""
UNKNOWN = "unknown"
GIVEN_UP = "The outcome of three attempts in a row is unknown: the worker died while sending"
BATCH = 500
GIVE_BACK = {"$set": {"state": RowState.PENDING}}


class Recovery:
    """Brings rows back into their lanes.

    Args:
        db: the database.
        clock: source of time.
        sequences: source of `order_no`.
        lease: age at which a row in progress without a lane is taken for lost.
        notifier: notifies clients of rows that were given up.
        on_failed: called with rows of one lane that have failed for good.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        sequences: Sequences,
        lease: timedelta,
        *,
        notifier: Notifier,
        on_failed: Callable[[Sequence[Document]], None],
    ) -> None:
        self._db = db
        self._rows = db[PUBLISH_QUEUE]
        self._clock = clock
        self._sequences = sequences
        self._lease = lease
        self._notifier = notifier
        self._on_failed = on_failed

    def take_over(self, lane: Lane) -> bool:
        """Give back the rows of a lane whose process died; return whether there were any.

        They keep their key and their number of retries, and are sent again (delivery contract
        C4). Only where one row was in progress is it known to be the one that was being sent;
        three such ends in a row and it is given up, so that a delivery that kills its worker
        ends. That is reported like every failure for good.
        """
        held = list(self._rows.find({"lane": lane.id, "state": RowState.IN_PROGRESS}))
        if not held:
            return False
        changes = [self._taken_over(row, lane, alone=len(held) == 1) for row in held]
        self._rows.bulk_write(
            [
                UpdateOne({"_id": row["_id"], "state": row["state"]}, {"$set": change})
                for row, change in zip(held, changes, strict=True)
            ],
            ordered=False,
        )
        changed = [{**row, **change} for row, change in zip(held, changes, strict=True)]
        given_up = [row for row in changed if row["state"] == RowState.FAILED]
        if given_up:
            notify_rows(self._notifier, given_up)
            self._on_failed(given_up)
        return True

    def _taken_over(self, row: Document, lane: Lane, *, alone: bool) -> Document:
        """Return the fields to write on a row whose process died.

        Args:
            alone: no other row of the lane was in progress.
        """
        now = self._clock.precise()
        attempt = {"at": now, "ms": None, "outcome": UNKNOWN, "status": None, "message": ""}
        unknown = int(row.get("unknown_outcomes") or 0) + (1 if alone else 0)
        change: Document = {
            "state": RowState.PENDING,
            "unknown_outcomes": unknown,
            "claim_token": lane.token,
            "attempts": [*(row.get("attempts") or ()), attempt][-ATTEMPTS_KEPT:],
            "_updated": now,
        }
        if unknown >= MAX_UNKNOWN:
            change.update({"state": RowState.FAILED, "error_message": GIVEN_UP})
        return change

    def adopt(self) -> int:
        """Bring rows that others wrote into the queue into their lanes; return how many.

        Those that cannot be sent fail at once, so that they hold up none behind them.
        """
        adopted = 0
        while True:
            strangers = {"lane": None, "state": {"$in": list(WAITING_ROW_STATES)}}
            rows = list(self._rows.find(strangers).sort("_id", 1).limit(BATCH))
            if not rows:
                return adopted
            self._complete(rows)
            adopted += len(rows)

    def _complete(self, rows: Sequence[Document]) -> None:
        first = self._sequences.draw(ORDER_SEQUENCE, len(rows))
        for order_no, row in enumerate(rows, start=first):
            complete_row(row, order_no)
            if fault := fault_of(row):
                row.update({"state": RowState.FAILED, "error_message": fault})
        fields = (
            *("lane", "order_no", "idempotency_key", "priority", "item_id"),
            *("state", "error_message"),
        )
        self._rows.bulk_write(
            [
                UpdateOne(
                    {"_id": row["_id"], "lane": None, "state": {"$in": list(WAITING_ROW_STATES)}},
                    {"$set": {f: row.get(f) for f in fields}},
                )
                for row in rows
            ],
            ordered=False,
        )
        wake(self._db, lanes_of(rows), self._clock.precise())

    def reconcile(self) -> int:
        """Wake lanes that hold rows and are not due, and give back what nobody sends any more.

        A net under every other mechanism. Rows of a lane whose process died are left to the process
        that leases it next: `take_over` counts their unknown outcomes.

        Reads the whole queue index, so it runs seldom. Returns how many lanes were woken.
        """
        now = self._clock.precise()
        waiting = {"state": {"$in": list(WAITING_ROW_STATES)}}
        lost = {"state": RowState.IN_PROGRESS, "_updated": {"$lt": now - 2 * self._lease}}
        with_lost = set(self._rows.distinct("lane", lost)) - {None}
        lanes = set(self._rows.distinct("lane", waiting)) - {None} | with_lost
        fields = {"wake_at": 1, "lease_until": 1, "lease_owner": 1}
        known = list(self._db[PUBLISH_LANES].find({"_id": {"$in": sorted(lanes)}}, fields))
        awake = {lane["_id"] for lane in known if lane.get("wake_at")}
        held = {lane["_id"] for lane in known if (lane.get("lease_until") or now) > now}
        orphaned = {lane["_id"] for lane in known if lane.get("lease_owner")}
        idle = (lanes - awake | with_lost) - held
        unowned = sorted(with_lost - held - orphaned)
        self._rows.update_many({**lost, "lane": {"$in": unowned}}, GIVE_BACK)
        wake(self._db, dict.fromkeys(idle, False), now)
        return len(idle)
