"""Feeds apart from what is in them (formats contract 8 row 4)."""

import json
from dataclasses import replace
from typing import Any

import feedparser
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from formatters.atom import atom_feed
from formatters.feed import ENTRY_TYPES, FeedEntry, feed_entry
from formatters.json_feed import json_feed
from formatters.rss import rss_feed
from tests.support.feeds import ATOM, FEED, TOMBSTONES, assert_valid_feed
from tests.support.format_items import CONTEXT, EXAMPLES, example_item

WRITERS = {"atom": atom_feed, "rss": rss_feed, "json": json_feed}
NAMES = {"a": ATOM, "at": TOMBSTONES, "m": "http://search.yahoo.com/mrss/"}


def entry(name: str) -> FeedEntry | None:
    item = example_item(name)
    return feed_entry(item, CONTEXT) if item["type"] in ENTRY_TYPES else None


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_input_is_valid(kind: str, name: str) -> None:
    """Atom, RSS and JSON Feed of every input but packages, valid and readable.

    Formats scenario 48.
    """
    found = entry(name)
    assert_valid_feed(kind, WRITERS[kind](FEED, [found] if found else []))


def test_withdrawn_items() -> None:
    """Formats scenario 48: a killed item is gone from RSS and JSON Feed; Atom keeps a tombstone."""
    killed = entry("text-killed")
    assert killed
    assert killed.is_withdrawn
    assert [] == json.loads(json_feed(FEED, [killed]))["items"]
    assert [] == feedparser.parse(rss_feed(FEED, [killed]))["entries"]
    root = etree.fromstring(atom_feed(FEED, [killed]))
    assert [killed.uri] == [e.get("ref") for e in root.findall("at:deleted-entry", NAMES)]
    assert [] == root.findall("a:entry", NAMES)


@pytest.mark.parametrize("kind", ["atom", "rss"])
def test_pictures(kind: str) -> None:
    """Media RSS: the original with its size, caption and credit, and a thumbnail."""
    renditions = {
        "thumbnail": {"href": "https://example.com/t.jpg"},
        "original": {
            "href": "https://example.com/o.jpg",
            "mimetype": "image/jpeg",
            "width": 800,
            "height": "600",
        },
        "local": {"href": "/upload-raw/x"},
    }
    picture = {
        "guid": "urn:p",
        "type": "picture",
        "headline": "Flood",
        "description_text": "A & B",
        "byline": "Jo",
        "renditions": renditions,
        "filemeta": {"length": 1234},
    }
    root = etree.fromstring(WRITERS[kind](FEED, [feed_entry(picture, CONTEXT)]))

    (content,) = root.iterfind(".//m:content", NAMES)
    assert {
        "url": "https://example.com/o.jpg",
        "medium": "image",
        "type": "image/jpeg",
        "width": "800",
        "height": "600",
        "fileSize": "1234",
    } == dict(content.attrib)
    told = [content.findtext(f"m:{tag}", namespaces=NAMES) for tag in ("title", "description")]
    assert ["Flood", "A & B"] == told
    assert "Jo" == content.findtext("m:credit", namespaces=NAMES)
    assert "https://example.com/t.jpg" == content.find("m:thumbnail", NAMES).get("url")
    if kind == "rss":
        enclosure = root.find(".//enclosure")
        assert ("1234", "image/jpeg") == (enclosure.get("length"), enclosure.get("type"))


def test_categories() -> None:
    """RFC 4287 4.2.2.2: a scheme is a URI, so names of vocabularies are left out."""
    subject = [
        {"qcode": "1", "name": "One", "scheme": "desks"},
        {"qcode": "2", "name": "Two", "scheme": "http://example.com/cv"},
    ]
    item = {"guid": "urn:1", "type": "text", "subject": subject}
    root = etree.fromstring(atom_feed(FEED, [feed_entry(item, CONTEXT)]))
    found = [dict(category.attrib) for category in root.iterfind(".//a:category", NAMES)]
    assert found == [
        {"term": "1", "label": "One"},
        {"term": "2", "label": "Two", "scheme": "http://example.com/cv"},
    ]


STORY = {"guid": "urn:1", "type": "text", "format": "HTML", "body_html": "<p>Trams stop.</p>"}


def test_a_story_begins_with_what_was_corrected_and_its_dateline() -> None:
    item = {**STORY, "state": "corrected", "ednote": "The <day>", "dateline": {"text": "PERTH -"}}

    assert feed_entry(item, CONTEXT).content_html == (
        "<p><strong>CORRECTION: The &lt;day&gt;</strong></p><p>PERTH - Trams stop.</p>"
    )


def test_whose_an_entry_and_its_pictures_are() -> None:
    """Credit, notice, holder and terms, of the entry and of each picture, in all kinds of feeds."""
    rights = {"copyrightnotice": "(c) {}", "copyrightholder": "{} Ltd", "usageterms": "{} only"}
    item, picture = (
        {field: text.format(name) for field, text in rights.items()} for name in ("Own", "Pic")
    )
    picture |= {
        "type": "picture",
        "byline": "Eve",
        "creditline": "Agency",
        "usageterms": "https://e.org/terms",
        "renditions": {"original": {"href": "https://e.org/p.jpg", "mimetype": "image/jpeg"}},
    }
    story = {**STORY, **item, "creditline": "Desk", "associations": {"gallery--2": picture}}
    found = feed_entry(story, CONTEXT)
    own, of_picture = "Desk; (c) Own; Own Ltd; Own only", "(c) Pic; Pic Ltd; https://e.org/terms"

    for kind in ("atom", "rss"):
        feed = WRITERS[kind](FEED, [found])
        assert feedparser.parse(feed).entries[0]["rights"] == own
        (content,) = etree.fromstring(feed).iterfind(".//m:content", NAMES)
        credits = [(e.get("role"), e.text) for e in content.iterfind("m:credit", NAMES)]
        assert credits == [("photographer", "Eve"), (None, "Agency")]
        assert content.findtext("m:copyright", namespaces=NAMES) == of_picture
        assert content.find("m:copyright", NAMES).get("url") == "https://e.org/terms"
    [entry] = json.loads(json_feed(FEED, [found]))["items"]
    assert entry["_rights"] == {"text": own}
    assert entry["attachments"][0]["_credits"] == {
        "maker": "Eve",
        "credit": "Agency",
        "rights": of_picture,
    }


def test_companies_are_categories() -> None:
    companies = [{"qcode": "TRM", "name": "Tramways"}, {"qcode": "BUS"}, {"name": None}]
    categories = feed_entry({**STORY, "company_codes": companies}, CONTEXT).categories

    assert [(c.term, c.label) for c in categories] == [("TRM", "Tramways"), ("BUS", "BUS")]


def test_guids_that_are_no_uris() -> None:
    """Atom wants URIs: what is none gets one that stands for it, the same in all versions."""
    uris = {feed_entry({"guid": "story 1", "type": "text"}, CONTEXT).uri for _ in range(2)}
    assert {f"urn:{CONTEXT.settings.urn_domain}:item:story%201"} == uris


def test_an_author_has_a_name() -> None:
    """A name of blanks is none: the byline stands in for it."""
    item = {"guid": "urn:1", "type": "text", "authors": [{"name": " "}]}

    assert [] == feed_entry(item, CONTEXT).authors
    assert ["Jo"] == [a.name for a in feed_entry({**item, "byline": "Jo"}, CONTEXT).authors]


TEXTS = st.text(max_size=40)
ITEMS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"guid": st.text(min_size=1, max_size=20), "type": st.sampled_from(sorted(ENTRY_TYPES))},
    optional={
        **dict.fromkeys(
            ("headline", "slugline", "abstract", "body_html", "byline", "copyrightnotice"),
            st.none() | TEXTS | st.just("<p>a<br>b</p>"),
        ),
        "format": st.sampled_from(["HTML", "preserved"]),
        "description_text": st.none() | TEXTS,
        "keywords": st.none() | st.lists(st.none() | TEXTS, max_size=3),
        "subject": st.none()
        | st.lists(st.none() | st.fixed_dictionaries({"qcode": st.none() | TEXTS}), max_size=3),
        "authors": st.lists(st.fixed_dictionaries({"name": st.none() | TEXTS}), max_size=2),
        "versioncreated": st.none() | st.datetimes(),
        "renditions": st.none()
        | st.dictionaries(
            TEXTS, st.none() | st.fixed_dictionaries({"href": st.none() | TEXTS}), max_size=2
        ),
    },
)


@given(ITEMS)
def test_any_item_makes_a_valid_feed(item: dict[str, Any]) -> None:
    """Nulls, controls, lone surrogates: whatever an item holds, the feed stays readable."""
    found = replace(feed_entry(item, CONTEXT), is_withdrawn=False)
    for kind, write in WRITERS.items():
        assert_valid_feed(kind, write(FEED, [found]))
