"""Metadata of associated media, checked with the story (lifecycle contract 4.4, last row)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apps.core.text import plain_text
from apps.core.vocabulary import ItemType
from apps.validate.cerberus_rules import EDITOR_EMPTY, REQUIRED, ErrorTree
from apps.validate.rules import Rules

FIELD = "media's {field}"
TOO_LONG = "max length is {maxlength}"


def checked_associations(associations: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the associated items whose metadata are checked: all but texts and null ones."""
    return [
        item
        for item in associations.values()
        if isinstance(item, Mapping) and item.get("type") != ItemType.TEXT
    ]


def metadata_errors(
    associations: Mapping[str, Any], rules_of: Callable[[Mapping[str, Any]], Mapping[str, Rules]]
) -> ErrorTree:
    """Return what is missing or too long in associated media.

    Args:
        associations: as the item holds them.
        rules_of: returns field to rules for an associated item; errors that it raises pass.
    """
    errors: dict[str, list[str]] = {}
    for item in checked_associations(associations):
        for field, text in _errors_of(item, rules_of(item)):
            texts = errors.setdefault(FIELD.format(field=field), [])
            if text not in texts:
                texts.append(text)
    return {field: texts[0] if len(texts) == 1 else texts for field, texts in errors.items()}


def _errors_of(item: Mapping[str, Any], schema: Mapping[str, Rules]) -> Iterator[tuple[str, str]]:
    for field, rules in schema.items():
        value = _value(item, field)
        if _is_empty(value):
            if rules.get("required") is True:
                yield field, REQUIRED
            continue
        maxlength = rules.get("maxlength")
        if isinstance(maxlength, int) and _length(value) > maxlength:
            yield field, TOO_LONG.format(maxlength=maxlength)


def _value(item: Mapping[str, Any], field: str) -> Any:
    extra = item.get("extra")
    custom = extra.get(field) if isinstance(extra, Mapping) else None
    return item.get(field, custom)


def _is_empty(value: Any) -> bool:
    return value in (None, "", EDITOR_EMPTY) or (isinstance(value, (list, dict)) and not value)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(plain_text(value))
    return len(value) if isinstance(value, list) else 0
