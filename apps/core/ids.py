"""Ids of items, and the forms that an id of any document may have."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from bson import ObjectId
from bson.errors import InvalidId


def newsml_guid(domain: str, now: datetime, uuid: UUID | None = None) -> str:
    """Return a new item id, `urn:newsml:<domain>:<ISO time>:<uuid>`.

    Args:
        domain: URN_DOMAIN.
        now: the time in it, UTC.
        uuid: for an id that can be made again; a random one unless given.
    """
    return f"urn:newsml:{domain}:{now.replace(tzinfo=None).isoformat()}:{uuid or uuid4()}"


def item_guid(settings: Mapping[str, Any], now: datetime, uuid: UUID | None = None) -> str:
    """Return the id of a new item; arguments as of `newsml_guid`.

    Args:
        settings: URN_DOMAIN, GENERATE_SHORT_GUID.
    """
    guid = newsml_guid(settings["URN_DOMAIN"], now, uuid)
    return guid.rpartition(":")[2] if settings["GENERATE_SHORT_GUID"] else guid


def tag_guid(domain: str, now: datetime) -> str:
    """Return a new event id, `tag:<domain>:<year>:<uuid>`."""
    return f"tag:{domain}:{now.year}:{uuid4()}"


def object_id(value: object) -> object:
    """Return `value` as an ObjectId where it is the text of one, otherwise unchanged."""
    if not isinstance(value, str):
        return value
    try:
        return ObjectId(value)
    except InvalidId:
        return value


def id_forms(value: object) -> list[object]:
    """Return the forms that a document of this id may be stored with, the given one first.

    Clients write ids as text; documents have an ObjectId, a whole number (of 64 bits) or a text.
    """
    if isinstance(value, str):
        other = object_id(value)
        if other is value and _is_number(value):
            other = int(value)
        return [value] if other is value else [value, other]
    if isinstance(value, ObjectId | int) and not isinstance(value, bool):
        return [value, str(value)]
    return [value]


def _is_number(text: str) -> bool:
    """Whether a text is how a whole number of 64 bits is written."""
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 19:
        return False
    return str(int(text)) == text and -(2**63) <= int(text) < 2**63
