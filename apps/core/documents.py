"""Tolerant access to stored documents: null equals absent, and so does what has the wrong shape.

What MongoDB and JSON call an object is a `dict` here.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

EMPTY: tuple[Any, ...] = (None, "", [], {})
"""What says nothing, whatever its shape."""


def text_of(document: Mapping[str, Any], field: str) -> str:
    """Return the text in `field`, `""` where there is none."""
    value = document.get(field)
    if type(value) is str:  # Nearly all of them: it is asked a hundred times for each format.
        return value
    return str(value) if isinstance(value, str) else ""


def texts_of(document: Mapping[str, Any], field: str) -> list[str]:
    """Return the texts in the list `field`, without blank ones."""
    value = document.get(field)
    if not isinstance(value, (list, tuple)):
        return []
    return [entry for entry in value if isinstance(entry, str) and entry.strip()]


def number_of(document: Mapping[str, Any], field: str, default: int = 0) -> int:
    """Return the whole number in `field`, also where it is written as text; `default` for none."""
    value = document.get(field)
    if isinstance(value, str) and len(value) < 20 and value.strip().removeprefix("-").isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return default
    return int(value)


def object_of(document: Mapping[str, Any], field: str) -> dict[str, Any]:
    """Return the object in `field`, empty where there is none."""
    value = document.get(field)
    return value if isinstance(value, dict) else {}


def objects_of(document: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Return the objects in the list `field`, in order; entries of another kind are skipped."""
    value = document.get(field)
    return objects(value) if value else []


def values_of(document: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Return the objects that the object in `field` holds, whatever their keys."""
    return objects([*object_of(document, field).values()])


def objects(value: object) -> list[dict[str, Any]]:
    """Return the objects in a list; what is no list holds none."""
    if not isinstance(value, (list, tuple)):
        return []
    return [entry for entry in value if isinstance(entry, dict)]
