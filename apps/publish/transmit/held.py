"""Rows that a lane holds back because they have become old (delivery contract 7.1)."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pymongo.collection import Collection

from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS
from apps.lanes.claims import Lane
from apps.publish.queue.lane_state import held_to
from apps.store.indexes import WAITING_ROWS


class HeldRows:
    """The rows that a lane holds back, up to a place in its order; withdrawals are not among them.

    Args:
        rows: the delivery queue.
        lane: id of the lane.
        last: the `order_no` of that place.
    """

    def __init__(self, rows: Collection[Document], lane: str, last: int) -> None:
        self._rows = rows
        self._last = last
        self._query = {
            "lane": lane,
            "state": WAITING_ROWS,
            "order_no": {"$lte": last},
        }

    @classmethod
    def of(cls, rows: Collection[Document], lane: Lane) -> Self | None:
        """Return those of a leased lane; None where it holds none back."""
        last = held_to(lane.document)
        return None if last is None else cls(rows, lane.id, last)

    @property
    def others(self) -> Document:
        """The query of rows that are not held back."""
        withdrawals = {"publishing_action": {"$in": sorted(WITHDRAWING_ACTIONS)}}
        return {"$or": [{"order_no": {"$gt": self._last}}, withdrawals]}

    def has(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of the lane is held back."""
        is_old = int(row.get("order_no") or 0) <= self._last
        return is_old and row.get("publishing_action") not in WITHDRAWING_ACTIONS

    def items(self) -> set[str]:
        """Return the ids of the items that there are rows of; one command."""
        return {id_ for id_ in self._rows.distinct("item_id", self._query) if isinstance(id_, str)}

    def older_of(self, rows: Iterable[Mapping[str, Any]]) -> list[Document]:
        """Return what is held back of the items of `rows`, besides these; one command."""
        known = {row["_id"]: row["item_id"] for row in rows}
        query = {**self._query, "item_id": {"$in": sorted(set(known.values()))}}
        return [row for row in self._rows.find(query) if row["_id"] not in known]
