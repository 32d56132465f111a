"""Formats derived from ninjs, and imatrics; numbers are the scenarios of the formats contract."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from formatters.base import Formatter
from formatters.imatrics import IMatricsFormatter
from formatters.ninjs import (
    FTPNinjsFormatter,
    NewsroomNinjsFormatter,
    NINJS2Formatter,
    media_file_name,
)
from tests.shared_files import shared, shared_names
from tests.support.reference_formats import CONTEXT, escaped_captions, reference

INPUTS = "schemas/reference-output/inputs"
OUTPUTS = "schemas/reference-output"
FTP = {"associated_path": "/pictures", "include_original": True}
PRODUCTS = [{"code": 1, "name": "p-1"}]
FAMILY = {
    "ninjs2": (NINJS2Formatter, CONTEXT),
    "newsroom_ninjs": (NewsroomNinjsFormatter, replace(CONTEXT, products=PRODUCTS)),
    "ftp_ninjs": (FTPNinjsFormatter, replace(CONTEXT, config=FTP)),
}
STORY = {"_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}


def written(formatter: type[Formatter], item: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    [formatted] = formatter().format(item, replace(CONTEXT, **context))
    document: dict[str, Any] = json.loads(formatted.body)
    return document


@pytest.mark.parametrize("folder", sorted(FAMILY))
@pytest.mark.parametrize("name", shared_names(INPUTS, "*.json"))
def test_same_as_reference(folder: str, name: str) -> None:
    """Every key of every reference output of the family, but for escaped captions."""
    formatter, context = FAMILY[folder]
    file = shared(f"{OUTPUTS}/{folder}/{name}")

    [formatted] = formatter().format(reference(f"{INPUTS}/{name}"), context)

    assert escaped_captions(json.loads(file.read_text("utf-8"))) == json.loads(str(formatted.body))


@pytest.mark.parametrize("folder", sorted(FAMILY))
@pytest.mark.parametrize("name", shared_names(INPUTS, "*.json"))
def test_valid(folder: str, name: str) -> None:
    """12: outputs of the whole family are valid by its schema."""
    file = shared("schemas/superdesk-ninjs/superdesk-ninjs.schema.json")
    formatter, context = FAMILY[folder]

    [formatted] = formatter().format(reference(f"{INPUTS}/{name}"), context)

    schema = Draft202012Validator(json.loads(file.read_text("utf-8")))
    schema.validate(json.loads(str(formatted.body)))


class TestNINJS2:
    def test_version_counts_corrections(self) -> None:
        """23: the version is the correction sequence; updates say what they update."""
        item = {**STORY, "correction_sequence": 2, "rewrite_of": "urn:x:0", "rewrite_sequence": 1}

        document = written(NINJS2Formatter, item)

        assert ("2", "urn:x:0", 1) == (
            document["version"],
            document["rewrite_of"],
            document["rewrite_sequence"],
        )

    @pytest.mark.parametrize("sequence", [{}, {"correction_sequence": None}])
    def test_first_version_is_1(self, sequence: dict[str, Any]) -> None:
        """A story that was never corrected is version 1."""
        assert "1" == written(NINJS2Formatter, {**STORY, **sequence})["version"]


class TestNewsroom:
    def test_keeps_the_id_of_the_ingest(self) -> None:
        """24: what was published automatically goes out under its ingest id and version."""
        item = {**STORY, "auto_publish": True, "ingest_id": "in:1", "ingest_version": "7"}

        document = written(NewsroomNinjsFormatter, item)

        assert ("in:1", "7", []) == (document["guid"], document["version"], document["products"])

    def test_lists_matching_products(self) -> None:
        """24: products are those that the item matches."""
        assert PRODUCTS == written(NewsroomNinjsFormatter, STORY, products=PRODUCTS)["products"]


class TestFTP:
    @pytest.mark.parametrize(
        ("path", "href"),
        [
            ("/pictures", "pictures/media1.jpg"),
            ("pictures/", "pictures/media1.jpg"),
            (None, "media1.jpg"),
            ("", "media1.jpg"),
        ],
    )
    def test_links_to_the_file(self, path: str | None, href: str) -> None:
        """25: an address is the directory and the file; no directory is no failure."""
        rendition = {"href": "x", "media": "media1", "mimetype": "image/jpeg"}
        item = {**STORY, "type": "picture", "renditions": {"original": rendition}}
        config = {"associated_path": path, "include_original": True}

        document = written(FTPNinjsFormatter, item, config=config)

        assert href == document["renditions"]["original"]["href"]

    @pytest.mark.parametrize(
        ("media", "mimetype", "name"),
        [
            ("a/b", "image/jpeg", "a-b.jpg"),
            ("a.png", "image/jpeg", "a.png"),
            ("a", "audio/mpeg", "a.mp3"),
            ("a", "audio/flac", "a.flac"),
            ("a", "unknown/type", "a"),
            ("a", None, "a"),
        ],
    )
    def test_names_files(self, media: str, mimetype: str | None, name: str) -> None:
        """Slashes become hyphens; an extension comes from the media type where there is none."""
        assert name == media_file_name({"media": media, "mimetype": mimetype})


class TestIMatrics:
    @pytest.mark.parametrize("name", shared_names(f"{OUTPUTS}/imatrics", "*.json"))
    def test_same_as_reference(self, name: str) -> None:
        """The reference output, but for its faults in status, headline and line breaks."""
        expected = json.loads(shared(f"{OUTPUTS}/imatrics/{name}").read_text("utf-8"))
        item = reference(f"{INPUTS}/{name}")
        expected["pubStatus"] = item["pubstatus"] == "usable"
        expected["headline"] = item["headline"]
        actual = written(IMatricsFormatter, item)

        assert "".join(expected.pop("body")) == "".join(actual.pop("body"))
        assert expected == actual

    def test_a_killed_item_is_not_usable(self) -> None:
        """41: canceled is false; a missing publication time falls back to the version's."""
        item = {**STORY, "pubstatus": "canceled", "versioncreated": "2026-03-04"}

        document = written(IMatricsFormatter, item)

        assert (False, "2026-03-04") == (document["pubStatus"], document["publicationTimestamp"])
