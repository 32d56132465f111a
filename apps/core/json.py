"""JSON as Wiredesk writes it: orjson, with the wire form of dates and ids."""

import json as stdlib_json
from datetime import datetime
from enum import Enum
from typing import Any

import orjson
from bson import ObjectId

WIRE_DATE = "%Y-%m-%dT%H:%M:%S+0000"
"""Dates on the wire: UTC, to the second (lifecycle contract 0.3)."""

OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS


def _wire(value: Any) -> Any:
    if isinstance(value, datetime):
        # What `strftime` writes by `WIRE_DATE`, in a fraction of its time.
        return value.isoformat()[:19] + "+0000"
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any) -> bytes:
    """Return `value` as JSON bytes.

    Lone surrogates and integers over 64 bits, which orjson refuses, are written by the standard
    library's encoder instead.

    Raises:
        TypeError: a value has no JSON form.
    """
    try:
        return orjson.dumps(value, default=_wire, option=OPTIONS)
    except TypeError:
        return stdlib_json.dumps(value, default=_wire).encode("ascii")


def loads(text: str | bytes) -> Any:
    """Return the value of the JSON `text`.

    Raises:
        ValueError: not JSON.
    """
    return orjson.loads(text)
