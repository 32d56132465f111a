"""Formats derived from ninjs, and imatrics (formats contract 3.2, 3.3, 3.4, 3.9)."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from apps.core.media_files import media_file_name
from formatters.base import Formatter
from formatters.imatrics import IMatricsFormatter
from formatters.ninjs import (
    FTPNinjsFormatter,
    NewsroomNinjsFormatter,
    NINJS2Formatter,
)
from tests.support.format_items import CONTEXT, EXAMPLES, changed, example_item, expected
from tests.support.format_schemas import superdesk_schema

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


@pytest.mark.parametrize("member", sorted(FAMILY))
@pytest.mark.parametrize("name", EXAMPLES)
def test_differs_from_ninjs(member: str, name: str) -> None:
    """Each format of the family has the keys and values of `ninjs`, but for its own."""
    formatter, context = FAMILY[member]

    [formatted] = formatter().format(example_item(name), context)

    assert changed(member, name, expected("ninjs", name)) == json.loads(str(formatted.body))


@pytest.mark.parametrize("member", sorted(FAMILY))
@pytest.mark.parametrize("name", EXAMPLES)
def test_valid(member: str, name: str) -> None:
    """Formats scenario 12: outputs of the whole family are valid by its schema."""
    formatter, context = FAMILY[member]

    [formatted] = formatter().format(example_item(name), context)

    superdesk_schema().validate(json.loads(str(formatted.body)))


class TestNINJS2:
    def test_version_counts_corrections(self) -> None:
        """The version is the correction sequence; updates say what they update.

        Formats scenario 23.
        """
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
        """What was published automatically goes out under its ingest id and version.

        Formats scenario 24.
        """
        item = {**STORY, "auto_publish": True, "ingest_id": "in:1", "ingest_version": "7"}

        document = written(NewsroomNinjsFormatter, item)

        assert ("in:1", "7", []) == (document["guid"], document["version"], document["products"])

    def test_lists_matching_products(self) -> None:
        """Formats scenario 24: products are those that the item matches."""
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
        """An address is the directory and the file; no directory is no failure.

        Formats scenario 25.
        """
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
    @pytest.mark.parametrize("name", [name for name in EXAMPLES if name.startswith("text")])
    def test_keys_and_values(self, name: str) -> None:
        """A story goes out in paragraphs, with its times and the names of its authors."""
        assert expected("imatrics", name) == written(IMatricsFormatter, example_item(name))

    def test_a_killed_item_is_not_usable(self) -> None:
        """Canceled is false; a missing publication time falls back to the version's.

        Formats scenario 41.
        """
        item = {**STORY, "pubstatus": "canceled", "versioncreated": "2026-03-04"}

        document = written(IMatricsFormatter, item)

        assert (False, "2026-03-04") == (document["pubStatus"], document["publicationTimestamp"])
