"""The item as the rules look at it."""

from copy import deepcopy
from typing import Any

import pytest

from apps.validate.cerberus_rules import CompiledRules
from apps.validate.documents import prepare

FIELDS = {"town": {"type": "string", "maxlength": 9}, "day": {"type": "date"}}


def rules(**schema: Any) -> CompiledRules:
    return CompiledRules(schema, (), is_profile=False)


def profile(**schema: Any) -> CompiledRules:
    extra = {"type": "dict", "schema": FIELDS}
    return CompiledRules({**schema, "extra": extra}, tuple(FIELDS), is_profile=True)


@pytest.mark.parametrize("extra", [{}, {"extra": None}, {"extra": {}}])
def test_profiles_always_have_an_extra(extra: dict[str, Any]) -> None:
    """Required custom fields are missed also in items without any."""
    assert prepare(extra, profile())["extra"] == {}


def test_validators_add_no_extra() -> None:
    """Rules of validators take the item as it is."""
    assert prepare({"headline": "x"}, rules()) == {"headline": "x"}


def test_custom_fields_stored_as_subjects() -> None:
    """A subject whose scheme is a custom field counts as its value, by qcode."""
    subjects = [{"scheme": "town", "qcode": "Oslo"}, {"scheme": "topics", "qcode": "a"}]

    document = prepare({"subject": subjects, "extra": {"day": None}}, profile())

    assert document["extra"] == {"town": "Oslo", "day": None}


@pytest.mark.parametrize("subject", [None, "x", [None, "x", 7]])
@pytest.mark.parametrize("extra", ["x", [], 7])
def test_odd_values_are_left_to_the_rules(subject: Any, extra: Any) -> None:
    """Values of a wrong type reach the rule that refuses them."""
    item = {"subject": subject, "extra": extra, "associations": [], "flags": 7}

    assert prepare(item, profile(headline={"maxlength": 1})) == item


def test_subjects_without_scheme_have_a_null_one() -> None:
    """Nested rules that require `scheme` accept plain subjects."""
    document = prepare({"subject": [{"qcode": "a"}, {"qcode": "b", "scheme": "c"}]}, rules())

    assert document["subject"] == [{"qcode": "a", "scheme": None}, {"qcode": "b", "scheme": "c"}]


@pytest.mark.parametrize(
    ("rule", "text", "expected"),
    [
        ({"maxlength": 9}, "<p>a &amp; b</p>", "a & b"),
        ({"minlength": 2}, "<p></p>", ""),
        ({"minlength": 2, "required": True}, "<p></p>", ""),
        ({"maxlength": 9}, "<p></p>", ""),
        ({"maxlength": 9, "empty": False}, "<p></p>", "<p></p>"),
        ({"type": "string"}, "<p>a</p>", "<p>a</p>"),
        ({"maxlength": 9}, ["<p>a</p>"], ["<p>a</p>"]),
    ],
)
def test_measured_texts_are_plain(rule: dict[str, Any], text: Any, expected: Any) -> None:
    """Lengths are measured without markup; the rule `empty` still sees the editor's empty value."""
    assert prepare({"headline": text}, rules(headline=rule))["headline"] == expected


def test_measured_custom_fields_are_plain() -> None:
    """The same holds in `extra`."""
    assert prepare({"extra": {"town": "<p>Oslo</p>"}}, profile())["extra"] == {"town": "Oslo"}


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({"flags": {"marked_for_sms": True}, "sms_message": "<b>now</b>"}, "now"),
        ({"flags": {"marked_for_sms": True}}, ""),
        ({"flags": {"marked_for_sms": False}, "sms_message": "now"}, None),
        ({"flags": None, "sms_message": "now"}, None),
    ],
)
def test_sms(item: dict[str, Any], expected: str | None) -> None:
    """The SMS text of a marked item is checked as `sms`."""
    assert prepare(item, rules(sms={"maxlength": 9})).get("sms") == expected


PICTURE = {"type": "picture", "description_text": "Ships"}


@pytest.mark.parametrize(
    ("associations", "expected"),
    [
        ({"featuremedia": PICTURE}, {"feature_media": PICTURE, "media_description": "Ships"}),
        ({"featuremedia": {}}, {"feature_media": {}}),
        ({"featuremedia": None}, {}),
        ({"gallery": PICTURE}, {"gallery": PICTURE}),
        ({"gallery--1": None, "gallery--2": PICTURE}, {"gallery": PICTURE}),
        ({"gallery": None, "gallery--1": PICTURE}, {}),
        ({"gallery--1": None}, {}),
        ({"galleryX": PICTURE}, {}),
        ({"gallery": "x"}, {}),
        (None, {}),
    ],
)
def test_media_fields(associations: Any, expected: dict[str, Any]) -> None:
    """Media fields are looked for among the associations."""
    compiled = rules(feature_media={}, media_description={}, gallery={"type": "media"})

    document = prepare({"associations": associations}, compiled)

    assert document == {"associations": associations, **expected}


def test_the_item_stays_as_it_is() -> None:
    """Preparing works on a copy."""
    item = {
        "headline": "<p>x</p>",
        "subject": [{"qcode": "a"}, {"scheme": "town", "qcode": "Oslo"}],
        "extra": {"town": "<p>x</p>"},
        "associations": {"featuremedia": PICTURE},
    }
    before = deepcopy(item)

    prepare(item, profile(headline={"maxlength": 1}, feature_media={}))

    assert item == before
