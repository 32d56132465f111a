"""Schemas of resources: what the packages that declare them share."""

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from apps.core.ids import id_forms

Schema = dict[str, Any]

TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "code": (str, int),
    "boolean": bool,
    "list": list,
    "dict": dict,
}
"""Types that a look at the value tells; codes and numbers are no booleans."""

ID = "id"
"""Type of what names documents: an ObjectId, a text or a whole number."""

PLAIN_RULES = frozenset(
    (
        *("type", "nullable", "required", "min", "max", "regex"),
        *("schema", "valuesrules", "allow_unknown"),
    )
)
"""Rules that `keeps` knows."""


def relation(resource: str, type: str | list[str] = ID, **rules: Any) -> Schema:
    """Return the rules of a field that names a document of `resource`, which must exist."""
    related = {"resource": resource, "field": "_id", "embeddable": True}
    return {"type": type, "data_relation": related, **rules}


def reference(resource: str, **rules: Any) -> Schema:
    """Return the rules of a field that names a document of `resource`.

    One with an ObjectId need not be there any more; other ids are known by what they name.
    """
    return {"type": ID, "reference": resource, **rules}


def text(**rules: Any) -> Schema:
    """Return the rules of a text, which may be null."""
    return {"type": "string", "nullable": True, **rules}


def code(**rules: Any) -> Schema:
    """Return the rules of a code or an id: a text, or a whole number as some vocabularies have."""
    return {"type": "code", **rules}


def minutes() -> Schema:
    """Return the rules of a time in minutes, which ends before the calendar does."""
    return {"type": "integer", "nullable": True, "max": 2**31 - 1}


def open_object(**rules: Any) -> Schema:
    """Return the rules of an object with any keys."""
    return {"type": "dict", "allow_unknown": True, **rules}


def fill_defaults(documents: Iterable[dict[str, Any]], schema: Mapping[str, Schema]) -> None:
    """Give `documents` the defaults of `schema`.

    Requests bring them along; documents made by tasks, commands and other services do not.
    """
    defaults = {field: rules["default"] for field, rules in schema.items() if "default" in rules}
    for document in documents:
        for field, value in defaults.items():
            document.setdefault(field, deepcopy(value))


def as_stored(id: Any) -> dict[str, list[Any]]:
    """Return the condition that a reference is `id`, in any form of it."""
    return {"$in": id_forms(id)}


def keeps(rules: Mapping[str, Any], value: Any) -> bool:
    """Whether `value` keeps the rules; False also where other rules or types have a say.

    Args:
        rules: of a field, or of the entries of a list.
        value: what a client sent, or what is stored.
    """
    if value is None:
        return bool(rules.get("nullable"))
    if not PLAIN_RULES.issuperset(rules) or not _is_of_type(rules.get("type"), value):
        return False
    if isinstance(value, int | float):
        return bool(rules.get("min", value) <= value <= rules.get("max", value))
    if isinstance(value, str):
        return "regex" not in rules or re.fullmatch(rules["regex"], value) is not None
    return keeps_inside(rules, value)


def keeps_inside(rules: Mapping[str, Any], value: Any) -> bool:
    """Whether what a list or an object holds keeps the rules of its entries; see `keeps`."""
    schema, each = rules.get("schema"), rules.get("valuesrules")
    if isinstance(value, list):
        return schema is None or all(keeps(schema, entry) for entry in value)
    if not isinstance(value, dict):
        return schema is None and each is None
    if each is not None and not all(keeps(each, inner) for inner in value.values()):
        return False
    return schema is None or _keeps_schema(rules, value)


def _keeps_schema(rules: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
    schema, allow_unknown = rules["schema"], rules.get("allow_unknown")
    for name, inner in value.items():
        if name not in schema:
            if not allow_unknown:
                return False
        elif not keeps(schema[name], inner):
            return False
    return all(name in value for name, inner in schema.items() if inner.get("required"))


def _is_of_type(names: Any, value: Any) -> bool:
    """Whether a value is of one of the types; any value where none is named."""
    if names is None:
        return True
    named = (names,) if isinstance(names, str) else names
    if isinstance(value, bool):
        return "boolean" in named
    return any(name in TYPES and isinstance(value, TYPES[name]) for name in named)
