"""Conditions of a search as queries of the store: fields, values, and what combines them."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from apps.archive.visibility import both
from apps.core.errors import BadRequest
from apps.core.ids import id_forms
from apps.core.service import Document

INTEGERS = range(-(2**63), 2**63)
"""Whole numbers that the store holds."""

TRUTH: Mapping[str, bool] = {"true": True, "false": False}

EVERYTHING: Document = {}
NOTHING: Document = {"_id": {"$in": []}}


def field_of(name: Any) -> str:
    """Return the field of an item that a search names.

    Raises:
        BadRequest: no item has it.
    """
    if not isinstance(name, str) or len(name) > 200:
        raise BadRequest("source: a field is a text")
    # The index has texts a second time, whole.
    path = name.removesuffix(".phrase").removesuffix(".keyword")
    parts = path.split(".")
    is_internal = parts[0] == "journal"
    if is_internal or any(not part or part.startswith("$") or "\0" in part for part in parts):
        raise BadRequest(f"source: {name[:40]!r} is no field")
    return path


def all_of(queries: Iterable[Document]) -> Document:
    """Return the query of what all of the queries find."""
    query: Document = EVERYTHING
    for each in queries:
        query = both(query, each) if each else query
    return query


def any_of(queries: Iterable[Document]) -> Document:
    """Return the query of what any of the queries finds."""
    alternatives = list(queries)
    return EVERYTHING if EVERYTHING in alternatives else {"$or": alternatives}


def none_of(queries: Iterable[Document]) -> Document:
    """Return the query of what none of the queries finds."""
    excluded = list(queries)
    return NOTHING if EVERYTHING in excluded else {"$nor": excluded}


def is_there(field: str) -> Document:
    """Return the query of what has a value in a field."""
    return {field: {"$ne": None, "$nin": [[]]}}


def has_one_of(field: str, values: Iterable[Any]) -> Document:
    """Return the query of what has one of the values in a field, in any form of it.

    None stands for no value.
    """
    wanted = list(values)
    forms = [form for value in wanted if value is not None for form in value_forms(value)]
    query = {field: {"$in": forms}}
    if None not in wanted:
        return query
    return any_of([none_of([is_there(field)]), *([query] if forms else ())])


def value_forms(value: Any) -> list[Any]:
    """Return the forms in which items hold a value: the index compares with each.

    Raises:
        BadRequest: no field holds it.
    """
    if isinstance(value, bool):
        return [value]
    if isinstance(value, str):
        return [*id_forms(value), *([TRUTH[value]] if value in TRUTH else ())]
    if isinstance(value, int) and value in INTEGERS:
        return id_forms(value)
    if isinstance(value, float) and math.isfinite(value):
        return [value]
    raise BadRequest("source: fields are compared with texts, numbers and truth values")
