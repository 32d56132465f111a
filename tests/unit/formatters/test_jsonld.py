"""schema.org in JSON-LD (formats contract 8 row 3)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from formatters.jsonld import JSONLDFormatter
from tests.support.format_items import CONTEXT, EXAMPLES, example_item
from tests.support.format_schemas import check_json_ld, loaded

STORY = {"_id": "urn:x:1", "guid": "urn:x:1", "type": "text", "headline": "h"}
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


def written(item: Mapping[str, Any], **context: Any) -> dict[str, Any]:
    [formatted] = JSONLDFormatter().format(item, replace(CONTEXT, **context))
    check_json_ld(formatted)
    return loaded(formatted)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "text-embargo"])
def test_example_items(name: str) -> None:
    """Every input has only known properties, with headline, publisher and a time.

    Formats scenario 47.
    """
    item = example_item(name)

    document = written(item)

    assert item["headline"] == document["headline"]
    assert document["datePublished"].startswith("2026-03-03T23:2")
    assert "Example News" == document["publisher"]["name"]
    assert (item["state"] == "corrected") is ("correction" in document)


def test_a_correction_has_its_comment() -> None:
    """Formats scenario 47: the editor's note says what was corrected."""
    document = written({**STORY, "state": "corrected", "ednote": "Corrects the name"})

    assert "CorrectionComment" == document["correction"]["@type"]
    assert "Corrects the name" == document["correction"]["text"]


def test_trust_data() -> None:
    """Formats scenario 47: where the content comes from, and how it came about."""
    document = written(
        {**STORY, "source": "AAP", "extra": {"digitalsourcetype": CAPTURE}, "pubstatus": "canceled"}
    )

    assert {"@type": "Organization", "name": "AAP"} == document["sourceOrganization"]
    assert CAPTURE == document["digitalSourceType"]
    assert "canceled" == document["creativeWorkStatus"]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("text", "NewsArticle"),
        ("preformatted", "NewsArticle"),
        ("picture", "ImageObject"),
        ("graphic", "ImageObject"),
        ("video", "VideoObject"),
        ("audio", "AudioObject"),
        ("composite", "Collection"),
    ],
)
def test_types(kind: str, name: str) -> None:
    """Formats scenario 47: each item type is a type of the vocabulary."""
    assert name == written({**STORY, "type": kind})["@type"]


def test_media_stand_with_their_story() -> None:
    """Formats scenario 47: a picture of a story is its image, with its caption and its file."""
    original = {"href": "https://e.org/o.jpg", "mimetype": "image/jpeg", "width": 4, "height": 3}
    picture = {
        "guid": "urn:x:2",
        "type": "picture",
        "description_text": "Caption",
        "renditions": {"original": original},
    }

    [image] = written({**STORY, "associations": {"featuremedia": picture}})["image"]

    assert ("Caption", "https://e.org/o.jpg", 4) == (
        image["description"],
        image["contentUrl"],
        image["width"],
    )


def test_a_picture_says_whose_it_is() -> None:
    """Notice, holder, credit, maker and terms, as search engines read them; a caption is text."""
    picture = {
        "guid": "urn:x:2",
        "type": "picture",
        "description_text": "The <sign> & more",
        "byline": "Eve Lens",
        "creditline": "Example/Agency",
        "copyrightholder": "Eve",
        "copyrightnotice": "(c) Eve",
        "usageterms": "https://e.org/terms",
    }

    [image] = written({**STORY, "associations": {"gallery--3": picture}})["image"]

    assert image["description"] == "The <sign> & more"
    assert (image["creditText"], image["copyrightNotice"]) == ("Example/Agency", "(c) Eve")
    assert image["creator"] == [{"@type": "Person", "name": "Eve Lens"}]
    assert image["copyrightHolder"]["name"] == "Eve"
    assert image["license"] == image["usageInfo"] == "https://e.org/terms"


@pytest.mark.parametrize("key", ["linkedRights", "linkedrights"])
def test_rights_that_an_agency_links_to(key: str) -> None:
    """The link of `rightsInfo` is the license; what is no address is none."""
    for link, found in (("https://e.org/odrl", "https://e.org/odrl"), ("by mail", None)):
        story = {**STORY, "extra": {"rightsinfo": {key: link}}, "creditline": "Agency"}
        document = written(story)
        assert (document.get("license"), document["creditText"]) == (found, "Agency")


def test_who_made_it_and_where() -> None:
    document = written(
        {
            **STORY,
            "authors": [{"name": "Ada Line", "role": "writer"}, {"name": "Joe", "role": "editor"}],
            "source": "Desk",
            "original_source": "Agency",
            "dateline": {"located": {"city": "Perth", "state": "WA", "country_code": "AU"}},
        }
    )

    assert [(a["name"], a["jobTitle"]) for a in document["author"]] == [
        ("Ada Line", "Writer"),
        ("Joe", "editor"),
    ]
    assert document["sourceOrganization"]["name"] == "Agency"
    assert document["provider"]["name"] == "Desk"
    address = document["locationCreated"]["address"]
    assert (address["addressLocality"], address["addressCountry"]) == ("Perth", "AU")


def test_may_stand_in_a_page() -> None:
    """A script element that holds the output is not closed by it."""
    [formatted] = JSONLDFormatter().format({**STORY, "headline": "</script><b>"}, CONTEXT)

    assert "</" not in str(formatted.body)
    assert "</script><b>" == loaded(formatted)["headline"]
