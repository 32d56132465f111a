"""Texts of blanks only count as missing, in every format and field."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from apps.core.errors import FormatError
from apps.core.text import is_blank
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.references import KEPT_AS_THEY_ARE, References, without_blanks
from formatters import build_registry
from tests.support.format_items import CONTEXT, EXAMPLES, NOW, WRITER, example_item
from tests.support.format_schemas import CHECKS
from tests.support.generated_items import BLANKS, FIELDS, items

FORMATTERS = build_registry()
Path = tuple[str | int, ...]


class NoRules:
    """Rules that match nothing."""

    def matching_products(self, _item: Any, _now: Any) -> list[Any]:
        return []


class KnownReferences(References):
    """What formats look up, from memory."""

    def __init__(self) -> None:
        vocabularies: list[dict[str, Any]] = [
            {"_id": name, "items": list(entries)} for name, entries in CONTEXT.vocabularies.items()
        ]
        no_rules: Any = NoRules
        super().__init__({}, vocabularies, no_rules)  # type: ignore[arg-type]
        self.users = {"user1": dict(WRITER)}
        self.attachments = {id_: dict(each) for id_, each in CONTEXT.attachments.items()}

    def published_members_of(self, package: Any) -> dict[str, Any]:
        return {}


def bodies(item: Mapping[str, Any], is_valid: bool = True) -> dict[str, Any]:
    """Return what every format makes of an item, or why it refuses it, by format."""
    row = {**item, "item_id": item["_id"]}
    formats = ItemFormats(row, KnownReferences(), FORMATTERS, CONTEXT.settings, NOW)
    made: dict[str, Any] = {"content api": _outcome(formats.content_api_document)}
    for formatter in FORMATTERS:
        if not formatter.can_format(row):
            continue
        made[formatter.type] = outcome = _outcome(formats.payloads, formatter, {}, "d", 7)
        for payload in outcome if is_valid and isinstance(outcome, list) else ():
            CHECKS[formatter.type](payload.formatted)
    return made


def _outcome(write: Any, *arguments: Any) -> Any:
    try:
        return write(*arguments)
    except FormatError as error:
        return str(error)


def text_paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield where the texts of an item are; those of its content are left out."""
    if isinstance(value, str) and path not in (("_id",), ("type",)):
        yield path
    entries = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value if isinstance(value, list) else ())
    )
    for name, entry in entries:
        if name not in KEPT_AS_THEY_ARE:
            yield from text_paths(entry, (*path, name))


def changed(item: Any, path: Path, value: str | None) -> Any:
    """Return the item with another text, or without it."""
    copy = deepcopy(item)
    holder = copy
    for name in path[:-1]:
        holder = holder[name]
    if value is None:
        holder.pop(path[-1], None) if isinstance(holder, dict) else holder.pop(path[-1])
    else:
        holder[path[-1]] = value
    return copy


@hypothesis_settings(suppress_health_check=list(HealthCheck))
@given(items | st.sampled_from(EXAMPLES).map(example_item), st.sampled_from(BLANKS), st.data())
def test_count_as_missing_in_every_format(item: dict[str, Any], blank: str, data: Any) -> None:
    """Every format writes a valid document, the one of an item without the field.

    Formats contract 1.5.
    """
    own = list(text_paths(item))
    others = [(name,) for name in FIELDS if name not in item and name not in KEPT_AS_THEY_ARE]
    path = data.draw(st.sampled_from([*own, *others]))

    with_blank = bodies(changed(item, path, blank))

    assert with_blank == bodies(changed(item, path, None), is_valid=False)


@pytest.mark.parametrize("blank", BLANKS)
def test_are_left_out_at_any_depth(blank: str) -> None:
    """In objects and lists; empty texts stay, and so do blanks of the content itself."""
    item = {
        "headline": blank,
        "slugline": "",
        "keywords": ["a", blank, ""],
        "authors": [{"name": blank, "role": "writer", "parts": [[blank], {"x": blank}]}],
        "body_html": blank,
        "urgency": 3,
        "source": None,
    }

    assert without_blanks(item) == {
        "slugline": "",
        "keywords": ["a", ""],
        "authors": [{"role": "writer", "parts": [[], {}]}],
        "body_html": blank,
        "urgency": 3,
        "source": None,
    }


@pytest.mark.parametrize("text", ["a", " a ", ".", "\u00e9", "\u4e2d", "\U0001f600", "\u200ba"])
def test_texts_that_show_something_are_none(text: str) -> None:
    """Whatever stands around it."""
    item = {"headline": text, "keywords": [text]}

    assert not is_blank(text)
    assert without_blanks(item) is item
