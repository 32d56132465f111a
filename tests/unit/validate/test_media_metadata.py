"""Metadata of associated media."""

from typing import Any

import pytest

from apps.validate.documents import metadata_errors

REQUIRED = "is a required field"
RULES: dict[str, Any] = {
    "headline": {"required": True, "maxlength": 5},
    "alt_text": {"required": False, "maxlength": 3},
    "town": {"required": True},
    "keywords": {"maxlength": 1},
}
GOOD = {"type": "picture", "headline": "Ships", "extra": {"town": "Oslo"}}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"headline": "<p>Ships</p>"}, {}),
        ({"headline": None}, {"media's headline": REQUIRED}),
        ({"headline": ""}, {"media's headline": REQUIRED}),
        ({"headline": "<p></p>"}, {"media's headline": REQUIRED}),
        ({"headline": "Ships!"}, {"media's headline": "max length is 5"}),
        ({"alt_text": "long"}, {"media's alt_text": "max length is 3"}),
        ({"alt_text": None}, {}),
        ({"keywords": ["a", "b"]}, {"media's keywords": "max length is 1"}),
        ({"extra": None}, {"media's town": REQUIRED}),
        ({"headline": None, "type": "text"}, {}),
    ],
)
def test_rules(changes: dict[str, Any], expected: dict[str, Any]) -> None:
    """Required fields are filled and no text is too long; associated texts are not checked."""
    associations = {"featuremedia": {**GOOD, **changes}}

    assert metadata_errors(associations, lambda media: RULES) == expected


def test_every_association_is_checked() -> None:
    """Errors of all media come together, equal ones once."""
    associations = {
        "a": {**GOOD, "headline": None},
        "b": {**GOOD, "headline": None},
        "c": {**GOOD, "headline": "Too long"},
        "d": None,
        "e": "odd",
    }

    errors = metadata_errors(associations, lambda media: RULES)

    assert errors == {"media's headline": [REQUIRED, "max length is 5"]}


def test_each_has_its_own_rules() -> None:
    """Rules are chosen by the associated item."""
    associations = {"a": {"type": "picture"}, "b": {"type": "video"}}
    rules: dict[str, Any] = {"picture": {"headline": {"required": True}}, "video": {}}

    errors = metadata_errors(associations, lambda media: rules[media["type"]])

    assert errors == {"media's headline": REQUIRED}
