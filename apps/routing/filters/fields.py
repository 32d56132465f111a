"""The fields of an item that filter conditions read (routing contract 4.3).

Every field is read as a set of comparable keys: folded text, numbers or truth values. A field that
is absent, null, an empty list or unreadable has no keys.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from functools import partial
from types import MappingProxyType
from typing import Any, TypeVar

from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of
from apps.core.embargo import embargo_of
from apps.core.text import comparable, plain_text, text_of_line

Key = str | int | float | bool
Keys = frozenset[Key]
T = TypeVar("T")

_NOT_SCALAR = (type(None), Mapping, list, tuple)


class VocabularyKind(StrEnum):
    """The way in which items hold the values of a vocabulary that conditions may name."""

    TEXT = "text"
    """As text under `extra`."""
    CODES = "codes"
    """As entries of `subject` with the vocabulary's id as `scheme`."""


class FieldKind(Enum):
    """Type of the keys of a field."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    """True or false; an item without the flag has it false."""
    PRESENCE = "presence"
    """Whether there is a value, whatever it is."""


class ItemView:
    """One version of an item, read lazily and at most once per field.

    Thousands of conditions share a view, so that the item's markup is parsed once. A view belongs
    to one evaluation and must not outlive a change of the item.

    Args:
        item: the item's document.
        now: the current time, which decides on embargoes. Aware.
    """

    __slots__ = ("_computed", "_keys", "item", "now")

    def __init__(self, item: Mapping[str, Any], now: datetime) -> None:
        self.item = item
        self.now = now
        self._keys: dict[str, Keys] = {}
        self._computed: dict[Hashable, Any] = {}

    def keys(self, field: "ItemField") -> Keys:
        """Return what `field` holds, as comparable keys; empty when the item lacks it."""
        keys = self._keys.get(field.path)
        if keys is None:
            keys = self._keys[field.path] = field.read(self)
        return keys

    def computed(self, key: Hashable, build: Callable[["ItemView"], T]) -> T:
        """Return `build(self)`, calling it for the first request of `key` only."""
        if key not in self._computed:
            self._computed[key] = build(self)
        value: T = self._computed[key]
        return value


@dataclass(frozen=True, eq=False)
class ItemField:
    """A field that conditions may name.

    Attributes:
        path: where items hold it; fields of one path read the same.
        kind: what its keys are.
        read: returns the keys of an item.
        is_broad: most items share a few values, so a value says little about an item.
    """

    path: str
    kind: FieldKind
    read: Callable[[ItemView], Keys]
    is_broad: bool = False


# Reading items. Items may come from anywhere: what cannot be read counts as absent.


def _scalars(value: Any) -> Iterator[Any]:
    for member in value if isinstance(value, (list, tuple)) else [value]:
        if not isinstance(member, _NOT_SCALAR):
            yield member


def fold(text: str) -> str:
    """Return `text` as it is compared: as `comparable`, without outer blanks."""
    return comparable(text).strip()


def _texts(value: Any, convert: Callable[[str], str] = text_of_line) -> Keys:
    return frozenset(
        fold(convert(member) if isinstance(member, str) else str(member))
        for member in _scalars(value)
    )


def _read_text(name: str, view: ItemView) -> Keys:
    return _texts(view.item.get(name))


def _read_html(name: str, view: ItemView) -> Keys:
    # Words of two blocks are two words.
    return _texts(view.item.get(name), partial(plain_text, line_feeds=True))


def _read_nested(parent: str, name: str, view: ItemView) -> Keys:
    return _texts(object_of(view.item, parent).get(name))


def number_of(value: Any) -> int | float | None:
    """Return the number that `value` is or spells, or None."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    try:
        return int(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _read_numbers(name: str, view: ItemView) -> Keys:
    numbers = (number_of(member) for member in _scalars(view.item.get(name)))
    return frozenset(number for number in numbers if number is not None)


def _codes(entries: Iterable[Mapping[str, Any]]) -> Keys:
    codes = (entry.get("qcode") for entry in entries)
    return frozenset(fold(str(code)) for code in codes if code is not None)


def _read_codes(name: str, view: ItemView) -> Keys:
    return _codes(objects_of(view.item, name))


def _read_scheme(scheme: str, view: ItemView) -> Keys:
    entries = objects_of(view.item, "subject")
    return _codes(entry for entry in entries if entry.get("scheme") == scheme)


def _read_sms(view: ItemView) -> Keys:
    return frozenset({bool(object_of(view.item, "flags").get("marked_for_sms"))})


def _read_featuremedia(view: ItemView) -> Keys:
    media = object_of(object_of(view.item, "associations"), "featuremedia")
    return frozenset({bool(media.get("_id"))})


def _read_embargo(view: ItemView) -> Keys:
    """Read whether an embargo is in force. One whose end cannot be read is."""
    embargo, ingested = view.item.get("embargo"), view.item.get("embargoed")
    if not (embargo or ingested):
        return frozenset({False})
    own = object_of(view.item, "schedule_settings").get("utc_embargo") or embargo
    is_unreadable = any(end and moment_of(end) is None for end in (own, ingested))
    return frozenset({is_unreadable or embargo_of(view.item, view.now) is not None})


# The fields.


def _text_field(name: str, *, is_broad: bool = False) -> ItemField:
    return ItemField(name, FieldKind.TEXT, partial(_read_text, name), is_broad)


def _code_field(name: str) -> ItemField:
    return ItemField(name, FieldKind.TEXT, partial(_read_codes, name))


def _number_field(name: str) -> ItemField:
    return ItemField(name, FieldKind.NUMBER, partial(_read_numbers, name), is_broad=True)


def _task_field(name: str) -> ItemField:
    return ItemField(f"task.{name}", FieldKind.TEXT, partial(_read_nested, "task", name))


FIELDS: Mapping[str, ItemField] = MappingProxyType(
    {
        "anpa_category": _code_field("anpa_category"),
        "urgency": _number_field("urgency"),
        "priority": _number_field("priority"),
        "keywords": _text_field("keywords"),
        "slugline": _text_field("slugline"),
        "type": _text_field("type", is_broad=True),
        "source": _text_field("source"),
        "headline": _text_field("headline"),
        "ednote": _text_field("ednote"),
        "body_html": ItemField("body_html", FieldKind.TEXT, partial(_read_html, "body_html")),
        "genre": _code_field("genre"),
        "subject": _code_field("subject"),
        "desk": _task_field("desk"),
        "stage": _task_field("stage"),
        "sms": ItemField("flags.marked_for_sms", FieldKind.FLAG, _read_sms, is_broad=True),
        "place": _code_field("place"),
        "ingest_provider": _text_field("ingest_provider"),
        "embargo": ItemField("embargo", FieldKind.FLAG, _read_embargo, is_broad=True),
        "featuremedia": ItemField(
            "associations.featuremedia", FieldKind.PRESENCE, _read_featuremedia, is_broad=True
        ),
        "anpa_take_key": _text_field("anpa_take_key"),
        "agendas": _text_field("agendas"),
    }
)
"""The built-in fields by the name that conditions give them."""

LANGUAGES = "languages"
"""Id of the vocabulary whose values items hold in `language`."""


def vocabulary_kinds(vocabularies: Iterable[Mapping[str, Any]]) -> dict[str, VocabularyKind]:
    """Return the vocabularies that conditions may name, by id.

    These are the manageable ones that are not deleted, either without `field_type` or of `text`.
    """
    kinds = {None: VocabularyKind.CODES, "text": VocabularyKind.TEXT}
    return {
        str(vocabulary["_id"]): kinds[vocabulary.get("field_type") or None]
        for vocabulary in vocabularies
        if vocabulary.get("type") == "manageable"
        and not vocabulary.get("_deleted")
        and (vocabulary.get("field_type") or None) in kinds
    }


def find_field(name: str, kinds: Mapping[str, VocabularyKind]) -> ItemField | None:
    """Return the field that conditions call `name`, or None when there is none.

    Args:
        kinds: vocabularies that may be a field, by id.
    """
    if name in FIELDS:
        return FIELDS[name]
    if name not in kinds:
        return None
    if name == LANGUAGES:
        return _text_field("language", is_broad=True)
    if kinds[name] is VocabularyKind.TEXT:
        return ItemField(f"extra.{name}", FieldKind.TEXT, partial(_read_nested, "extra", name))
    return ItemField(f"subject[{name}]", FieldKind.TEXT, partial(_read_scheme, name))
