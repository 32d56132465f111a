"""What a new version of an item replaces without saying so."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.database import Database

from apps.core.documents import object_of, text_of
from apps.core.service import Document
from apps.store.collections import VOCABULARIES

VARIANTS = {
    "headline": ("headline",),
    "description": ("abstract", "description_text", "description_html"),
    "body": ("body_html",),
}
"""What the custom fields begin with that hold other variants of a text, as import keeps them, and
the fields with the text itself."""

_EMBEDDED = re.compile(r'<!-- EMBED START \w+ \{id: "(editor_\d+)"\} -->')


def drop_variants(updates: Document, original: Mapping[str, Any], db: Database[Document]) -> None:
    """Let a write take out the variants of its texts that contradict it.

    One command where there are such, else none.

    Args:
        updates: the write, changed in place.
        original: the item as stored.
        db: the database.
    """
    stored = object_of(original, "extra")
    extra = object_of(updates, "extra") if "extra" in updates else stored
    stale = {key for key in _stale(updates, original) if extra.get(key) == stored[key]}
    if stale:
        # What a content type has as a field of its own is an editor's to change.
        fields = db[VOCABULARIES].find({"_id": {"$in": sorted(stale)}}, {"_id": 1})
        stale -= {field["_id"] for field in fields}
        updates["extra"] = {key: value for key, value in extra.items() if key not in stale}


def drop_embedded(updates: Document, original: Mapping[str, Any]) -> None:
    """Let a write take out the media that its body shows no longer.

    Args:
        updates: the write, changed in place.
        original: the item as stored.
    """
    holder = updates if updates.get("associations") is not None else original
    held = object_of(holder, "associations")
    if gone := {key for key in _gone(updates, original) if held.get(key)}:
        updates["associations"] = {key: None if key in gone else held[key] for key in held}


def _stale(updates: Mapping[str, Any], original: Mapping[str, Any]) -> Iterator[str]:
    """Yield the custom fields with variants of a text that changes."""
    for start, fields in VARIANTS.items():
        if any(field in updates and updates[field] != original.get(field) for field in fields):
            yield from (k for k in object_of(original, "extra") if k.startswith(f"{start}_"))


def _gone(updates: Mapping[str, Any], original: Mapping[str, Any]) -> Iterator[str]:
    """Yield the keys of the media that the body showed and shows no longer."""
    if "body_html" in updates:
        shown = set(_EMBEDDED.findall(text_of(updates, "body_html")))
        before = dict.fromkeys(_EMBEDDED.findall(text_of(original, "body_html")))
        yield from (key for key in before if key not in shown)
