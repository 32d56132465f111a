"""The `source` argument of lists of items: filters as clients write them for Elasticsearch.

Filters become a query of MongoDB (resources contract 9.4). What ranks, counts or cuts a result
(`sort`, `size`, `from`, `aggs`, `highlight` ...) is left to the arguments of the list.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from apps.core import json
from apps.core.clock import Clock, moment_of
from apps.core.errors import BadRequest
from apps.core.ids import id_forms
from apps.core.service import Document

DEPTH, CONDITIONS, VALUES = 20, 200, 1000
"""Most nested filters, conditions, and values of one list."""

FIELD = re.compile(r"(?!journal\b)[A-Za-z_][\w-]*(\.[\w-]+)*", re.ASCII)
DATE_MATH = re.compile(r"now(?:([+-]\d{1,5})([mhHdw]))?(/d)?")
UNITS = {"m": "minutes", "h": "hours", "H": "hours", "d": "days", "w": "weeks"}
COMPARISONS = {"gt": "$gt", "gte": "$gte", "lt": "$lt", "lte": "$lte", "from": "$gte", "to": "$lte"}
WORDS = ("query_string", "match", "multi_match")
"""Searches for words: they narrow no list."""

Body = Mapping[str, Any]


def with_source(query: Document, text: str | None, clock: Clock) -> Document:
    """Return the query of a list, narrowed down by its `source` argument.

    Raises:
        BadRequest: the argument is no filter, or one that lists do not have.
    """
    if not text:
        return query
    wanted = Filters(clock.now()).query(parsed(text))
    return {"$and": [query, wanted]} if wanted else query


def parsed(text: str) -> Body:
    """Return the JSON object that the argument is.

    Raises:
        BadRequest: it is none.
    """
    try:
        source = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest("source is not valid JSON") from error
    if not isinstance(source, Mapping):
        raise BadRequest("source is not a JSON object")
    return source


class Filters:
    """Turns the filters of one request into a query.

    Args:
        now: what times are relative to.
    """

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._left = CONDITIONS
        self._kinds: dict[str, Callable[[Any, int], Document]] = {
            "bool": self._bool,
            "and": lambda body, depth: self._all(body, depth),
            "or": self._any,
            "not": self._not,
            "filtered": self._filtered,
            "query": lambda body, depth: self._one(body, depth),
            "constant_score": self._filtered,
            "term": lambda body, _: self._field(body, self._term),
            "terms": lambda body, _: self._field(body, self._terms),
            "range": lambda body, _: self._field(body, self._range),
            "exists": lambda body, _: self._exists(body),
            "match_all": lambda body, _: {},
            **dict.fromkeys(WORDS, lambda body, _: {}),
        }

    def query(self, source: Body) -> Document:
        """Return the query of a whole search: its `query`, `filter` and `post_filter`."""
        named = (source.get(name) for name in ("query", "filter", "post_filter"))
        return _joined([self._all(part, 0) for part in named])

    def _all(self, body: Any, depth: int) -> Document:
        members = body if isinstance(body, list) else [body]
        return _joined([self._one(member, depth + 1) for member in members])

    def _one(self, body: Any, depth: int) -> Document:
        """Return the query of one filter; several kinds in an object hold together."""
        if body is None:
            return {}
        self._left -= 1
        if depth > DEPTH or self._left < 0:
            raise BadRequest("source has too many filters")
        if not isinstance(body, Mapping):
            raise BadRequest("source: a filter is an object")
        parts = []
        for kind, content in body.items():
            if kind not in self._kinds:
                raise BadRequest(f"source: lists have no filter {str(kind)[:40]!r}")
            parts.append(self._kinds[kind](content, depth + 1))
        return _joined(parts)

    def _any(self, body: Any, depth: int) -> Document:
        members = body if isinstance(body, list) else [body]
        queries = [self._one(member, depth) for member in members]
        return {"$or": queries} if queries and all(queries) else {}

    def _not(self, body: Any, depth: int) -> Document:
        if isinstance(body, Mapping) and list(body) == ["filter"]:
            body = body["filter"]
        query = self._all(body, depth)
        return {"$nor": [query]} if query else {}

    def _filtered(self, body: Any, depth: int) -> Document:
        if not isinstance(body, Mapping):
            raise BadRequest("source: filtered is an object")
        return _joined([self._all(body.get(name), depth) for name in ("query", "filter")])

    def _bool(self, body: Any, depth: int) -> Document:
        if not isinstance(body, Mapping):
            raise BadRequest("source: bool is an object")
        parts = [self._all(body.get(name), depth) for name in ("must", "filter")]
        unwanted = body.get("must_not")
        for member in unwanted if isinstance(unwanted, list) else [unwanted]:
            parts.append(self._not(member, depth))
        needed = body.get("minimum_should_match", 0 if any(parts[:2]) else 1)
        if body.get("should") and needed not in (0, "0"):
            parts.append(self._any(body["should"], depth))
        return _joined(parts)

    def _field(self, body: Any, condition: Callable[[Any], Document]) -> Document:
        if not isinstance(body, Mapping):
            raise BadRequest("source: a filter names a field")
        fields = {name: value for name, value in body.items() if name not in ("boost", "execution")}
        return _joined([{_checked(name): condition(value)} for name, value in fields.items()])

    def _term(self, value: Any) -> Document:
        if isinstance(value, Mapping) and "value" in value:
            value = value["value"]
        return self._terms([value])

    def _terms(self, values: Any) -> Document:
        if not isinstance(values, list) or len(values) > VALUES:
            raise BadRequest(f"source: terms are a list of at most {VALUES}")
        if any(isinstance(value, list | Mapping) for value in values):
            raise BadRequest("source: a term is no list and no object")
        return {"$in": [form for value in values for form in id_forms(value)]}

    def _range(self, bounds: Any) -> Document:
        if not isinstance(bounds, Mapping):
            raise BadRequest("source: a range is an object")
        known = {name: value for name, value in bounds.items() if name in COMPARISONS}
        if not known or any(isinstance(value, list | Mapping) for value in known.values()):
            raise BadRequest("source: a range has gt, gte, lt or lte")
        return {COMPARISONS[name]: self._moment(value) for name, value in known.items()}

    def _moment(self, value: Any) -> Any:
        """Return the time that a text says; other values as they are."""
        if not isinstance(value, str):
            return value
        if not (math := DATE_MATH.fullmatch(value)):
            return moment_of(value) or value
        number, unit, is_rounded = math.groups()
        moment = self._now + (timedelta(**{UNITS[unit]: int(number)}) if unit else timedelta())
        return moment.replace(hour=0, minute=0, second=0, microsecond=0) if is_rounded else moment

    def _exists(self, body: Any) -> Document:
        name = body.get("field") if isinstance(body, Mapping) else None
        return {_checked(name): {"$exists": True, "$nin": [None, []]}}


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not FIELD.fullmatch(name):
        raise BadRequest(f"source: {str(name)[:40]!r} is no field")
    return name


def _joined(parts: list[Document]) -> Document:
    """Return the query of what holds together."""
    parts = [part for part in parts if part]
    return {"$and": parts} if len(parts) > 1 else (parts[0] if parts else {})
