"""The keys and custom fields under which associated items stand in a ninjs document."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from formatters.base import Document, FormatContext
from formatters.conversions import integer

RELATED_CONTENT = "related_content"
DEFAULT_ORDER = {"media": 0, RELATED_CONTENT: 1}
"""Types of custom fields that hold associations, and the order of an entry that has none."""

_FIELD_KEY = re.compile(r"(?P<field>.+)--(?P<number>\d+)")


@dataclass(frozen=True)
class Associated:
    """An associated item on its way into a document.

    Attributes:
        key: key in the item (`featuremedia`, `editor_0`, `gallery--2`).
        field: custom field that the key belongs to, None for other keys.
        kind: type of that field.
        number: number in the key.
        order: place that the editor gave it, None where none.
        stored: the association as the item holds it.
    """

    key: str
    field: str | None
    kind: str | None
    number: int
    order: int | None
    stored: Document


def associated_items(associations: Document, context: FormatContext) -> list[Associated]:
    """Return the associations that are set, in the order they are shown in."""
    found = [
        _associated(str(key), stored, context)
        for key, stored in associations.items()
        if isinstance(stored, Mapping)
    ]
    return sorted(found, key=lambda entry: 1 if entry.order is None else entry.order)


def _associated(key: str, stored: Document, context: FormatContext) -> Associated:
    match = _FIELD_KEY.fullmatch(key)
    field = match["field"] if match else ""
    kind = context.vocabulary_fields.get(field, {}).get("field_type")
    order = integer(stored.get("order"))
    if match is None or kind not in DEFAULT_ORDER:
        return Associated(key, None, None, 0, order, stored)
    return Associated(key, field, kind, int(match["number"]), order, stored)


def by_key(entries: Iterable[tuple[Associated, dict[str, Any]]]) -> dict[str, Any]:
    """Return `associations`: entries of custom fields are numbered by their order."""
    associations: dict[str, Any] = {}
    for entry, sent in entries:
        key = entry.key
        if entry.field is not None:
            number = entry.order or entry.number
            while (key := f"{entry.field}--{number}") in associations:
                number += 1
        associations[key] = sent
    return associations


def by_field(entries: Iterable[tuple[Associated, dict[str, Any]]]) -> dict[str, Any]:
    """Return `extra_items`: the entries of custom fields once more, by field and sorted."""
    fields: dict[str, dict[str, Any]] = {}
    for entry, sent in sorted(entries, key=lambda pair: _place_in_field(pair[0])):
        if entry.field is not None:
            field = fields.setdefault(entry.field, {"type": entry.kind, "items": []})
            field["items"].append(sent)
    return fields


def _place_in_field(entry: Associated) -> int:
    return DEFAULT_ORDER.get(entry.kind or "", 0) if entry.order is None else entry.order
