"""JSON documents of the formats: always well-formed, whatever the item holds."""

from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

from bson import ObjectId

from apps.core import json
from apps.core.text import strip_forbidden
from formatters.base import Document

MARKS = (b"\\u", b"\\b", b"\\f", b"\xef\xbf")
"""Without one of these, JSON cannot hold a character that `strip_forbidden` takes away."""


def encode(document: Document) -> str:
    """Return `document` as JSON without the characters that XML forbids.

    Most documents hold none, so they are only searched for once they are written. Cleaning each
    document first makes ninjs 20 % slower.
    """
    try:
        written = json.dumps(document)
    except TypeError:
        return json.dumps(_clean(document)).decode()
    if any(mark in written for mark in MARKS):
        written = json.dumps(_clean(document))
    return written.decode()


def _clean(value: Any) -> Any:
    """Return a copy of `value` that has a JSON form: what has none becomes null."""
    if isinstance(value, str):
        return strip_forbidden(value)
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(entry) for entry in value]
    if isinstance(value, float):
        return value if isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, datetime, ObjectId)) else None
