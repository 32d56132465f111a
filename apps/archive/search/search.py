"""Searches that clients write for lists of items, as queries of the store.

Superdesk's clients send queries of Elasticsearch. What they use of these is translated here, and
only here (resources contract 3); anything else is refused, for a list that leaves a condition out
shows what nobody has asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.archive.search.conditions import (
    EVERYTHING,
    NOTHING,
    all_of,
    any_of,
    field_of,
    has_one_of,
    is_there,
    none_of,
    value_forms,
)
from apps.archive.search.dates import bound_of
from apps.archive.search.words import Words, query_of_words
from apps.core import json
from apps.core.errors import BadRequest
from apps.core.service import Document

DEPTH = 30
CONDITIONS = 300
VALUES = 2000
"""Most nested nodes, nodes and values of one search."""

FARTHEST = 2**31 - 1
"""The last row that a search reaches."""

NARROWING = ("query", "filter", "post_filter")
WITHOUT_EFFECT = frozenset(
    {"aggs", "aggregations", "facets", "highlight", "_source", "fields", "version", "explain"}
    | {"track_scores", "track_total_hits", "timeout", "min_score", "indices_boost"}
)
"""Parts of a search that change the form of the answer only; lists have one form."""
OPTIONS = frozenset({"boost", "_name", "_cache", "_cache_key", "execution"})
"""Keys beside the fields of a node that change no result."""

Order = list[tuple[str, int]]


@dataclass(frozen=True)
class Search:
    """What a client looks for.

    Attributes:
        query: of the store; empty for everything.
        order: fields with 1 or -1; empty where the client asks for none.
        size: rows that are wanted; None where the client does not say.
        start: rows that are left out before them.
    """

    query: Document
    order: Order
    size: int | None = None
    start: int | None = None


def search_of(arguments: Mapping[str, str], kind: str, now: datetime) -> Search | None:
    """Return the search of the arguments of a list, or None where there is none.

    Args:
        arguments: `source` is a search as JSON, `filter` a node of one, `q` words.
        kind: what the list shows, as `_type` of its rows.
        now: the time that dates are relative to.

    Raises:
        BadRequest: it cannot be read, is too large, or has something that lists do not offer.
    """
    if not any(arguments.get(name) for name in ("source", "filter", "q")):
        return None
    translation = Translation(kind, now)
    source = _parsed(arguments, "source")
    unknown = source.keys() - WITHOUT_EFFECT - {*NARROWING, "sort", "size", "from"}
    if unknown:
        raise BadRequest(f"source: {min(unknown)[:40]} is not offered")
    parts = [source.get(name) for name in NARROWING]
    parts.append(_parsed(arguments, "filter"))
    if arguments.get("q"):
        parts.append({"query_string": {"query": arguments["q"]}})
    query = all_of(translation.node(part) for part in parts)
    size, start = _number(source.get("size")), _number(source.get("from"))
    return Search(query, _order(source.get("sort")), size, start)


def _parsed(arguments: Mapping[str, str], name: str) -> Mapping[str, Any]:
    """Return the object that an argument holds; empty where there is none."""
    text = arguments.get(name)
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        raise BadRequest(f"{name} is not valid JSON") from None
    if not isinstance(value, Mapping):
        raise BadRequest(f"{name} is not a JSON object")
    return value


def _number(value: Any) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 11:
        value = int(value)
    if value is None or (type(value) is int and 0 <= value <= FARTHEST):
        return value
    raise BadRequest("source: size and from have to be numbers of rows")


def _order(sort: Any) -> Order:
    """Return the order of a search: fields, each alone or with its direction."""
    entries = sort if isinstance(sort, list) else [sort] if sort else []
    order: Order = []
    for entry in entries:
        pairs = {entry: "asc"} if isinstance(entry, str) else entry
        if not isinstance(pairs, Mapping):
            raise BadRequest("source: sort is a list of fields with their directions")
        for name, way in pairs.items():
            direction = (way.get("order") or "asc") if isinstance(way, Mapping) else way
            if direction not in ("asc", "desc"):
                raise BadRequest("source: sort is by asc or desc")
            if name != "_score":
                order.append((field_of(name), 1 if direction == "asc" else -1))
    return order


class Translation:
    """Translates the nodes of one search, and counts them.

    Args:
        kind: `_type` of the rows of the list.
        now: the time that dates are relative to.
    """

    def __init__(self, kind: str, now: datetime) -> None:
        self._kind = kind
        self._now = now
        self._nodes = 0
        self._values = 0
        self._verbs: Mapping[str, Callable[[Any, int], Document]] = {
            "term": self._term,
            "terms": self._terms,
            "ids": self._ids,
            "range": self._range,
            "exists": lambda body, _: is_there(self._named(body)),
            "missing": lambda body, _: none_of([is_there(self._named(body))]),
            "bool": self._bool,
            "and": lambda body, depth: all_of(self._each(body, depth)),
            "or": lambda body, depth: any_of(self._each(body, depth) or [EVERYTHING]),
            "not": self._not,
            "filtered": self._wrapped,
            "constant_score": self._wrapped,
            "query": self._node_below,
            "match": self._match,
            "match_phrase": self._match_phrase,
            "multi_match": self._multi_match,
            "match_all": lambda body, _: EVERYTHING,
            "query_string": self._query_string,
        }

    def node(self, node: Any, depth: int = 0) -> Document:
        """Return the query of a node; nothing and an empty one are everything.

        Raises:
            BadRequest: it is none, too large, or has something that lists do not offer.
        """
        self._nodes += 1
        if depth > DEPTH or self._nodes > CONDITIONS:
            raise BadRequest(
                f"source: {CONDITIONS} conditions, nested {DEPTH} times, are the most it takes"
            )
        if node is None:
            return EVERYTHING
        if isinstance(node, list):
            return all_of(self._each(node, depth + 1))
        if not isinstance(node, Mapping):
            raise BadRequest("source: a condition has to be an object")
        verbs = {verb: body for verb, body in node.items() if verb not in OPTIONS}
        unknown = verbs.keys() - self._verbs.keys()
        if unknown:
            raise BadRequest(f"source: {min(unknown)[:40]} is not offered")
        return all_of(self._verbs[verb](body, depth + 1) for verb, body in verbs.items())

    # What combines nodes.

    def _node_below(self, body: Any, depth: int) -> Document:
        return self.node(body, depth)

    def _each(self, body: Any, depth: int) -> list[Document]:
        if isinstance(body, Mapping) and "filters" in body:
            body = body["filters"]
        nodes = body if isinstance(body, list) else [body]
        return [self.node(node, depth) for node in nodes if node is not None]

    def _not(self, body: Any, depth: int) -> Document:
        inner = body
        if isinstance(body, Mapping) and len(body) == 1 and "filter" in body:
            inner = body["filter"]
        return none_of(self._each(inner, depth))

    def _wrapped(self, body: Any, depth: int) -> Document:
        parts = self._object(body, "filtered", {"filter", "query", "strategy"})
        return all_of(self.node(parts.get(name), depth) for name in ("query", "filter"))

    def _bool(self, body: Any, depth: int) -> Document:
        clauses = {"must", "filter", "must_not", "should"}
        known = clauses | {"minimum_should_match", "disable_coord", "adjust_pure_negative"}
        parts = self._object(body, "bool", known)
        required = [*self._clause(parts, "must", depth), *self._clause(parts, "filter", depth)]
        excluded = self._clause(parts, "must_not", depth)
        optional = self._clause(parts, "should", depth)
        least = parts.get("minimum_should_match", 0 if required else 1)
        if str(least) not in ("0", "1"):
            raise BadRequest("source: minimum_should_match is 0 or 1")
        return all_of(
            [
                *required,
                *([none_of(excluded)] if excluded else ()),
                *([any_of(optional)] if optional and str(least) == "1" else ()),
            ]
        )

    def _clause(self, parts: Mapping[str, Any], name: str, depth: int) -> list[Document]:
        return self._each(parts[name], depth) if parts.get(name) else []

    def _object(self, body: Any, verb: str, known: set[str]) -> Mapping[str, Any]:
        if not isinstance(body, Mapping):
            raise BadRequest(f"source: {verb} takes an object")
        unknown = body.keys() - known - OPTIONS
        if unknown:
            raise BadRequest(f"source: {verb} has no {min(unknown)[:40]}")
        return body

    # What compares fields.

    def _fields(self, body: Any, verb: str) -> list[tuple[str, Any]]:
        fields = [
            (field_of(name), value)
            for name, value in (body.items() if isinstance(body, Mapping) else ())
            if name not in OPTIONS
        ]
        if not fields:
            raise BadRequest(f"source: {verb} takes a field and what it is compared with")
        return fields

    def _named(self, body: Any) -> str:
        if not isinstance(body, Mapping) or "field" not in body:
            raise BadRequest("source: exists takes a field")
        return field_of(body["field"])

    def _term(self, body: Any, depth: int) -> Document:
        queries = []
        for field, value in self._fields(body, "term"):
            wanted = value["value"] if isinstance(value, Mapping) and "value" in value else value
            queries.append(self._equal(field, [wanted]))
        return all_of(queries)

    def _terms(self, body: Any, depth: int) -> Document:
        return all_of(
            self._equal(field, self._list(values))
            for field, values in self._fields(body, "terms")
            if field != "minimum_should_match"
        )

    def _ids(self, body: Any, depth: int) -> Document:
        return self._equal(
            "_id", self._list(self._object(body, "ids", {"values", "type"}).get("values"))
        )

    def _list(self, values: Any) -> list[Any]:
        if not isinstance(values, list):
            raise BadRequest("source: terms and ids take lists of values")
        return values

    def _equal(self, field: str, values: list[Any]) -> Document:
        self._count_values(len(values))
        if field == "_type":
            return EVERYTHING if self._kind in values else NOTHING
        return has_one_of(field, values)

    def _count_values(self, count: int) -> None:
        self._values += count
        if self._values > VALUES:
            raise BadRequest(f"source: {VALUES} values are the most that it takes")

    def _range(self, body: Any, depth: int) -> Document:
        ways = {
            "gt": "$gt",
            "gte": "$gte",
            "lt": "$lt",
            "lte": "$lte",
            "from": "$gte",
            "to": "$lte",
        }
        queries = []
        for field, bounds in self._fields(body, "range"):
            known = self._object(bounds, "range", {*ways, "time_zone", "format"})
            zone = known.get("time_zone")
            limits = {
                ways[name]: self._bound(bound, zone, name)
                for name, bound in known.items()
                if name in ways and bound is not None
            }
            queries.append({field: limits} if limits else is_there(field))
        return all_of(queries)

    def _bound(self, bound: Any, zone: Any, way: str) -> Any:
        self._count_values(1)
        if isinstance(bound, str):
            # A day that is rounded is meant whole: up to its end, or from its end on.
            return bound_of(bound, self._now, zone, is_end=way in ("gt", "lte", "to"))
        (checked,) = value_forms(bound)[:1]
        return checked

    def _match_phrase(self, body: Any, depth: int) -> Document:
        return self._match(body, depth, is_phrase=True)

    def _match(self, body: Any, depth: int, *, is_phrase: bool = False) -> Document:
        """Words of a field in any order, or in theirs for a phrase; any or all of them."""
        queries = []
        for field, value in self._fields(body, "match"):
            words, kind, operator = value, "", "or"
            if isinstance(value, Mapping):
                words, kind = value.get("query"), str(value.get("type") or "")
                operator = str(value.get("operator") or "or").lower()
            if not isinstance(words, str):
                raise BadRequest("source: match takes words")
            self._count_values(len(words.split()))
            is_whole = is_phrase or "phrase" in kind
            queries.append(_matching(Words([field]), words, operator, is_phrase=is_whole))
        return all_of(queries)

    def _multi_match(self, body: Any, depth: int) -> Document:
        """As `match`, each word in any of several fields."""
        words = self._words(body, "multi_match")
        is_phrase = "phrase" in str(body.get("type") or "")
        operator = str(body.get("operator") or "or").lower()
        return _matching(words, body["query"], operator, is_phrase=is_phrase)

    def _words(self, body: Any, verb: str) -> Words:
        """Return where a node looks for its words, which are its `query`."""
        if not isinstance(body, Mapping) or not isinstance(body.get("query"), str):
            raise BadRequest(f"source: {verb} takes a query")
        fields = body.get("fields") or [body.get("default_field") or "_all"]
        if not isinstance(fields, list):
            raise BadRequest(f"source: fields of {verb} are a list")
        self._count_values(len(body["query"].split()))
        named = [field_of(str(field).partition("^")[0]) for field in fields]
        return Words(None if {"_all", "*"} & set(named) else named)

    def _query_string(self, body: Any, depth: int) -> Document:
        words = self._words(body, "query_string")
        is_and = str(body.get("default_operator") or "OR").upper() == "AND"
        try:
            return query_of_words(body["query"], words, is_and=is_and)
        except BadRequest:
            if body.get("lenient"):
                return NOTHING
            raise


def _matching(words: Words, text: str, operator: str, *, is_phrase: bool) -> Document:
    """Return the query of what has a phrase, or the words of a text: with `and` all, else any."""
    found = [words.phrase(part) for part in ([text] if is_phrase else text.split())]
    return (all_of if operator == "and" else any_of)(found or [NOTHING])
