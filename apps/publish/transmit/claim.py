"""Claims on rows: which come next in a lane, and who sends them.

Delivery contract O1 to O8, C1 to C4, C8. The document of the lane notes what is sent under the
token of its lease. Every write of a row carries the token, and none touches a row that a later
lease has written. Whoever takes a lane over writes all that its last holder might still write, so a
process that lost its lease changes nothing.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import text_of
from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS, RowState
from apps.lanes.breaker import Circuit
from apps.lanes.claims import Lane, LaneClaims
from apps.lanes.retries import has_unknown_outcome
from apps.lanes.sending import token_of
from apps.publish.queue.rows import FULL, is_full
from apps.publish.transmit.attempt import BEHIND_SECONDS
from apps.publish.transmit.held import HeldRows
from apps.store.batches import batches
from apps.store.collections import PUBLISH_QUEUE, PUBLISHED
from apps.store.indexes import OPEN_ROWS, WAITING_ROWS
from transmitters.base import Mode

log = structlog.get_logger(__name__)

RETRYING_LIMIT = 1000
LARGE = 1024 * 1024
"""Length of a text that a row may have no room besides."""
MORE_ROWS = 50
"""Rows that are read besides those that may be taken: retries, and what is pointless."""
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
        has_lost: whether somebody without a lease left rows in progress. While there are such,
            nothing is picked.
    """

    rows: list[Document] = field(default_factory=list)
    superseded: dict[Any, Any] = field(default_factory=dict)
    more: bool = False
    next_due: datetime | None = None
    next_withdrawal: datetime | None = None
    older: set[str] = field(default_factory=set)
    has_lost: bool = False


class RowClaims:
    """Picks and takes the rows of leased lanes.

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
        """Pick up to `limit` rows that may be delivered now.

        One command where not many wait, else two, seldom more.

        Args:
            mode: what the destination does with several versions of an item.
        """
        most = limit + MORE_ROWS
        # In the order of the index: rows in progress, then pending ones as they go, then retries.
        order = [("state", 1), ("priority", -1), ("order_no", 1)]
        open_rows = self._rows.find({"lane": lane.id, "state": OPEN_ROWS}).sort(order).limit(most)
        with open_rows:
            parts = batches(open_rows, _size_of_text, most)
            found = next(parts, [])
            is_whole = len(found) < most and next(parts, None) is None
        in_progress, pending, retrying = (
            [row for row in found if row["state"] == state]
            for state in (RowState.IN_PROGRESS, RowState.PENDING, RowState.RETRYING)
        )
        has_all_pending = is_whole or bool(retrying)
        if not is_whole:
            retrying = self._retrying(lane)
        # Nobody else writes rows while the lane is leased, and this lease has written none yet.
        if self._claims.rise_above(lane, [*in_progress, *pending, *retrying]):
            log.warning("delivery.lease_lost", lane=lane.id)
            return LaneSelection(more=True)
        if in_progress:
            return LaneSelection(has_lost=True)
        if lane.breaker.circuit is Circuit.OPEN:
            return self._select_withdrawal(lane, mode, retrying)
        more = False
        held = HeldRows.of(self._rows, lane)
        if held or not has_all_pending:
            pending, more = self._first_of_many(lane, mode, limit, pending, retrying, held)
        if len(retrying) == RETRYING_LIMIT:
            retrying += self._rest_of_lines(lane, pending, retrying)
        if held:
            retrying += held.older_of([*pending, *retrying])
        picked = pick(pending, retrying, mode, self._clock.precise(), held)
        picked.more = more or len(picked.rows) > limit
        picked.rows = picked.rows[:limit]
        return picked

    def _retrying(self, lane: Lane) -> list[Document]:
        retrying = {"lane": lane.id, "state": RowState.RETRYING}
        found = self._rows.find(retrying).sort("next_retry_attempt_at", 1)
        return list(found.limit(RETRYING_LIMIT))

    def _first_of_many(
        self,
        lane: Lane,
        mode: Mode,
        limit: int,
        first: list[Document],
        retrying: Sequence[Document],
        held: HeldRows | None,
    ) -> tuple[list[Document], bool]:
        """Return the pending rows to pick from where many wait, and whether there are more.

        Args:
            first: the first of them.
            retrying: rows that wait for a retry.
            held: rows that are held back; they are left out.
        """
        # Lines that may have to wait are read apart, so that however long, they hide no other
        # (delivery contract O2).
        items = {row["item_id"] for row in retrying} if mode is Mode.APPEND else set()
        waiting: Document = {"lane": lane.id, "state": RowState.PENDING}
        if held:
            items |= held.items() if mode is Mode.APPEND else set()
            waiting |= held.others
        held_up = sorted(items)
        pending, more = first, True
        if held_up or held:
            free = {**waiting, "item_id": {"$nin": held_up}} if held_up else waiting
            order = [("priority", -1), ("order_no", 1)]
            pending = list(self._rows.find(free).sort(order).limit(limit + 1))
            more = len(pending) > limit
        if more and pending and pending[0].get("priority"):
            pending += self._overtaken(lane, pending)
        if held_up:
            pending += self._rows.find({"item_id": {"$in": held_up}, **waiting})
        return pending, more

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
            retrying += self._rest_of_lines(lane, pending, retrying)
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
        line = {"item_id": {"$in": items}, "lane": lane.id, "state": RowState.PENDING}
        return list(self._rows.find({**line, "_id": {"$nin": ids}}))

    def _rest_of_lines(
        self, lane: Lane, pending: Sequence[Document], read: Sequence[Document]
    ) -> list[Document]:
        """Return rows of the lines at hand that wait for a retry, besides those that were read."""
        known = {row["_id"] for row in read}
        items = sorted({row["item_id"] for row in (*pending, *read)})
        line = {"item_id": {"$in": items}, "lane": lane.id, "state": RowState.RETRYING}
        return [row for row in self._rows.find(line) if row["_id"] not in known]

    def take(self, lane: Lane, selection: LaneSelection) -> list[Document]:
        """Note what is going to be sent, and return it; one command, seldom more.

        What has become pointless is canceled. Rows that others are changing, or have changed since
        they were read, are left out, and so is what comes behind them in their lines. None is left
        when the lane turns out to have been leased again.

        Raises:
            ValueError: there is no room for the outcome of a row.
        """
        rows = selection.rows
        if any(len(text_of(row, "formatted_item")) > LARGE and is_full(row) for row in rows):
            raise ValueError(FULL)
        if not rows and not selection.superseded:
            return []
        noted = self._claims.note(lane, [row["_id"] for row in rows], selection.superseded)
        if noted is None:
            log.warning("delivery.lease_lost", lane=lane.id)
            return []
        self.cancel(lane, selection.superseded)
        if noted.abandoned:
            self._let_go_on(lane, noted.abandoned)
        if noted.kept_back:
            rows = without_lines_of(rows, noted.kept_back)
        if noted.has_changed and rows:
            rows = self._still_waiting(lane, rows)
        return [{**row, "transmit_started_at": noted.at} for row in rows]

    def _let_go_on(self, lane: Lane, abandoned: Mapping[Any, Sequence[Any]]) -> None:
        """Let rows be sent again that somebody kept back who has died; two commands.

        By the next lease: under this one their results would look like those of an earlier one.
        """
        ids = [id_ for own in abandoned.values() for id_ in own]
        written = {"$set": {"claim_token": lane.token}}
        self._rows.update_many({"_id": {"$in": ids}, **unwritten(lane)}, written)
        self._claims.let_go_on(lane, abandoned)

    def _still_waiting(self, lane: Lane, rows: Sequence[Document]) -> list[Document]:
        """Return those of `rows` that wait as stored; one command."""
        waiting = {"_id": {"$in": [row["_id"] for row in rows]}, "state": WAITING_ROWS}
        found = self._rows.find(waiting, {"claim_token": 1})
        ids = {row["_id"] for row in found if token_of(row) < lane.token}
        return [row for row in rows if row["_id"] in ids]

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
        self._rows.bulk_write(
            [
                UpdateOne(
                    {"_id": row_id, **unwritten(lane)},
                    {"$set": {**canceled, "superseded_by": newer, "claim_token": lane.token}},
                )
                for row_id, newer in superseded.items()
            ],
            ordered=False,
        )


def _size_of_text(row: Mapping[str, Any]) -> int:
    """Return about how large a row is: those that others wrote hold what is sent."""
    return len(text_of(row, "formatted_item"))


def unwritten(lane: Lane) -> Document:
    """Return the query of rows that wait and that no later lease has written, nor this one."""
    return {"state": WAITING_ROWS, "claim_token": {"$not": {"$gte": lane.token}}}


def without_lines_of(rows: Iterable[Document], kept_back: Container[Any]) -> list[Document]:
    """Return rows without those that are kept back, and what follows these in their lines."""
    left: list[Document] = []
    held_up: set[str] = set()
    for row in rows:
        if row["_id"] in kept_back:
            held_up.add(row["item_id"])
        if row["item_id"] not in held_up:
            left.append(row)
    return left


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
