"""The links between an item and its translations, on both sides (lifecycle contract 5.10, 5.14).

A translation has `translated_from`, the item it was made of, and `translation_id`, the first item
of all; that item lists it in `translations`. Published rows show the same.
"""

from collections.abc import Mapping
from typing import Any

from apps.archive.journal.follow_ups import addition, change, subtraction
from apps.core.documents import text_of
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES
from apps.store.collections import ARCHIVE, PUBLISHED

STORED_IN = ((ARCHIVE, "_id"), (PUBLISHED, "item_id"))
"""Collections that hold an item, with the field that names it."""


def linked(source: Mapping[str, Any], translation_id: str, copy_id: str) -> list[Document]:
    """Return the follow-ups that tie an item to a new translation.

    Args:
        source: the item that was translated.
        translation_id: the first item of all translations.
        copy_id: the translation.
    """
    is_out = source.get("state") in PUBLISH_STATES
    writes = []
    for collection, field in STORED_IN if is_out else STORED_IN[:1]:
        where = {field: source["_id"]}
        writes.append(addition(collection, where, {"translations": copy_id}))
        writes.append(change(collection, where, {"translation_id": translation_id}))
    return writes


def unlinked(translation: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that take a translation off the list of what it was made of."""
    source_id = text_of(translation, "translated_from")
    if not source_id:
        return []
    gone = {"translations": translation["_id"]}
    return [subtraction(place, {field: source_id}, gone) for place, field in STORED_IN]


def cut(item: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that take an item out of its translations, on the other side.

    Once nothing is left of them, an item that is no translation itself belongs to none.
    """
    writes = unlinked(item)
    if source_id := text_of(item, "translated_from"):
        alone: Document = {"translations": [], "translated_from": None}
        writes += [
            change(place, {field: source_id, **alone}, {"translation_id": None})
            for place, field in STORED_IN
        ]
    ids = item.get("translations")
    links = {"translated_from": None, "translation_id": None}
    for id_ in ids if isinstance(ids, list) else ():
        writes += [change(place, {field: id_}, links) for place, field in STORED_IN]
    return writes
