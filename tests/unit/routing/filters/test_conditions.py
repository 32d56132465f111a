"""Conditions against the truth table (routing contract 4.5)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.routing.filters.conditions import (
    FilterError,
    Operator,
    Substring,
    compile_condition,
    is_true,
    members_of,
)
from apps.routing.filters.fields import FIELDS, ItemView, VocabularyKind

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)
KINDS = {"colour": VocabularyKind.CODES, "note": VocabularyKind.TEXT}


def document(field: Any, operator: Any, value: Any) -> dict[str, Any]:
    return {"_id": 1, "name": "C", "field": field, "operator": operator, "value": value}


def matches(field: str, operator: str, value: str, item: dict[str, Any]) -> bool:
    condition = compile_condition(document(field, operator, value), KINDS)
    return condition.matches(ItemView(item, NOW))


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("headline", "nin", "a", True),
        ("headline", "notlike", "a", True),
        ("headline", "ne", "a", True),
        ("urgency", "nin", "1,3", True),
        ("urgency", "ne", "3", True),
        ("subject", "nin", "a", True),
        ("note", "ne", "a", True),
        ("sms", "eq", "no", True),
        ("sms", "eq", "False", True),
        ("sms", "eq", "f", True),
        ("sms", "eq", "0", True),
        ("sms", "eq", "true", False),
        ("sms", "in", "false", True),
        ("sms", "nin", "true", True),
        ("embargo", "eq", "false", True),
        ("embargo", "eq", "true", False),
        ("featuremedia", "exists", "True", False),
        ("featuremedia", "exists", "False", True),
        ("featuremedia", "eq", "false", True),
        ("headline", "exists", "true", False),
        ("headline", "exists", "false", True),
        ("headline", "eq", "no", False),
        ("urgency", "eq", "0", False),
        ("headline", "in", "a", False),
        ("headline", "like", "a", False),
        ("headline", "startswith", "a", False),
        ("headline", "endswith", "a", False),
        ("place", "match", "a", False),
        ("urgency", "lt", "9", False),
        ("urgency", "lte", "9", False),
        ("urgency", "gt", "0", False),
        ("urgency", "gte", "0", False),
        ("colour", "in", "red", False),
    ],
)
@pytest.mark.parametrize("absence", ["missing", "null"])
def test_absent(field: str, operator: str, value: str, absence: str, expected: bool) -> None:
    """Only negative operators and "is not" match an absent field (routing scenario 17)."""
    nulls = {"subject": None, "flags": None, "associations": None, "extra": None}
    item = {} if absence == "missing" else {**dict.fromkeys(FIELDS), **nulls}

    assert expected is matches(field, operator, value, item)


@pytest.mark.parametrize(
    ("item", "field", "operator", "value", "expected"),
    [
        # in, match, nin
        ({"urgency": 3}, "urgency", "in", "1,3", True),
        ({"urgency": 3}, "urgency", "in", "1, 3", True),
        ({"urgency": 3}, "urgency", "in", "13", False),
        ({"urgency": 2}, "urgency", "nin", "1,3", True),
        ({"urgency": 3}, "urgency", "nin", "1,3", False),
        ({"keywords": ["Foo"]}, "keywords", "in", "foo", True),
        ({"keywords": ["a", "Bar"]}, "keywords", "in", "Foo, Bar", True),
        ({"keywords": []}, "keywords", "in", "x", False),
        ({"keywords": []}, "keywords", "nin", "x", True),
        ({"place": [{"qcode": "NSW"}]}, "place", "match", "QLD,nsw", True),
        ({"place": [{"qcode": "NSW"}]}, "place", "match", "QLD", False),
        ({"headline": "AAP"}, "headline", "in", "aap,PAA", True),
        ({"headline": "AA"}, "headline", "in", "AAP", False),
        ({"type": "text"}, "type", "in", "text,picture", True),
        # like, notlike
        ({"headline": "<p>TEST</p>"}, "headline", "like", "est", True),
        ({"body_html": "hello <b>world</b>"}, "body_html", "like", "hello world", True),
        ({"headline": "<b>TEST</b>"}, "headline", "like", "est", True),
        ({"headline": "abc"}, "headline", "like", "a.c", False),
        ({"headline": "a.c"}, "headline", "like", "a.c", True),
        ({"headline": "f(x)"}, "headline", "like", "(", True),
        ({"headline": "two\nlines"}, "headline", "like", "lines", True),
        ({"headline": "test"}, "headline", "notlike", "EST", False),
        ({"headline": "test"}, "headline", "notlike", "x", True),
        # startswith, endswith
        ({"headline": "  foo bar"}, "headline", "startswith", "Foo", True),
        ({"headline": "  Foo bar"}, "headline", "startswith", "foo", True),
        ({"headline": "foo bar "}, "headline", "endswith", "BAR", True),
        ({"headline": "a\nb"}, "headline", "startswith", "b", False),
        ({"headline": "a\nb"}, "headline", "endswith", "a", False),
        ({"headline": "foo"}, "headline", "startswith", "oo", False),
        # eq, ne
        ({"headline": "foo"}, "headline", "eq", " Foo ", True),
        ({"headline": "foo"}, "headline", "ne", " Foo ", False),
        ({"headline": "foo, bar"}, "headline", "eq", "Foo, bar", True),
        ({"source": "AT&T"}, "source", "eq", "AT&T", True),
        ({"urgency": 3}, "urgency", "eq", "3", True),
        ({"urgency": "3"}, "urgency", "eq", "3", True),
        ({"urgency": 3}, "urgency", "ne", "3", False),
        ({"urgency": 0}, "urgency", "eq", "0", True),
        ({"anpa_take_key": "Lead"}, "anpa_take_key", "eq", "lead", True),
        # lt, lte, gt, gte
        ({"urgency": 2}, "urgency", "lt", "3", True),
        ({"urgency": 3}, "urgency", "lt", "3", False),
        ({"urgency": 3}, "urgency", "lte", "3", True),
        ({"urgency": 3}, "urgency", "gt", "3", False),
        ({"urgency": 10}, "urgency", "gt", "9", True),
        ({"urgency": 3}, "urgency", "gte", "3", True),
        ({"urgency": "x"}, "urgency", "lt", "3", False),
        ({"urgency": "x"}, "urgency", "gte", "3", False),
        # exists
        ({"headline": "a"}, "headline", "exists", "true", True),
        ({"headline": ""}, "headline", "exists", "true", False),
        ({"urgency": 0}, "urgency", "exists", "true", False),
        ({"keywords": []}, "keywords", "exists", "false", True),
        # sms
        ({"flags": {"marked_for_sms": True}}, "sms", "in", "true", True),
        ({"flags": {"marked_for_sms": True}}, "sms", "in", "false", False),
        ({"flags": {"marked_for_sms": False}}, "sms", "in", "false", True),
        ({"flags": {"marked_for_sms": True}}, "sms", "nin", "false", True),
        ({"flags": {"marked_for_sms": True}}, "sms", "in", "true,false", True),
        ({"flags": {"marked_for_sms": True}}, "sms", "eq", "T", True),
        ({"flags": {"marked_for_sms": True}}, "sms", "ne", "YES", False),
        # featuremedia
        ({"associations": {"featuremedia": {"_id": "m"}}}, "featuremedia", "exists", "True", True),
        ({"associations": {"featuremedia": {"_id": "m"}}}, "featuremedia", "exists", "no", False),
        ({"associations": {"featuremedia": None}}, "featuremedia", "exists", "False", True),
        ({"associations": {"featuremedia": {"_id": "m"}}}, "featuremedia", "eq", "1", True),
        # vocabularies
        ({"extra": {"note": "Foo bar"}}, "note", "like", "foo", True),
        ({"subject": [{"qcode": "r", "scheme": "colour"}]}, "colour", "in", "r,g", True),
        ({"subject": [{"qcode": "r", "scheme": "other"}]}, "colour", "in", "r", False),
    ],
)
def test_present(
    item: dict[str, Any], field: str, operator: str, value: str, expected: bool
) -> None:
    """A present field follows the table (routing scenario 17, 18)."""
    assert expected is matches(field, operator, value, item)


FUTURE, PAST = NOW + timedelta(days=1), NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("embargo", "operator", "value", "expected"),
    [
        (FUTURE, "eq", "True", True),
        (FUTURE, "eq", "False", False),
        (FUTURE, "ne", "True", False),
        (FUTURE, "ne", "False", True),
        (PAST, "eq", "True", False),
        (PAST, "eq", "False", True),
        (PAST, "ne", "True", True),
        (PAST, "ne", "False", False),
        (None, "eq", "True", False),
        (None, "eq", "False", True),
        (None, "ne", "True", True),
        (None, "ne", "False", False),
    ],
)
def test_embargo(embargo: Any, operator: str, value: str, expected: bool) -> None:
    """An absent or lapsed embargo is false (routing contract 4.5)."""
    item = {"embargo": embargo, "schedule_settings": {"utc_embargo": embargo}}

    assert expected is matches("embargo", operator, value, item)


@pytest.mark.parametrize(
    ("field", "operator", "value", "text"),
    [
        ("colour2", "in", "x", "has unidentified field: colour2"),
        (None, "in", "x", "has unidentified field: None"),
        (["headline"], "in", "x", "has unidentified field: ['headline']"),
        ("headline", "resembles", "x", "has unidentified operator: resembles"),
        ("headline", None, "x", "has unidentified operator: None"),
        ("headline", ["in"], "x", "has unidentified operator: ['in']"),
        ("headline", "lt", "3", "has unidentified operator: lt"),
        ("urgency", "like", "3", "has unidentified operator: like"),
        ("urgency", "notlike", "3", "has unidentified operator: notlike"),
        ("sms", "startswith", "t", "has unidentified operator: startswith"),
        ("featuremedia", "in", "m1", "has unidentified operator: in"),
        ("featuremedia", "nin", "m1", "has unidentified operator: nin"),
        ("urgency", "eq", "abc", "has a value that is no number: abc"),
        ("urgency", "in", "1,abc", "has a value that is no number: abc"),
        ("priority", "gt", "1.5.2", "has a value that is no number: 1.5.2"),
        ("headline", "in", None, "has no value"),
        ("headline", "in", "", "has no value"),
        ("headline", "in", "  ", "has no value"),
        ("headline", "in", " , ,", "has no value"),
        ("urgency", "in", 3, "has no value"),
        ("headline", "in", ["a"], "has no value"),
    ],
)
def test_malformed(field: Any, operator: Any, value: Any, text: str) -> None:
    """What could not be evaluated is refused when it is compiled, in the words clients know."""
    with pytest.raises(FilterError) as caught:
        compile_condition(document(field, operator, value), KINDS)

    assert f"Filter condition:C {text}" == str(caught.value)


def test_an_empty_document_is_malformed() -> None:
    """A document without any field is refused like any other bad one."""
    with pytest.raises(FilterError, match="unidentified field"):
        compile_condition({}, {})


@pytest.mark.parametrize(
    ("value", "members"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("Foo, Bar", ["Foo", "Bar"]),
        (" a ,, b ,", ["a", "b"]),
        (",a", [",a"]),
        (",", [","]),
    ],
)
def test_members(value: str, members: list[str]) -> None:
    """A list value is split at commas after the first character and trimmed.

    Routing contract 4.4.
    """
    assert members == members_of(value)


@pytest.mark.parametrize("word", ["yes", "true", "t", "1", "YES", " True "])
def test_true_words(word: str) -> None:
    """These words mean true in any case."""
    assert is_true(word)


@pytest.mark.parametrize("word", ["no", "false", "f", "0", "maybe"])
def test_false_words(word: str) -> None:
    """Every other word means false."""
    assert not is_true(word)


@pytest.mark.parametrize(
    ("field", "operator", "value", "expected"),
    [
        ("subject", "in", "A,b", {"a", "b"}),
        ("place", "match", "x", {"x"}),
        ("headline", "eq", " Foo ", {"foo"}),
        ("urgency", "in", "1,2", {1, 2}),
        ("sms", "eq", "false", {False}),
        ("subject", "nin", "a", None),
        ("headline", "ne", "a", None),
        ("headline", "like", "A", {Substring("a")}),
        ("headline", "startswith", "a", {Substring("a")}),
        ("headline", "endswith", "a", {Substring("a")}),
        ("headline", "notlike", "a", None),
        ("urgency", "lt", "3", None),
        ("featuremedia", "exists", "true", None),
    ],
)
def test_required_keys(field: str, operator: str, value: str, expected: Any) -> None:
    """Positive memberships list the keys that they need, patterns what has to be in one."""
    assert expected == compile_condition(document(field, operator, value), KINDS).required_keys


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["qcode", "scheme", "_id", "desk", "note", "utc_embargo"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
ITEM_FIELDS = [*FIELDS, "task", "flags", "extra", "associations", "schedule_settings", "language"]


@given(
    st.dictionaries(st.sampled_from(ITEM_FIELDS), JSON, max_size=6),
    st.sampled_from([*FIELDS, *KINDS]),
    st.sampled_from(list(Operator)),
    st.text(max_size=6) | st.sampled_from(["1", "1,2", "true", "a.b", "("]),
)
def test_evaluation_never_raises(
    item: dict[str, Any], field: str, operator: str, value: str
) -> None:
    """A condition that compiles can be evaluated on any item."""
    try:
        condition = compile_condition(document(field, operator, value), KINDS)
    except FilterError:
        return

    assert condition.matches(ItemView(item, NOW)) in (True, False)


@given(
    st.sampled_from([("in", "nin"), ("eq", "ne"), ("like", "notlike")]),
    st.text(alphabet="ab, <&", max_size=6),
    st.text(alphabet="ab, <&", min_size=1, max_size=4).filter(lambda text: text.strip(" ,")),
)
def test_negations(pair: tuple[str, str], headline: str, value: str) -> None:
    """A negative operator says the opposite of its positive one, on every item."""
    positive, negative = pair
    for item in ({"headline": headline}, {}):
        assert matches("headline", positive, value, item) is not matches(
            "headline", negative, value, item
        )
