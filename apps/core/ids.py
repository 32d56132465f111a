"""Ids of items."""

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
