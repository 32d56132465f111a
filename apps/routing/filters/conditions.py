"""Filter conditions: one field of an item compared with a value (routing contract 4).

A condition is compiled once and evaluated on many items. Each operator is a test of the keys that
the field holds, or the negation of one.
"""

import operator as comparison
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from apps.core.errors import WiredeskError
from apps.core.text import comparable
from apps.routing.filters.fields import (
    FieldKind,
    ItemField,
    ItemView,
    Key,
    Keys,
    VocabularyKind,
    find_field,
    fold,
    number_of,
)

TRUE_WORDS = frozenset({"yes", "true", "t", "1"})
"""Values that mean true, in any case; every other value means false."""


class FilterError(WiredeskError):
    """A filter condition cannot be evaluated on any item; the text says why."""


class Operator(StrEnum):
    """`operator` of a filter condition."""

    IN = "in"
    NIN = "nin"
    MATCH = "match"
    EQ = "eq"
    NE = "ne"
    LIKE = "like"
    NOTLIKE = "notlike"
    STARTSWITH = "startswith"
    ENDSWITH = "endswith"
    LT = "lt"
    LTE = "lte"
    GT = "gt"
    GTE = "gte"
    EXISTS = "exists"


# Tests of keys.


@dataclass(frozen=True)
class Membership:
    """Some key is one of `members`."""

    members: Keys

    def __call__(self, keys: Keys) -> bool:
        return not self.members.isdisjoint(keys)


@dataclass(frozen=True)
class Comparison:
    """Some key stands in a relation to `operand`: contains it, starts with it, is less than it."""

    relation: Callable[[Any, Any], bool]
    operand: Key

    def __call__(self, keys: Keys) -> bool:
        return any(self.relation(key, self.operand) for key in keys)


@dataclass(frozen=True)
class Substring:
    """Text that a key has to contain."""

    text: str


def _exists(keys: Keys) -> bool:
    return any(keys)


Test = Callable[[Keys], bool]
Wanted = frozenset[Key | Substring]

_NEGATIONS = {
    Operator.NIN: Operator.IN,
    Operator.NE: Operator.EQ,
    Operator.NOTLIKE: Operator.LIKE,
}
_PATTERNS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.LIKE: comparison.contains,
    Operator.STARTSWITH: str.startswith,
    Operator.ENDSWITH: str.endswith,
}
_TEXT_RELATIONS = frozenset(_PATTERNS.values())
_ORDERS: Mapping[Operator, Callable[[Any, Any], bool]] = {
    Operator.LT: comparison.lt,
    Operator.LTE: comparison.le,
    Operator.GT: comparison.gt,
    Operator.GTE: comparison.ge,
}
_EQUALITIES = frozenset({Operator.EQ, Operator.EXISTS})
_MEMBERSHIPS = _EQUALITIES | {Operator.IN, Operator.MATCH}
_POSITIVE_OPERATORS: Mapping[FieldKind, frozenset[Operator]] = {
    FieldKind.TEXT: _MEMBERSHIPS | _PATTERNS.keys(),
    FieldKind.NUMBER: _MEMBERSHIPS | _ORDERS.keys(),
    FieldKind.FLAG: _MEMBERSHIPS,
    FieldKind.PRESENCE: _EQUALITIES,
}
"""Operators that can be evaluated, negations aside.

Saving a condition is stricter (routing contract 4.1).
"""


def is_true(value: str) -> bool:
    """Return whether the text `value` means true."""
    return fold(value) in TRUE_WORDS


def members_of(value: str) -> list[str]:
    """Return the members of a list value, trimmed, empty ones dropped."""
    members = value.split(",") if "," in value[1:] else [value]
    return [member.strip() for member in members if member.strip()]


def _convert(kind: FieldKind, value: str) -> Key:
    if kind is FieldKind.NUMBER:
        number = number_of(value)
        if number is None:
            raise FilterError(f"has a value that is no number: {value}")
        return number
    return fold(value) if kind is FieldKind.TEXT else is_true(value)


def _build_test(kind: FieldKind, operator: Operator, value: str) -> Test:
    if operator in _PATTERNS:
        return Comparison(_PATTERNS[operator], comparable(value))
    if operator in _ORDERS:
        return Comparison(_ORDERS[operator], _convert(kind, value))
    if operator is Operator.EXISTS:
        return _exists
    members = [value] if operator is Operator.EQ else members_of(value)
    if not members:
        raise FilterError("has no value")
    return Membership(frozenset(_convert(kind, member) for member in members))


# Conditions.


class Condition(NamedTuple):
    """A compiled filter condition.

    Attributes:
        id: `_id` of the document.
        field: what it reads.
        test: what has to hold of the field's keys.
        is_negated: whether the test has to fail instead.
    """

    id: Any
    field: ItemField
    test: Test
    is_negated: bool

    def matches(self, view: ItemView) -> bool:
        """Return whether the item fulfils the condition. Never raises."""
        return self.test(view.keys(self.field)) is not self.is_negated

    @property
    def required_keys(self) -> Wanted | None:
        """Keys of which an item must hold one to match, or None when they cannot be listed.

        A substring stands for all keys that contain it.
        """
        if self.is_negated:
            return None
        if isinstance(self.test, Membership):
            return self.test.members
        if isinstance(self.test, Comparison) and self.test.relation in _TEXT_RELATIONS:
            return frozenset({Substring(str(self.test.operand))})
        return None


def _operator(document: Mapping[str, Any], kind: FieldKind) -> tuple[Operator, bool]:
    """Return the operator as a positive one, and whether it is negated."""
    word = str(document.get("operator"))
    try:
        operator = Operator(word)
    except ValueError:
        raise FilterError(f"has unidentified operator: {word}") from None
    positive = _NEGATIONS.get(operator, operator)
    if positive not in _POSITIVE_OPERATORS[kind]:
        raise FilterError(f"has unidentified operator: {word}")
    return positive, positive is not operator


def _compile(document: Mapping[str, Any], kinds: Mapping[str, VocabularyKind]) -> Condition:
    field = find_field(str(document.get("field")), kinds)
    if field is None:
        raise FilterError(f"has unidentified field: {document.get('field')}")
    operator, is_negated = _operator(document, field.kind)
    value = document.get("value")
    if not isinstance(value, str) or not value.strip():
        raise FilterError("has no value")
    if operator is Operator.EXISTS:
        is_negated = not is_true(value)
    return Condition(
        document.get("_id"), field, _build_test(field.kind, operator, value), is_negated
    )


def compile_condition(
    document: Mapping[str, Any], vocabulary_kinds: Mapping[str, VocabularyKind]
) -> Condition:
    """Return the condition that a `filter_conditions` document describes.

    Args:
        document: `name`, `field`, `operator`, `value`.
        vocabulary_kinds: vocabularies that may be a field, by id.

    Raises:
        FilterError: unknown field or operator, an operator that makes no sense for the field, or a
            value that is missing or not of the field's type. The text starts as clients know it:
            "Filter condition:<name> has unidentified field: <field>".
    """
    try:
        return _compile(document, vocabulary_kinds)
    except FilterError as error:
        raise FilterError(f"Filter condition:{document.get('name')} {error}") from None
