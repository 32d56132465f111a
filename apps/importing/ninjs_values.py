"""Readers of single values of a foreign JSON document; what has the wrong shape reads as empty."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.core.clock import moment_of

Fields = dict[str, Any]


def lowered(document: Mapping[str, Any]) -> Fields:
    """Return `document` with lower-case keys and without nulls."""
    return {str(key).lower(): value for key, value in document.items() if value is not None}


def non_empty(fields: Fields) -> Fields:
    """Return `fields` without empty texts, lists and objects; numbers stay."""
    return {key: value for key, value in fields.items() if value not in ("", None, [], {})}


def text(value: Any) -> str:
    """Return a text without surrounding white space."""
    return value.strip() if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    """Return a number, or a text that is one, as an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def objects(value: Any) -> list[Fields]:
    """Return the objects in a list, or a single object, with lower-case keys."""
    entries = value if isinstance(value, list) else [value]
    return [lowered(entry) for entry in entries if isinstance(entry, Mapping)]


def time(value: Any) -> datetime | None:
    """Return a moment as UTC to the second; what carries no zone is taken as UTC."""
    moment = moment_of(text(value))
    return moment.replace(microsecond=0) if moment else None
