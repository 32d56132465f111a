"""NewsML 1.2 and NewsML-G2 against their official schemas; numbers are the contract's scenarios."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from lxml import etree

from apps.archive.ninjs_import import item_from_ninjs
from apps.core.vocabulary import ItemType
from formatters.newsml_12 import NewsML12Formatter
from formatters.newsml_g2 import NewsMLG2Formatter
from formatters.nitf import NITF_NAMESPACE
from tests.shared_files import shared, shared_names
from tests.support.reference_formats import CONTEXT, reference

INPUTS = "schemas/reference-output/inputs"
SAMPLES = "samples/ninjs"
NOW = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
STORY = {"_id": "urn:x:1", "item_id": "urn:x:1", "guid": "urn:x:1", "type": "text"}
G2 = "{http://iptc.org/std/nar/2006-10-01/}"
LIFE_CYCLE = [
    {"state": "published", "pubstatus": "usable", "operation": "publish"},
    {"state": "corrected", "pubstatus": "usable", "operation": "correct", "_current_version": 3},
    {"state": "killed", "pubstatus": "canceled", "operation": "kill", "_current_version": 4},
    {"state": "recalled", "pubstatus": "canceled", "operation": "takedown"},
    {"state": "unpublished", "pubstatus": "canceled", "operation": "unpublish"},
    {"state": "published", "embargo": NOW, "schedule_settings": {"utc_embargo": NOW}},
]
ODD = [
    {"urgency": None, "priority": None, "language": None, "pubstatus": None, "state": None},
    {"subject": None, "anpa_category": None, "company_codes": None, "dateline": None},
    {"abstract": None, "keywords": [None, "", "a"], "genre": [{}], "place": [{}, None]},
    {"subject": [{"qcode": None}, {"qcode": "a b", "name": "n"}, {"name": "only"}]},
    {"company_codes": [{"name": "No code"}, {"qcode": "YAL"}], "authors": [{"name": "A"}]},
    {"renditions": {"original": None, "x y": {"href": "a"}, "z": {"href": ""}}},
    {"groups": [{"id": "root", "refs": [{"idRef": "gone"}]}, {"id": "a b"}, {"id": "main"}]},
    {"headline": "a\x00b\ud800", "body_html": "<p>\x07bell", "slugline": "\x0b"},
    {"urgency": 0, "priority": 99, "_current_version": 0, "firstcreated": "text"},
    {"format": "preserved", "body_html": "one\ntwo"},
]
TEXTS = (
    *("headline", "slugline", "byline", "abstract", "body_html", "ednote", "source"),
    *("language", "rewrite_of", "description_text", "copyrightholder"),
)


@cache
def g2_schema(version: str) -> etree.XMLSchema:
    file = shared(f"schemas/newsml-g2/NewsML-G2_{version}-spec-All-Power.xsd")
    return etree.XMLSchema(etree.parse(str(file)))


@cache
def nitf_schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.parse(str(shared("schemas/nitf/nitf-3-6.xsd"))))


@cache
def newsml_dtd() -> etree.DTD:
    return etree.DTD(str(shared("schemas/newsml-1.2/NewsML_1.2.dtd")))


def check_g2(item: Mapping[str, Any]) -> etree._Element:
    """Fail unless the message is valid by two versions, and its NITF by its own schema."""
    [formatted] = NewsMLG2Formatter().format(item, CONTEXT)
    root = etree.fromstring(str(formatted.body).encode())
    for version in ("2.34", "2.35"):
        g2_schema(version).assertValid(root)
    for nitf in root.iter(f"{{{NITF_NAMESPACE}}}nitf"):
        nitf_schema().assertValid(etree.fromstring(etree.tostring(nitf)))
    check_aliases(root)
    return root


def check_aliases(root: etree._Element) -> None:
    """Fail unless every alias is the catalog's or one that the item brings along."""
    own = {scheme.get("alias") for scheme in root.iter(f"{G2}scheme")}
    known = own | {"ninat", "stat", "sig", "subj", "loctyp", "timeunit", "drol", "cpnat"}
    attributes = ("qcode", "type", "role", "rendition", "durationunit")
    used = {
        str(element.get(name)).split(":")[0]
        for element in root.iter(f"{G2}*")
        for name in attributes
        if ":" in (element.get(name) or "")
    }
    assert used <= known


def check_newsml_12(item: Mapping[str, Any]) -> etree._Element:
    """Fail unless the document is valid by the DTD, and its NITF by the schema."""
    [formatted] = NewsML12Formatter().format(item, CONTEXT)
    root = etree.fromstring(str(formatted.body).encode())
    for data in root.iter("DataContent"):
        for nitf in list(data):
            data.remove(nitf)
            for element in nitf.iter():
                element.tag = f"{{{NITF_NAMESPACE}}}{element.tag}"
            nitf_schema().assertValid(etree.fromstring(etree.tostring(nitf)))
    newsml_dtd().assertValid(root)
    return root


CHECKS = [check_newsml_12, check_g2]


def item_of(kind: str, **fields: Any) -> dict[str, Any]:
    """Return an item of a type with what such items have."""
    item: dict[str, Any] = {**STORY, "type": kind, "headline": "h", "versioncreated": NOW}
    if kind in ("picture", "graphic", "video", "audio"):
        original = {"href": "https://e.org/o", "mimetype": "image/jpeg", "width": 4, "height": 3}
        item["renditions"] = {"original": original}
        item["filemeta"] = {"length": 5, "duration": "0:00:10.224000", "width": 9}
    if kind == "composite":
        refs = [{"residRef": "urn:x:2", "type": "text", "_current_version": 2}, {"residRef": "y"}]
        item["groups"] = [
            {"id": "root", "refs": [{"idRef": "main"}], "role": "grpRole:NEP"},
            {"id": "main", "role": "grpRole:main", "refs": refs},
        ]
    return {**item, **fields}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", shared_names(INPUTS, "*.json"))
def test_reference_inputs_are_valid(check: Any, name: str) -> None:
    """31, 33: every reference input."""
    check(reference(f"{INPUTS}/{name}"))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", shared_names(SAMPLES, "**/*.json"))
def test_real_items_are_valid(check: Any, name: str) -> None:
    """Items of agencies, of all types."""
    item = item_from_ninjs(json.loads(shared(f"{SAMPLES}/{name}").read_text("utf-8")))
    check({**item, "item_id": item["guid"]})


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "kind", ["text", "preformatted", "picture", "graphic", "video", "audio", "composite"]
)
@pytest.mark.parametrize("fields", LIFE_CYCLE, ids=lambda fields: str(fields["state"]))
def test_every_type_in_every_state_is_valid(check: Any, kind: str, fields: dict[str, Any]) -> None:
    """Every item type through every life-cycle action."""
    check(item_of(kind, **fields))


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("kind", ["text", "picture", "composite"])
@pytest.mark.parametrize("fields", ODD, ids=lambda fields: ",".join(fields))
def test_odd_items_are_valid(check: Any, kind: str, fields: dict[str, Any]) -> None:
    """38, 50: null equals absent; what a standard refuses is left out."""
    check({**item_of(kind), **fields})


@pytest.mark.parametrize("check", CHECKS)
@hypothesis_settings(max_examples=100)
@given(
    kind=st.sampled_from([t for t in ItemType if t not in (ItemType.EVENT, ItemType.PLANNING)]),
    texts=st.dictionaries(
        st.sampled_from(TEXTS),
        st.one_of(st.none(), st.text(max_size=20)),
    ),
    numbers=st.dictionaries(
        st.sampled_from(["urgency", "priority", "_current_version"]),
        st.one_of(st.none(), st.integers(-5, 50)),
    ),
    entries=st.dictionaries(
        st.sampled_from(["subject", "genre", "place", "anpa_category", "company_codes"]),
        st.lists(
            st.dictionaries(
                st.sampled_from(["qcode", "name", "scheme", "state", "country"]),
                st.one_of(st.none(), st.text(max_size=8)),
            ),
            max_size=3,
        ),
    ),
)
def test_any_item_is_valid(
    check: Any,
    kind: str,
    texts: dict[str, Any],
    numbers: dict[str, Any],
    entries: dict[str, Any],
) -> None:
    """Whatever the fields hold, the output is valid."""
    language = {"language": "en"} if "language" in texts else {}
    check({**item_of(kind), **texts, **numbers, **entries, **language})


class TestNewsML12:
    def test_a_correction_says_so(self) -> None:
        """32: instruction and previous revision of a correction; the row's number."""
        item = item_of("text", state="corrected", _current_version=3)
        [formatted] = NewsML12Formatter().format(item, replace(CONTEXT, sequence_number=42))
        root = etree.fromstring(str(formatted.body).encode())

        revision, instruction = root.find(".//RevisionId"), root.find(".//Instruction")
        assert revision is not None
        assert instruction is not None
        assert ("2", "Correction", "42") == (
            revision.get("PreviousRevision"),
            instruction.get("FormalName"),
            root.findtext(".//TransmissionId"),
        )


class TestNewsMLG2:
    def test_signals_corrections_only(self) -> None:
        """34: a correction is signalled; the first version has no signal."""
        corrected = check_g2(item_of("text", state="corrected", operation="correct"))
        first = check_g2(item_of("text", state="published", operation="publish"))

        signal = corrected.find(f".//{G2}signal")
        assert signal is not None
        assert "sig:correction" == signal.get("qcode")
        assert first.find(f".//{G2}signal") is None

    def test_takes_the_name_in_the_language(self) -> None:
        """35: fr-CA takes the French name and marks it."""
        genre = {"qcode": "A", "name": "Article", "translations": {"name": {"fr": "Article FR"}}}
        root = check_g2(item_of("text", language="fr-CA", genre=[genre]))

        name = root.find(f".//{G2}genre/{G2}name")
        assert name is not None
        assert ("Article FR", "fr") == (
            name.text,
            name.get("{http://www.w3.org/XML/1998/namespace}lang"),
        )

    def test_a_package_starts_with_its_root(self) -> None:
        """36: the root group comes first and refers to the others."""
        root = check_g2(item_of("composite"))

        groups = root.findall(f".//{G2}group")
        assert ["root", "main"] == [group.get("id") for group in groups]
        assert ["urn:x:2", "y"] == [r.get("residref") for r in root.iter(f"{G2}itemRef")]
