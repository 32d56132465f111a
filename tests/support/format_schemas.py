"""Official schemas of the output formats, compiled once, and a check of each format's output."""

import csv
import json
import zipfile
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

import jsonschema_rs
from lxml import etree

from apps.core.text import strip_forbidden
from formatters.base import Formatted
from formatters.nitf import NITF_NAMESPACE
from tests.support.format_items import DATA
from tests.support.schema_files import schema

G2 = "{http://iptc.org/std/nar/2006-10-01/}"
GEOJSON = "https://geojson.org/schema/GeoJSON.json"
QCODE_ATTRIBUTES = ("qcode", "type", "role", "rendition", "durationunit")
CATALOG = "catalogs/catalog.IPTC-G2-Standards_41.xml"


def _json(path: str) -> Any:
    return json.loads(schema(path).read_text("utf-8"))


@cache
def ninjs_schema(version: str) -> jsonschema_rs.Draft202012Validator:
    """Return the validator of an IPTC ninjs version (2.1 and later), format checks included."""
    return jsonschema_rs.Draft202012Validator(
        _json(f"ninjs/ninjs-schema_{version}.json"), validate_formats=True, retriever=_referred
    )


def _referred(address: str) -> Any:
    """Return a schema that another one refers to; nothing is fetched."""
    return _json({GEOJSON: "ninjs/GeoJSON-schema.json"}[address])


@cache
def superdesk_schema() -> jsonschema_rs.Draft202012Validator:
    """Return the validator of the wire form of the ninjs family."""
    family = json.loads((DATA / "superdesk-ninjs.schema.json").read_text("utf-8"))
    return jsonschema_rs.Draft202012Validator(family)


@cache
def g2_schema(version: str) -> etree.XMLSchema:
    """Return the schema of NewsML-G2 at power conformance."""
    file = schema(f"newsml-g2/NewsML-G2_{version}-spec-All-Power.xsd")
    return etree.XMLSchema(etree.parse(str(file)))


@cache
def nitf_schema() -> etree.XMLSchema:
    """Return the schema of NITF 3.6."""
    return etree.XMLSchema(etree.parse(str(schema("nitf/nitf-3-6.xsd"))))


@cache
def newsml_dtd() -> etree.DTD:
    """Return the DTD of NewsML 1.2."""
    return etree.DTD(str(schema("newsml-1.2/NewsML_1.2.dtd")))


@cache
def catalog_aliases() -> frozenset[str]:
    """Return the scheme aliases of the IPTC catalog that messages refer to."""
    catalog = etree.fromstring(files("NewsMLG2").joinpath(CATALOG).read_bytes())
    return frozenset(str(scheme.get("alias")) for scheme in catalog.iter(f"{G2}scheme"))


@cache
def schema_org_types() -> dict[str, frozenset[str]]:
    """Return the properties of each type of schema.org around news."""
    csv.field_size_limit(10**7)
    file = schema("schema-org/schemaorg-30.0-news-types.csv")
    with file.open(newline="", encoding="utf-8") as table:
        return {
            row["label"]: frozenset(p.rsplit("/", 1)[-1] for p in row["properties"].split(", "))
            for row in csv.DictReader(table)
        }


def parsed(formatted: Formatted) -> etree._Element:
    """Return XML output as an element."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=True)
    return etree.fromstring(formatted.data, parser)


def loaded(formatted: Formatted) -> dict[str, Any]:
    """Return JSON output as an object; it holds no character that XML forbids."""
    document: dict[str, Any] = json.loads(formatted.data)
    _check_characters(document)
    return document


def _check_characters(value: Any) -> None:
    if isinstance(value, str):
        assert value == strip_forbidden(value)
    for entry in value.values() if isinstance(value, dict) else value if _is_list(value) else ():
        _check_characters(entry)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def lifted(nitf: etree._Element) -> etree._Element:
    """Return a copy of an NITF tree without namespace, with its elements in the namespace."""
    copy = etree.fromstring(etree.tostring(nitf, with_tail=False))
    for element in copy.iter(etree.Element):
        element.tag = f"{{{NITF_NAMESPACE}}}{etree.QName(element).localname}"
    return etree.fromstring(etree.tostring(copy))


def check_nitf(formatted: Formatted) -> None:
    """Fail unless NITF without namespace is valid once it stands in its namespace."""
    root = parsed(formatted)
    assert "nitf" == root.tag
    nitf_schema().assertValid(lifted(root))
    # The schema has these values in its words only.
    statuses = {data.get("management-status") for data in root.iter("docdata")}
    assert statuses <= {"usable", "embargoed", "withheld", "canceled"}


def check_newsml_12(formatted: Formatted) -> None:
    """Fail unless the document is valid by the DTD, and its NITF by its own schema."""
    root = parsed(formatted)
    for data in root.iter("DataContent"):
        for nitf in list(data):
            data.remove(nitf)
            nitf_schema().assertValid(lifted(nitf))
    newsml_dtd().assertValid(root)


def check_g2(formatted: Formatted) -> None:
    """Fail unless the message is valid by two versions, with valid NITF and known aliases."""
    root = parsed(formatted)
    for version in ("2.34", "2.35"):
        g2_schema(version).assertValid(root)
    for inline in root.iter(f"{G2}inlineXML"):
        [nitf] = inline
        assert f"{{{NITF_NAMESPACE}}}nitf" == nitf.tag
        nitf_schema().assertValid(etree.fromstring(etree.tostring(nitf)))
    own = {scheme.get("alias") for scheme in root.iter(f"{G2}scheme")}
    used = {
        str(element.get(name)).split(":")[0]
        for element in root.iter(f"{G2}*")
        for name in QCODE_ATTRIBUTES
        if ":" in (element.get(name) or "")
    }
    assert used <= own | catalog_aliases()


def check_superdesk_ninjs(formatted: Formatted) -> None:
    """Fail unless the document is of the ninjs family.

    Its schema describes the types that are published; events and plans go out in the same form.
    """
    document = loaded(formatted)
    if document["type"] in ("event", "planning"):
        document["type"] = "text"
    superdesk_schema().validate(document)


def check_ninjs(formatted: Formatted) -> None:
    """Fail unless the document is valid by the IPTC version that it names."""
    document = loaded(formatted)
    version = document["standard"]["version"]
    assert document["standard"]["schema"].endswith(f"_{version}.json")
    ninjs_schema(version).validate(document)


IMATRICS_FIELDS: dict[str, type] = {
    **dict.fromkeys(["uuid", "language", "headline", "preamble", "dateline"], str),
    **dict.fromkeys(["authors", "body", "concepts"], list),
    "pubStatus": bool,
}
IMATRICS_TIMES = ("createdTimestamp", "latestVersionTimestamp", "publicationTimestamp")


def check_imatrics(formatted: Formatted) -> None:
    """Fail unless the document has the fields that the service knows, each of its type."""
    document = loaded(formatted)
    assert {*IMATRICS_FIELDS, *IMATRICS_TIMES} == set(document)
    for field, kind in IMATRICS_FIELDS.items():
        assert isinstance(document[field], kind)


def check_email(formatted: Formatted) -> None:
    """Fail unless the parts of the mail are there and its subject is one line."""
    parts = loaded(formatted)
    assert ["message_html", "message_text", "message_subject", "renditions"] == list(parts)
    assert isinstance(parts["message_text"], str)
    assert len(parts["message_subject"].splitlines()) < 2
    assert parts["message_html"] is None or "<script" not in parts["message_html"].lower()


def check_json_ld(formatted: Formatted) -> None:
    """Fail unless each object is of a known type and has only properties of that type."""
    assert "</" not in str(formatted.body)
    document = loaded(formatted)
    assert "https://schema.org" == document.pop("@context")
    _check_schema_org(document)
    assert {"headline", "datePublished", "publisher"} <= set(document)


def _check_schema_org(value: Any) -> None:
    if isinstance(value, dict):
        properties = {key for key in value if not key.startswith("@")}
        assert properties <= schema_org_types()[value["@type"]]
    for entry in value.values() if isinstance(value, dict) else value if _is_list(value) else ():
        _check_schema_org(entry)


IDML = "application/vnd.adobe.indesign-idml-package"
PACKAGING = "{http://ns.adobe.com/AdobeInDesign/idml/1.0/packaging}"
PACKAGE_PARTS = {
    *("Graphic", "Fonts", "Styles", "Preferences", "Tags", "BackingStory", "Spread", "Story")
}
CONTAINER = "META-INF/container.xml"


def idml_parts(formatted: Formatted) -> dict[str, etree._Element]:
    """Return the parts of an IDML package by name; fail unless it is packed as InDesign asks."""
    with zipfile.ZipFile(BytesIO(formatted.data)) as package:
        first = package.infolist()[0]
        assert ("mimetype", zipfile.ZIP_STORED) == (first.filename, first.compress_type)
        assert IDML.encode() == package.read("mimetype")
        names = package.namelist()[1:]
        assert len(names) == len(set(names))
        return {name: etree.fromstring(package.read(name)) for name in names}


def check_idml(formatted: Formatted) -> None:
    """Fail unless every reference in the package has its target, and every id stands once."""
    parts = idml_parts(formatted)
    design = parts["designmap.xml"]
    named = {str(e.get("src")): e.tag for e in design if str(e.tag).startswith(PACKAGING)}
    assert set(parts) - {"designmap.xml", CONTAINER} == set(named)
    assert {str(tag).removeprefix(PACKAGING) for tag in named.values()} <= PACKAGE_PARTS
    for name, tag in named.items():
        assert parts[name].tag == tag
    # What is in a story stands in the structure of the document under the same id.
    structure = parts["XML/BackingStory.xml"]
    ids = [
        e.get("Self")
        for part in parts.values()
        for e in part.iter()
        if e.get("Self") and not (part is structure and e.get("XMLContent"))
    ]
    assert len(ids) == len(set(ids))
    assert {
        (e.get("Self"), e.get("MarkupTag")) for e in structure.iter() if e.get("XMLContent")
    } == {
        (e.get("Self"), e.get("MarkupTag"))
        for name, part in parts.items()
        if name.startswith("Stories/")
        for e in part.iter("XMLElement")
    }
    for part in parts.values():
        for element in part.iter():
            for attribute in REFERENCES:
                assert element.get(attribute, "n") in {"n", *ids}, (attribute, element.attrib)


REFERENCES = (
    *("AppliedParagraphStyle", "AppliedCharacterStyle", "AppliedTableStyle", "AppliedCellStyle"),
    *("ParentStory", "PreviousTextFrame", "NextTextFrame", "ItemLayer", "MarkupTag", "Source"),
    "XMLContent",
)
"""Attributes that name another element of the package."""


def check_text(formatted: Formatted) -> None:
    """Fail unless the text can be read by everyone."""
    text = formatted.data.decode("utf-8")
    assert text == strip_forbidden(text)
    assert text.endswith("\n")


CHECKS: Mapping[str, Callable[[Formatted], None]] = {
    "nitf": check_nitf,
    "newsml12": check_newsml_12,
    "newsmlg2": check_g2,
    "ninjs": check_superdesk_ninjs,
    "ninjs2": check_superdesk_ninjs,
    "newsroom ninjs": check_superdesk_ninjs,
    "ftp ninjs": check_superdesk_ninjs,
    "imatrics": check_imatrics,
    "email": check_email,
    "idml": check_idml,
    "ninjs3": check_ninjs,
    "jsonld": check_json_ld,
    "text": check_text,
    "markdown": check_text,
}
"""By format, what fails unless its output is valid."""
