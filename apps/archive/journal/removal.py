"""The end of an item: what belongs to it goes, its published rows into `archived` where wanted.

Every step may be repeated, and each document is deleted only when what it holds is stored where it
is to stay. The item itself goes last: as long as it is there, its note tells what is left to do.
"""

from collections.abc import Mapping
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from apps.archive.journal.follow_ups import Unmade, make_follow_ups
from apps.archive.journal.media_references import forget_references
from apps.core.documents import number_of, objects
from apps.core.service import Document
from apps.store.collections import (
    ARCHIVE,
    ARCHIVE_AUTOSAVE,
    ARCHIVE_HISTORY,
    ARCHIVE_VERSIONS,
    ARCHIVED,
    PUBLISH_PAYLOADS,
    PUBLISH_QUEUE,
    PUBLISHED,
    RECIPIENTS,
    RESENDS,
    ROUTING_DECISIONS,
)

NOT_IN_ARCHIVED = frozenset(
    {"_id", "highlights", "marked_desks", "internal_destinations"}
    | {"queue_owner", "queue_lease_until", "queue_retry_at", "queue_attempts"}
)
BELONGING = {
    PUBLISH_PAYLOADS: "item_id",
    PUBLISH_QUEUE: "item_id",
    RESENDS: "item_id",
    ARCHIVE_VERSIONS: "_id_document",
    ARCHIVE_HISTORY: "item_id",
    ARCHIVE_AUTOSAVE: "_id",
}
"""Documents that go with an item: collection to the field that names the item. Payloads go before
the rows that name them."""


def remove_item(db: Database[Document], item_id: str, note: Mapping[str, Any]) -> list[Unmade]:
    """Remove an item that is noted for removal, with all that belongs to it. Safe to repeat.

    The recipients of an archived item stay on record, as its kill goes to them, and so does why
    they are its recipients.

    Args:
        note: its `journal`; `removal` is `{archive: whether published rows are to be kept}`.

    Returns:
        Follow-ups that could not be made. As long as there are any, nothing is removed.
    """
    if unmade := make_follow_ups(db, note):
        return unmade
    rows = list(db[PUBLISHED].find({"item_id": item_id}).sort("publish_sequence_no", 1))
    is_kept = note["removal"]["archive"]
    if is_kept and rows:
        db[ARCHIVED].bulk_write([_archiving(row, note) for row in rows])
    # By row: what is published after the archived item was brought back is none of these.
    db[PUBLISHED].delete_many({"_id": {"$in": [row["_id"] for row in rows]}})
    for collection, field in BELONGING.items():
        db[collection].delete_many({field: item_id})
    forget_references(db, item_id)
    if not is_kept:
        db[RECIPIENTS].delete_one({"_id": item_id})
        db[ROUTING_DECISIONS].delete_many({"item_id": item_id})
    db[ARCHIVE].delete_one({"_id": item_id, "journal.at": note["at"]})
    return []


def _archiving(row: Mapping[str, Any], note: Mapping[str, Any]) -> UpdateOne:
    kept = archived_row(row, note)
    return UpdateOne(
        {"archived_id": kept["archived_id"]},
        {"$set": kept, "$setOnInsert": {"_id": row["_id"]}},
        upsert=True,
    )


def archived_row(row: Mapping[str, Any], note: Mapping[str, Any]) -> Document:
    """Return the row of `archived` that keeps a published row (lifecycle contract 1.8)."""
    kept = {name: value for name, value in row.items() if name not in NOT_IN_ARCHIVED}
    if row.get("groups"):
        kept["groups"] = groups_with_members_in(ARCHIVED, row["groups"])
    version = number_of(row, "_current_version", 1)
    return {**kept, "archived_id": f"{row['item_id']}:{version}", "_updated": note["at"]}


def groups_with_members_in(location: str, groups: Any) -> list[Document]:
    """Return package groups whose members are found at `location`, a collection of items."""
    return [
        {
            **group,
            "refs": [
                {**ref, "location": location} if ref.get("residRef") else ref
                for ref in objects(group.get("refs"))
            ],
        }
        for group in objects(groups)
    ]
