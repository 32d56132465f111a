"""Names of fields in the language of the user (lifecycle contract 4.5)."""

import json
from pathlib import Path

import pytest

from apps.archive.schema import ITEM_SCHEMA
from apps.validate.messages import (
    LABELS,
    OWN_CATALOGUES,
    Labels,
    build_messages,
    catalogue,
    fallbacks,
)

TOWN = {
    "_id": "town",
    "display_name": "Town",
    "field_type": "text",
    "translations": {"display_name": {"de": "Stadt", "pt_BR": "Cidade", "fr": ""}},
}


@pytest.mark.parametrize(
    ("language", "tried"),
    [
        ("de", ("de",)),
        ("de-AT", ("de-at", "de")),
        ("zh_Hant_TW", ("zh-hant-tw", "zh-hant", "zh")),
        ("", ()),
        (None, ()),
        ("../../etc/passwd", ("../../etc/passwd",)),
    ],
)
def test_a_region_falls_back_to_its_language(language: str | None, tried: tuple[str, ...]) -> None:
    """Case and separator do not matter; nothing is no language."""
    assert fallbacks(language) == tried


@pytest.mark.parametrize(
    ("language", "messages"),
    [
        (None, ["BODY HTML is too short", "HEADLINE is a required field"]),
        ("de", ["TEXT is too short", "ÜBERSCHRIFT is a required field"]),
        ("de_CH", ["TEXT is too short", "ÜBERSCHRIFT is a required field"]),
        ("tlh", ["BODY HTML is too short", "HEADLINE is a required field"]),
        ("../de", ["BODY HTML is too short", "HEADLINE is a required field"]),
    ],
)
def test_messages_name_fields_in_the_language(language: str | None, messages: list[str]) -> None:
    """The rest of the message is as ever."""
    errors = {"headline": "required field", "body_html": "min length is 5"}

    assert build_messages(errors, (), Labels(language)) == messages


def test_raw_names_stay(tmp_path: Path) -> None:
    """Where messages name the field itself, there is no label to translate."""
    errors = {"headline": "null value not allowed"}
    assert build_messages(errors, (), Labels("de")) == ["HEADLINE is a required field"]


@pytest.mark.parametrize(
    ("language", "name"),
    [("de", "Stadt"), ("pt-BR", "Cidade"), ("pt", "Town"), ("fr", "Town"), (None, "Town")],
)
def test_vocabularies_bring_their_own_names(language: str | None, name: str) -> None:
    """In `extra` as it is, for other fields in capitals."""
    labels = Labels(language)
    assert build_messages({"extra": {"town": "required field"}}, [TOWN], labels) == [
        f"{name} is a required field"
    ]
    assert build_messages({"town": "required field"}, [TOWN], labels) == [
        f"{name.upper()} is a required field"
    ]


@pytest.mark.parametrize(
    "translations", [None, "de", {"display_name": "x"}, {"display_name": None}]
)
def test_odd_translations_are_none(translations: object) -> None:
    odd = {**TOWN, "translations": translations}
    assert Labels("de").of_vocabulary("town", [odd]) == "Town"


def test_a_site_adds_and_changes_labels(tmp_path: Path) -> None:
    """A language of its own, and one label of a language that comes along."""
    (tmp_path / "fr.json").write_text(json.dumps({"headline": "Titre"}))
    (tmp_path / "de.json").write_text(json.dumps({"headline": "Titelzeile"}))
    site = str(tmp_path)

    assert Labels("fr-CA", site).of("headline") == "Titre"
    assert Labels("de", site).of("headline") == "Titelzeile"
    assert Labels("de", site).of("slugline") == "Stichwort"


@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_broken_catalogue_leaves_the_usual_labels(tmp_path: Path, content: str) -> None:
    (tmp_path / "sv.json").write_text(content)
    assert Labels("sv", str(tmp_path)).of("ednote") == LABELS["ednote"]


@pytest.mark.parametrize("file", sorted(OWN_CATALOGUES.glob("*.json")), ids=lambda f: f.stem)
def test_catalogues_translate_every_label_and_name_no_other_field(file: Path) -> None:
    """What has a label of its own is translated; what no item has is not."""
    labels = catalogue(file.stem)
    others = {
        "feature_image",
        "feature_media",
        "media_description",
        "relatedItems",
        "sms",
        "footer",
    }
    assert LABELS.keys() <= labels.keys() <= ITEM_SCHEMA.keys() | LABELS.keys() | others
