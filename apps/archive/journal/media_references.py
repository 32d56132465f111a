"""Which items refer to which binaries (resources contract 20.5).

A row of `media_references` says that an item shows a binary, itself or in one of its associations,
and whether it was published with it. Rows outlive changes of the item, so that its binaries are
found when it goes.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.archive.journal.follow_ups import upserts
from apps.core.service import Document
from apps.media.storage import delete_files
from apps.store.collections import MEDIA_REFERENCES


def new_references(updates: Mapping[str, Any], original: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that add what an item refers to and did not refer to before.

    None without changes of renditions or associations: most saves cost nothing.
    """
    if not updates.get("renditions") and not updates.get("associations"):
        return []
    known = {row["_id"] for row in references(original)}
    rows = [row for row in references({**original, **updates}) if row["_id"] not in known]
    return [upserts(MEDIA_REFERENCES, rows)] if rows else []


def published_references(item: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that mark what an item refers to as published."""
    rows = list(references(item))
    return [upserts(MEDIA_REFERENCES, rows, {"published": True})] if rows else []


def references(item: Mapping[str, Any]) -> Iterator[Document]:
    """Yield the rows of what an item refers to; their ids follow from what they say."""
    seen = set()
    for media_id, associated_id in media_of(item):
        key = "\0".join((str(item.get("_id")), media_id, associated_id or ""))
        row_id = ObjectId(sha256(key.encode()).digest()[:12])
        if row_id not in seen:
            seen.add(row_id)
            yield {
                "_id": row_id,
                "item_id": item.get("_id"),
                "media_id": media_id,
                "associated_id": associated_id,
                "published": False,
            }


def media_of(item: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Yield the ids of an item's binaries, each with the associated item that shows it, if one."""
    for media_id in _in_renditions(item):
        yield media_id, None
    associations = item.get("associations")
    for held in associations.values() if isinstance(associations, Mapping) else ():
        if isinstance(held, Mapping):
            associated_id = str(held["_id"]) if held.get("_id") else None
            for media_id in _in_renditions(held):
                yield media_id, associated_id


def _in_renditions(item: Mapping[str, Any]) -> Iterator[str]:
    renditions = item.get("renditions")
    for rendition in renditions.values() if isinstance(renditions, Mapping) else ():
        if isinstance(rendition, Mapping) and rendition.get("media"):
            yield str(rendition["media"])


def forget_references(db: Database[Document], item_id: str) -> None:
    """Remove an item's references that were never published, and the binaries that go with them.

    A binary stays as long as another item refers to it, or any has been published with it. Safe to
    repeat: the references go last.
    """
    own = {"item_id": item_id, "published": {"$ne": True}}
    media = set(db[MEDIA_REFERENCES].distinct("media_id", own))
    if not media:
        return
    others = {
        "media_id": {"$in": sorted(media)},
        "$or": [{"item_id": {"$ne": item_id}}, {"published": True}],
    }
    unused = media - set(db[MEDIA_REFERENCES].distinct("media_id", others))
    delete_files(db, _ids(unused))
    db[MEDIA_REFERENCES].delete_many(own)


def _ids(media: Iterable[str]) -> list[ObjectId]:
    return [ObjectId(id_) for id_ in sorted(media) if ObjectId.is_valid(id_)]
