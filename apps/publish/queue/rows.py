"""Rows of `publish_queue`, and the lanes that they wait in.

A row is one item version for one destination of one subscriber. A lane is one destination of one
subscriber; its document is in `publish_lanes` (`apps/lanes`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, NamedTuple

from bson import ObjectId, encode
from pymongo.collection import Collection

from apps.core.documents import object_of, text_of
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import WITHDRAWING_ACTIONS, RowState
from apps.lanes.claims import LARGEST_TOKEN
from apps.routing.subscribers.stored_destinations import destination_id, lane_id

ORDER_SEQUENCE = "publish_queue_order_no"
"""Counter of `order_no`: one for all rows, so it rises in every lane and never wraps."""


def sequence_of(subscriber_id: Any) -> str:
    """Return the key of the counter that numbers the rows of a subscriber."""
    return f"subscribers_{subscriber_id}"


class RowKey(NamedTuple):
    """Values that make two rows the same (routing contract R2).

    Attributes:
        part: number of the piece, where a formatter returns several.
        resend_id: empty for normal routing, unique for each resend.
    """

    item_id: str
    item_version: int
    subscriber_id: ObjectId | str | None
    destination_id: str
    publishing_action: str
    part: int = 0
    resend_id: str = ""

    @property
    def text(self) -> str:
        """The idempotency key: a hash that receivers see, without a dot."""
        item, version, subscriber, destination, action, part, resend = self
        text = f"{item}\0{version}\0{subscriber}\0{destination}\0{action}\0{part}\0{resend}"
        return sha256(text.encode()).hexdigest()[:40]


def lane_of(row: Mapping[str, Any]) -> str:
    """Return the id of the lane that a row belongs to."""
    return lane_id(row.get("subscriber_id"), destination_id(object_of(row, "destination")))


def new_row(now: datetime) -> Document:
    """Return what every row begins with: it is pending."""
    return {
        "_id": ObjectId(),
        "_created": now,
        "_updated": now,
        "_etag": new_etag(),
        "state": RowState.PENDING,
        "retry_attempt": 0,
        "moved_to_legal": False,
    }


ROW_TYPES: Mapping[str, type] = {
    "item_id": str,
    "order_no": int,
    "claim_token": int,
    "publish_sequence_no": int,
    "item_version": int,
    "published_seq_num": int,
    "retry_attempt": int,
    "unknown_outcomes": int,
    "next_retry_attempt_at": datetime,
    "formatted_item": str,
    "item_encoding": str,
    "publishing_action": str,
    "destination": Mapping,
    "attempts": list,
    "progress": str,
}
"""What transmit reads of a row, where it is not null."""
LARGEST_NUMBER = LARGEST_TOKEN
"""Numbers of rows stay below, so that they can rise."""
LARGEST_ROW = 16 * 1024 * 1024 - 64 * 1024
"""Bytes of a row in which there is room for its attempts."""
FULL = "The row is too large to be claimed"
DESTINATION_TYPES: Mapping[str, type] = {
    "name": str,
    "format": str,
    "delivery_type": str,
    "config": Mapping,
}


def fault_of(row: Mapping[str, Any]) -> str:
    """Return why a row that others wrote cannot be sent, an empty text for one that can."""
    if row.get("item_id") is None:
        return "item_id is missing"
    for field in ROW_TYPES:
        if _is_mistyped(row, field):
            return f"{field} has the wrong type"
        if isinstance(row.get(field), int) and row[field] >= LARGEST_NUMBER:
            return f"{field} is too large"
    destination = object_of(row, "destination")
    for field, kind in DESTINATION_TYPES.items():
        if destination.get(field) is not None and not isinstance(destination[field], kind):
            return f"destination.{field} has the wrong type"
    if encoded("", row.get("item_encoding")) is None:
        return f"There is no encoding {row['item_encoding'][:40]}"
    return ""


def is_full(row: Mapping[str, Any]) -> bool:
    """Whether a row has no room for its attempts. Others wrote it, with its text."""
    return len(encode(row)) > LARGEST_ROW


def without_faults(row: Mapping[str, Any]) -> Document:
    """Return a row without what has the wrong type, so that its failure can be recorded."""
    return {field: value for field, value in row.items() if not _is_mistyped(row, field)}


def _is_mistyped(row: Mapping[str, Any], field: str) -> bool:
    value: Any = row.get(field)
    if value is None or field not in ROW_TYPES:
        return False
    if field == "attempts" and isinstance(value, list):
        return not all(isinstance(a, Mapping) and isinstance(a.get("at"), datetime) for a in value)
    return not isinstance(value, ROW_TYPES[field])


def encoded(text: str, encoding: str | None) -> bytes | None:
    """Return a text in an encoding, UTF-8 where none is named; None where it cannot be written."""
    try:
        return text.encode(encoding or "utf-8", errors="replace")
    except (LookupError, ValueError):
        return None


def complete_row(row: Document, order_no: int) -> None:
    """Fill what routing gives a row, on a row that somebody else wrote.

    Args:
        order_no: its place in the order, the newest.
    """
    row["item_id"] = str(row.get("item_id") or "")
    row["order_no"] = order_no
    action = text_of(row, "publishing_action")
    row["priority"] = bool(row.get("priority")) or action in WITHDRAWING_ACTIONS
    row["lane"] = lane_of(row)
    version = row.get("item_version") or 1
    key = RowKey(
        item_id=row["item_id"],
        item_version=version if isinstance(version, int) else 1,
        subscriber_id=row.get("subscriber_id"),
        destination_id=destination_id(object_of(row, "destination")),
        publishing_action=action,
        # Rows from elsewhere are requests of their own: the same content may be asked for twice.
        resend_id=str(row["_id"]),
    )
    row.setdefault("idempotency_key", key.text)


def published_version(published: Collection[Document], row: Mapping[str, Any]) -> Document | None:
    """Return the version of the item that a row is about, None when it is gone; one command."""
    version = {"item_id": row["item_id"], "_current_version": row.get("item_version")}
    return published.find_one(version, sort=[("publish_sequence_no", -1)])


def notify_rows(notifier: Notifier, rows: Sequence[Mapping[str, Any]]) -> None:
    """Notify clients of changed rows, in one message; the last row counts for old clients."""
    items = [
        {
            "queue_id": str(row["_id"]),
            "state": str(row["state"]),
            "completed_at": row.get("completed_at"),
            "error_message": row.get("error_message"),
        }
        for row in rows
    ]
    extra: dict[str, Any] = items[-1]
    notifier.push("publish_queue:update", **extra, items=items)


def lanes_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Return the lanes of `rows`, each with whether one of its rows is urgent."""
    lanes: dict[str, bool] = {}
    for row in rows:
        lanes[row["lane"]] = lanes.get(row["lane"], False) or bool(row.get("priority"))
    return lanes
