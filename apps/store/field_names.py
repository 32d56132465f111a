"""Ids as names of fields, where a document keeps something by id.

MongoDB takes a dot in a name for a path and a dollar sign for an operator, so that such names could
neither be updated nor found (store contract 3.1).
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from bson import ObjectId, json_util

MARK = "="
"""Begins every name but that of an ObjectId."""

ESCAPES = {"%": "%25", ".": "%2E", "$": "%24", ":": "%3A"}
"""The colon, too: ids of lanes have it behind the subscriber's."""


def field_of(id: Any) -> str:
    """Return the name of the field that belongs to an id of any type."""
    if isinstance(id, ObjectId):
        return str(id)
    text = json_util.dumps(id)
    for sign, escape in ESCAPES.items():
        text = text.replace(sign, escape)
    return f"{MARK}{text}"


def by_id(fields: Mapping[str, Any]) -> dict[Any, Any]:
    """Return values by the ids that their fields stand for, without fields that stand for none."""
    found = {}
    for field, value in fields.items():
        # A list or an object is no id, either.
        with suppress(ValueError, TypeError):
            found[id_of(field)] = value
    return found


def id_of(field: str) -> Any:
    """Return the id that `field_of` made a name of.

    Raises:
        ValueError: it has made no such name.
    """
    if not field.startswith(MARK):
        if not ObjectId.is_valid(field):
            raise ValueError(f"{field!r} stands for no id")
        return ObjectId(field)
    text = field.removeprefix(MARK)
    for sign, escape in reversed(ESCAPES.items()):
        text = text.replace(escape, sign)
    return json_util.loads(text)
