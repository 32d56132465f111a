"""Which version of an item each subscriber has, as far as deliveries tell (routing contract R7).

While its rows are in the delivery queue they say it. Before they go, it is put into the ledger
`recipients`, under `delivered`: subscriber id to the newest version that was delivered.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.store.collections import PUBLISH_QUEUE, RECIPIENTS

ROW_FIELDS = ("item_id", "subscriber_id", "item_version", "state")
"""Fields of rows of the delivery queue that are looked at."""


def keep_delivered(db: Database[Document], rows: Iterable[Mapping[str, Any]]) -> None:
    """Put on record what was delivered by `rows`, which are about to go; one command.

    Items that the ledger does not know are left out.

    Args:
        rows: with `ROW_FIELDS`.
    """
    writes = [
        UpdateOne(
            {"_id": item_id},
            {"$max": {f"delivered.{subscriber}": version for subscriber, version in of.items()}},
        )
        for item_id, of in _newest(rows).items()
    ]
    if writes:
        db[RECIPIENTS].bulk_write(writes, ordered=False)


def keep_delivered_of(db: Database[Document], item_ids: Iterable[str]) -> None:
    """Put on record what was delivered of items whose rows are about to go; two commands."""
    query = {"item_id": {"$in": sorted(item_ids)}, "state": RowState.SUCCESS}
    keep_delivered(db, db[PUBLISH_QUEUE].find(query, dict.fromkeys(ROW_FIELDS, 1)))


def delivered_versions(db: Database[Document], item_id: str) -> dict[ObjectId, int]:
    """Return the newest version of an item that each subscriber has; two commands."""
    query = {"item_id": item_id, "state": RowState.SUCCESS}
    rows = db[PUBLISH_QUEUE].find(query, dict.fromkeys(ROW_FIELDS, 1))
    found = _newest(rows).get(item_id, {})
    ledger = db[RECIPIENTS].find_one({"_id": item_id}, {"delivered": 1}) or {}
    for subscriber, version in (ledger.get("delivered") or {}).items():
        id_ = ObjectId(subscriber)
        found[id_] = max(version, found.get(id_, 0))
    return found


def _newest(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[ObjectId, int]]:
    """Return the newest delivered version by item and subscriber."""
    found: dict[str, dict[ObjectId, int]] = {}
    for row in rows:
        subscriber, version = row.get("subscriber_id"), row.get("item_version")
        # Rows that others wrote may say less.
        if row.get("state") == RowState.SUCCESS and isinstance(subscriber, ObjectId) and version:
            of_item = found.setdefault(row["item_id"], {})
            of_item[subscriber] = max(int(version), of_item.get(subscriber, 0))
    return found
