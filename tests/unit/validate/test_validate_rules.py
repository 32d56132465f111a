"""Choice of default rules and translation of stored rules for Cerberus."""

from typing import Any

import pytest

from apps.validate.rules import (
    InvalidRules,
    RuleSet,
    canonical,
    clean,
    clean_all,
    default_rules,
    may_have_custom_fields,
    translate,
)


def profile(**schema: Any) -> RuleSet:
    return RuleSet("content_types foo", schema, is_profile=True)


@pytest.mark.parametrize(
    ("stored", "cleaned"),
    [
        ({"type": "string", "maxlength": None}, {"type": "string"}),
        ({"required": True}, {"required": True, "empty": False}),
        ({"required": True, "minlength": 0}, {"required": True, "minlength": 0, "empty": False}),
        ({"required": True, "minlength": 2}, {"required": True, "minlength": 2}),
        ({"required": True, "empty": True}, {"required": True, "empty": True}),
        ({"required": False}, {"required": False}),
        ({"schema": {"a": None, "b": {"type": None}}}, {"schema": {"b": {}}}),
    ],
)
def test_clean(stored: dict[str, Any], cleaned: dict[str, Any]) -> None:
    """Nulls go, and what is required without a minimum length may not be empty."""
    assert clean("f", stored) == cleaned


def test_fields_without_rules_are_dropped() -> None:
    """A null or empty rule switches a field off."""
    assert clean_all({"a": None, "b": {}, "c": {"type": "list"}}) == {"c": {"type": "list"}}


def test_clean_leaves_the_stored_rules_alone() -> None:
    """Rules of settings are used again: cleaning works on a copy."""
    stored = {"required": True, "maxlength": None, "schema": {"a": None}}

    clean("f", stored)

    assert stored == {"required": True, "maxlength": None, "schema": {"a": None}}


@pytest.mark.parametrize("rules", ["string", ["required"], 7, True])
def test_rules_of_a_field_are_an_object(rules: Any) -> None:
    """Rules of another shape are refused by the name of their field."""
    with pytest.raises(InvalidRules, match="rules of headline must be an object"):
        clean("headline", rules)


def test_custom_fields_move_under_extra() -> None:
    """Rules named after a custom field apply to `extra`, with the type that the field has."""
    schema = {"town": {"required": True, "type": "text"}, "headline": {"type": "string"}}

    rules = translate(schema, {"town": "string"}, is_profile=True, marked_for_sms=False)

    town = {"type": "string", "required": True, "empty": False}
    assert rules == {
        "headline": {"type": "string"},
        "extra": {"type": "dict", "schema": {"town": town}},
    }


def test_rules_of_validators_know_no_extra() -> None:
    """Only profile-like rules look into `extra`."""
    schema = {"town": {"type": "string"}}

    assert translate(schema, {}, is_profile=False, marked_for_sms=False) == schema


@pytest.mark.parametrize(("is_profile", "kept"), [(True, {}), (False, {"allowed": ["a"]})])
def test_profiles_accept_retired_schemes(is_profile: bool, kept: dict[str, Any]) -> None:
    """`allowed` of a subject's scheme is ignored in profiles only."""
    schema = {"subject": {"schema": {"schema": {"scheme": {"type": "string", "allowed": ["a"]}}}}}

    rules = translate(schema, {}, is_profile=is_profile, marked_for_sms=False)

    assert rules["subject"]["schema"]["schema"]["scheme"] == {"type": "string", **kept}


@pytest.mark.parametrize("name", ["sms", "sms_message"])
@pytest.mark.parametrize("marked", [True, False])
def test_sms_rules_need_the_mark(name: str, marked: bool) -> None:
    """The SMS text is checked only for items that go out by SMS."""
    schema = {"headline": {"type": "string"}, name: {"maxlength": 160}}

    rules = translate(schema, {}, is_profile=False, marked_for_sms=marked)

    assert set(rules) == ({"headline", name} if marked else {"headline"})


@pytest.mark.parametrize("item_type", ["text", "preformatted"])
def test_default_text_rules(item_type: str) -> None:
    """Texts need a headline of at most 64 characters; nothing else is required."""
    rules = default_rules(item_type)

    assert rules is not None
    assert [name for name, rule in rules.schema.items() if rule.get("required")] == ["headline"]
    limits = {name: rule["maxlength"] for name, rule in rules.schema.items() if "maxlength" in rule}
    assert limits == {"headline": 64, "slugline": 24, "abstract": 160}


@pytest.mark.parametrize("item_type", ["picture", "video", "audio", "graphic", "composite"])
def test_default_media_rules(item_type: str) -> None:
    """Media and packages have no body and need no headline."""
    text, media = default_rules("text"), default_rules(item_type)

    assert text is not None
    assert media is not None
    assert set(text.schema) - set(media.schema) == {"body_html", "body_footer"}
    assert not any(rule.get("required") for rule in media.schema.values())


@pytest.mark.parametrize("item_type", ["event", "unheard-of", None])
def test_other_types_have_no_default_rules(item_type: str | None) -> None:
    """An unknown type is never refused."""
    assert default_rules(item_type) is None


@pytest.mark.parametrize(
    ("rule_set", "expected"),
    [
        (profile(headline={}, alt_text={}, relatedItems={}), False),
        (profile(headline={}, town={}), True),
        (RuleSet("validators v", {"town": {}}, is_profile=False), False),
        (default_rules("text"), False),
    ],
)
def test_vocabularies_are_needed_for_unknown_names(rule_set: RuleSet, expected: bool) -> None:
    """Only a profile with other than standard fields can have custom ones."""
    assert may_have_custom_fields(rule_set) is expected


def test_canonical_content_tells_rules_apart() -> None:
    """All that changes the verdict changes the key under which rules are kept."""
    field = {"_id": "town", "field_type": "text"}
    keys = [
        canonical(profile(town={"required": True}), (), marked_for_sms=False),
        canonical(profile(town={"required": 1}), (), marked_for_sms=False),
        canonical(profile(town={"required": True}), (), marked_for_sms=True),
        canonical(profile(town={"required": True}), (field,), marked_for_sms=False),
    ]

    assert len(set(keys)) == len(keys)


def test_canonical_content_ignores_unrelated_vocabularies() -> None:
    """A new vocabulary that no rule names leaves compiled rules valid."""
    rules = profile(town={"required": True})
    other = {"_id": "river", "field_type": "text"}

    assert canonical(rules, (other,), marked_for_sms=False) == canonical(
        rules, (), marked_for_sms=False
    )


def test_hidden_fields_have_no_rules() -> None:
    """A profile loses `languages` and what its vocabulary does not show."""
    hidden = {"_id": "town", "selection_type": "do not show"}
    rules = profile(town={"required": True}, languages={"required": True})

    assert canonical(rules, (hidden,), marked_for_sms=False) == canonical(
        profile(), (), marked_for_sms=False
    )


@pytest.mark.parametrize("schema", [{1: {}}, {"f": {"allowed": {1, 2}}}, {"f": {"max": 2**70}}])
def test_rules_that_no_document_can_hold(schema: Any) -> None:
    """Settings may hold what a document cannot; that is an error of rules, not a crash."""
    with pytest.raises(InvalidRules):
        canonical(RuleSet("setting", schema, is_profile=True), (), marked_for_sms=False)
