"""Rules and types as Cerberus applies them (lifecycle contract 4.4)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from apps.validate.cerberus_rules import compile_rules, find_errors
from apps.validate.rules import InvalidRules, RuleSet, canonical

REQUIRED = "is a required field"


def no_subject_vocabularies() -> frozenset[str]:
    return frozenset()


def errors_of(
    schema: dict[str, Any],
    document: dict[str, Any],
    subject_schemes: Callable[[], frozenset[str]] = no_subject_vocabularies,
    disallowed: tuple[str, ...] = ("$", "@"),
) -> Any:
    rules = RuleSet("validators v", schema, is_profile=False)
    compiled = compile_rules(canonical(rules, (), marked_for_sms=True))
    return find_errors(compiled, document, subject_schemes, disallowed)


@pytest.mark.parametrize(
    ("rule", "value", "expected"),
    [
        ({"type": "string"}, True, "must be of string type"),
        ({"type": "string"}, None, "null value not allowed"),
        ({"type": "string", "nullable": True}, None, None),
        ({"required": True}, "", "empty values not allowed"),
        ({"required": True}, [], REQUIRED),
        ({"required": True, "type": "list"}, [], REQUIRED),
        ({"required": True, "maxlength": 3}, "<p></p>", REQUIRED),
        ({"required": True}, {}, "empty values not allowed"),
        ({"empty": False}, [], REQUIRED),
        ({"empty": True}, [], None),
        ({"type": "list"}, [], None),
        ({"minlength": 2}, "1", "min length is 2"),
        ({"maxlength": 3}, "1234", "max length is 3"),
        ({"minlength": 1}, [], "min length is 1"),
        ({"allowed": ["X", "T"]}, "B", "unallowed value B"),
        ({"regex": "[a-z]+"}, "A", "value does not match regex '[a-z]+'"),
        ({"minlength": 3, "regex": "[a-z]+"}, "A", ["min length is 3", "value does not match "
         "regex '[a-z]+'"]),
        ({"type": "text"}, "x", None),
        ({"type": "text"}, "", "must be of text type"),
        ({"type": "text"}, 7, "must be of text type"),
        ({"type": "date"}, datetime(2026, 1, 1, tzinfo=UTC), None),
        ({"type": "date"}, "2026-11-22T22:11:33+0000", None),
        ({"type": "date"}, "2026-11-33T22:11:33+0000", "must be of date type"),
        ({"type": "date"}, "2026-11-22", "must be of date type"),
        ({"type": "date"}, 7, "must be of date type"),
        ({"validate_characters": True}, "a$b", "contains invalid characters"),
        ({"validate_characters": True}, ["a", "b@c"], "contains invalid characters"),
        ({"validate_characters": True}, '<a href="mailto:a@b">a</a>', None),
        ({"validate_characters": True, "nullable": True}, None, None),
        ({"validate_characters": False}, "a$b", None),
        ({"mandatory_in_dictionary": ["a"]}, {"a": 1}, None),
        ({"mandatory_in_dictionary": ["a"], "nullable": True}, None, None),
        ({"default": "x", "required": True, "nullable": False}, None, "null value not allowed"),
    ],
)  # fmt: skip
def test_rule(rule: dict[str, Any], value: Any, expected: Any) -> None:
    """Each rule has its text (lifecycle contract 4.4)."""
    assert errors_of({"f": rule}, {"f": value}) == ({"f": expected} if expected else {})


@pytest.mark.parametrize("type", ["media", "related_content", "embed", "custom", "picture", "any"])
@pytest.mark.parametrize("value", ["x", 7, {"a": 1}, [1]])
def test_types_that_accept_all(type: str, value: Any) -> None:
    """Media and custom types take any value."""
    assert errors_of({"f": {"type": type}}, {"f": value}) == {}


@pytest.mark.parametrize(
    "name",
    ["enabled", "readonly", "place", "genre", "anpa_category", "subject", "company_codes"],
)
@pytest.mark.parametrize("argument", [True, "x", {"value": "foo"}, ["a"]])
def test_ignored_rules(name: str, argument: Any) -> None:
    """Rules for clients are accepted and change nothing, whatever their argument."""
    assert errors_of({"f": {name: argument, "type": "string"}}, {"f": "x"}) == {}


def test_defaults_do_not_fill_in() -> None:
    """A default is the client's business: what is missing stays missing."""
    schema = {"f": {"required": True, "default": "x"}}

    assert errors_of(schema, {}) == {"f": "required field"}


def test_unknown_fields_are_allowed() -> None:
    """Items have many fields that no rule mentions, at every depth."""
    schema = {"f": {"type": "dict", "schema": {"a": {"type": "string"}}}}

    assert errors_of(schema, {"f": {"a": "x", "b": 1}, "g": 2}) == {}


@pytest.mark.parametrize(
    ("entries", "schemes", "expected"),
    [
        ([{"qcode": "a", "scheme": None}], set(), {}),
        ([{"qcode": "a"}], set(), {}),
        ([{"qcode": "a", "scheme": ""}], set(), {}),
        ([{"qcode": "a", "scheme": "subject_custom"}], set(), {}),
        ([{"qcode": "a", "scheme": "topics"}], {"topics"}, {}),
        ([{"qcode": "a", "scheme": "topics"}], set(), {"subject": REQUIRED}),
        ([{"qcode": "a", "scheme": ["topics"]}], {"topics"}, {"subject": REQUIRED}),
        ([], {"topics"}, {"subject": REQUIRED}),
    ],
)
def test_only_subjects_fill_subject(
    entries: list[Any], schemes: set[str], expected: dict[str, Any]
) -> None:
    """Values of custom vocabularies do not count as a subject."""
    schema = {"subject": {"type": "list", "required": True}}

    assert errors_of(schema, {"subject": entries}, lambda: frozenset(schemes)) == expected


def test_other_lists_named_subject() -> None:
    """Only the item's own subject is counted by scheme, not a nested field of that name."""
    nested = {"subject": {"type": "list", "required": True}}
    schema = {"extra": {"type": "dict", "schema": nested}}

    assert errors_of(schema, {"extra": {"subject": [{"scheme": "topics"}]}}) == {}


def test_vocabularies_are_not_asked_for_plain_subjects() -> None:
    """A subject without a scheme is recognized without reading vocabularies."""

    def refuse() -> frozenset[str]:
        pytest.fail("vocabularies were read")

    schema = {"subject": {"type": "list", "required": True}}

    assert errors_of(schema, {"subject": [{"qcode": "a"}]}, refuse) == {}


MANDATORY = {"topics": {"required": True}, "town": {"required": False}, "river": None}


@pytest.mark.parametrize(
    ("wanted", "value", "expected"),
    [
        (MANDATORY, [{"scheme": "topics"}], {}),
        (MANDATORY, [{"scheme": "town"}], {"topics": REQUIRED}),
        (MANDATORY, [], {"topics": REQUIRED}),
        (MANDATORY, ["topics"], {"topics": REQUIRED}),
        (MANDATORY, None, {"subject": "null value not allowed", "topics": REQUIRED}),
        ({"topics": "topics"}, [{"scheme": "topics"}], {}),
        ({"topics": "topics"}, [{"scheme": "town"}], {"topics": REQUIRED}),
        ({"subject": {"required": True}}, [{"scheme": "topics"}], {}),
        ({"subject": {"required": True}}, [], {"subject": REQUIRED}),
    ],
)
def test_mandatory_in_list(wanted: dict[str, Any], value: Any, expected: dict[str, Any]) -> None:
    """An entry of each mandatory scheme is there; a missing one is an error of that scheme."""
    schema = {"subject": {"type": "list", "mandatory_in_list": {"scheme": wanted}}}

    errors = errors_of(schema, {"subject": value}, lambda: frozenset({"topics"}))

    assert errors == expected


def test_mandatory_subject_without_its_vocabulary() -> None:
    """Without a vocabulary for `subject` the scheme itself has to be there."""
    wanted = {"scheme": {"subject": {"required": True}}}
    schema = {"subject": {"type": "list", "mandatory_in_list": wanted}}

    assert errors_of(schema, {"subject": [{"scheme": "topics"}]}) == {"subject": REQUIRED}


def test_mandatory_in_dictionary() -> None:
    """Each key that is missing or empty is an error of its own."""
    schema = {"f": {"mandatory_in_dictionary": ["a", "b", "c"]}}

    assert errors_of(schema, {"f": {"a": "x", "b": ""}}) == {"b": REQUIRED, "c": REQUIRED}


def test_nested_errors_win() -> None:
    """The tree shows the nested errors of a field that is wrong in itself too."""
    located = {"type": "dict", "required": True}
    schema = {"dateline": {"type": "dict", "required": True, "schema": {"located": located}}}

    assert errors_of(schema, {"dateline": {}}) == {"dateline": {"located": "required field"}}


def test_errors_inside_lists() -> None:
    """Entries of a list are named by their position, as text, so that the tree is JSON."""
    entry = {"type": "dict", "schema": {"qcode": {"type": "string", "required": True}}}
    schema = {"place": {"type": "list", "schema": entry}}

    errors = errors_of(schema, {"place": [{"qcode": "a"}, {}]})

    assert errors == {"place": {"1": {"qcode": "required field"}}}


def test_errors_are_sorted() -> None:
    """Fields come by name, whatever the order of rules and values."""
    schema = {"c": {"required": True}, "a": {"required": True}, "b": {"type": "string"}}

    assert list(errors_of(schema, {"b": 1})) == ["a", "b", "c"]


@pytest.mark.parametrize(
    "schema",
    [
        {"f": {"type": "unheard-of"}},
        {"f": {"maxlength": "20"}},
        {"f": {"unheard_of": True}},
        {"f": {"required": 1}},
        {"f": {"required": True}, "g": {"required": 1}},
        {"f": {"regex": "["}},
        {"f": {"type": "list", "schema": {"type": "dict", "schema": {"a": {"regex": "("}}}}},
        {"f": {"schema": ["a"]}},
        {"f": {"schema": {"a": {"maxlength": "x"}}}},
        {"f": {"mandatory_in_list": ["scheme"]}},
        {"f": {"mandatory_in_list": {"scheme": ["a"]}}},
        {"f": {"mandatory_in_dictionary": {"a": 1}}},
        {"f": {"allowed": 5}},
        {"f": {"anyof": [7]}},
        {"f": "string"},
    ],
)
def test_malformed_rules(schema: dict[str, Any]) -> None:
    """Rules that Cerberus cannot apply are found when they are compiled."""
    rules = RuleSet("validators v", schema, is_profile=False)

    with pytest.raises(InvalidRules):
        compile_rules(canonical(rules, (), marked_for_sms=False))


@pytest.mark.parametrize(
    ("rules", "value"),
    [
        ({"schema": {"name": {"type": "string"}}}, ["a"]),
        ({"forbidden": ["a"]}, [{"a": 1}]),
        ({"contains": "a"}, [{"a": 1}]),
    ],
)
def test_rules_that_do_not_fit_the_value(rules: dict[str, Any], value: Any) -> None:
    """A rule that shows its fault only with a value is an error of rules, not a crash."""
    with pytest.raises(InvalidRules):
        errors_of({"f": rules}, {"f": value})


def test_threads_share_compiled_rules() -> None:
    """Validations at the same time do not see each other's errors."""
    schema = {"headline": {"type": "string", "required": True, "maxlength": 5}}
    rules = RuleSet("validators v", schema, is_profile=False)
    compiled = compile_rules(canonical(rules, (), marked_for_sms=False))
    documents: list[dict[str, Any]] = [{"headline": "short"}, {"headline": "too long"}, {}] * 200
    expected = [{}, {"headline": "max length is 5"}, {"headline": "required field"}] * 200

    with ThreadPoolExecutor(4) as pool:
        found = pool.map(
            lambda document: find_errors(compiled, document, no_subject_vocabularies, ()), documents
        )

    assert list(found) == expected
