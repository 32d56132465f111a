"""JSON as Wiredesk writes it: orjson, with the wire form of dates and ids."""

import base64
import json as stdlib_json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any
from uuid import UUID

import orjson
from bson import DBRef, Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

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
    return _stored(value)


def _stored(value: Any) -> Any:
    """Return what stands for a value of a type that others may have stored.

    Raises:
        TypeError: the database holds no such type.
    """
    if isinstance(value, DBRef):
        return dict(value.as_doc())
    if isinstance(value, Timestamp):
        return _wire(value.as_datetime())
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (Regex, re.Pattern)):
        return value.pattern
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, DatetimeMS):
        # Outside the years 1 to 9999.
        return int(value)
    if isinstance(value, (MinKey, MaxKey)):
        return type(value).__name__
    if isinstance(value, (Decimal128, UUID)):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def dumps(value: Any) -> bytes:
    """Return `value` as JSON bytes; every value that the database may hold has a form.

    What orjson refuses is written by the standard library's encoder instead: lone surrogates,
    integers over 64 bits, deep nesting. Numbers that JSON does not have are null.

    Raises:
        TypeError: a value has no JSON form.
    """
    try:
        return orjson.dumps(value, default=_wire, option=OPTIONS)
    except TypeError:
        return stdlib_json.dumps(_finite(value), default=_wire, allow_nan=False).encode("ascii")


def _finite(value: Any) -> Any:
    """Return a value that holds null for numbers that are none, or infinite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(entry) for entry in value]
    return value


def loads(text: str | bytes) -> Any:
    """Return the value of the JSON `text`.

    Raises:
        ValueError: not JSON.
    """
    return orjson.loads(text)
