"""Content filters: statements of conditions and other filters (routing contract 5).

A filter is an OR of statements; a statement is an AND of conditions (`fc`) and of other filters
(`pf`). The answer has three values: None says that the filter cannot be decided for the item,
because a part it depends on is broken. Who asks has to fail closed then.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from types import MappingProxyType
from typing import Any

from apps.core.ids import id_key
from apps.routing.filters.conditions import (
    Condition,
    FilterError,
    Substring,
    Wanted,
    compile_condition,
)
from apps.routing.filters.fields import ItemField, ItemView, vocabulary_kinds

MAX_DEPTH = 50
"""Filters nested deeper are broken, so that no definition can exhaust the stack."""

EMPTY_STATEMENT = "Filter statement {} does not have a filter condition"

Requirements = tuple[tuple[ItemField, Wanted], ...]
"""Fields with keys: to match, an item must hold one of the keys of one of the fields."""


@dataclass(frozen=True, eq=False)
class Statement:
    """Conditions and filters that all have to match.

    Attributes:
        conditions: compiled `fc`.
        filters: compiled `pf`.
        is_broken: whether a part is left out that cannot be evaluated.
    """

    conditions: tuple[Condition, ...] = ()
    filters: tuple["ContentFilter", ...] = ()
    is_broken: bool = False

    def matches(self, view: ItemView) -> bool | None:
        """Return whether all parts match; None if that hangs on a broken part."""
        for condition in self.conditions:
            if not condition.matches(view):
                return False
        is_undecided = self.is_broken
        for part in self.filters:
            answer = part.matches(view)
            if answer is False:
                return False
            is_undecided = is_undecided or answer is None
        return None if is_undecided else True

    @property
    def requirements(self) -> Requirements | None:
        """Keys that an item must hold for the statement to match; None when these cannot be listed.

        The most selective part speaks for the statement.
        """
        if self.is_broken:
            return ()
        options: list[Requirements] = [
            ((condition.field, keys),)
            for condition in self.conditions
            if (keys := condition.required_keys) is not None
        ]
        options += [part.requirements for part in self.filters if part.requirements is not None]
        return min(options, key=_breadth, default=None)


def _breadth(requirements: Requirements) -> tuple[bool, bool, int]:
    return (
        any(field.is_broad for field, _ in requirements),
        # Keys are looked up; each substring has to be searched for.
        any(isinstance(key, Substring) for _, keys in requirements for key in keys),
        sum(len(keys) for _, keys in requirements),
    )


def _either(statements: Iterable[Statement]) -> Requirements | None:
    """Return the requirements of an OR of `statements`, each field once."""
    merged: dict[str, tuple[ItemField, Wanted]] = {}
    for statement in statements:
        requirements = statement.requirements
        if requirements is None:
            return None
        for field, keys in requirements:
            _, known = merged.get(field.path, (field, frozenset()))
            merged[field.path] = (field, known | keys)
    return tuple(merged.values())


@dataclass(frozen=True, eq=False)
class ContentFilter:
    """A compiled content filter.

    Attributes:
        id: `_id` of the document.
        is_global: blocks every subscriber that does not override it.
        api_block: keeps items out of the content API.
        statements: any of them has to match.
        depth: how many filters are nested in it, itself included.
        requirements: what an item must hold for the filter to match, or None when that cannot be
            listed.
    """

    id: Any
    name: str
    is_global: bool
    api_block: bool
    statements: tuple[Statement, ...]
    depth: int
    requirements: Requirements | None

    def matches(self, view: ItemView) -> bool | None:
        """Return whether a statement matches; None if that hangs on a broken part."""
        return view.computed(self, self._evaluate)

    def _evaluate(self, view: ItemView) -> bool | None:
        is_undecided = False
        for statement in self.statements:
            answer = statement.matches(view)
            if answer:
                return True
            is_undecided = is_undecided or answer is None
        return None if is_undecided else False


@dataclass(frozen=True)
class FilterSet:
    """All content filters, compiled.

    Attributes:
        filters: by id as text.
        broken: id of each filter that has parts which are gone or cannot be evaluated, with the
            reasons. For alerts: what can be decided in spite of them still is.
        global_filters, api_blocks: the filters of these kinds.
    """

    filters: Mapping[str, ContentFilter]
    broken: Mapping[Any, str]
    global_filters: tuple[ContentFilter, ...]
    api_blocks: tuple[ContentFilter, ...]

    def find(self, filter_id: Any) -> ContentFilter | None:
        """Return the filter, or None when it is gone."""
        return self.filters.get(id_key(filter_id))

    def matches(self, filter_id: Any, view: ItemView) -> bool | None:
        """Return whether the filter matches; None when it is gone or cannot be decided."""
        content_filter = self.find(filter_id)
        return content_filter.matches(view) if content_filter else None

    def blocks_api(self, view: ItemView) -> bool:
        """Return whether a filter keeps the item out of the content API.

        A filter that cannot be decided does not: it would stop every item.
        """
        return any(content_filter.matches(view) for content_filter in self.api_blocks)

    def matching_globals(self, view: ItemView) -> tuple[ContentFilter, ...]:
        """Return the global filters that match.

        A filter that cannot be decided does not: it would stop every item for everybody, and one
        bad filter must never do that (routing contract R15). `broken` tells of it.
        """
        return tuple(filter_ for filter_ in self.global_filters if filter_.matches(view))


def ids_of(value: Any) -> list[str]:
    """Return the ids of an `fc` or `pf` list as text, null members dropped."""
    members = value if isinstance(value, (list, tuple)) else [value]
    return [id_key(member) for member in members if member is not None]


def expressions_of(document: Mapping[str, Any]) -> list[Any]:
    """Return the expression of each statement; what is no statement has an empty one."""
    statements = document.get("content_filter") or []
    if not isinstance(statements, (list, tuple)):
        statements = [None]
    expressions = [
        statement.get("expression") if isinstance(statement, Mapping) else None
        for statement in statements
    ]
    return [expression if isinstance(expression, Mapping) else {} for expression in expressions]


def nested_ids(document: Mapping[str, Any]) -> set[str]:
    """Return the ids of the filters that `document` names."""
    return {id_ for expression in expressions_of(document) for id_ in ids_of(expression.get("pf"))}


def reachable(start: str, edges: Mapping[str, set[str]]) -> set[str]:
    """Return every id that `start` leads to; itself only if it is part of a circle.

    Args:
        edges: id of each filter to the ids that it names.
    """
    reached: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - reached
        reached |= new
        waiting.extend(new)
    return reached


class _Compiler:
    """Compiles the filters of one snapshot, nested ones first.

    Args:
        documents: filter documents by id as text.
        conditions: compiled conditions by id as text; for a bad one, why it is bad.
    """

    def __init__(
        self,
        documents: Mapping[str, Mapping[str, Any]],
        conditions: Mapping[str, Condition | FilterError],
    ) -> None:
        self.documents = documents
        self.conditions = conditions
        self.filters: dict[str, ContentFilter] = {}
        self.broken: dict[Any, str] = {}

    def run(self) -> None:
        edges = {id_: nested_ids(document) for id_, document in self.documents.items()}
        circular = {id_ for id_ in edges if edges[id_] and id_ in reachable(id_, edges)}
        straight = {id_: edges[id_] - circular for id_ in edges if id_ not in circular}
        for id_ in circular:
            self._break(id_, "is defined in a circle")
        for id_ in TopologicalSorter(straight).static_order():
            if id_ in self.documents:
                self._compile(id_)

    def _build(self, id_: str, statements: Sequence[Statement], depth: int = 1) -> None:
        document = self.documents[id_]
        self.filters[id_] = ContentFilter(
            document["_id"],
            str(document.get("name") or document["_id"]),
            document.get("is_global") is True,
            document.get("api_block") is True,
            tuple(statements),
            depth,
            _either(statements),
        )

    def _break(self, id_: str, reason: str) -> None:
        """Make `id_` a filter that is never decided."""
        self._build(id_, [Statement(is_broken=True)])
        self.broken[self.documents[id_]["_id"]] = reason

    def _compile(self, id_: str) -> None:
        document = self.documents[id_]
        nested = [self.filters[part] for part in nested_ids(document) if part in self.filters]
        depth = 1 + max((part.depth for part in nested), default=0)
        if depth > MAX_DEPTH:
            self._break(id_, f"is nested more than {MAX_DEPTH} deep")
            return
        reasons: list[str] = []
        statements = [
            statement
            for number, expression in enumerate(expressions_of(document), start=1)
            if (statement := self._statement(expression, number, reasons))
        ]
        self._build(id_, statements, depth)
        if reasons:
            self.broken[document["_id"]] = "; ".join(reasons)

    def _statement(
        self, expression: Mapping[str, Any], number: int, reasons: list[str]
    ) -> Statement | None:
        """Return the compiled statement, or None for one that never matches: a part is gone.

        Args:
            number: position of the statement, from 1.
            reasons: takes what is wrong with it.
        """
        fc, pf = ids_of(expression.get("fc")), ids_of(expression.get("pf"))
        if not fc and not pf:
            reasons.append(EMPTY_STATEMENT.format(number))
            return Statement(is_broken=True)
        gone = [f"filter condition {id_} is gone" for id_ in fc if id_ not in self.conditions]
        gone += [f"content filter {id_} is gone" for id_ in pf if id_ not in self.documents]
        conditions = [self.conditions[id_] for id_ in fc if id_ in self.conditions]
        bad = [str(condition) for condition in conditions if isinstance(condition, FilterError)]
        reasons += gone + bad
        if gone:
            return None
        return Statement(
            tuple(condition for condition in conditions if isinstance(condition, Condition)),
            tuple(self.filters[id_] for id_ in pf),
            is_broken=bool(bad),
        )


def _compile_conditions(
    documents: Iterable[Mapping[str, Any]], vocabularies: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Condition | FilterError]]:
    kinds = vocabulary_kinds(vocabularies)
    for document in documents:
        try:
            yield id_key(document["_id"]), compile_condition(document, kinds)
        except FilterError as error:
            yield id_key(document["_id"]), error


def compile_filters(
    filter_documents: Iterable[Mapping[str, Any]],
    condition_documents: Iterable[Mapping[str, Any]],
    vocabularies: Iterable[Mapping[str, Any]],
) -> FilterSet:
    """Return the content filters, ready to be evaluated.

    Nothing that is wrong with a document is raised. A statement with a part that is gone is false;
    a statement without parts, with a condition that cannot be compiled or with a circular filter is
    undecided unless another part is false.

    Args:
        filter_documents: `content_filters` as stored.
        condition_documents: `filter_conditions` as stored.
        vocabularies: `vocabularies` as stored; of each `_id`, `type` and `field_type` are read.
    """
    conditions = dict(_compile_conditions(condition_documents, vocabularies))
    compiler = _Compiler({id_key(d["_id"]): d for d in filter_documents}, conditions)
    compiler.run()
    filters = {id_: compiler.filters[id_] for id_ in compiler.documents}
    return FilterSet(
        MappingProxyType(filters),
        MappingProxyType(compiler.broken),
        tuple(filter_ for filter_ in filters.values() if filter_.is_global),
        tuple(filter_ for filter_ in filters.values() if filter_.api_block),
    )
