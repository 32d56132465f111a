"""Messages for editors."""

from typing import Any

import pytest

from apps.validate.messages import build_messages, needs_vocabularies, without_skipped

VOCABULARIES = [
    {"_id": "categories", "display_name": "ANPA Category"},
    {"_id": "topics", "display_name": "Topic", "schema_field": "subject"},
    {"_id": "keywords", "display_name": "Search words"},
    {"_id": "town", "display_name": "Home town"},
    {"_id": "nameless"},
]


@pytest.mark.parametrize(
    ("field", "error", "message"),
    [
        ("headline", "required field", "HEADLINE is a required field"),
        ("headline", "is a required field", "HEADLINE is a required field"),
        ("dateline", {"located": "required field"}, "DATELINE is a required field"),
        ("headline", ["min length is 2", "max length is 1"], "HEADLINE is a required field"),
        ("body_html", "required field", "BODY HTML is a required field"),
        ("body_html", "null value not allowed", "BODY_HTML is a required field"),
        ("body_html", "min length is 1", "BODY_HTML is a required field"),
        ("body_html", "min length is 10", "BODY HTML is too short"),
        ("body_html", "max length is 10", "BODY HTML is too long"),
        ("headline", "must be of string type", "HEADLINE must be of string type"),
        ("headline", "empty values not allowed", "HEADLINE empty values not allowed"),
        ("headline", "contains invalid characters", "HEADLINE contains invalid characters"),
        ("type", "unallowed value B", "TYPE unallowed value B"),
        ("anpa_category", "required field", "ANPA CATEGORY is a required field"),
        ("anpa_category", "max length is 1", "ANPA_CATEGORY is too long"),
        ("subject", "is a required field", "TOPIC is a required field"),
        ("keywords", "required field", "SEARCH WORDS is a required field"),
        ("keywords", "null value not allowed", "KEYWORDS is a required field"),
        ("keywords", "must be of list type", "KEYWORDS must be of list type"),
        ("nameless", "required field", "NAMELESS is a required field"),
        ("media's headline", "is a required field", "MEDIA'S HEADLINE is a required field"),
        ("media's headline", "max length is 5", "MEDIA'S HEADLINE is too long"),
        ("extra", "must be of dict type", "EXTRA must be of dict type"),
        ("alt_text", "required field", "ALT TEXT is a required field"),
        ("anpa_take_key", "required field", "TAKE KEY is a required field"),
        ("archive_description", "required field", "ARCHIVE DESCRIPTION is a required field"),
        ("body_footer", "required field", "BODY FOOTER is a required field"),
        ("company_codes", "required field", "COMPANY CODES is a required field"),
        ("copyrightholder", "required field", "COPYRIGHT HOLDER is a required field"),
        ("copyrightnotice", "required field", "COPYRIGHT NOTICE is a required field"),
        ("description_text", "required field", "DESCRIPTION is a required field"),
        ("ednote", "required field", "ED. NOTE is a required field"),
        ("feature_image", "required field", "FEATURE IMAGE is a required field"),
        ("feature_media", "required field", "FEATURE MEDIA is a required field"),
        ("ingest_provider", "required field", "INGEST PROVIDER is a required field"),
        ("media_description", "required field", "MEDIA DESCRIPTION is a required field"),
        ("publish_schedule", "required field", "SCHEDULED TIME is a required field"),
        ("relatedItems", "required field", "RELATED ITEMS is a required field"),
        ("sign_off", "required field", "SIGN OFF is a required field"),
        ("sms", "required field", "SMS is a required field"),
        ("sms_message", "required field", "SMS MESSAGE is a required field"),
        ("usageterms", "required field", "USAGE TERMS is a required field"),
    ],
)
def test_message(field: str, error: Any, message: str) -> None:
    """Each kind of error has its wording, each field its label."""
    assert build_messages({field: error}, VOCABULARIES) == [message]


@pytest.mark.parametrize(
    ("field", "error", "message"),
    [
        ("town", "required field", "Home town is a required field"),
        ("town", "is a required field", "Home town is a required field"),
        ("town", ["min length is 2", "max length is 1"], "Home town is a required field"),
        ("town", {"a": "required field"}, "Home town is a required field"),
        ("town", "field 'river' is required", "Home town is a required field"),
        ("town", "max length is 3", "Home town max length is 3"),
        ("town", "empty values not allowed", "Home town empty values not allowed"),
        ("nameless", "required field", "nameless is a required field"),
        ("gone", "required field", "gone is a required field"),
    ],
)
def test_message_of_a_custom_field(field: str, error: Any, message: str) -> None:
    """Custom fields are called by the name of their vocabulary, as it is written."""
    assert build_messages({"extra": {field: error}}, VOCABULARIES) == [message]


def test_messages_come_by_field_name() -> None:
    """The order is that of the fields, custom fields at `extra`."""
    errors: Any = {
        "slugline": "required field",
        "extra": {"b": "required field", "a": "required field"},
        "byline": "required field",
    }

    assert build_messages(errors, ()) == [
        "BYLINE is a required field",
        "a is a required field",
        "b is a required field",
        "SLUGLINE is a required field",
    ]


def test_subject_may_be_its_own_vocabulary() -> None:
    """Without a vocabulary that fills `subject`, the one of that id gives the name."""
    vocabularies = [{"_id": "subject", "display_name": "Subject matter"}]

    messages = build_messages({"subject": "required field"}, vocabularies)

    assert messages == ["SUBJECT MATTER is a required field"]


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ({}, False),
        ({"headline": "max length is 1"}, False),
        ({"headline": "null value not allowed"}, False),
        ({"headline": "required field"}, True),
        ({"dateline": {"located": "required field"}}, True),
        ({"extra": {"town": "max length is 1"}}, True),
    ],
)
def test_vocabularies_are_needed_for_names(errors: Any, expected: bool) -> None:
    """Only some messages name a vocabulary."""
    assert needs_vocabularies(errors) is expected


@pytest.mark.parametrize(
    ("act", "has_profile", "kept"),
    [
        ("publish", True, ["abstract", "body_html", "dateline", "headline", "slugline"]),
        ("correct", True, ["abstract", "body_html", "headline", "slugline"]),
        ("correct", False, ["abstract", "body_html", "headline", "slugline"]),
        ("kill", True, ["dateline", "slugline"]),
        ("kill", False, ["abstract", "body_html", "dateline", "headline", "slugline"]),
    ],
)
def test_skipped_fields(act: str, has_profile: bool, kept: list[str]) -> None:
    """Fields that an action cannot change do not hold it up."""
    fields = ["abstract", "body_html", "dateline", "headline", "slugline"]

    errors = without_skipped(dict.fromkeys(fields, "required field"), act, has_profile=has_profile)

    assert list(errors) == kept
