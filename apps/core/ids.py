"""Ids of items, and the forms that an id of any document may have."""

from collections.abc import Hashable, Iterable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar
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
    if isinstance(value, ObjectId):
        return [value, str(value)]
    if _is_whole(value):
        text = id_key(value)
        # MongoDB has no room for a larger one.
        return [value, text] if isinstance(value, float) or _is_number(text) else [text]
    return [value]


def forms_of(ids: Iterable[object]) -> list[object]:
    """Return the forms of several ids."""
    return [form for id_ in ids for form in id_forms(id_)]


def id_key(value: object) -> str:
    """Return the text of an id; two ids of any form name the same document when it is equal."""
    return str(int(value) if isinstance(value, float) and _is_whole(value) else object_id(value))


def same_id(one: object, other: object) -> bool:
    """Whether two ids of any form name the same document. None names none."""
    return one is not None and other is not None and id_key(one) == id_key(other)


T = TypeVar("T")


class ById(Generic[T]):
    """Values by ids of any form: of several, the one whose id has the form that is asked for.

    Args:
        values: ids with the values that belong to them; the last one of an id counts.
    """

    def __init__(self, values: Iterable[tuple[Any, T]] = ()) -> None:
        self.exact: dict[Any, T] = {}
        """Values by id in its own form, in their order."""
        self._by_key: dict[str, T] = {}
        for id_, value in values:
            self.exact[id_] = value
            self._by_key[id_key(id_)] = value

    def get(self, id: object) -> T | None:
        """Return the value of an id; None where there is none, and for what cannot be an id."""
        if id is None or not isinstance(id, Hashable):
            return None
        found = self.exact.get(id)
        return self._by_key.get(id_key(id)) if found is None else found

    def values(self) -> list[T]:
        """Return all values, in their order."""
        return list(self.exact.values())


def _is_number(text: str) -> bool:
    """Whether a text is how a whole number of 64 bits is written."""
    digits = text.removeprefix("-")
    if not digits.isdecimal() or not digits.isascii() or len(digits) > 19:
        return False
    return str(int(text)) == text and -(2**63) <= int(text) < 2**63


def _is_whole(value: object) -> bool:
    """Whether a value is a whole number; others store them as decimal numbers, too."""
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, float) and value.is_integer())
