"""Schemas of resources: what the packages that declare them share."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

Schema = dict[str, Any]


def relation(resource: str, type: str = "objectid", **rules: Any) -> Schema:
    """Return the rules of a field that names a document of `resource`, which must exist."""
    related = {"resource": resource, "field": "_id", "embeddable": True}
    return {"type": type, "data_relation": related, **rules}


def text(**rules: Any) -> Schema:
    """Return the rules of a text, which may be null."""
    return {"type": "string", "nullable": True, **rules}


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
    """Return the condition that a reference is `id`, kept as it is or as text."""
    return {"$in": [id, str(id)]}
