"""Files that are attached to items (lifecycle contract 1.7; resources contract 20.5)."""

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.journal.follow_ups import deletion
from apps.core.documents import objects
from apps.core.ids import object_id
from apps.core.schemas import as_stored
from apps.core.service import Document
from apps.store.by_id import find_by_id
from apps.store.collections import ARCHIVE, ATTACHMENTS, FS_CHUNKS, FS_FILES, PUBLISHED


def what_was_attached(
    db: Database[Document], updates: Mapping[str, Any], original: Mapping[str, Any]
) -> list[Document]:
    """Return the follow-ups that delete the attachments which a write drops.

    Those that another item holds, or that went out with a version of this one, stay.

    Args:
        db: the database.
        updates: the write; nothing is dropped unless it brings `attachments`.
        original: the item as stored.
    """
    if "attachments" not in updates:
        return []
    dropped = set(_ids(original)) - set(_ids(updates))
    writes: list[Document] = []
    for id in sorted(dropped, key=str):
        held = {"attachments.attachment": as_stored(id)}
        other = {"_id": {"$ne": original["_id"]}, **held}
        if db[ARCHIVE].find_one(other, {"_id": 1}) or db[PUBLISHED].find_one(held, {"_id": 1}):
            continue
        attachment = find_by_id(db[ATTACHMENTS], id, {"media": 1}) or {"_id": id}
        media = attachment.get("media")
        writes.append(deletion(ATTACHMENTS, {"_id": attachment["_id"]}))
        if media:
            file = object_id(media)
            writes += [deletion(FS_FILES, {"_id": file}), deletion(FS_CHUNKS, {"files_id": file})]
    return writes


def _ids(item: Mapping[str, Any]) -> Iterator[Any]:
    for entry in objects(item.get("attachments")):
        if entry.get("attachment"):
            yield object_id(entry["attachment"])
