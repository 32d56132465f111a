"""One concept, however a document spells its code: on import, and in every format."""

from collections.abc import Mapping
from typing import Any

import pytest
from lxml import etree

from apps.core.codes import known_concept, stored_code
from apps.importing.ninjs import item_from_ninjs
from formatters import BUILT_IN
from tests.support.format_items import CONTEXT
from tests.support.format_schemas import CHECKS, loaded, parsed

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
NEWSCODES = "http://cv.iptc.org/newscodes/"
TOPIC = f"{NEWSCODES}mediatopic/20000763"
MEDIA_TOPIC = [
    ("20000763", ""),
    ("20000763", "medtop"),
    ("20000763", "MedTop"),
    ("20000763", "mediatopic"),
    ("20000763", "mediatopics"),
    ("20000763", "iptc_mediatopics"),
    ("20000763", "IPTC Media Topics"),
    ("20000763", f"{NEWSCODES}mediatopic/"),
    ("20000763", "https://cv.iptc.org/newscodes/mediatopic"),
    (" 20000763 ", "medtop"),
    ("medtop:20000763", ""),
    ("medtop:20000763", "medtop"),
    ("mediatopic:20000763", ""),
    ("subj:20000763", ""),
    (TOPIC, ""),
    (TOPIC, "medtop"),
    (f"{TOPIC.replace('http:', 'HTTPS:')}/", ""),
    (f"{TOPIC}?lang=en-GB", ""),
    (f"{TOPIC}#x", ""),
]
SUBJECT_CODE = [
    ("15000000", ""),
    ("15000000", "subj"),
    ("15000000", "subjectcode"),
    ("15000000", "iptc_subject_code"),
    ("subj:15000000", ""),
    (f"{NEWSCODES}subjectcode/15000000", ""),
    ("15000000", f"{NEWSCODES}subjectcode"),
]
GENRE = [
    ("Current", "genre"),
    ("genre:Current", ""),
    ("genre:Current", "genre"),
    (f"{NEWSCODES}genre/Current", ""),
    ("Current", f"{NEWSCODES}genre/"),
]
OSLO = [
    ("3143244", "geonames"),
    ("3143244", "http://www.geonames.org/"),
    ("3143244", "https://sws.geonames.org"),
    ("geonames:3143244", ""),
    ("https://www.geonames.org/3143244/oslo.html", ""),
    ("http://sws.geonames.org/3143244/about.rdf", ""),
    ("https://geonames.org/3143244", ""),
]


def entry(code: str, scheme: str) -> dict[str, str]:
    """Return a vocabulary entry as items hold it."""
    return {"name": "N", "qcode": code, **({"scheme": scheme} if scheme else {})}


def given(code: str, scheme: str) -> dict[str, str]:
    """Return a concept as documents have it: an address is its `uri`."""
    identity = {"uri": code} if code.lower().startswith("http") else {"literal": code}
    return {"name": "N", **identity, **({"scheme": scheme} if scheme else {})}


def item(**fields: Any) -> dict[str, Any]:
    return {"_id": "1", "guid": "urn:x:1", "type": "text", "body_html": "<p>B</p>", **fields}


def formatted(format_type: str, document: Mapping[str, Any]) -> Any:
    """Return what a format writes, once it is known to be valid, as an element or an object."""
    [written] = FORMATS[format_type]().format(document, CONTEXT)
    CHECKS[format_type](written)
    return (loaded if format_type in ("ninjs3", "jsonld") else parsed)(written)


def spelled(field: str, code: str, scheme: str) -> list[dict[str, Any]]:
    """Return an item that has the entry, and one that is imported with it."""
    document = {"uri": "urn:x:1", "type": "text", f"{field}s": [given(code, scheme)]}
    imported = item_from_ninjs(document)
    return [item(**{field: [entry(code, scheme)]}), item(**{field: imported[field]})]


def qcodes(root: etree._Element, tag: str) -> list[str | None]:
    found = root.iter(f"{{http://iptc.org/std/nar/2006-10-01/}}{tag}")
    return [each.get("qcode") for each in found]


@pytest.mark.parametrize(
    ("code", "scheme", "uri", "qcode"),
    [
        *[(*spelling, TOPIC, "medtop:20000763") for spelling in MEDIA_TOPIC],
        *[
            (*spelling, f"{NEWSCODES}subjectcode/15000000", "subj:15000000")
            for spelling in SUBJECT_CODE
        ],
        # The first media topics have the digits of subject codes.
        ("15000000", "medtop", f"{NEWSCODES}mediatopic/15000000", "medtop:15000000"),
        (
            f"{NEWSCODES}mediatopic/15000000",
            "",
            f"{NEWSCODES}mediatopic/15000000",
            "medtop:15000000",
        ),
    ],
)
def test_subjects(code: str, scheme: str, uri: str, qcode: str) -> None:
    for document in spelled("subject", code, scheme):
        digits = qcode.partition(":")[2]
        assert [{"name": "N", "uri": uri}] == formatted("ninjs3", document)["subjects"]
        [term] = formatted("jsonld", document)["about"]
        assert (uri, digits) == (term["url"], term["termCode"])
        assert uri == term["inDefinedTermSet"] + digits
        assert [qcode] == qcodes(formatted("newsmlg2", document), "subject")
        [subject] = formatted("nitf", document).iter("tobject.subject")
        assert digits == subject.get("tobject.subject.refnum")
        [subject] = formatted("newsml12", document).iter("Subject")
        assert digits == subject.get("FormalName")


@pytest.mark.parametrize(("code", "scheme"), GENRE)
def test_genres(code: str, scheme: str) -> None:
    for document in spelled("genre", code, scheme):
        genres = formatted("ninjs3", document)["genres"]
        assert [{"name": "N", "uri": f"{NEWSCODES}genre/Current"}] == genres
        assert ["genre:Current"] == qcodes(formatted("newsmlg2", document), "genre")


@pytest.mark.parametrize(("code", "scheme"), OSLO)
def test_places(code: str, scheme: str) -> None:
    for document in spelled("place", code, scheme):
        uri = "https://sws.geonames.org/3143244/"
        assert [{"name": "N", "uri": uri}] == formatted("ninjs3", document)["places"]
        assert uri == formatted("jsonld", document)["contentLocation"][0]["sameAs"]
        assert ["geonames:3143244"] == qcodes(formatted("newsmlg2", document), "subject")


@pytest.mark.parametrize("spellings", [MEDIA_TOPIC, SUBJECT_CODE, GENRE, OSLO])
def test_import_gives_one_code(spellings: list[tuple[str, str]]) -> None:
    """Documents of several agencies meet in filters and vocabularies; nothing stands twice."""
    field = {"20": "subject", "15": "subject", "Cu": "genre", "31": "place"}[spellings[0][0][:2]]
    document = {"uri": "urn:x:1", "type": "text", f"{field}s": [given(*s) for s in spellings]}

    assert 1 == len(item_from_ninjs(document)[field])


@pytest.mark.parametrize(
    ("code", "scheme"),
    [
        ("20000763", "desks"),
        ("medtop:20000763", "topics"),
        ("sport", "mediatopics"),
        ("2000076", ""),
        ("20000001", ""),
        ("18000000", ""),
        ("00000000", ""),
        ("٢٠٠٠٠٧٦٣", ""),
        ("Breaking news", "genre"),
        ("Current", ""),
        ("it", "http://x/"),
        ("Oslo", "geonames"),
        ("http://cv.iptc.org/newscodes/", ""),
        ("http://cv.iptc.org/newscodes/mediatopic/", ""),
        ("http://cv.iptc.org/newscodes/unheard/1", ""),
        ("http://cv.iptc.org.e.org/newscodes/mediatopic/20000763", ""),
        ("x" * 1000, "medtop"),
        ("", "medtop"),
        (":", ""),
        (" a", " b"),
    ],
)
def test_what_is_not_known_stays(code: str, scheme: str) -> None:
    assert (code, scheme) == stored_code(code, scheme, is_subject=True)


def test_digits_are_topics_among_subjects_only() -> None:
    """A person or a place may have a number of eight digits of its own."""
    assert known_concept("20000763") is None
    document = item(person=[entry("20000763", "")])

    assert "uri" not in formatted("ninjs3", document)["people"][0]
    assert TOPIC not in str(formatted("jsonld", document))
    assert ["cv:20000763"] == qcodes(formatted("newsmlg2", document), "subject")


def test_the_address_counts_before_a_literal_of_another_kind() -> None:
    subject = {"name": "Sport", "literal": "sport", "uri": f"{NEWSCODES}subjectcode/15000000"}
    imported = item_from_ninjs({"uri": "urn:x:1", "subjects": [subject]})

    [found] = imported["subject"]
    assert ("Sport", "15000000") == (found["name"], found["qcode"])


def test_places_of_other_schemes_stand_under_an_alias() -> None:
    document = item(place=[entry("it", "http://e.org/places/"), entry("Q64", "wikidata")])
    root = formatted("newsmlg2", document)

    assert ["cv-http_e.org_places_:it", "wikidata:Q64"] == qcodes(root, "subject")
    assert [
        {"name": "N", "uri": "http://e.org/places/it"},
        {"name": "N", "uri": "http://www.wikidata.org/entity/Q64"},
    ] == formatted("ninjs3", document)["places"]
