"""Rows that nobody looks after: left by a process that died, or written by others."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import OperationFailure

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import Fault, RowState
from apps.lanes.claims import Lane
from apps.lanes.recovery import LostLanes
from apps.lanes.retries import MAX_UNKNOWN, UNKNOWN, attempt_note, noted, unknown_outcomes
from apps.lanes.sending import Sending, token_of
from apps.lanes.waking import wake
from apps.publish.queue.handed_over import FORGOTTEN, STRANDED
from apps.publish.queue.rows import (
    FULL,
    ORDER_SEQUENCE,
    complete_row,
    fault_of,
    is_full,
    lanes_of,
    notify_rows,
    without_faults,
)
from apps.publish.transmit.claim import order_of, unwritten
from apps.store.batches import first_batch
from apps.store.by_id import find_all_by_id
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE, SUBSCRIBERS
from apps.store.indexes import OPEN_ROWS, WAITING_ROWS
from apps.store.mongo import is_outage
from apps.store.sequences import Sequences
from transmitters.base import Mode

log = structlog.get_logger(__name__)

GIVEN_UP = "The outcome of three attempts in a row is unknown: the worker died while sending"
BATCH = 500


class Recovery:
    """Brings rows back into their lanes.

    Args:
        db: the database.
        clock: source of time.
        sequences: source of `order_no`.
        notifier: notifies clients of rows that were given up.
        on_failed: called with rows of one lane that have failed for good.
        on_lost: called with rows that may have been sent when their process died, and the token
            of the lease under which they were taken over.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        sequences: Sequences,
        *,
        notifier: Notifier,
        on_failed: Callable[[Sequence[Document]], None],
        on_lost: Callable[[Sequence[Document], int], None] = lambda rows, token: None,
    ) -> None:
        self._on_lost = on_lost
        self._db = db
        self._rows = db[PUBLISH_QUEUE]
        self._clock = clock
        self._sequences = sequences
        self._notifier = notifier
        self._on_failed = on_failed

    def find_lost(self, lane: Lane) -> list[Document]:
        """Return the rows that somebody without a lease was sending; one command, or two.

        The document of the lane names them. Those that are marked themselves were taken by a
        process of an earlier release, or by others.
        """
        marked = self._rows.find({"lane": lane.id, "state": RowState.IN_PROGRESS})
        lost = [row for row in marked if token_of(row) < lane.token]
        if lane.sending is not None:
            noted = {"_id": {"$in": list(lane.sending.ids)}, "state": WAITING_ROWS}
            lost += [row for row in self._rows.find(noted) if lane.sending.includes(row)]
        return lost

    def take_over(self, lane: Lane, mode: Mode, held: Sequence[Document]) -> None:
        """Give back the rows of a lane whose process died.

        They keep their key and their number of retries, and are sent again (delivery contract
        C4). What may have been sent gets an attempt of unknown outcome. Only where that is one row
        is it known to be the one that was being sent; three such ends in a row and it is given up,
        so that a delivery that kills its worker ends. That is reported like every failure for good.

        Whoever has left them may only stand still: the rows, and all others that it might write
        when it goes on, get the token of this lease.

        Args:
            mode: what the destination does with several versions of an item.
            held: rows that were being sent under an earlier lease.
        """
        if held:
            self._give_back(lane, mode, held)
        if lane.sending is not None:
            self._shut_out(lane, lane.sending)

    def _give_back(self, lane: Lane, mode: Mode, held: Sequence[Document]) -> None:
        started = self._may_have_started(lane, mode, held)
        changes = [
            self._taken_over(row, lane, started=row["_id"] in started, alone=len(started) == 1)
            for row in held
        ]
        self._rows.bulk_write(
            [
                # Whoever has leased the lane since then has written them, with a later token.
                UpdateOne(
                    {
                        "_id": row["_id"],
                        "state": row["state"],
                        "claim_token": row.get("claim_token"),
                    },
                    {"$set": change},
                )
                for row, change in zip(held, changes, strict=True)
            ],
            ordered=False,
        )
        changed = [{**row, **change} for row, change in zip(held, changes, strict=True)]
        if given_up := [row for row in changed if row["state"] == RowState.FAILED]:
            self._report(lane, given_up)
        self._on_lost([row for row in changed if row["_id"] in started], lane.token)

    def _shut_out(self, lane: Lane, note: Sending) -> None:
        """Write the token on what the last holder of the lease might still cancel; two commands.

        That is what waits in the lines of the rows that it has noted.
        """
        ids = {"_id": {"$in": [*note.ids, *note.pointless]}}
        items = {row["item_id"] for row in self._rows.find(ids, {"item_id": 1})}
        lines = {"item_id": {"$in": sorted(items)}, "lane": lane.id, **unwritten(lane)}
        self._rows.update_many(lines, {"$set": {"claim_token": lane.token}})

    def _may_have_started(self, lane: Lane, mode: Mode, held: Sequence[Document]) -> set[Any]:
        """Return the ids of rows that may have been sent; a command for `append`."""
        if mode is Mode.REPLACE:
            return may_have_started(held, ())
        waiting = {
            "item_id": {"$in": sorted({row["item_id"] for row in held})},
            "lane": lane.id,
            "state": WAITING_ROWS,
        }
        return may_have_started(held, self._rows.find(waiting, {"item_id": 1, "order_no": 1}))

    def _taken_over(self, row: Document, lane: Lane, *, started: bool, alone: bool) -> Document:
        """Return the fields to write on a row whose process died.

        Args:
            started: it may have been sent.
            alone: no other row may have been.
        """
        now = self._clock.precise()
        change: Document = {
            "state": RowState.PENDING,
            "claim_token": lane.token,
            "_updated": now,
        }
        if not started:
            return change
        unknown = unknown_outcomes(row, alone=alone)
        change["unknown_outcomes"] = unknown
        change["attempts"] = noted(row.get("attempts"), attempt_note(now, UNKNOWN))
        if unknown >= MAX_UNKNOWN:
            given_up = {"error_message": GIVEN_UP, "fault": Fault.OURS}
            change.update({"state": RowState.FAILED, **given_up})
        return change

    def _report(self, lane: Lane, given_up: Sequence[Document]) -> None:
        """Report rows that were given up, unless another process has them by now."""
        own = {"_id": {"$in": [row["_id"] for row in given_up]}, "claim_token": lane.token}
        stored = {
            row["_id"] for row in self._rows.find({**own, "state": RowState.FAILED}, {"_id": 1})
        }
        if failed := [row for row in given_up if row["_id"] in stored]:
            notify_rows(self._notifier, failed)
            self._on_failed(failed)

    def fail_malformed(self, lane: Lane) -> int:
        """Fail the rows of a lane that can be neither ordered nor sent; return how many.

        Called once they have stopped the delivery of their lane, whatever they hold.
        """
        failed = []
        for row in list(self._rows.find({"lane": lane.id, "state": OPEN_ROWS})):
            has_no_room = is_full(row)
            fault = fault_of(row) or (FULL if has_no_room else "")
            if not fault:
                continue
            change = {
                "state": RowState.FAILED,
                "error_message": fault,
                "fault": Fault.OURS,
                "_updated": self._clock.precise(),
            }
            same = {"_id": row["_id"], "state": row["state"]}
            room: Document = {"$unset": {"formatted_item": 1}} if has_no_room else {}
            if self._rows.update_one(same, {"$set": change, **room}).modified_count:
                failed.append({**without_faults(row), **change})
        if failed:
            notify_rows(self._notifier, failed)
            self._on_failed(failed)
        return len(failed)

    def adopt(self) -> int:
        """Bring rows that others wrote into the queue into their lanes; return how many.

        Those that cannot be sent fail at once, so that they hold up none behind them.
        """
        adopted = 0
        unwritten: list[Any] = []
        while True:
            strangers: Document = {"lane": None, "state": WAITING_ROWS}
            if unwritten:
                strangers["_id"] = {"$nin": unwritten}
            rows = first_batch(self._rows.find(strangers).sort("_id", 1), BATCH)
            if not rows:
                return adopted
            unwritten += self._complete(rows)
            adopted += len(rows)

    def _complete(self, rows: Sequence[Document]) -> list[Any]:
        """Bring rows into their lanes; return the ids of those that have no room for it."""
        first = self._sequences.draw(ORDER_SEQUENCE, len(rows))
        ids = (row.get("subscriber_id") for row in rows)
        subscribers = find_all_by_id(self._db[SUBSCRIBERS], ids, {"_id": 1})
        for order_no, row in enumerate(rows, start=first):
            if found := subscribers.get(row.get("subscriber_id")):
                # One lane, whatever form of the id others write.
                row["subscriber_id"] = found["_id"]
            complete_row(row, order_no)
            if fault := fault_of(row):
                failed = {"error_message": fault, "fault": Fault.OURS}
                row.update({"state": RowState.FAILED, **failed})
        fields = (
            *("lane", "order_no", "idempotency_key", "priority", "item_id"),
            *("subscriber_id", "state", "error_message", "fault"),
        )
        writes = [
            UpdateOne(
                {"_id": row["_id"], "lane": None, "state": WAITING_ROWS},
                {"$set": {f: row.get(f) for f in fields}},
            )
            for row in rows
        ]
        unwritten: list[Any] = []
        try:
            self._rows.bulk_write(writes, ordered=False)
        except OperationFailure as error:
            if is_outage(error):
                raise
            for row, write in zip(rows, writes, strict=True):
                try:
                    self._rows.bulk_write([write])
                except OperationFailure as refused:
                    if is_outage(refused):
                        raise
                    log.exception("delivery.not_adopted", row=str(row["_id"]))
                    unwritten.append(row["_id"])
        wake(self._db[PUBLISH_LANES], lanes_of(rows), self._clock.precise())
        return unwritten


class LostRows(LostLanes):
    """Wakes lanes whose rows would stay where they are."""

    def wake_waiting(self) -> int:
        # Others wrote what is no lane: such rows are adopted.
        no_lane = {"$exists": True, "$ne": None, "$not": {"$type": "string"}}
        waiting = {**self._kind.waiting, self._kind.lane_field: no_lane}
        self._work.update_many(waiting, {"$set": {self._kind.lane_field: None}})
        # Rows that nobody could call back are sent again, and so are those that were being sent by
        # a system without lanes.
        for left in (FORGOTTEN, STRANDED):
            self._work.update_many(left, {"$set": {"state": RowState.PENDING}})
        return super().wake_waiting()


def may_have_started(
    held: Iterable[Mapping[str, Any]], waited_for: Iterable[Mapping[str, Any]]
) -> set[Any]:
    """Return the ids of rows that may have been sent, of those that were being sent.

    Of each item that is the oldest one, because the outcome of a row is recorded before the next
    one of its line starts.

    Args:
        held: rows that were being sent.
        waited_for: rows that have to go before newer ones of their item.
    """
    oldest = {row["item_id"]: row for row in sorted(held, key=order_of, reverse=True)}
    for row in waited_for:
        first = oldest.get(row["item_id"])
        if first is not None and order_of(row) < order_of(first):
            del oldest[row["item_id"]]
    return {row["_id"] for row in oldest.values()}
