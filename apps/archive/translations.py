"""The links between an item and its translations, on both sides (lifecycle contract 5.10, 5.14).

A translation has `translated_from`, the item it was made of, and `translation_id`, the first item
of all; that item lists it in `translations`. Published rows show the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.journal.follow_ups import addition, change, make_follow_ups, subtraction
from apps.archive.journal.journal import Journal
from apps.core.documents import text_of
from apps.core.service import Document
from apps.store.collections import ARCHIVE, PUBLISHED

STORED_IN = ((ARCHIVE, "_id"), (PUBLISHED, "item_id"))
"""Collections that hold an item, with the field that names it."""


def linked(translation: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that list a new translation at what it was made of."""
    source_id, writes = translation["translated_from"], []
    for collection, field in STORED_IN:
        where = {field: source_id}
        writes.append(addition(collection, where, {"translations": translation["_id"]}))
        links = {"translation_id": translation["translation_id"]}
        writes.append(change(collection, where, links))
    return writes


def unlinked(translation: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that take a translation off the list of what it was made of."""
    source_id = text_of(translation, "translated_from")
    if not source_id:
        return []
    gone = {"translations": translation["_id"]}
    return [subtraction(place, {field: source_id}, gone) for place, field in STORED_IN]


def cut(translation: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that end the tie of a translation with what it was made of.

    Once nothing is left of its translations, an item that is none itself belongs to none.
    """
    source_id = text_of(translation, "translated_from")
    if not source_id:
        return []
    alone: Document = {"translations": [], "translated_from": None}
    return unlinked(translation) + [
        change(place, {field: source_id, **alone}, {"translation_id": None})
        for place, field in STORED_IN
    ]


def settle_rows(
    db: Database[Document],
    journal: Journal,
    translation: Mapping[str, Any],
    writes_of: Callable[[Mapping[str, Any]], list[Document]],
) -> None:
    """Let a version of the source that is just going out show what has changed; one command.

    Its row may be made of what the source was before, after the rows that were there have changed.

    Args:
        db: the database.
        journal: completes the version.
        translation: whose links have changed.
        writes_of: the follow-ups that have changed them.
    """
    source_id = text_of(translation, "translated_from")
    going_out = {"_id": source_id, "journal.row_id": {"$exists": True}}
    if source_id and db[ARCHIVE].find_one(going_out, {"_id": 1}):
        journal.complete_own(source_id)
        make_follow_ups(db, {"follow_ups": writes_of(translation)})
