"""Which index serves the queries that a program really makes.

Collects commands as they go to the store, one of each shape, and compares them with the declared
indexes by the rules of MongoDB's planner: an index serves a query that bounds its first field, and
every further field that follows on bounded ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pymongo import IndexModel
from pymongo.monitoring import CommandListener

from apps.core.service import Document

Keys = tuple[str, ...]
"""The fields of an index, in order."""

BOUNDING = frozenset({"$eq", "$in", "$gt", "$gte", "$lt", "$lte", "$all", "$elemMatch"})
"""Operators that say where in an index to look."""
COUNT = {"$group": {"_id": 1, "n": {"$sum": 1}}}
"""The last step of a pipeline by which the driver counts."""
BY_ID: Keys = ("_id",)
"""The index that every collection has."""


@dataclass(frozen=True)
class Query:
    """What one command asks a collection for.

    Attributes:
        command: `find`, `update`, `delete` ...
        filter: as it was sent, the parts of `$and` beside each other.
        sort: fields in their order.
        limit: 0 where there is none.
    """

    command: str
    collection: str
    filter: Mapping[str, Any]
    sort: Keys = ()
    limit: int = 0

    @property
    def shape(self) -> str:
        """The query without its values."""
        sort = f" by {', '.join(self.sort)}" if self.sort else ""
        limit = " limited" if self.limit else ""
        return f"{self.command} {self.collection} {shape_of(self.filter)}{sort}{limit}"


def shape_of(value: Any) -> str:
    """Return a filter as text, with `?` in the place of values."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {shape_of(value[key])}' for key in sorted(value))}}}"
    if isinstance(value, list) and value and all(isinstance(m, Mapping) for m in value):
        return f"[{', '.join(sorted({shape_of(member) for member in value}))}]"
    return "null" if value is None else "?"


class Queries(CommandListener):
    """Listens to a client; keeps one query of each shape."""

    def __init__(self) -> None:
        self.seen: dict[str, Query] = {}

    def started(self, event: Any) -> None:
        for query in queries_of(event.command_name, event.command):
            self.seen.setdefault(query.shape, query)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def queries_of(name: str, command: Mapping[str, Any]) -> Iterator[Query]:
    """Yield what a command asks for; nothing where it asks for nothing."""
    sort: Keys = tuple(command.get("sort") or ())
    if name in ("update", "delete"):
        for statement in command[f"{name}s"]:
            yield Query(name, command[name], flat(statement["q"]))
    elif name == "find":
        limit = int(command.get("limit") or 0)
        yield Query(name, command[name], flat(command.get("filter") or {}), sort, limit)
    elif name in ("findAndModify", "count", "distinct"):
        limit = int(name == "findAndModify")
        yield Query(name, command[name], flat(command.get("query") or {}), sort, limit)
    elif name == "aggregate":
        first, *further = command["pipeline"]
        is_count = bool(further) and further[-1] == COUNT
        wanted = flat(first.get("$match") or {})
        yield Query("count" if is_count else name, command[name], wanted)


def flat(query: Mapping[str, Any]) -> Document:
    """Return a query with the parts of `$and` that name different fields beside each other."""
    found: Document = {}
    rest: list[Document] = []
    parts = [{key: value} for key, value in query.items() if key != "$and"]
    for part in [*parts, *map(flat, query.get("$and", ()))]:
        if found.keys() & part.keys():
            rest.append(part)
        else:
            found.update(part)
    return {**found, "$and": rest} if rest else found


def index_of(query: Query, indexes: Sequence[IndexModel]) -> Keys | None:
    """Return the index that serves a query best; None where all documents are read.

    Of alternatives (`$or`) each has to be served, unless the rest of the query is. An index that
    bounds nothing but has the order of the query serves it where there is a limit.

    Args:
        indexes: of the collection, besides that of `_id`.
    """
    rest = {key: value for key, value in query.filter.items() if key != "$or"}
    served = [(bounded(keys, options, rest), keys) for keys, options in declared(indexes)]
    count, best = max(served, key=lambda one: (one[0], sorts(query, *one), -len(one[1])))
    if count:
        return best
    if "$or" in query.filter:
        each = [
            index_of(replace(query, filter={**rest, **flat(part)}, limit=0), indexes)
            for part in query.filter["$or"]
        ]
        if all(each):
            return each[0]
    if not query.limit or (query.filter and not query.sort):
        return None
    whole = (keys for keys, options in declared(indexes) if not options.get("sparse"))
    return next((keys for keys in whole if keys[: len(query.sort)] == query.sort), None)


def sorts(query: Query, count: int, keys: Keys) -> bool:
    """Whether an index also has the order of a query that bounds `count` of its fields."""
    size = len(query.sort)
    return bool(size) and any(keys[n : n + size] == query.sort for n in range(count + 1))


def declared(indexes: Sequence[IndexModel]) -> Iterator[tuple[Keys, Mapping[str, Any]]]:
    """Yield the fields and the options of indexes, of that of `_id` first."""
    yield BY_ID, {}
    for index in indexes:
        yield tuple(index.document["key"]), index.document


def bounded(keys: Keys, options: Mapping[str, Any], wanted: Mapping[str, Any]) -> int:
    """Return how many of the first fields of an index a query bounds; 0 where it is of no use."""
    partial = options.get("partialFilterExpression")
    if partial and not all(implies(wanted.get(field), c) for field, c in partial.items()):
        return 0
    if options.get("sparse") and finds_missing(wanted.get(keys[0])):
        return 0
    count = 0
    for key in keys:
        if key not in wanted or not is_bound(wanted[key]):
            break
        count += 1
    return count


def implies(wanted: Any, condition: Any) -> bool:
    """Whether all that a condition of a query finds fulfils that of a partial index."""
    if wanted == condition:
        return True
    if isinstance(wanted, Mapping) and "$in" in wanted:
        return all(implies(value, condition) for value in wanted["$in"])
    if not isinstance(condition, Mapping):
        return False
    bounds = wanted if isinstance(wanted, Mapping) else {"$gte": wanted, "$lte": wanted}
    return all(_is_within(bounds, name, limit) for name, limit in condition.items())


def _is_within(bounds: Mapping[str, Any], name: str, limit: Any) -> bool:
    """Whether bounds of a query keep to one of the limits of a partial index."""
    lower, upper = bounds.get("$gte", bounds.get("$gt")), bounds.get("$lte", bounds.get("$lt"))
    if name == "$gte":
        return isinstance(lower, type(limit)) and lower >= limit
    if name == "$lt":
        is_open = "$lte" not in bounds
        return isinstance(upper, str) and (upper < limit or (is_open and upper == limit))
    return False


def is_bound(condition: Any) -> bool:
    """Whether a condition says where in an index to look."""
    if not isinstance(condition, Mapping) or not any(k.startswith("$") for k in condition):
        return True
    pattern = str(condition.get("$regex", ""))
    return bool(condition.keys() & BOUNDING) or pattern.startswith("^")


def finds_missing(condition: Any) -> bool:
    """Whether a condition also finds documents without the field, which sparse indexes lack."""
    if isinstance(condition, Mapping) and "$in" in condition:
        return None in condition["$in"]
    return condition is None
