"""The queries that clients write: `where`, `sort` and `projection` of lists.

Read and checked here, before Eve or the store sees them.
"""

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from bson.errors import InvalidId
from werkzeug.exceptions import BadRequest

from apps.core.ids import id_forms
from apps.core.json import WIRE_DATE
from apps.core.schemas import ID
from apps.core.service import Document
from apps.rest.patterns import PatternRefused, linear_pattern

DEPTH = 20
CONDITIONS = 200
VALUES = 1000
PATTERNS = 10
"""Most nested objects, conditions, values in lists and regular expressions of one `where`."""

SORTED_FIELDS = 10
PROJECTED_FIELDS = 200

INTEGERS = range(-(2**63), 2**63)
"""Whole numbers that the store holds."""

Order = list[tuple[str, int]]


# where


def where_of(where: Any) -> Document:
    """Return the query that the argument `where` says.

    Args:
        where: a JSON object, or comparisons as in Python: `state=="draft" and priority>3`; in a
            body the object itself.

    Raises:
        BadRequest: it is neither, or asks for more than lists offer.
    """
    query = _read(where) if isinstance(where, str) else where
    if not isinstance(query, dict):
        raise BadRequest("where has to be an object")
    WhereCheck().check(query)
    return query


def _read(text: str) -> Any:
    try:
        return _parsed(text)
    except (ValueError, RecursionError):
        return _comparisons(text)


def _parsed(text: str) -> Any:
    def refuse(word: str) -> Any:
        raise BadRequest(f"where has no number {word}")

    return json.loads(text, parse_constant=refuse)


class WhereCheck:
    """Counts what one query asks for, and lets pass what is known to be harmless."""

    def __init__(self) -> None:
        self._conditions = 0
        self._values = 0
        self._patterns = 0

    def check(self, query: Any, depth: int = 0) -> None:
        """Check a query, or a part of one that stands for itself; make its patterns linear.

        Raises:
            BadRequest: too large, too deep, an operator that lists do not offer or in the wrong
                place, or a field that there cannot be.
        """
        if not isinstance(query, dict):
            raise BadRequest("where: a condition has to be an object")
        for key, value in query.items():
            self._count(depth)
            if key in ("$and", "$or", "$nor"):
                if not isinstance(value, list) or not value:
                    raise BadRequest(f"where: {key} takes a list of conditions")
                for part in value:
                    self.check(part, depth + 1)
            else:
                check_path(key, "where")
                self._check_condition(value, depth + 1)

    def _count(self, depth: int) -> None:
        self._conditions += 1
        if depth > DEPTH or self._conditions > CONDITIONS:
            raise BadRequest(
                f"where: {CONDITIONS} conditions, nested {DEPTH} times, are the most that it takes"
            )

    def _check_condition(self, value: Any, depth: int) -> None:
        """Check what a field is compared with: a value, or operators with theirs."""
        if not (isinstance(value, dict) and any(key.startswith("$") for key in value)):
            self._check_value(value, depth)
            return
        for name, operand in value.items():
            self._count(depth)
            if name not in OPERATORS:
                raise BadRequest(f"where: {name[:40]} is no operator of lists")
            problem = OPERATORS[name](operand)
            if problem:
                raise BadRequest(f"where: {name} takes {problem}")
        self._check_nested(value, depth)
        if "$regex" in value or "$options" in value:
            self._check_regex(value)

    def _check_nested(self, operators: Document, depth: int) -> None:
        for name, operand in operators.items():
            if name == "$not":
                self._check_condition(operand, depth + 1)
            elif name == "$elemMatch":
                is_condition = any(key.startswith("$") for key in operand) and not any(
                    key in ("$and", "$or", "$nor") for key in operand
                )
                (self._check_condition if is_condition else self.check)(operand, depth + 1)
            elif name not in ("$regex", "$options"):
                self._check_value(operand, depth)

    def _check_regex(self, operators: Document) -> None:
        self._patterns += 1
        if self._patterns > PATTERNS:
            raise BadRequest(f"where: {PATTERNS} regular expressions are the most that it takes")
        if "$regex" not in operators:
            raise BadRequest("where: $options needs a $regex")
        try:
            options = operators.get("$options", "")
            operators["$regex"] = linear_pattern(operators["$regex"], options)
        except PatternRefused as refusal:
            raise BadRequest(f"where: the regular expression {refusal}") from None

    def _check_value(self, value: Any, depth: int) -> None:
        """Check a value that is compared as it is."""
        if depth > DEPTH:
            raise BadRequest(f"where: values are nested {DEPTH} times at most")
        self._values += 1
        if self._values > VALUES:
            raise BadRequest(f"where: {VALUES} values are the most that it takes")
        if isinstance(value, dict):
            for key, entry in value.items():
                check_path(key, "where")
                self._check_value(entry, depth + 1)
        elif isinstance(value, list):
            for entry in value:
                self._check_value(entry, depth + 1)
        else:
            _check_scalar(value)


def _check_scalar(value: Any) -> None:
    if isinstance(value, int) and value not in INTEGERS:
        raise BadRequest("where: whole numbers have 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadRequest("where: a number is too large")
    if isinstance(value, str) and not _is_text(value):
        raise BadRequest("where: a text is not Unicode")


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _any(operand: Any) -> str:
    return ""


def _list(operand: Any) -> str:
    """Operators in a list are looked for by `_check_value`, which takes none."""
    return "" if isinstance(operand, list) else "a list"


def _flag(operand: Any) -> str:
    return "" if operand in (0, 1) else "true or false"


def _size(operand: Any) -> str:
    is_size = type(operand) is int and operand in range(2**31)
    return "" if is_size else "a whole number"


def _object(operand: Any) -> str:
    return "" if isinstance(operand, dict) and operand else "conditions"


def _operators(operand: Any) -> str:
    is_condition = isinstance(operand, dict) and bool(operand)
    return "" if is_condition and all(key.startswith("$") for key in operand) else "operators"


def _type(operand: Any) -> str:
    names = operand if isinstance(operand, list) else [operand]
    is_known = all(isinstance(name, str) and name in BSON_TYPES for name in names)
    return "" if names and is_known else "names of types"


def _string(operand: Any) -> str:
    return "" if isinstance(operand, str) else "a text"


BSON_TYPES = frozenset(
    {"double", "string", "object", "array", "objectId", "bool", "date", "null", "int", "long"}
    | {"number"}
)

OPERATORS: Mapping[str, Callable[[Any], str]] = {
    **dict.fromkeys(("$eq", "$ne", "$gt", "$gte", "$lt", "$lte"), _any),
    **dict.fromkeys(("$in", "$nin", "$all"), _list),
    **dict.fromkeys(("$regex", "$options"), _string),
    "$exists": _flag,
    "$size": _size,
    "$type": _type,
    "$not": _operators,
    "$elemMatch": _object,
}
"""What a field may be compared by, each with what its operand lacks; `$and`, `$or` and `$nor` are
beside them. Nothing that runs code, or whose cost depends on the operand."""


def check_path(path: str, argument: str) -> None:
    """Check the name of a field, or a path of such with dots.

    Raises:
        BadRequest: no document has it.
    """
    parts = path.split(".")
    if any(not part or part.startswith("$") or "\0" in part for part in parts):
        raise BadRequest(f"{argument}: {path[:40]!r} is no field")
    if not _is_text(path):
        raise BadRequest(f"{argument}: a field is not Unicode")


# Ids of any form.

_LISTS = {"$eq": "$in", "$ne": "$nin"}
"""Operators that compare with one value, and those that do so with several."""

_UNREAD = frozenset({"$regex", "$options", "$exists", "$size", "$type"})
"""Operators whose operands are no values."""


class AnyForm:
    """Lets queries find what ids name, whatever form these are stored with.

    Texts of ObjectIds, and these, are compared in both forms, whatever the field; whole numbers and
    their texts where the schema has ids or codes. Texts of dates are compared as dates.

    Args:
        schema: of the resource.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema

    def query(self, query: Mapping[str, Any], path: str = "") -> Document:
        """Return a query, or a part of one that stands for itself, with all forms.

        Args:
            path: the field whose entries the query is about, with a dot; empty for documents.
        """
        found: Document = {}
        for key, value in query.items():
            if key in ("$and", "$or", "$nor"):
                found[key] = [self.query(part, path) for part in value]
            elif key.startswith("$"):
                found.update(self._operators({key: value}, path.removesuffix(".")))
            else:
                found[key] = self._condition(value, f"{path}{key}")
        return found

    def _condition(self, value: Any, path: str) -> Any:
        if isinstance(value, Mapping):
            is_operators = any(str(key).startswith("$") for key in value)
            return self._operators(value, path) if is_operators else self._exact(value)
        if isinstance(value, list):
            return self._exact(value)
        forms = self._forms(value, path)
        return forms[0] if len(forms) == 1 else {"$in": forms}

    def _operators(self, operators: Mapping[str, Any], path: str) -> Document:
        found: Document = {}
        for name, operand in operators.items():
            if name in _LISTS and not isinstance(operand, Mapping | list):
                forms, several = self._forms(operand, path), _LISTS[name]
                if len(forms) > 1 and several not in operators:
                    found[several] = forms
                else:
                    found[name] = forms[0]
            elif name in ("$in", "$nin"):
                found[name] = [form for each in operand for form in self._forms(each, path)]
            elif name == "$elemMatch":
                found[name] = self.query(operand, f"{path}.")
            elif name == "$not" and isinstance(operand, Mapping):
                found[name] = self._operators(operand, path)
            else:
                found[name] = operand if name in _UNREAD else self._exact(operand)
        return found

    def _exact(self, value: Any) -> Any:
        """Return a value that is compared as a whole, in its most usual form."""
        if isinstance(value, Mapping):
            return {key: self._exact(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self._exact(entry) for entry in value]
        return self._forms(value, "")[0]

    def _forms(self, value: Any, path: str) -> list[Any]:
        """Return a value in its forms; of ids the ObjectId is the first."""
        if isinstance(value, Mapping | list):
            return [self._exact(value)]
        if isinstance(value, str):
            try:
                return [datetime.strptime(value, WIRE_DATE)]  # noqa: DTZ007
            except ValueError:
                pass
        forms = id_forms(value)
        if any(isinstance(form, ObjectId) for form in forms):
            return sorted(forms, key=lambda form: not isinstance(form, ObjectId))
        return forms if len(forms) > 1 and self._has_numbers(path) else [value]

    def _has_numbers(self, path: str) -> bool:
        """Whether a field may hold numbers for texts: it has ids or codes."""
        if path.rpartition(".")[2] == "_id":
            return True
        rules: Mapping[str, Any] = {"type": "dict", "schema": self._schema}
        for name in path.split("."):
            while rules.get("type") == "list":
                rules = rules.get("schema") or {}
            rules = (rules.get("schema") or {}).get(name) or {}
        while rules.get("type") == "list":
            rules = rules.get("schema") or {}
        kinds = rules.get("type") or ()
        return not {ID, "code"}.isdisjoint([kinds] if isinstance(kinds, str) else kinds)


# Comparisons as in Python.

_COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "$eq",
    ast.NotEq: "$ne",
    ast.Gt: "$gt",
    ast.GtE: "$gte",
    ast.Lt: "$lt",
    ast.LtE: "$lte",
}
_UNREADABLE = "where is neither JSON nor a comparison"


def _comparisons(text: str) -> Document:
    """Return the query that comparisons joined by `and` and `or` mean."""
    try:
        return _query(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadRequest(_UNREADABLE) from None


def _query(node: ast.expr) -> Document:
    if isinstance(node, ast.BoolOp):
        word = "$and" if isinstance(node.op, ast.And) else "$or"
        return {word: [_query(part) for part in node.values]}
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        word = _COMPARISONS.get(type(node.ops[0]), "")
        if word:
            value = _value(node.comparators[0])
            return {_path(node.left): value if word == "$eq" else {word: value}}
    raise BadRequest(_UNREADABLE)


def _path(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{_path(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise BadRequest(_UNREADABLE)


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        arguments = [_value(argument) for argument in node.args]
        try:
            if node.func.id == "ObjectId":
                return ObjectId(*arguments)
            if node.func.id == "datetime":
                return datetime(*arguments).replace(tzinfo=UTC)  # noqa: DTZ001
        except (TypeError, ValueError, InvalidId, OverflowError):
            raise BadRequest(f"where: {node.func.id} takes other values") from None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        raise BadRequest(_UNREADABLE) from None
    if isinstance(value, str | int | float | None):
        return value
    raise BadRequest(_UNREADABLE)


# sort

_SORTED = re.compile(r"-?[A-Za-z_][\w-]*(\.[\w-]+)*")


def sort_of(text: str) -> Order:
    """Return the order that the argument `sort` says.

    Args:
        text: fields separated by commas, descending ones with a hyphen; or pairs of a field and
            1 or -1, as `[("headline", 1)]`.

    Raises:
        BadRequest: it is neither.
    """
    order = _pairs(text) if text.strip()[:1] in ("[", "(", "{") else _names(text)
    if not order or len(order) > SORTED_FIELDS or not all(map(is_order, order)):
        raise BadRequest(f"sort has to be a list of 1 to {SORTED_FIELDS} fields, each with 1 or -1")
    for field, _ in order:
        check_path(field, "sort")
    return order


def _names(text: str) -> Order:
    names = [name.strip() for name in text.split(",")]
    if not all(_SORTED.fullmatch(name) for name in names):
        raise BadRequest("sort has to be names of fields, separated by commas")
    return [(name.removeprefix("-"), -1 if name.startswith("-") else 1) for name in names]


def _pairs(text: str) -> list[Any]:
    try:
        order = ast.literal_eval(text.strip())
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        raise BadRequest("sort cannot be read") from None
    pairs = list(order.items()) if isinstance(order, dict) else list(order)
    # A single pair needs no list.
    return [order] if is_order(order) else pairs


def is_order(pair: Any) -> bool:
    """Whether `pair` names a field and one of the directions 1 and -1."""
    if not (isinstance(pair, tuple | list) and len(pair) == 2):
        return False
    field, direction = pair
    return isinstance(field, str) and type(direction) is int and direction in (1, -1)


# projection


def named_fields(text: str, argument: str, most: int) -> dict[str, int]:
    """Return the fields that an argument names, with 1 or 0.

    Args:
        argument: its name.
        most: fields that it may name.

    Raises:
        BadRequest: no JSON object of fields with 1 or 0.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise BadRequest(f"{argument} is not valid JSON") from None
    if not isinstance(fields, dict) or len(fields) > most:
        raise BadRequest(f"{argument} has to be an object of at most {most} fields")
    for field, wanted in fields.items():
        check_path(field, argument)
        if wanted not in (0, 1):
            raise BadRequest(f"{argument} has to give each field 1 or 0")
    return {field: int(wanted) for field, wanted in fields.items()}


def projection_of(text: str) -> dict[str, int]:
    """Return the fields that the argument `projection` names, with 1 or 0.

    Raises:
        BadRequest: no JSON object of fields with 1 or 0, or one names a part of another.
    """
    fields = named_fields(text, "projection", PROJECTED_FIELDS)
    for field in fields:
        if any(f"{whole}." == field[: len(whole) + 1] for whole in fields):
            raise BadRequest(f"projection: {field[:40]!r} is part of another field that it names")
    return fields


def check_shown(
    definition: Mapping[str, Any], projection: Mapping[str, int], order: Sequence[tuple[str, int]]
) -> None:
    """Check that a client neither asks for a field that its resource hides, nor sorts by one.

    Where a document stands in an order tells as much of it as a condition does. Eve compares
    conditions with `allowed_filters`.

    Args:
        definition: of the resource; `allowed_filters` are the fields that tell nothing secret, and
            those with 0 in the projection of its `datasource` are never answered.

    Raises:
        BadRequest: it does.
    """
    hidden = {field for field, shown in definition["datasource"]["projection"].items() if not shown}
    for field, shown in projection.items():
        if shown and field.partition(".")[0] in hidden:
            raise BadRequest(f"projection: {field} is never shown")
    allowed = definition["allowed_filters"]
    for field, _ in order:
        if "*" not in allowed and not any(
            field == name or field.startswith(f"{name}.") for name in allowed
        ):
            raise BadRequest(f"sort: not by {field}")
