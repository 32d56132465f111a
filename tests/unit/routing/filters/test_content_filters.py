"""Content filters: statements, nesting and what is wrong with them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.routing.filters.content_filters import MAX_DEPTH, FilterSet, compile_filters
from apps.routing.filters.fields import ItemView

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)
CONDITIONS = [
    {"_id": name, "name": name, "field": "keywords", "operator": "in", "value": name}
    for name in "abc"
]
BAD = {"_id": "bad", "name": "bad", "field": "urgency", "operator": "in", "value": "x"}


def statement(fc: Any = None, pf: Any = None) -> dict[str, Any]:
    return {"expression": {"fc": fc, "pf": pf}}


def compiled(**filters: Any) -> FilterSet:
    documents = [{"_id": id_, "name": id_, "content_filter": f} for id_, f in filters.items()]
    return compile_filters(documents, [*CONDITIONS, BAD], [])


def answer(filters: FilterSet, filter_id: Any, *keywords: str) -> bool | None:
    return filters.matches(filter_id, ItemView({"keywords": list(keywords)}, NOW))


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ("c", True),
        ("a", False),
        ("b", False),
        ("ab", True),
        ("abc", True),
        ("", False),
    ],
)
def test_statements(keywords: str, expected: bool) -> None:
    """[a and b] or [filter C] matches when C matches alone, not when only a does.

    Routing scenario 15.
    """
    filters = compiled(C=[statement(["c"])], F=[statement(["a", "b"]), statement(pf=["C"])])

    assert expected is answer(filters, "F", *keywords)


@pytest.mark.parametrize(
    ("keywords", "expected"), [("a", False), ("b", False), ("ab", True), ("", False)]
)
def test_fc_and_pf_are_joined_by_and(keywords: str, expected: bool) -> None:
    """In one statement every condition and every filter has to match."""
    filters = compiled(B=[statement(["b"])], F=[statement(["a"], ["B"])])

    assert expected is answer(filters, "F", *keywords)


@pytest.mark.parametrize("empty", [[], None])
def test_empty_filter(empty: Any) -> None:
    """A filter without statements matches nothing, and nothing is wrong with it."""
    filters = compiled(F=empty)

    assert answer(filters, "F", "a") is False
    assert filters.broken == {}


def test_null_members_are_dropped() -> None:
    """Null members of `fc` and `pf` do not count."""
    filters = compiled(F=[statement([None, "a"], [None])])

    assert answer(filters, "F", "a") is True


def test_a_gone_condition() -> None:
    """A statement whose condition is gone is false; the others still count."""
    filters = compiled(F=[statement(["a", "gone"]), statement(["b"])])

    assert answer(filters, "F", "a") is False
    assert answer(filters, "F", "a", "b") is True
    assert filters.broken == {"F": "filter condition gone is gone"}


def test_a_gone_filter() -> None:
    """A statement whose nested filter is gone is false (routing contract 5)."""
    filters = compiled(F=[statement(["a"], ["gone"])])

    assert answer(filters, "F", "a") is False
    assert filters.broken == {"F": "content filter gone is gone"}


EMPTY = "Filter statement 2 does not have a filter condition"
BAD_TEXT = "Filter condition:bad has a value that is no number: x"


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (statement(["bad"]), BAD_TEXT),
        (statement(["c", "bad"]), BAD_TEXT),
        (statement(), EMPTY),
        (statement([], []), EMPTY),
        (statement([None], None), EMPTY),
        ({"expression": None}, EMPTY),
        ({}, EMPTY),
        (None, EMPTY),
        ("c", EMPTY),
    ],
)
def test_a_broken_statement_is_undecided(second: Any, reason: str) -> None:
    """What cannot be evaluated leaves the filter undecided unless something else decides it."""
    filters = compiled(F=[statement(["a"]), second])

    assert answer(filters, "F", "a") is True
    assert answer(filters, "F", "c") is None
    assert {"F": reason} == filters.broken


def test_a_false_part_decides_a_broken_statement() -> None:
    """A statement with a bad condition is false where another condition is."""
    filters = compiled(F=[statement(["a", "bad"])])

    assert answer(filters, "F", "b") is False
    assert answer(filters, "F", "a") is None


def test_undecided_passes_upwards() -> None:
    """A filter is undecided where it hangs on a nested one that is."""
    filters = compiled(B=[statement(["bad"])], F=[statement(["a"], ["B"])])

    assert answer(filters, "F", "a") is None
    assert answer(filters, "F", "b") is False


def test_gone_and_bad_parts_are_both_told() -> None:
    """The reasons name everything that is wrong, for one repair."""
    filters = compiled(F=[statement(["gone", "bad"]), statement()])

    assert {"F": f"filter condition gone is gone; {BAD_TEXT}; {EMPTY}"} == filters.broken


@pytest.mark.parametrize("malformed", ["a", 5, {"expression": {"fc": ["a"]}}])
def test_a_filter_that_is_no_list_is_undecided(malformed: Any) -> None:
    """A definition that cannot be read is never decided."""
    assert answer(compiled(F=malformed), "F", "a") is None


def test_a_single_id_counts_as_a_list() -> None:
    """`fc` may hold one id instead of a list."""
    assert answer(compiled(F=[statement("a")]), "F", "a") is True


def test_unknown_filter() -> None:
    """A filter that is gone is not decided."""
    assert answer(compiled(), "gone", "a") is None


def test_circle() -> None:
    """Filters defined in a circle are never decided, whatever the item (routing scenario 16)."""
    filters = compiled(
        F=[statement(["a"]), statement(pf=["G"])],
        G=[statement(pf=["H"])],
        H=[statement(pf=["F"])],
        outside=[statement(["b"]), statement(pf=["F"])],
    )

    assert [answer(filters, id_, "a") for id_ in "FGH"] == [None] * 3
    assert answer(filters, "outside", "b") is True
    assert answer(filters, "outside", "a") is None
    assert dict.fromkeys("FGH", "is defined in a circle") == filters.broken


def test_a_filter_inside_itself() -> None:
    """The shortest circle is a filter that names itself."""
    assert answer(compiled(F=[statement(pf=["F"])]), "F", "a") is None


def chain(length: int) -> FilterSet:
    filters = {str(n): [statement(pf=[str(n - 1)])] for n in range(length, 1, -1)}
    return compiled(**filters, **{"1": [statement(["a"])]})


def test_deep_nesting() -> None:
    """The greatest depth is evaluated; one more is broken, and so is what nests it."""
    filters = chain(MAX_DEPTH + 2)

    assert answer(filters, MAX_DEPTH, "a") is True
    assert answer(filters, MAX_DEPTH + 1, "a") is None
    assert answer(filters, MAX_DEPTH + 2, "a") is None
    assert {str(MAX_DEPTH + 1): f"is nested more than {MAX_DEPTH} deep"} == filters.broken


def test_doubling_chain_is_cheap() -> None:
    """Naming a filter twice on each level does not multiply the work."""
    twice = {str(n): [statement(pf=[str(n - 1)])] * 2 for n in range(2, MAX_DEPTH)}
    filters = compiled(**{"1": [statement(["a"])]}, **twice)

    assert answer(filters, MAX_DEPTH - 1, "b") is False


def test_ids_compare_as_text() -> None:
    """References may hold the text of an id or the id itself."""
    filters = compile_filters(
        [{"_id": 7, "content_filter": [statement([1])]}],
        [{"_id": "1", "name": "x", "field": "keywords", "operator": "in", "value": "a"}],
        [],
    )

    assert answer(filters, "7", "a") is True
    assert answer(filters, 7, "a") is True


@pytest.mark.parametrize(
    ("flags", "is_global", "blocks"),
    [
        ({}, False, False),
        ({"is_global": None, "api_block": None}, False, False),
        ({"is_global": False, "api_block": False}, False, False),
        ({"is_global": True}, True, False),
        ({"api_block": True}, False, True),
    ],
)
def test_kinds(flags: dict[str, Any], is_global: bool, blocks: bool) -> None:
    """A filter is global only if it says so (routing contract 5); API blocks are separate."""
    document = {"_id": "F", "name": "F", "content_filter": [statement(["a"])], **flags}
    filters = compile_filters([document], CONDITIONS, [])
    view = ItemView({"keywords": ["a"]}, NOW)

    assert is_global is bool(filters.matching_globals(view))
    assert blocks is filters.blocks_api(view)


def test_an_undecided_global_filter_blocks_nobody() -> None:
    """One bad filter never stops all publishing (routing contract R15)."""
    document = {"_id": "F", "is_global": True, "api_block": True, "content_filter": [statement()]}
    filters = compile_filters([document], [], [])
    view = ItemView({}, NOW)

    assert filters.matching_globals(view) == ()
    assert not filters.blocks_api(view)
    assert {"F"} == set(filters.broken)


def test_vocabularies_decide_on_fields() -> None:
    """A condition on a vocabulary works while the vocabulary exists (routing scenario 14)."""
    condition = {"_id": 1, "name": "x", "field": "colour", "operator": "in", "value": "red"}
    documents = [{"_id": "F", "content_filter": [statement([1])]}]
    colour = {"_id": "colour", "type": "manageable"}
    view = ItemView({"subject": [{"qcode": "red", "scheme": "colour"}]}, NOW)

    assert compile_filters(documents, [condition], [colour]).matches("F", view) is True
    assert compile_filters(documents, [condition], []).matches("F", view) is None


def test_views_do_not_share_answers() -> None:
    """Answers are kept per view, so two versions of an item never mix (routing contract R9)."""
    filters = compiled(F=[statement(["a"])])

    assert answer(filters, "F", "a") is True
    assert answer(filters, "F", "b") is False


def requirements(filters: FilterSet, filter_id: str) -> dict[str, set[Any]] | None:
    content_filter = filters.find(filter_id)
    assert content_filter is not None
    if content_filter.requirements is None:
        return None
    return {field.path: set(keys) for field, keys in content_filter.requirements}


def test_requirements() -> None:
    """A filter requires the most selective membership of each of its statements."""
    conditions = [
        *CONDITIONS,
        {"_id": "type", "field": "type", "operator": "eq", "value": "text"},
        {"_id": "many", "field": "genre", "operator": "in", "value": "x,y"},
        {"_id": "not", "field": "keywords", "operator": "nin", "value": "a"},
    ]
    definitions = {
        "either": [statement(["a"]), statement(["type", "many"]), statement(["not", "b"])],
        "nested": [statement(["many"], ["single"])],
        "single": [statement(["c", "type"])],
        "unbounded": [statement(["a"]), statement(["not"])],
        "empty": [],
        "broken": [statement()],
    }
    documents = [{"_id": id_, "content_filter": f} for id_, f in definitions.items()]
    filters = compile_filters(documents, conditions, [])

    assert {
        "either": {"keywords": {"a", "b"}, "genre": {"x", "y"}},
        "nested": {"keywords": {"c"}},
        "single": {"keywords": {"c"}},
        "unbounded": None,
        "empty": {},
        "broken": {},
    } == {id_: requirements(filters, id_) for id_ in definitions}
