"""Checks of the items of one vocabulary. Pure functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apps.core.documents import EMPTY
from apps.core.errors import BadRequest

Items = Sequence[Mapping[str, Any]]
Values = Callable[[str, str], frozenset[Any]]
"""Vocabulary and item field to the values that its items have there."""

DEFAULT_UNIQUE_FIELD = "qcode"


def is_active(item: Mapping[str, Any]) -> bool:
    """Whether the item may be chosen."""
    return bool(item.get("is_active", True))


def check_required(vocabulary: Mapping[str, Any]) -> None:
    """Check that every item has what the vocabulary's `schema` requires.

    Raises:
        BadRequest: names the field and the position of the item.
    """
    schema = vocabulary.get("schema") or {}
    unique_field = vocabulary.get("unique_field")
    required = [
        field
        for field, rules in schema.items()
        if field == unique_field or (rules or {}).get("required")
    ]
    for position, item in enumerate(vocabulary.get("items") or ()):
        for field in required:
            if item.get(field) in EMPTY:
                problem = {"required_field": 1, "params": {"field": field, "item": position}}
                raise BadRequest(f"Required {field} in item {position}", {"error": problem})


def check_links(vocabulary: Mapping[str, Any], values: Values) -> None:
    """Check that values which name items of another vocabulary do so.

    Raises:
        BadRequest: names the other vocabulary and the value.
    """
    for field, rules in (vocabulary.get("schema") or {}).items():
        other, other_field = (rules or {}).get("link_vocab"), (rules or {}).get("link_field")
        if not other or not other_field:
            continue
        known = values(other, other_field)
        for item in vocabulary.get("items") or ():
            if item.get(field) and item[field] not in known:
                raise BadRequest(f'{other} "{other_field}={item[field]}" not found')


def check_unique(items: Items, field: str) -> None:
    """Check that active items differ in `field`, whatever the case.

    Raises:
        BadRequest: two are equal, or one has no value.
    """
    seen = set()
    for item in filter(is_active, items):
        value = item.get(field)
        if value is None or value == "":
            raise BadRequest(f"{field} cannot be empty")
        if str(value).upper() in seen:
            raise BadRequest(f"Value {value} for field {field} is not unique")
        seen.add(str(value).upper())
