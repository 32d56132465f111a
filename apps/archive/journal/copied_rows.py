"""Versions and history that a copy of an item takes from its source (lifecycle contract 5.12).

The note of the new item tells which; copying them again changes nothing.
"""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.service import Document
from apps.store.collections import ARCHIVE_HISTORY, ARCHIVE_VERSIONS
from apps.store.mongo import insert_missing

IDS = ("guid", "unique_id", "unique_name")
"""Fields in which the versions of a copy differ from those of its source."""


def rows_to_copy(db: Database[Document], source_id: str) -> Document:
    """Return the part of a note that lists the rows of the source as they are now.

    As data: `source`, and `history`, the `from` and `to` ids of rows, in order.
    """
    rows = db[ARCHIVE_HISTORY].find({"item_id": source_id}, {"_id": 1}).sort("_id", 1)
    return {
        "source": source_id,
        "history": [{"from": row["_id"], "to": ObjectId()} for row in rows],
    }


def copy_rows(db: Database[Document], item: Mapping[str, Any], copies: Mapping[str, Any]) -> None:
    """Copy the versions before that of `item`, and the history. Safe to repeat.

    Args:
        item: the copy as stored.
        copies: what `rows_to_copy` returned.
    """
    ids = {name: item[name] for name in IDS if name in item}
    before = {"$lt": item["_current_version"]}
    source = {"_id_document": copies["source"], "_current_version": before}
    own = {"_id_document": item["_id"], **ids}
    insert_missing(
        db[ARCHIVE_VERSIONS],
        [{**row, "_id": ObjectId(), **own} for row in db[ARCHIVE_VERSIONS].find(source)],
    )
    to = {pair["from"]: pair["to"] for pair in copies["history"]}
    rows = db[ARCHIVE_HISTORY].find({"_id": {"$in": list(to)}}).sort("_id", 1)
    own = {"item_id": item["_id"], "original_item_id": copies["source"]}
    insert_missing(db[ARCHIVE_HISTORY], [{**row, "_id": to[row["_id"]], **own} for row in rows])
