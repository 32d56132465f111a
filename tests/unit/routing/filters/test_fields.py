"""What conditions read from items."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.routing.filters.fields import (
    FIELDS,
    ItemField,
    ItemView,
    VocabularyKind,
    find_field,
    vocabulary_kinds,
)

NOW = datetime(2025, 1, 15, 12, tzinfo=UTC)
DESK = ObjectId("5f0d3f3e1d41c85e0e3d0a11")
KINDS = {
    "colour": VocabularyKind.CODES,
    "note": VocabularyKind.TEXT,
    "languages": VocabularyKind.CODES,
}


def field(name: str) -> ItemField:
    found = find_field(name, KINDS)
    assert found is not None
    return found


def keys(name: str, item: dict[str, Any]) -> set[Any]:
    return set(ItemView(item, NOW).keys(field(name)))


TEXT_FIELDS = (
    "slugline", "headline", "source", "ednote", "body_html", "type", "ingest_provider", "keywords",
    "agendas", "anpa_take_key",
)  # fmt: skip


@pytest.mark.parametrize("name", TEXT_FIELDS)
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  Foo Bar ", {"foo bar"}),
        ("", {""}),
        (None, set()),
        (["Foo", None, "BAR"], {"foo", "bar"}),
        ([], set()),
        (5, {"5"}),
        (DESK, {str(DESK)}),
        ({"a": "b"}, set()),
        ([["nested"], {"a": "b"}], set()),
    ],
)
def test_text_fields(name: str, value: Any, expected: set[str]) -> None:
    """Text is read trimmed and folded; null, dicts and nested lists are no text.

    Routing contract 4.3.
    """
    assert expected == keys(name, {name: value})


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_empty_item(name: str) -> None:
    """An item without the field has no keys, and an unset flag is false."""
    expected = {False} if name in {"sms", "embargo", "featuremedia"} else set()

    assert expected == keys(name, {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AT&T wins", "at&t wins"),
        ("a < b", "a < b"),
        ("<b>TEST</b>", "test"),
        ("  <b> Foo</b> bar  ", "foo bar"),
        ("AT&amp;T", "at&t"),
        ("5 <i>unclosed", "5 <i>unclosed"),
        ("a&nbsp;b", "a b"),
        ("a\u00a0 \n\tb", "a b"),
        ("<p>one</p><p>two</p>", "one two"),
        ("Cafe\u0301", "caf\u00e9"),
        ("Stra\u00dfe", "strasse"),
        ("</text><text>", "</text><text>"),
        ("<!-- hidden -->shown", "shown"),
        ("Profit <\u00a31m, loss >\u00a32m", "profit <\u00a31m, loss >\u00a32m"),
        ("\ud800 <b>lone</b>", "lone"),
    ],
)
def test_markup_in_plain_fields(text: str, expected: str) -> None:
    """A line means itself, or what its markup says (routing contract 4.3)."""
    assert {expected} == keys("headline", {"headline": text})


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>hello <b>world</b></p>", "hello world"),
        ("hello <b>world</b>", "hello world"),
        ("<p>AT&T</p>", "at&t"),
        ("<p>a&nbsp;b</p>", "a b"),
        ("<p>We know the</p><p>rapist</p>", "we know the rapist"),
        ("<ul><li>one</li><li>two</li></ul>", "one two"),
        ("one<br>two<br/>three", "one two three"),
        ("<table><tr><td>one</td><td>two</td></tr></table>", "one two"),
        ("th<b>era</b>pist", "therapist"),
        ("<p>cafe\u0301</p>", "caf\u00e9"),
        ("<p>a</p><script>secret</script><p>b</p>", "a b"),
        ("<p>unclosed <b>tag", "unclosed tag"),
        ("  no markup ", "no markup"),
    ],
)
def test_html(html: str, expected: str) -> None:
    """`body_html` is read as text, whatever its quality (routing contract 4.3)."""
    assert {expected} == keys("body_html", {"body_html": html})


@pytest.mark.parametrize("name", ["urgency", "priority"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, {3}),
        ("3", {3}),
        (" 3 ", {3}),
        (3.5, {3.5}),
        ("x", set()),
        ("", set()),
        (True, set()),
        (None, set()),
        ([1, "2", "x"], {1, 2}),
        ("9" * 5000, set()),
    ],
)
def test_number_fields(name: str, value: Any, expected: set[float]) -> None:
    """Numbers count, and texts that spell one; nothing else does."""
    assert expected == keys(name, {name: value})


@pytest.mark.parametrize("name", ["anpa_category", "genre", "subject", "place"])
@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([{"qcode": "A"}, {"qcode": " b "}], {"a", "b"}),
        ([{"qcode": 4}], {"4"}),
        ([{"name": "no code"}, {"qcode": "a"}], {"a"}),
        ([{"qcode": None}], set()),
        ([None, "a", 7], set()),
        ([], set()),
        (None, set()),
        ("a", set()),
        ({"qcode": "a"}, set()),
    ],
)
def test_code_fields(name: str, entries: Any, expected: set[str]) -> None:
    """Entries without a `qcode` are skipped (routing contract 4.3)."""
    assert expected == keys(name, {name: entries})


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ({"desk": DESK, "stage": DESK}, {str(DESK)}),
        ({"desk": str(DESK), "stage": str(DESK)}, {str(DESK)}),
        ({"desk": None, "stage": None}, set()),
        ({}, set()),
        (None, set()),
    ],
)
@pytest.mark.parametrize("name", ["desk", "stage"])
def test_desk_and_stage(name: str, task: Any, expected: set[str]) -> None:
    """Desk and stage are read as the text of their ids."""
    assert expected == keys(name, {"task": task})


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"marked_for_sms": True}, True),
        ({"marked_for_sms": False}, False),
        ({}, False),
        (None, False),
    ],
)
def test_sms(flags: Any, expected: bool) -> None:
    """An item is marked for SMS or not."""
    assert {expected} == keys("sms", {"flags": flags})


FUTURE, PAST = NOW + timedelta(hours=1), NOW - timedelta(hours=1)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, False),
        ({"embargo": None, "schedule_settings": {"utc_embargo": FUTURE}}, False),
        ({"embargo": PAST, "schedule_settings": {"utc_embargo": FUTURE}}, True),
        ({"embargo": FUTURE, "schedule_settings": {"utc_embargo": PAST}}, False),
        ({"embargo": FUTURE, "schedule_settings": {"utc_embargo": NOW}}, False),
        ({"embargo": FUTURE, "schedule_settings": None}, True),
        ({"embargo": PAST}, False),
        ({"embargo": FUTURE.replace(tzinfo=None)}, True),
        ({"embargo": "2025-01-15T13:00:00+0000"}, True),
        ({"embargo": "2025-01-15T11:00:00+0000"}, False),
        ({"embargo": "soon"}, True),
        ({"embargo": 5}, True),
    ],
)
def test_embargo(item: dict[str, Any], expected: bool) -> None:
    """An embargo is in force before `utc_embargo`, and when its end cannot be read."""
    assert {expected} == keys("embargo", item)


@pytest.mark.parametrize(
    ("associations", "expected"),
    [
        ({"featuremedia": {"_id": "m1"}}, True),
        ({"featuremedia": {}}, False),
        ({"featuremedia": None}, False),
        ({"other": {"_id": "m1"}}, False),
        (None, False),
    ],
)
def test_featuremedia(associations: Any, expected: bool) -> None:
    """There is a feature media when the association has an id."""
    assert {expected} == keys("featuremedia", {"associations": associations})


@pytest.mark.parametrize(
    ("name", "item", "expected"),
    [
        ("languages", {"language": "EN"}, {"en"}),
        ("languages", {"language": None}, set()),
        ("note", {"extra": {"note": "Foo"}}, {"foo"}),
        ("note", {"extra": {"note": None}}, set()),
        ("note", {"extra": None}, set()),
        ("note", {"note": "Foo"}, set()),
        ("colour", {"subject": [{"qcode": "red", "scheme": "colour"}]}, {"red"}),
        (
            "colour",
            {"subject": [{"qcode": "red", "scheme": "colour"}, {"qcode": "x", "scheme": "y"}]},
            {"red"},
        ),
        ("colour", {"subject": [{"qcode": "red"}]}, set()),
        ("colour", {"subject": None}, set()),
    ],
)
def test_vocabularies(name: str, item: dict[str, Any], expected: set[str]) -> None:
    """Vocabularies are read under `extra`, or from `subject` by scheme (routing contract 4.3)."""
    assert expected == keys(name, item)


def test_subject_reads_every_scheme() -> None:
    """The field `subject` holds the codes of all schemes."""
    item = {"subject": [{"qcode": "red", "scheme": "colour"}, {"qcode": "01000000"}]}

    assert {"red", "01000000"} == keys("subject", item)


def test_vocabulary_kinds() -> None:
    """Manageable vocabularies without a field type, or of text, may be fields.

    Routing contract 4.1.
    """
    vocabularies = [
        {"_id": "codes", "type": "manageable"},
        {"_id": "null", "type": "manageable", "field_type": None},
        {"_id": "text", "type": "manageable", "field_type": "text"},
        {"_id": "date", "type": "manageable", "field_type": "date"},
        {"_id": "fixed", "type": "unmanageable"},
        {"_id": "untyped"},
        {"_id": "gone", "type": "manageable", "_deleted": True},
    ]

    assert vocabulary_kinds(vocabularies) == {
        "codes": VocabularyKind.CODES,
        "null": VocabularyKind.CODES,
        "text": VocabularyKind.TEXT,
    }


def test_a_builtin_field_wins_over_a_vocabulary() -> None:
    """A vocabulary named like a built-in field does not hide it."""
    assert FIELDS["genre"] is find_field("genre", {"genre": VocabularyKind.TEXT})


def test_a_field_is_read_once() -> None:
    """Conditions on one field share what was read."""
    reads = []

    def read(view: ItemView) -> frozenset[str]:
        reads.append(view)
        return frozenset({"a"})

    view = ItemView({}, NOW)
    counted = ItemField("counted", FIELDS["headline"].kind, read)

    assert view.keys(counted) is view.keys(counted)
    assert [view] == reads


def test_computed_remembers_falsy_answers() -> None:
    """An answer is computed once even if it is None."""
    calls = []

    def build(view: ItemView) -> None:
        calls.append(view)

    view = ItemView({}, NOW)
    view.computed("key", build)
    view.computed("key", build)

    assert [view] == calls
