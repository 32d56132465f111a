"""The language of content templates: a part of Jinja whose work is bounded.

Users write templates, and anybody may use them on an item of any shape. So a template has what the
lists below name: loops over what the item holds, conditions, filters. It has nothing that makes
much of little (ranges, repetition, padding, macros, recursion), and a request has so many steps.
A step is one part of a template that is evaluated once, or `CHARACTERS` of the text or one entry of
the lists that it is evaluated on. They are counted before the work is done.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time
from functools import lru_cache
from typing import Any

from jinja2 import filters, nodes, tests
from jinja2.environment import Template
from jinja2.exceptions import SecurityError, TemplateError
from jinja2.runtime import Context, LoopContext, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import pass_context
from jinja2.visitor import NodeTransformer

from apps.core.clock import local_text, moment_of
from apps.core.text import parse_html, plain_text

STEPS = 200_000
"""Steps of all texts that one request renders; they take about a second."""
CHARACTERS = 50
"""Characters of text that are worked on in one step."""
CHARACTERS_PARSED = 3
"""Characters of a template that are parsed in one step."""
STEPS_TO_COMPILE = 20
"""Steps that it takes to compile one part of a template."""
DEEPEST = 50
"""Parts of a template within each other."""
MOST_OUTPUT = 5_000_000
"""Characters of one rendered text."""

STATEMENTS = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Assign,
)  # fmt: skip
EXPRESSIONS = (
    nodes.Name, nodes.Const, nodes.Tuple, nodes.List, nodes.Dict, nodes.Pair, nodes.CondExpr,
    nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Call, nodes.Keyword,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add,
    nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Concat,
)  # fmt: skip
SIGNS: dict[type[nodes.Node], str] = {nodes.Mul: "*", nodes.Pow: "**", nodes.Mod: "%"}
"""How those that are not allowed are written, where it is not by their name."""

METHODS: dict[type, frozenset[str]] = {
    str: frozenset({
        "upper", "lower", "title", "capitalize", "strip", "split", "startswith", "endswith",
    }),
    Mapping: frozenset({"get", "items", "keys", "values"}),
    date: frozenset({"date", "time", "strftime", "isoformat", "weekday", "isoweekday"}),
    time: frozenset({"strftime", "isoformat"}),
    LoopContext: frozenset({"cycle", "changed"}),
}  # fmt: skip
"""What can be called, by the type of its owner."""
METHOD_NAMES = frozenset().union(*METHODS.values())

UNRENDERABLE = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What filters and methods raise for values that they are not made for, or that are too deep."""

_MARKS = re.compile(r"\{[{%#]")
_TEXT_TESTS = ("in", "filter", "test", "callable", "escaped")


class Budget:
    """The steps that are left to one request.

    Args:
        steps: how many there are.
    """

    def __init__(self, steps: int = STEPS) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Take steps.

        Raises:
            SecurityError: there are not so many.
        """
        self._left -= steps
        if self._left < 0:
            raise SecurityError("it makes too much work")

    def weigh(self, value: Any) -> Any:
        """Take the steps that it costs to work on `value`, with all it holds, and return it.

        What is evaluated while it is read becomes a list.

        Raises:
            SecurityError: there are not so many, or it holds a method.
        """
        if isinstance(value, Iterator):
            value = list(value)
        waiting = [value]
        while waiting:
            entry = waiting.pop()
            self.spend(1)
            if isinstance(entry, str):
                self.spend(len(entry) // CHARACTERS)
            elif isinstance(entry, Mapping):
                self.spend(len(entry))
                waiting.extend(entry.values())
            elif isinstance(entry, (list, tuple)):
                self.spend(len(entry))
                waiting.extend(entry)
            elif callable(entry) and not isinstance(entry, Undefined):
                raise SecurityError("methods are no values")
        return value


def _budget(context: Context) -> Budget:
    budget: Budget = context.parent["_budget"]
    return budget


@pass_context
def _weighed(context: Context, value: Any) -> Any:
    return _budget(context).weigh(value)


@pass_context
def _counted(context: Context, entries: Iterable[Any], steps: int) -> Iterator[Any]:
    """Yield what a loop walks through; each round takes the steps of its body."""
    budget = _budget(context)
    for entry in entries:
        budget.spend(steps)
        yield entry


@pass_context
def _join(context: Context, value: Any, d: str = "", attribute: str | None = None) -> Any:
    entries = list(value)
    _budget(context).spend(len(entries) * (len(str(d)) // CHARACTERS + 1))
    return filters.do_join(context.eval_ctx, entries, d, attribute)


@pass_context
def _replace(context: Context, value: Any, old: str, new: str, count: int | None = None) -> Any:
    text, old, new = str(value), str(old), str(new)
    _budget(context).spend((text.count(old) + 1) * (len(new) // CHARACTERS + 1))
    return filters.do_replace(context.eval_ctx, value, old, new, count)


def _round(value: Any, precision: int = 0) -> float:
    return round(float(value), precision)


def _trim(value: Any) -> str:
    return filters.do_trim(value)


def _striptags(value: Any) -> str:
    return " ".join(plain_text(str(value)).split())


def _first_paragraph(value: Any) -> str:
    paragraph = parse_html(str(value)).find(".//p")
    return "" if paragraph is None else "".join(map(str, paragraph.itertext()))


@pass_context
def _format_datetime(
    context: Context,
    value: Any,
    timezone_string: str | None = None,
    date_format: str | None = None,
) -> str:
    return local_text(value, timezone_string or context.parent["_timezone"], date_format or "%c")


def _iso_datetime(value: Any) -> str:
    moment = moment_of(value)
    return "" if moment is None else moment.isoformat()


FILTERS: dict[str, Any] = {
    name: filters.FILTERS[name]
    for name in (
        "abs", "capitalize", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
        "forceescape", "groupby", "int", "items", "last", "length", "list", "lower", "map", "max",
        "min", "reject", "rejectattr", "reverse", "safe", "select", "selectattr", "sort", "string",
        "title", "truncate", "unique", "upper", "urlencode", "wordcount",
    )
} | {
    "first_paragraph": _first_paragraph,
    "format_datetime": _format_datetime,
    "iso_datetime": _iso_datetime,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "striptags": _striptags,
    "trim": _trim,
}  # fmt: skip
WEIGHED, COUNTED = " weighed", " counted"
"""Filters that `_Bounding` puts in; no template can name them."""


class TemplateEnvironment(ImmutableSandboxedEnvironment):
    """The sandbox of templates: they reach nothing but what they are given."""

    def __init__(self, autoescape: bool) -> None:
        super().__init__(autoescape=autoescape, finalize=_weighed)
        self.filters = {**FILTERS, WEIGHED: _weighed, COUNTED: _counted}
        self.tests = {name: test for name, test in tests.TESTS.items() if name not in _TEXT_TESTS}
        self.globals = {}

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        if not super().is_safe_attribute(obj, attr, value):
            return False
        return not callable(value) or self.is_safe_callable(value)

    def is_safe_callable(self, obj: Any) -> bool:
        owner, name = getattr(obj, "__self__", None), getattr(obj, "__name__", "")
        return any(isinstance(owner, kind) and name in names for kind, names in METHODS.items())

    def compiled(self, text: str, budget: Budget) -> Template:
        """Return the template that `text` is.

        Raises:
            TemplateError: it is none, or has parts that are not allowed, or is too large.
        """
        budget.spend(len(text) // CHARACTERS_PARSED)
        try:
            tree = self.parse(text)
            _check(tree, budget)
            return Template.from_code(self, self.compile(_Bounding().visit(tree)), {})
        except (RecursionError, SyntaxError, MemoryError, OverflowError) as error:
            raise SecurityError("its parts are nested too deeply") from error
        except ValueError as error:
            raise TemplateError(str(error)) from error


def _check(tree: nodes.Template, budget: Budget) -> None:
    """Refuse what is not part of the language.

    Raises:
        SecurityError: the tree has such a part, or too many.
    """
    waiting: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        budget.spend(STEPS_TO_COMPILE)
        if depth > DEEPEST:
            raise SecurityError("its parts are nested too deeply")
        if refused := _refused(node):
            raise SecurityError(f"{refused} is not allowed in templates")
        waiting.extend((child, depth + 1) for child in node.iter_child_nodes())


def _refused(node: nodes.Node) -> str | None:
    """Return what of a part is not allowed; parts within it are not looked at."""
    if not isinstance(node, STATEMENTS + EXPRESSIONS):
        return SIGNS.get(type(node)) or type(node).__name__.lower()
    if isinstance(node, nodes.Name) and (node.name.startswith("_") or node.name == "self"):
        return node.name
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        return node.attr
    if isinstance(node, nodes.Filter) and (node.name not in FILTERS or node.node is None):
        return f"the filter {node.name}"
    if isinstance(node, nodes.Test) and node.name in _TEXT_TESTS:
        return f"the test {node.name}"
    if isinstance(node, nodes.For) and node.recursive:
        return "a recursive loop"
    if isinstance(node, (nodes.Filter, nodes.Call, nodes.Test)) and (
        node.dyn_args or node.dyn_kwargs
    ):
        return "a call with lists of arguments"
    if isinstance(node, nodes.Call):
        return _refused_call(node)
    if isinstance(node, nodes.Filter) and node.name == "map" and len(node.args) > 1:
        # Arguments are weighed once, not for each entry.
        return "a filter with arguments in map"
    return None


def _refused_call(call: nodes.Call) -> str | None:
    method = call.node
    if not isinstance(method, nodes.Getattr):
        return f"{method.name}()" if isinstance(method, nodes.Name) else "such a call"
    if method.attr not in METHOD_NAMES:
        return f"{method.attr}()"
    if method.attr == "strip" and (call.args or call.kwargs):
        return "strip() with characters"
    return None


class _Bounding(NodeTransformer):
    """Put the counting of steps into a template: operands are weighed, rounds of loops counted."""

    def visit_For(self, node: nodes.For) -> nodes.For:
        steps = sum(1 + _length(part) // CHARACTERS for part in node.find_all(nodes.Node))
        self.generic_visit(node)
        node.iter = _filtered(node.iter, COUNTED, nodes.Const(1 + steps))
        return node

    def visit_Filter(self, node: nodes.Filter) -> nodes.Filter:
        self.generic_visit(node)
        node.node = _filtered(node.node, WEIGHED)
        self._weigh_arguments(node)
        return node

    def visit_Test(self, node: nodes.Test) -> nodes.Test:
        self.generic_visit(node)
        if node.name not in ("defined", "undefined"):
            node.node = _filtered(node.node, WEIGHED)
        self._weigh_arguments(node)
        return node

    def visit_Call(self, node: nodes.Call) -> nodes.Call:
        self.generic_visit(node)
        if isinstance(node.node, nodes.Getattr) and node.node.attr not in METHODS[Mapping]:
            node.node.node = _filtered(node.node.node, WEIGHED)
        self._weigh_arguments(node)
        return node

    def _weigh_arguments(self, node: nodes.Filter | nodes.Test | nodes.Call) -> None:
        node.args = [_filtered(argument, WEIGHED) for argument in node.args]
        for argument in node.kwargs:
            argument.value = _filtered(argument.value, WEIGHED)

    def visit_Compare(self, node: nodes.Compare) -> nodes.Compare:
        self.generic_visit(node)
        node.expr = _filtered(node.expr, WEIGHED)
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, WEIGHED)
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Concat:
        self.generic_visit(node)
        node.nodes = [_filtered(part, WEIGHED) for part in node.nodes]
        return node

    def visit_Getitem(self, node: nodes.Getitem) -> nodes.Getitem:
        self.generic_visit(node)
        if isinstance(node.arg, nodes.Slice):
            node.node = _filtered(node.node, WEIGHED)
        return node

    def _visit_sum(self, node: Any) -> Any:
        self.generic_visit(node)
        node.left, node.right = _filtered(node.left, WEIGHED), _filtered(node.right, WEIGHED)
        return node

    visit_Add = visit_Sub = visit_Div = visit_FloorDiv = _visit_sum


def _length(part: nodes.Node) -> int:
    if isinstance(part, nodes.TemplateData):
        return len(part.data)
    return len(part.value) if isinstance(part, nodes.Const) and isinstance(part.value, str) else 0


def _filtered(node: Any, name: str, *arguments: nodes.Expr) -> nodes.Filter:
    return nodes.Filter(node, name, list(arguments), [], None, None, lineno=node.lineno)


@lru_cache(maxsize=2)
def _environment(is_html: bool) -> TemplateEnvironment:
    return TemplateEnvironment(autoescape=is_html)


def is_template(text: str) -> bool:
    """Whether a text has anything that a template would act on."""
    return _MARKS.search(text) is not None


def check_text(text: str, budget: Budget) -> None:
    """Refuse a text that is no template of this language.

    Raises:
        TemplateError: it is none.
    """
    if is_template(text):
        _environment(False).compiled(text, budget)


def render(
    text: str, context: Mapping[str, Any], budget: Budget, *, is_html: bool, timezone: str
) -> str:
    """Return what a template makes of `context`.

    Args:
        context: what it may refer to, by name.
        is_html: values are escaped.
        timezone: of times that are shown without one of their own.

    Raises:
        TemplateError: the text is no template, refers to what is not there, or makes too much work.
    """
    if not is_template(text):
        return text
    template = _environment(is_html).compiled(text, budget)
    try:
        output = template.render({**context, "_budget": budget, "_timezone": timezone})
    except UNRENDERABLE as error:
        raise TemplateError(str(error)) from error
    if len(output) > MOST_OUTPUT:
        raise SecurityError("its text is too long")
    return output
