"""Claims on rows: which come next in a lane, and who sends them.

Delivery contract O1 to O8, C1 to C4. Rows are marked in one update with the token of the lease of
their lane; every later write carries it, and none touches a row that a later lease has marked, so
a process that lost its lease changes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.vocabulary import WAITING_ROW_STATES, WITHDRAWING_ACTIONS, RowState
from apps.lanes.breaker import Circuit
from apps.lanes.claims import Lane, LaneClaims, token_of
from apps.lanes.retries import has_unknown_outcome
from apps.publish.transmit.attempt import BEHIND_SECONDS
from apps.publish.transmit.held import HeldRows
from apps.store.collections import PUBLISH_QUEUE, PUBLISHED
from transmitters.base import Mode

log = structlog.get_logger(__name__)

RETRYING_LIMIT = 1000
WITHDRAWALS = 20
"""Those that are told of where they wait."""


@dataclass
class LaneSelection:
    """The rows to deliver next in a lane.

    Attributes:
        rows: in delivery order.
        superseded: row id to the id of the row that makes it pointless: a withdrawal, or one that
            the receiver may have.
        more: whether more is due than was taken.
        next_due: when something that waits now becomes due.
        next_withdrawal: when a withdrawal among that becomes due.
        older: item ids with older rows that wait for a retry.
        lost: rows that a process without a lease left in progress. While there are such, nothing
            else is picked.
    """

    rows: list[Document] = field(default_factory=list)
    superseded: dict[Any, Any] = field(default_factory=dict)
    more: bool = False
    next_due: datetime | None = None
    next_withdrawal: datetime | None = None
    older: set[str] = field(default_factory=set)
    lost: list[Document] = field(default_factory=list)


class RowClaims:
    """Picks and marks the rows of leased lanes.

    Args:
        db: the database.
        clock: source of time.
        claims: has leased the lanes.
    """

    def __init__(self, db: Database[Document], clock: Clock, claims: LaneClaims) -> None:
        self._rows = db[PUBLISH_QUEUE]
        self._published = db[PUBLISHED]
        self._clock = clock
        self._claims = claims

    def select(self, lane: Lane, mode: Mode, limit: int) -> LaneSelection:
        """Pick up to `limit` rows that may be delivered now; two commands, seldom more.

        Args:
            mode: what the destination does with several versions of an item.
        """
        # Nobody else marks rows while the lane is leased: what is in progress now was left behind.
        unsettled = {"lane": lane.id, "state": {"$in": [RowState.RETRYING, RowState.IN_PROGRESS]}}
        retrying = list(
            self._rows.find(unsettled).sort("next_retry_attempt_at", 1).limit(RETRYING_LIMIT)
        )
        if in_progress := [row for row in retrying if row["state"] == RowState.IN_PROGRESS]:
            self._claims.rise_above(lane, in_progress)
            return LaneSelection(lost=[row for row in in_progress if token_of(row) < lane.token])
        if lane.breaker.circuit is Circuit.OPEN:
            return self._select_withdrawal(lane, mode, retrying)
        # Lines that may have to wait are read apart, so that however long, they hide no other
        # (delivery contract O2).
        held_up = {row["item_id"] for row in retrying} if mode is Mode.APPEND else set()
        waiting: Document = {"lane": lane.id, "state": RowState.PENDING}
        if held := HeldRows.of(self._rows, lane):
            held_up |= held.items() if mode is Mode.APPEND else set()
            waiting |= held.others
        free = {**waiting, "item_id": {"$nin": sorted(held_up)}} if held_up else waiting
        order = [("priority", -1), ("order_no", 1)]
        pending = list(self._rows.find(free).sort(order).limit(limit + 1))
        more = len(pending) > limit
        if more and pending[0].get("priority"):
            pending += self._overtaken(lane, pending)
        if held_up:
            pending += self._rows.find({**waiting, "item_id": {"$in": sorted(held_up)}})
        if len(retrying) == RETRYING_LIMIT:
            retrying += self._rest_of_lines(lane, pending, retrying)
        if held:
            retrying += held.older_of([*pending, *retrying])
        picked = pick(pending, retrying, mode, self._clock.precise(), held)
        picked.more = more or len(picked.rows) > limit
        picked.rows = picked.rows[:limit]
        return picked

    def _select_withdrawal(self, lane: Lane, mode: Mode, retrying: list[Document]) -> LaneSelection:
        """Pick the withdrawal that is due, if there is one: nothing else goes (contract B4)."""
        waiting = {
            "lane": lane.id,
            "state": RowState.PENDING,
            "priority": True,
            "publishing_action": {"$in": sorted(WITHDRAWING_ACTIONS)},
        }
        pending = list(self._rows.find(waiting).sort("order_no", 1).limit(RETRYING_LIMIT))
        if pending:
            pending += self._overtaken(lane, pending)
        if len(retrying) == RETRYING_LIMIT:
            retrying = retrying + self._rest_of_lines(lane, pending, retrying)
        now = self._clock.precise()
        picked = pick(pending, retrying, mode, now, HeldRows.of(self._rows, lane))
        due = [row for row in picked.rows if row.get("publishing_action") in WITHDRAWING_ACTIONS]
        picked.rows, picked.more = due[:1], len(due) > 1
        picked.next_due = picked.next_withdrawal
        return picked

    def withdrawals(self, lane: Lane) -> list[Document]:
        """Return withdrawals that wait in a lane, 20 at most; one command."""
        waiting = {
            "lane": lane.id,
            "state": RowState.PENDING,
            "priority": True,
            "publishing_action": {"$in": sorted(WITHDRAWING_ACTIONS)},
        }
        return list(self._rows.find(waiting).sort("order_no", 1).limit(WITHDRAWALS))

    def _overtaken(self, lane: Lane, picked: Sequence[Document]) -> list[Document]:
        """Return older rows of the picked lines that priority would leave behind."""
        ids = [row["_id"] for row in picked]
        items = sorted({row["item_id"] for row in picked})
        line = {"lane": lane.id, "item_id": {"$in": items}, "state": RowState.PENDING}
        return list(self._rows.find({**line, "_id": {"$nin": ids}}))

    def _rest_of_lines(
        self, lane: Lane, pending: Sequence[Document], read: Sequence[Document]
    ) -> list[Document]:
        """Return rows of the lines at hand that wait for a retry, besides those that were read."""
        known = {row["_id"] for row in read}
        items = sorted({row["item_id"] for row in (*pending, *read)})
        line = {"lane": lane.id, "item_id": {"$in": items}, "state": RowState.RETRYING}
        return [row for row in self._rows.find(line) if row["_id"] not in known]

    def mark(self, lane: Lane, rows: Sequence[Document]) -> list[Document]:
        """Mark rows as being sent and return those that were still free; one command.

        None of them when the lane turns out to have been leased again.
        """
        now = self._clock.precise()
        ids = [row["_id"] for row in rows]
        change = {
            "state": RowState.IN_PROGRESS,
            "transmit_started_at": now,
            "_updated": now,
            **self._claims.fields(lane, now),
        }
        free = [
            {
                "state": {"$in": list(WAITING_ROW_STATES)},
                "claim_token": {"$not": {"$gt": lane.token}},
            },
            # Marked meanwhile by a process whose lease was over: it starts nothing.
            {"state": RowState.IN_PROGRESS, "claim_token": {"$not": {"$gte": lane.token}}},
        ]
        marked = [{**row, "claim_token": lane.token} for row in rows]
        done = self._rows.update_many({"_id": {"$in": ids}, "$or": free}, {"$set": change})
        if done.modified_count == len(ids):
            return marked
        # A client canceled some of them meanwhile, or this lease is over.
        own = {row["_id"]: row for row in marked}
        seen = list(self._rows.find({"_id": {"$in": ids}}, {"state": 1, "claim_token": 1}))
        later = self._claims.rise_above(lane, seen)
        for row in seen:
            if row["state"] != RowState.IN_PROGRESS or token_of(row) != lane.token:
                del own[row["_id"]]
        if later:
            log.warning("delivery.lease_lost", lane=lane.id)
            self.give_back(lane, list(own.values()))
            return []
        return [row for row in marked if row["_id"] in own]

    def outdated(self, rows: Sequence[Document]) -> set[Any]:
        """Return the ids of repeats that something newer of their item is out of; one command.

        A kill must have the last word. None where there is no repeat among `rows`.
        """
        repeats = [row for row in rows if row.get("resend_id") and row.get("publish_sequence_no")]
        if not repeats:
            return set()
        of_items = {"item_id": {"$in": sorted({row["item_id"] for row in repeats})}}
        fields = {"item_id": 1, "publish_sequence_no": 1}
        newest: dict[str, int] = {}
        for published in self._published.find(of_items, fields):
            number = int(published.get("publish_sequence_no") or 0)
            newest[published["item_id"]] = max(number, newest.get(published["item_id"], 0))
        return {
            row["_id"]
            for row in repeats
            if newest.get(row["item_id"], 0) > row["publish_sequence_no"]
        }

    def cancel(self, lane: Lane, superseded: Mapping[Any, Any]) -> None:
        """Cancel rows that wait and have become pointless; one command where there are such.

        Args:
            superseded: row id to the id of the row that takes its place.
        """
        if not superseded:
            return
        canceled = {"state": RowState.CANCELED, "_updated": self._clock.precise()}
        waiting = {
            "state": {"$in": list(WAITING_ROW_STATES)},
            "claim_token": {"$not": {"$gt": lane.token}},
        }
        self._rows.bulk_write(
            [
                UpdateOne(
                    {"_id": row_id, **waiting}, {"$set": {**canceled, "superseded_by": newer}}
                )
                for row_id, newer in superseded.items()
            ],
            ordered=False,
        )

    def give_back(self, lane: Lane, rows: Sequence[Document]) -> None:
        """Return marked rows that were not started to the state they were taken in."""
        for state in WAITING_ROW_STATES:
            ids = [row["_id"] for row in rows if row["state"] == state]
            if ids:
                own = {"_id": {"$in": ids}, "claim_token": lane.token}
                self._rows.update_many(
                    {**own, "state": RowState.IN_PROGRESS}, {"$set": {"state": state}}
                )


def pick(
    pending: Iterable[Document],
    retrying: Iterable[Document],
    mode: Mode,
    now: datetime,
    held: HeldRows | None = None,
) -> LaneSelection:
    """Return what may be delivered now of the rows that wait in a lane.

    Delivery contract O1 to O6, O8.

    Args:
        held: rows that are held back; None where there are none.
    """
    selection = LaneSelection()
    lines: dict[str, list[Document]] = {}
    for row in [*pending, *retrying]:
        lines.setdefault(row["item_id"], []).append(row)
    for item_id, line in lines.items():
        line.sort(key=order_of)
        line = _without_withdrawn(line, selection)
        line = _without_replaced(line, selection)
        line = _without_held(item_id, line, mode, held, selection) if held else line
        line = _without_doubtful(line, mode, now, selection)
        _pick_line(item_id, line, mode, now, selection)
    selection.rows.sort(key=lambda row: (not row.get("priority"), order_of(row)))
    _restore_line_order(selection.rows)
    return selection


def _without_withdrawn(line: list[Document], selection: LaneSelection) -> list[Document]:
    """Drop what a newer kill, takedown or unpublication of the line makes pointless."""
    last = None
    for row in line:
        if row.get("publishing_action") in WITHDRAWING_ACTIONS:
            last = row
    if last is None:
        return line
    position = line.index(last)
    selection.superseded.update({row["_id"]: last["_id"] for row in line[:position]})
    return line[position:]


def _without_replaced(line: list[Document], selection: LaneSelection) -> list[Document]:
    """Drop what is left of older versions where the newer one does for it."""
    left: list[Document] = []
    for row, newer in zip(line, [*line[1:], None], strict=True):
        is_partial = row["state"] == RowState.RETRYING and row.get("is_replaceable") is True
        if newer is not None and is_partial and version_of(newer) >= version_of(row):
            selection.superseded[row["_id"]] = newer["_id"]
        else:
            left.append(row)
    return left


def _without_held(
    item_id: str, line: list[Document], mode: Mode, held: HeldRows, selection: LaneSelection
) -> list[Document]:
    """Drop what is held back, and what has to wait for that."""
    if not any(map(held.has, line)):
        return line
    selection.older.add(item_id)
    if mode is Mode.APPEND:
        return list(takewhile(lambda row: not held.has(row), line))
    return [row for row in line if not held.has(row)]


def _without_doubtful(
    line: list[Document], mode: Mode, now: datetime, selection: LaneSelection
) -> list[Document]:
    """Drop what must not follow a newer row that the receiver may have already."""
    unknown = [row for row in line if has_unknown_outcome(row)]
    if not unknown or unknown[-1] is line[0]:
        return line
    last = unknown[-1]
    position = line.index(last)
    older = line[:position]
    if mode is Mode.REPLACE:
        pointless = [row for row in older if version_of(row) <= version_of(last)]
        selection.superseded.update({row["_id"]: last["_id"] for row in pointless})
        # What is left was sent again by a client although something newer waits.
        waits = len(pointless) < len(older)
        line = line[position:]
    else:
        waits = len(unknown) <= position
        line = unknown if waits else line
    if waits:
        selection.next_due = now
    return line


def _pick_line(
    item_id: str, line: list[Document], mode: Mode, now: datetime, selection: LaneSelection
) -> None:
    for position, row in enumerate(line):
        due_at = _due_at(row, is_followed=mode is Mode.APPEND and position + 1 < len(line))
        if due_at is None or due_at <= now:
            selection.rows.append(row)
            continue
        selection.next_due = min(filter(None, (selection.next_due, due_at)))
        if row.get("publishing_action") in WITHDRAWING_ACTIONS:
            selection.next_withdrawal = min(filter(None, (selection.next_withdrawal, due_at)))
        selection.older.add(item_id)
        if mode is Mode.APPEND:
            return


def _due_at(row: Mapping[str, Any], *, is_followed: bool) -> datetime | None:
    """Return when a row is due; None means now."""
    if row["state"] != RowState.RETRYING:
        return None
    due_at: datetime | None = row.get("next_retry_attempt_at")
    attempts = row.get("attempts") or ()
    if due_at and is_followed and attempts:
        tried_at: datetime = attempts[-1]["at"]
        return min(due_at, tried_at + timedelta(seconds=BEHIND_SECONDS))
    return due_at


def _restore_line_order(rows: list[Document]) -> None:
    """Let versions of one item keep their order where priority would change it."""
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["item_id"], []).append(place)
    for own in places.values():
        for place, row in zip(own, sorted((rows[p] for p in own), key=order_of), strict=True):
            rows[place] = row


def version_of(row: Mapping[str, Any]) -> int:
    """Return the version of the item that a row holds, 1 where it does not say."""
    version = row.get("item_version")
    return int(version) if isinstance(version, (int, float)) else 1


def order_of(row: Mapping[str, Any]) -> int:
    """Return the place of a row in its lane."""
    return int(row.get("order_no") or 0)
