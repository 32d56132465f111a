"""Where each format has what an item is about, who made it, and whose it is."""

import json
from dataclasses import replace
from typing import Any

import pytest
from lxml import etree

from formatters import BUILT_IN
from formatters.feed import feed_entry
from tests.support.format_items import CONTEXT, NOW
from tests.support.format_schemas import CHECKS, G2

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
ITEM = {
    "_id": "urn:x:1",
    "guid": "urn:x:1",
    "type": "text",
    "headline": "Trams stop",
    "body_html": "<p>All of them.</p>",
    "state": "published",
    "pubstatus": "usable",
    "versioncreated": NOW,
    "firstcreated": "2024-12-31T10:00:00Z",
    "source": "Desk",
    "keywords": ["tram", "city", "tram"],
    "person": [{"name": "Ada Line", "qcode": "p-1", "scheme": "staff"}],
    "organisation": [{"name": "City Rail", "qcode": "o-1"}],
    "event": [{"name": "Tram Day"}],
    "object": [{"name": "Tram 7", "qcode": "http://e.org/objects/7"}],
    "authors": [
        {"name": "Joe Pen", "role": "writer"},
        {"name": "Eve Lens", "role": "photographer"},
        {"parent": "user1", "role": "writer"},
    ],
    "usageterms": "Not for sale",
    "copyrightholder": "Example Desk",
    "copyrightnotice": "(c) Example Desk",
    "expiry": NOW,
}
NAMES = ("Ada Line", "City Rail", "Tram Day", "Tram 7")


def written(name: str, **fields: Any) -> Any:
    """Return what a format makes of the item, checked by its schema: JSON or an element."""
    [part] = FORMATS[name]().format({**ITEM, **fields}, replace(CONTEXT, sequence_number=7))
    CHECKS[name](part)
    data = part.data
    return json.loads(data) if data.startswith(b"{") else etree.fromstring(data)


def test_what_it_is_about_in_nitf() -> None:
    found = written("nitf").find(".//identified-content")

    assert found is not None
    assert [(e.tag, e.get("value"), e.text) for e in found] == [
        ("person", "p-1", "Ada Line"),
        ("org", "o-1", "City Rail"),
        ("event", None, "Tram Day"),
        ("object.title", "http://e.org/objects/7", "Tram 7"),
    ]


def test_what_it_is_about_in_newsml_12() -> None:
    found = written("newsml12").iterfind(".//DescriptiveMetadata/Property")

    said = [(e.get("FormalName"), e.get("Value")) for e in found]
    kinds = ("Person", "Organisation", "Event", "Object")
    assert [each for each in said if each[0] in kinds] == list(zip(kinds, NAMES, strict=True))


def test_what_it_is_about_in_newsml_g2() -> None:
    """Each under its nature, by a code of its vocabulary or as a literal."""
    found = written("newsmlg2").iterfind(f".//{G2}contentMeta/{G2}subject")

    said = {
        e.findtext(f"{G2}name"): (e.get("type"), e.get("qcode") or e.get("literal")) for e in found
    }
    assert {name: said[name][0] for name in NAMES} == {
        "Ada Line": "cpnat:person",
        "City Rail": "cpnat:organisation",
        "Tram Day": "cpnat:event",
        "Tram 7": "cpnat:object",
    }
    assert said["Ada Line"][1].endswith(":p-1")


def test_what_it_is_about_in_json_ld() -> None:
    about = written("jsonld")["about"]

    assert [(e["@type"], e["name"]) for e in about] == [
        ("Person", "Ada Line"),
        ("Organization", "City Rail"),
        ("Thing", "Tram Day"),
        ("Thing", "Tram 7"),
    ]


def test_what_it_is_about_in_feeds() -> None:
    labels = [category.label for category in feed_entry(ITEM, CONTEXT).categories]

    assert labels == [*NAMES, "tram", "city"]


@pytest.mark.parametrize(
    ("name", "path", "attribute"),
    [
        ("nitf", ".//key-list/keyword", "key"),
        ("newsml12", ".//DescriptiveMetadata/Property[@FormalName='Keyword']", "Value"),
        ("newsmlg2", f".//{G2}keyword", None),
    ],
)
def test_keywords_stand_once(name: str, path: str, attribute: str | None) -> None:
    found = written(name).iterfind(path)

    assert [e.get(attribute) if attribute else e.text for e in found] == ["tram", "city"]


def test_what_is_named_twice_stands_once() -> None:
    """Also keywords that only differ in the white space around them."""
    twice = {"name": "Ada Line", "qcode": "p-1"}
    other = {"name": "Ada Line", "qcode": "p-2"}
    said = {"keywords": ["tram", "tram ", " ", "\ntram"], "person": [twice, other, dict(twice)]}

    nitf, linked = written("nitf", **said), written("jsonld", **said)

    assert ["p-1", "p-2"] == [e.get("value") for e in nitf.iter("person") if e.get("value")]
    assert ["tram"] == [e.get("key") for e in nitf.iter("keyword")] == linked["keywords"]
    assert 2 == sum(e["@type"] == "Person" for e in linked["about"])


def test_addresses_that_concepts_came_in_with_in_json_ld() -> None:
    entry = {"name": "Ada Line", "uri": "https://e.org/ada"}

    linked = written("jsonld", person=[entry], subject=[entry], place=[entry])

    assert {entry["uri"]} == {e.get("url") for e in linked["about"] if e["name"] == "Ada Line"}
    assert [entry["uri"]] == [place["sameAs"] for place in linked["contentLocation"]]


def test_authors_with_their_roles() -> None:
    """By the names of the vocabulary `job_titles`; a user by its display name."""
    authors = [("Joe Pen", "Writer"), ("Eve Lens", "photographer"), ("Jane Writer", "Writer")]

    nitf = [
        (e.findtext("person"), e.findtext("byttl"))
        for e in written("nitf").iterfind(".//body.head/byline")
    ]
    newsml = [
        (e.get("FormalName"), e.find("Property").get("Value"))
        for e in written("newsml12").iterfind(".//AdministrativeMetadata/Creator/Party")
    ]
    g2 = [
        (e.findtext(f"{G2}name"), str(e.get("role")).partition(":")[2])
        for e in written("newsmlg2").iterfind(f".//{G2}contentMeta/{G2}creator")
    ]

    assert nitf == newsml == g2 == authors


def test_rights_in_nitf() -> None:
    """Owner, notice and terms; the year is the content's, the expiry not the newsroom's."""
    root = written("nitf", extra={"expires": "2026-05-01T00:00:00Z"})

    rights = root.find(".//body.head/rights")
    assert rights is not None
    assert (rights.text, rights.findtext("rights.owner")) == ("(c) Example Desk", "Example Desk")
    assert rights.findtext("rights.limitations") == "Not for sale"
    assert root.findtext(".//body.head/distributor") == "Desk"
    assert root.find(".//doc.copyright").get("year") == "2024"
    assert root.find(".//doc.rights").get("limitations") == "Not for sale"
    assert root.find(".//date.expire").get("norm") == "20260501T000000Z"
    assert written("nitf").find(".//date.expire") is None


def test_the_year_of_the_content_in_newsml_12() -> None:
    assert written("newsml12").findtext(".//CopyrightDate") == "2024"


@pytest.mark.parametrize("name", ["newsml12", "newsmlg2", "jsonld", "ninjs3", "feed"])
def test_paragraphs_of_an_abstract_are_apart(name: str) -> None:
    """Where a format has it as text, no word is glued to another one."""
    abstract = "<p>The end</p><p>of trams.</p>"

    if name == "feed":
        told = feed_entry({**ITEM, "abstract": abstract}, CONTEXT).summary
    else:
        found = written(name, abstract=abstract)
        told = json.dumps(found) if isinstance(found, dict) else " ".join(found.itertext())

    assert "endof" not in told
    assert "of trams." in told
