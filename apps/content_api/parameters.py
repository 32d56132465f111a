"""Arguments of the content API's requests (routing contract 9, read side)."""

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from apps.content_api.schema import ITEM_FIELDS, UNSEARCHABLE
from apps.content_api.search import (
    LARGEST,
    Allowed,
    SearchError,
    check_field,
    elastic_query,
    mongo_query,
    words_query,
)
from apps.core import json
from apps.core.errors import BadRequest
from apps.core.service import Document

UNEXPECTED = "Unexpected parameter."
BAD_VALUE = "Bad parameter value."

DEFAULT_DAYS = 7
EARLIEST = date.min + timedelta(days=DEFAULT_DAYS)
BOTH = "Cannot both include and exclude content fields at the same time."
DATE_TEXT = "{} parameter must be a valid ISO 8601 date (YYYY-MM-DD) without the time part"

VALUE_FIELDS = {
    "service": "service.code",
    "subject": "subject.code",
    "genre": "genre.code",
    "urgency": "urgency",
    "priority": "priority",
    "type": "type",
    "item_source": "source",
}
"""Arguments that name values of a field, one or a JSON list."""

ITEM_ARGUMENTS = frozenset({"include_fields", "exclude_fields", "version"})
LIST_ARGUMENTS = (
    ITEM_ARGUMENTS
    | VALUE_FIELDS.keys()
    | {"start_date", "end_date", "max_results", "page", "where", "q", "default_operator", "filter"}
    | {"sort", "related_to", "related_source"}
)
SEARCH_ARGUMENTS = LIST_ARGUMENTS | {"subscribers", "aggregations"}

Arguments = Mapping[str, Sequence[str]]
"""Arguments of a request by name, each with all its values."""


def unexpected(text: str) -> BadRequest:
    """Return the error of an argument that is not known, or comes twice."""
    return BadRequest(UNEXPECTED, text)


def bad_value(text: str) -> BadRequest:
    """Return the error of an argument whose value is wrong."""
    return BadRequest(BAD_VALUE, text)


@dataclass(frozen=True)
class Selection:
    """The items that a list holds.

    Attributes:
        query: Mongo query; who asks is not in it.
        sort: fields with their direction.
        page: from 1.
        max_results: items on a page.
    """

    query: Document
    sort: list[tuple[str, int]]
    page: int
    max_results: int
    projection: "Projection"


@dataclass(frozen=True)
class Projection:
    """The fields that answers hold: all, only some, or all but some."""

    include: frozenset[str] | None = None
    exclude: frozenset[str] = field(default_factory=frozenset)

    def of(self, document: Document) -> Document:
        """Return a shaped document with the fields that are asked for; `uri` always stays."""
        if self.include is not None:
            always = {"uri", "_links"}
            return {k: v for k, v in document.items() if k in self.include or k in always}
        return {k: v for k, v in document.items() if k not in self.exclude}


def single_values(arguments: Arguments, known: frozenset[str]) -> dict[str, str]:
    """Return the arguments by name.

    Raises:
        BadRequest: one is unknown or given twice.
    """
    for name, values in arguments.items():
        if name not in known:
            raise unexpected(f"Unexpected parameter ({name})")
        if len(values) > 1:
            raise unexpected(f"Multiple values received for parameter ({name})")
    return {name: values[0] for name, values in arguments.items()}


def item_values(arguments: Arguments) -> dict[str, str]:
    """Return the arguments of a request for one item.

    Raises:
        BadRequest: it cannot have one of them.
    """
    text = 'Filtering{} is not supported when retrieving a single object (the "{}" parameter)'
    for name in ("start_date", "end_date"):
        if name in arguments:
            raise unexpected(text.format(" by date range", name))
    return single_values(arguments, ITEM_ARGUMENTS)


def projection_of(values: Mapping[str, str]) -> Projection:
    """Return which fields are asked for.

    Raises:
        BadRequest: a field is unknown or cannot be left out, or both arguments are given.
    """
    include, exclude = (_names(values.get(f"{how}_fields")) for how in ("include", "exclude"))
    if include is not None and exclude is not None:
        raise unexpected(BOTH)
    for name in sorted(include or ()):
        if name not in ITEM_FIELDS:
            raise bad_value(f"Unknown content field to include ({name}).")
    if "uri" in (exclude or ()):
        raise bad_value("Cannot exclude a content field required by the NINJS format (uri).")
    for name in sorted(exclude or ()):
        if name not in ITEM_FIELDS:
            raise bad_value(f"Unknown content field to exclude ({name}).")
    return Projection(include, exclude or frozenset())


def _names(text: str | None) -> frozenset[str] | None:
    if text is None:
        return None
    return frozenset(name.strip() for name in text.split(",") if name.strip())


def selection_of(
    values: Mapping[str, str], now: datetime, limits: tuple[int, int], *, is_internal: bool
) -> Selection:
    """Return what a list is to hold.

    Args:
        now: the current time.
        limits: `max_results` unless given, and its maximum.
        is_internal: users ask, who see everything; without dates they get items of any age.

    Raises:
        BadRequest: an argument makes no sense.
    """
    allowed: Allowed = (lambda _: True) if is_internal else (lambda name: name not in UNSEARCHABLE)
    projection = projection_of(values)
    parts = [
        *_value_queries(values),
        _window(values, now, is_internal=is_internal),
        _understood("where", values, lambda text: mongo_query(_json("where", text), allowed)),
        _understood("filter", values, lambda text: elastic_query(_json("filter", text), allowed)),
        _words(values, allowed),
        _related(values),
    ]
    query = {"$and": [part for part in parts if part]}
    return Selection(
        query if query["$and"] else {},
        _sort(values.get("sort"), allowed),
        _number("page", values, 1, None),
        _number("max_results", values, *limits),
        projection,
    )


def _value_queries(values: Mapping[str, str]) -> list[Document]:
    queries = []
    for name, path in VALUE_FIELDS.items():
        if name not in values:
            continue
        try:
            wanted = json.loads(values[name])
        except ValueError:
            wanted = values[name]
        members = wanted if isinstance(wanted, list) else [wanted]
        if not wanted or not all(_is_value(member) for member in members):
            raise bad_value(f"Bad parameter value for Parameter ({name})")
        # Codes are texts, though they may look like numbers.
        queries.append({path: {"$in": [*members, *map(str, members)]}})
    return queries


def _is_value(value: Any) -> bool:
    return isinstance(value, (str, float)) or (isinstance(value, int) and abs(value) <= LARGEST)


def _window(values: Mapping[str, str], now: datetime, *, is_internal: bool) -> Document:
    """Return the condition on `versioncreated`, in whole days."""
    today = now.astimezone(UTC).date()
    start, end = (_date(name, values) for name in ("start_date", "end_date"))
    for label, day in (("Start", start), ("End", end)):
        if day is not None and day > today:
            raise bad_value(
                f"{label} date ({day}) must not be set in the future "
                f"(current server date (UTC): {today})"
            )
    if start and end and start > end:
        raise bad_value("Start date must not be greater than end date")
    if not is_internal:
        end = end or today
        start = start or max(end, EARLIEST) - timedelta(days=DEFAULT_DAYS)
    window: Document = {}
    if start:
        window["$gte"] = datetime.combine(start, time(), UTC)
    if end:
        window["$lt"] = datetime.combine(end + timedelta(days=1), time(), UTC)
    return {"versioncreated": window} if window else {}


def _date(name: str, values: Mapping[str, str]) -> date | None:
    text = values.get(name)
    if text is None:
        return None
    try:
        # Not `fromisoformat`, which takes weeks and dates without dashes, too.
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).date()
    except ValueError as error:
        raise bad_value(DATE_TEXT.format(name)) from error


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SearchError(f"{name} is not valid JSON") from error


def _understood(
    name: str, values: Mapping[str, str], translate: Callable[[str], Document]
) -> Document:
    text = values.get(name)
    if not text:
        return {}
    try:
        return translate(text)
    except SearchError as error:
        raise bad_value(f"Bad parameter value for Parameter ({name}): {error}") from error


def _words(values: Mapping[str, str], allowed: Allowed) -> Document:
    operator = values.get("default_operator", "AND").upper()
    if operator not in ("AND", "OR"):
        raise bad_value("Bad parameter value for Parameter (default_operator)")
    if not values.get("q", "").strip():
        return {}
    return _understood("q", values, lambda text: words_query(text, operator, allowed))


def _related(values: Mapping[str, str]) -> Document:
    """Return the condition on what an item refers to."""
    source = {"source": values["related_source"]} if values.get("related_source") else {}
    if not values.get("related_to"):
        return {"refs": {"$elemMatch": source}} if source else {}
    named = ({name: values["related_to"], **source} for name in ("guid", "_id", "uri"))
    return {"$or": [{"refs": {"$elemMatch": reference}} for reference in named]}


def _sort(text: str | None, allowed: Allowed) -> list[tuple[str, int]]:
    """Return the order: `-field,field`, `field:desc` or `[("field", -1)]`; the newest first."""
    if not text:
        return [("versioncreated", -1), ("_id", 1)]
    try:
        order = _listed_order(text) if text.lstrip().startswith("[") else _named_order(text)
        for name, _ in order:
            check_field(name, allowed)
    except SearchError as error:
        raise bad_value(f"Bad parameter value for Parameter (sort): {error}") from error
    return order


def _named_order(text: str) -> list[tuple[str, int]]:
    order = []
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, direction = part.partition(":")
        down = name.startswith("-") or direction == "desc"
        if direction not in ("", "asc", "desc"):
            raise SearchError(f"unknown direction {direction}")
        order.append((name.removeprefix("-"), -1 if down else 1))
    if not order:
        raise SearchError("no field")
    return order


def _listed_order(text: str) -> list[tuple[str, int]]:
    try:
        order = [(str(name), int(direction)) for name, direction in ast.literal_eval(text)]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise SearchError("not a list of fields with directions") from error
    if not order or not all(direction in (1, -1) for _, direction in order):
        raise SearchError("directions are 1 and -1")
    return order


def _number(name: str, values: Mapping[str, str], default: int, maximum: int | None) -> int:
    text = values.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not int(text[:9]) > 0 or len(text) > 9:
        raise bad_value(f"{name} parameter must be a positive number")
    number = int(text)
    return min(number, maximum) if maximum else number
