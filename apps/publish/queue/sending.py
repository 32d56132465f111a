"""Rows that are being sent: they wait as stored, and the document of their lane names them.

Delivery contract C8, C9. To clients such a row is `in-progress`; others may change it only if
nobody sends it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.service import Document
from apps.core.vocabulary import WAITING_ROW_STATES, RowState
from apps.lanes.sending import Sending, all_sending, kept_back
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE
from apps.store.indexes import WAITING_ROWS


def rows_being_sent(db: Database[Document]) -> dict[Any, datetime]:
    """Return the ids of the rows that are being sent, with since when; two commands at most."""
    by_id: dict[Any, list[Sending]] = {}
    for note in all_sending(db[PUBLISH_LANES]):
        for id_ in note.ids:
            by_id.setdefault(id_, []).append(note)
    if not by_id:
        return {}
    waiting = {"_id": {"$in": list(by_id)}, "state": WAITING_ROWS}
    rows = db[PUBLISH_QUEUE].find(waiting, {"claim_token": 1})
    return {row["_id"]: note.at for row in rows for note in by_id[row["_id"]] if note.includes(row)}


def show_sending(rows: Iterable[Document], being_sent: Mapping[Any, datetime]) -> None:
    """Give rows that are being sent their state, in place."""
    for row in rows:
        if row.get("state") in WAITING_ROW_STATES and row["_id"] in being_sent:
            row["state"] = RowState.IN_PROGRESS
            row["transmit_started_at"] = being_sent[row["_id"]]


def asks_for_state(query: Any) -> bool:
    """Whether a query has a condition on the state of rows."""
    if isinstance(query, list):
        return any(map(asks_for_state, query))
    return isinstance(query, Mapping) and (
        "state" in query
        or any(asks_for_state(query[name]) for name in ("$and", "$or", "$nor") if name in query)
    )


def as_stored(query: Mapping[str, Any], being_sent: Iterable[Any]) -> Document:
    """Return the query of rows as stored that means the same as one of rows as they are shown.

    Args:
        being_sent: ids of the rows that are shown as `in-progress`.
    """
    ids = list(being_sent)
    if not ids:
        return dict(query)
    stored: Document = {}
    parts: list[Document] = []
    for name, condition in query.items():
        if name in ("$and", "$or", "$nor"):
            stored[name] = [as_stored(part, ids) for part in condition]
        elif name == "state":
            shown = {"_id": {"$in": ids}} if _holds(condition, RowState.IN_PROGRESS) else None
            others = {"_id": {"$nin": ids}, "state": condition}
            parts.append({"$or": [others, shown]} if shown else others)
        else:
            stored[name] = condition
    if parts:
        stored["$and"] = [*stored.get("$and", ()), *parts]
    return stored


def _holds(condition: Any, state: str) -> bool:
    """Whether a condition of a client's query holds for a state."""
    if not isinstance(condition, Mapping) or not any(key.startswith("$") for key in condition):
        return bool(condition == state)
    rest = {name: operand for name, operand in condition.items() if name != "$options"}
    if "$regex" in rest:
        flags = re.IGNORECASE if "i" in condition.get("$options", "") else 0
        rest["$regex"] = re.compile(str(rest["$regex"]), flags)
    return all(name in HOLDS and HOLDS[name](operand, state) for name, operand in rest.items())


HOLDS: Mapping[str, Callable[[Any, str], bool]] = {
    "$eq": lambda operand, state: bool(operand == state),
    "$ne": lambda operand, state: bool(operand != state),
    "$in": lambda operand, state: state in operand,
    "$nin": lambda operand, state: state not in operand,
    "$all": lambda operand, state: bool(operand) and all(each == state for each in operand),
    "$gt": lambda operand, state: isinstance(operand, str) and state > operand,
    "$gte": lambda operand, state: isinstance(operand, str) and state >= operand,
    "$lt": lambda operand, state: isinstance(operand, str) and state < operand,
    "$lte": lambda operand, state: isinstance(operand, str) and state <= operand,
    "$not": lambda operand, state: not _holds(operand, state),
    "$exists": lambda operand, state: bool(operand),
    "$type": lambda operand, state: operand in ("string", 2),
    "$regex": lambda operand, state: operand.search(state) is not None,
}
"""What operators of lists say of a text; those that are missing are about lists and objects."""


class WaitingRows:
    """Changes rows that wait, and that nobody sends.

    Args:
        db: the database.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._rows = db[PUBLISH_QUEUE]
        self._lanes = db[PUBLISH_LANES]

    def change(
        self,
        rows: Sequence[Mapping[str, Any]],
        change: Mapping[str, Any],
        now: datetime,
        *,
        states: Collection[RowState] = WAITING_ROW_STATES,
        fields: Mapping[Any, Mapping[str, Any]] | None = None,
    ) -> set[Any]:
        """Change those of `rows` that nobody sends; four commands, seldom five, or none.

        Rows that are being sent stay as they are.

        Args:
            rows: as they were read, with `lane`, `state` and `claim_token`.
            change: fields to write, among them an etag that nobody else writes.
            now: the current time.
            states: that it is for.
            fields: row id to what else is written.

        Returns:
            The ids of the rows that have changed.
        """
        if not rows:
            return set()
        own = fields or {}
        with self.kept_back(rows, now) as notes:
            free = [row for row in rows if not is_among(notes, row)]
            writes = [
                UpdateOne(
                    {**as_read(row), "state": {"$in": list(states)}},
                    {"$set": {**change, **own.get(row["_id"], {})}},
                )
                for row in free
            ]
            count = self._rows.bulk_write(writes, ordered=False).modified_count if writes else 0
        ids = [row["_id"] for row in free]
        if count in (0, len(ids)):
            return set(ids[:count])
        mine = self._rows.find({"_id": {"$in": ids}, "_etag": change["_etag"]}, {"_id": 1})
        return {row["_id"] for row in mine}

    def kept_back(
        self, rows: Iterable[Mapping[str, Any]], now: datetime
    ) -> AbstractContextManager[dict[str, Sending]]:
        """Let nobody begin to send `rows` while they are changed, see `apps.lanes.sending`."""
        work: dict[str, list[Any]] = {}
        for row in rows:
            # Others may have written what is no lane: nobody sends from there.
            if isinstance(row.get("lane"), str):
                work.setdefault(row["lane"], []).append(row["_id"])
        return kept_back(self._lanes, work, now)


def is_among(notes: Mapping[str, Sending], row: Mapping[str, Any]) -> bool:
    """Whether one of the notes of lanes says that a row is being sent."""
    note = notes.get(row["lane"]) if isinstance(row.get("lane"), str) else None
    return note is not None and note.includes(row)


def as_read(row: Mapping[str, Any]) -> Document:
    """Return the query of a row that nobody has sent, or given another state, since it was read."""
    return {"_id": row["_id"], "state": row["state"], "claim_token": row.get("claim_token")}
