"""What a subscriber has received, newest first, a page at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.embargo import embargo_of
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.store.collections import PUBLISHED, RECIPIENTS
from apps.store.field_names import field_of
from formatters.feed import ENTRY_TYPES
from formatters.ninjs_embeds import rebuilt


@dataclass(frozen=True)
class Cursor:
    """Where a page begins: after this item.

    Attributes:
        at: when the item was routed, UTC, to the millisecond.
    """

    at: datetime
    item_id: str

    @property
    def text(self) -> str:
        """The cursor as an argument of an address."""
        return f"{round(self.at.timestamp() * 1000)}.{self.item_id}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Return the cursor that `text` stands for.

        Raises:
            BadRequest: it stands for none.
        """
        milliseconds, _, item_id = text.partition(".")
        try:
            at = datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise BadRequest("before is no place in a feed") from None
        return cls(at, item_id)


@dataclass(frozen=True)
class ReceivedPage:
    """A part of what a subscriber has received.

    Attributes:
        rows: published rows in the versions that it received.
        updated: when the newest of them was routed, None where there is none.
        next: where the page with older ones begins, None on the last page.
        is_settled: nothing on it waits for the end of an embargo.
    """

    rows: Sequence[Document]
    updated: datetime | None
    next: Cursor | None
    is_settled: bool


class ReceivedItems:
    """Reads what was routed to a subscriber. The item need not have been delivered: the feed is
    the delivery.

    Args:
        db: the database.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._db = db

    def page(
        self,
        subscriber_id: ObjectId,
        now: datetime,
        size: int,
        product: ObjectId | None = None,
        before: Cursor | None = None,
    ) -> ReceivedPage:
        """Return a page; two commands.

        Items under embargo are left out until it is over: what readers show is public.

        Args:
            product: only items that matched this product of the subscriber.
            before: begin after this place; None begins with the newest.
        """
        entries = self._entries(subscriber_id, size + 1, product, before)
        shown = entries[:size]
        last = shown[-1] if len(entries) > size else None
        found = self._visible_rows(shown, subscriber_id)
        free = [row for row in found if embargo_of(row, now) is None]
        return ReceivedPage(
            rows=free,
            updated=shown[0]["routed_at"] if shown else None,
            next=Cursor(last["routed_at"], last["_id"]) if last else None,
            is_settled=len(free) == len(found),
        )

    def rows_of(
        self, subscriber_id: ObjectId, item_ids: Sequence[str], now: datetime
    ) -> list[Document]:
        """Return those of some items that pages show to the subscriber; two commands."""
        query = {"_id": {"$in": list(item_ids)}, "receivers": subscriber_id}
        own = f"subscribers.{field_of(subscriber_id)}"
        entries = list(self._db[RECIPIENTS].find(query, {own: 1}))
        found = self._visible_rows(entries, subscriber_id)
        return [row for row in found if embargo_of(row, now) is None]

    def _visible_rows(self, entries: Sequence[Document], subscriber_id: ObjectId) -> list[Document]:
        """Return the rows of ledger documents, in their order, as the subscriber may see them."""
        rows = {row["item_id"]: row for row in self._rows(entries, subscriber_id)}
        return [
            _visible(rows[entry["_id"]], _own(entry, subscriber_id))
            for entry in entries
            if entry["_id"] in rows
        ]

    def _entries(
        self, subscriber_id: ObjectId, count: int, product: ObjectId | None, before: Cursor | None
    ) -> list[Document]:
        """Return documents of the ledger, with the subscriber's own entry only."""
        own = f"subscribers.{field_of(subscriber_id)}"
        query: Document = {"receivers": subscriber_id}
        if product is not None:
            query[f"{own}.products"] = product
        if before is not None:
            query["$or"] = [
                {"routed_at": {"$lt": before.at}},
                {"routed_at": before.at, "_id": {"$lt": before.item_id}},
            ]
        found = self._db[RECIPIENTS].find(query, {"routed_at": 1, own: 1})
        return list(found.sort([("routed_at", -1), ("_id", -1)]).limit(count))

    def _rows(self, entries: Sequence[Document], subscriber_id: ObjectId) -> list[Document]:
        """Return the published rows in the versions that the subscriber has received."""
        wanted = [
            {"item_id": entry["_id"], "_current_version": _own(entry, subscriber_id).get("version")}
            for entry in entries
        ]
        if not wanted:
            return []
        query: Document = {"$or": wanted, "type": {"$in": sorted(ENTRY_TYPES)}}
        return list(self._db[PUBLISHED].find(query).sort("publish_sequence_no", 1))


def _own(entry: Mapping[str, Any], subscriber_id: ObjectId) -> Mapping[str, Any]:
    own: Mapping[str, Any] = (entry.get("subscribers") or {}).get(field_of(subscriber_id)) or {}
    return own


def _visible(row: Document, own: Mapping[str, Any]) -> Document:
    """Return a row without associated items that the subscriber may not see.

    Routing contract 8.8.
    """
    associations = row.get("associations")
    if not isinstance(associations, Mapping):
        return row
    allowed = own.get("associated") or ()
    kept = {
        key: held
        for key, held in associations.items()
        if not (isinstance(held, Mapping) and held.get("_id") and held["_id"] not in allowed)
    }
    # Media that the editor put into the text are associations, too.
    text = row.get("body_html")
    hidden = associations.keys() - kept.keys()
    cleaned = {"body_html": rebuilt(text, {}, hidden)} if isinstance(text, str) else {}
    return {**row, **cleaned, "associations": kept}
