"""NewsML-G2 2.35 at power conformance, valid by its official schema (formats contract 3.7)."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from apps.core.text import plain_text, strip_forbidden
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, PubStatus, State
from formatters import xml
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.conversions import (
    RIGHTS_FIELDS,
    body_with_footer,
    embargo_time,
    integer,
    mapping_of,
    objects_of,
    rights,
    text_of,
)
from formatters.media import renditions_of
from formatters.nitf import NITF_NAMESPACE, nitf_document
from formatters.xml import XML_LANG, name_token, serialize

NAMESPACE = "http://iptc.org/std/nar/2006-10-01/"
CATALOG = "http://www.iptc.org/std/catalog/catalog.IPTC-G2-Standards_41.xml"
SCHEMES = ("cat", "genrecv", "rendition", "grpRole", "cv")
"""Aliases that the IPTC catalog does not have; each message brings their scheme along."""
ITEM_MEDIA_TYPE = "application/vnd.iptc.g2.newsitem+xml"
QCODE = re.compile(r"[^\s:]+:[^\s]+")
PLACE_FIELDS = ("state", "country", "world_region", "name")
IPTC_SUBJECT = re.compile(r"\d{8}")


class NewsMLG2Formatter(Formatter):
    """An item as a news message with one newsItem or packageItem."""

    type = "newsmlg2"
    name = "NewsML G2"
    media_type = "application/vnd.iptc.g2.newsmessage+xml"
    file_extension = "xml"
    error_code = 7006
    error_text = 'Article couldn"t be converted to NewsML G2 format'
    item_types = frozenset({*TEXT_TYPES, *MEDIA_TYPES, ItemType.COMPOSITE})
    numbered = True

    def format(self, item: Document, context: FormatContext) -> list[Formatted]:
        # The default namespace has no prefix, which the stubs of lxml do not know.
        names: Any = {None: NAMESPACE}
        root = etree.Element(f"{{{NAMESPACE}}}newsMessage", nsmap=names)
        _header(add(root, "header"), item, context)
        is_package = item.get("type") == ItemType.COMPOSITE
        tag = "packageItem" if is_package else "newsItem"
        news_item = add(add(root, "itemSet"), tag)
        _item(news_item, item, context)
        if is_package:
            _groups(news_item, item)
        else:
            _asserts(news_item, item)
            _content(add(news_item, "contentSet"), item, context)
        return [Formatted(serialize(root, declaration='version="1.0" encoding="UTF-8"'))]


def add(parent: etree._Element, tag: str, text: str | None = None, /, **attributes: str) -> Any:
    """As `xml.add`, on one line: the standard takes no line ends in most texts."""
    return xml.add(parent, tag, line(text), **attributes)


def line(value: object) -> str:
    """Return `value` as text on one line; numbers count, all else is empty."""
    return " ".join(strip_forbidden(str(value)).split()) if isinstance(value, (str, int)) else ""


def iso(moment: Any, fallback: datetime) -> str:
    """Return `moment` as ISO 8601 with its offset, UTC."""
    known = moment if isinstance(moment, datetime) else fallback
    aware = known if known.tzinfo else known.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _header(header: etree._Element, item: Document, context: FormatContext) -> None:
    add(header, "sent", iso(context.now, context.now))
    add(header, "sender", context.settings.provider_id)
    add(header, "transmitId", str(context.sequence_number))
    priority = integer(item.get("priority")) or 5
    add(header, "priority", str(min(9, max(1, priority))))
    origin = text_of(item, "original_source") or text_of(item, "source")
    if origin:
        add(header, "origin", origin)


def _item(element: etree._Element, item: Document, context: FormatContext) -> None:
    version = max(1, integer(item.get("_current_version")) or 1)
    language = text_of(item, "language") or context.settings.default_language
    for name, value in (
        ("standard", "NewsML-G2"),
        ("standardversion", "2.35"),
        ("conformance", "power"),
        ("guid", text_of(item, "guid")),
        ("version", str(version)),
    ):
        element.set(name, value)
    element.set(XML_LANG, language)
    add(element, "catalogRef", href=CATALOG)
    catalog = add(element, "catalog")
    for alias in SCHEMES:
        uri = f"http://{context.settings.urn_domain}/cv/{alias}/"
        add(catalog, "scheme", alias=alias, uri=uri)
    _rights(element, item, context)
    _item_meta(add(element, "itemMeta"), item, context, version)
    _content_meta(add(element, "contentMeta"), item, context, language)


def _rights(element: etree._Element, item: Document, context: FormatContext) -> None:
    known = rights(item, context)
    said = {field: line(text_of(item, field) or known.get(field)) for field in RIGHTS_FIELDS}
    if not any(said.values()):
        return
    info = add(element, "rightsInfo")
    if said["copyrightholder"]:
        holder = add(info, "copyrightHolder", literal=said["copyrightholder"])
        add(holder, "name", said["copyrightholder"])
    if said["copyrightnotice"]:
        add(info, "copyrightNotice", said["copyrightnotice"])
    if said["usageterms"]:
        add(info, "usageTerms", said["usageterms"])


def _item_meta(meta: etree._Element, item: Document, context: FormatContext, version: int) -> None:
    kind = text_of(item, "type")
    shown = ItemType.TEXT if kind == ItemType.PREFORMATTED else kind
    created = item.get("firstcreated") or item.get("versioncreated")
    add(meta, "itemClass", qcode=f"ninat:{shown}")
    provider = add(meta, "provider", literal=context.settings.provider_id)
    add(provider, "name", context.settings.provider_id)
    add(meta, "versionCreated", iso(item.get("versioncreated") or created, context.now))
    if isinstance(created, datetime):
        add(meta, "firstCreated", iso(created, created))
    embargo = embargo_time(item)
    if isinstance(embargo, datetime):
        add(meta, "embargoed", iso(embargo, embargo))
    add(meta, "pubStatus", qcode=f"stat:{text_of(item, 'pubstatus') or PubStatus.USABLE}")
    if text_of(item, "ednote"):
        add(meta, "edNote", text_of(item, "ednote"))
    if item.get("state") == State.CORRECTED:
        add(meta, "signal", qcode="sig:correction")
    elif version > 1 and item.get("operation") not in (None, "publish"):
        add(meta, "signal", qcode="sig:update")


def _content_meta(
    meta: etree._Element, item: Document, context: FormatContext, language: str
) -> None:
    urgency = integer(item.get("urgency"))
    if urgency and 1 <= urgency <= 9:
        add(meta, "urgency", str(urgency))
    created = item.get("firstcreated") or item.get("versioncreated")
    if isinstance(created, datetime):
        add(meta, "contentCreated", iso(created, created))
    if isinstance(item.get("versioncreated"), datetime):
        add(meta, "contentModified", iso(item["versioncreated"], context.now))
    _located(meta, mapping_of(mapping_of(item, "dateline"), "located"))
    for name in _creators(item):
        add(add(meta, "creator", literal=name), "name", name)
    add(meta, "language", tag=language)
    for genre in objects_of(item, "genre"):
        _concept(meta, "genre", "genrecv", genre, language)
    for keyword in item.get("keywords") or ():
        if isinstance(keyword, str) and keyword:
            add(meta, "keyword", keyword)
    _subjects(meta, item, language)
    _lines(meta, item)


def _creators(item: Document) -> Iterable[str]:
    authors = [text_of(a, "name") or text_of(a, "sub_label") for a in objects_of(item, "authors")]
    known = [line(author) for author in authors if line(author)]
    byline = line(plain_text(text_of(item, "byline")))
    return known or ([byline] if byline else [])


def _located(meta: etree._Element, located: Document) -> None:
    city = line(located.get("city"))
    if not city:
        return
    element = add(meta, "located", type="loctyp:City", literal=city)
    add(element, "name", city)
    for kind, field in (("CountryArea", "state"), ("Country", "country")):
        name = line(located.get(field))
        if name:
            add(add(element, "broader", type=f"loctyp:{kind}", literal=name), "name", name)


def _concept(
    meta: etree._Element,
    tag: str,
    alias: str,
    entry: Document,
    language: str,
    concept_type: str = "",
) -> None:
    """Append a concept: under its code where that makes a QCode, else as a literal."""
    code, name = line(entry.get("qcode")), line(entry.get("name"))
    if not (code or name):
        return
    qcode = f"{alias}:{code}"
    identity = {"qcode": qcode} if QCODE.fullmatch(qcode) and code else {"literal": code or name}
    kind = {"type": concept_type} if concept_type else {}
    element = add(meta, tag, **kind, **identity)
    _names(element, entry, language)


def _names(element: etree._Element, entry: Document, language: str) -> None:
    """Append the concept's name in the item's language, else as the entry has it."""
    translated = mapping_of(mapping_of(entry, "translations"), "name")
    for tag in (language, re.split("[-_]", language)[0]):
        if translated.get(tag):
            add(element, "name", str(translated[tag])).set(XML_LANG, tag)
            return
    if text_of(entry, "name"):
        add(element, "name", text_of(entry, "name"))


def _subjects(meta: etree._Element, item: Document, language: str) -> None:
    for subject in objects_of(item, "subject"):
        is_iptc = bool(IPTC_SUBJECT.fullmatch(str(subject.get("qcode") or "")))
        alias = "subj" if is_iptc else "cv"
        _concept(meta, "subject", alias, subject, language, "cpnat:abstract")
    for category in objects_of(item, "anpa_category"):
        _concept(meta, "subject", "cat", category, language, "cpnat:abstract")
    for place in objects_of(item, "place"):
        names = (line(place.get(field)) for field in PLACE_FIELDS)
        name = next(filter(None, names), "")
        if name:
            literal = line(place.get("qcode")) or name
            element = add(meta, "subject", type="cpnat:geoArea", literal=literal)
            add(element, "name", name)
    for company in objects_of(item, "company_codes"):
        code = line(company.get("qcode")) or line(company.get("name"))
        if code:
            element = add(meta, "subject", type="cpnat:organisation", literal=code)
            if text_of(company, "name"):
                add(element, "name", text_of(company, "name"))


def _lines(meta: etree._Element, item: Document) -> None:
    is_media = item.get("type") in MEDIA_TYPES
    description = text_of(item, "description_text") or text_of(item, "description")
    if not is_media:
        description = plain_text(text_of(item, "abstract"))
    credit = text_of(item, "original_source") or text_of(item, "source")
    for tag, text in (
        ("slugline", text_of(item, "slugline")),
        ("headline", text_of(item, "headline")),
        ("dateline", text_of(mapping_of(item, "dateline"), "text")),
        ("by", plain_text(text_of(item, "byline"))),
        ("creditline", credit),
    ):
        if text:
            add(meta, tag, text)
    if description:
        role = "caption" if is_media else "summary"
        add(meta, "description", plain_text(description), role=f"drol:{role}")


def _asserts(news_item: etree._Element, item: Document) -> None:
    for company in objects_of(item, "company_codes"):
        code = line(company.get("qcode"))
        if code:
            details = add(add(news_item, "assert", literal=code), "organisationDetails")
            market = str(company.get("security_exchange") or "")
            known = {"marketlabel": market} if market else {}
            add(details, "hasInstrument", symbol=code, **known)


def _content(content: etree._Element, item: Document, context: FormatContext) -> None:
    if item.get("type") in MEDIA_TYPES:
        _remote(content, item)
    elif item.get("format") == "preserved":
        text = plain_text(body_with_footer(item))
        xml.add(content, "inlineData", text, contenttype="text/plain")
    else:
        inline = add(content, "inlineXML", contenttype="application/nitf+xml")
        inline.append(nitf_document(item, context, NITF_NAMESPACE))


def _remote(content: etree._Element, item: Document) -> None:
    for rendition in renditions_of(item):
        said: dict[str, str] = {"href": rendition.href}
        name = f"rendition:{rendition.name}"
        if QCODE.fullmatch(name):
            said["rendition"] = name
        if rendition.mimetype:
            said["contenttype"] = rendition.mimetype
        for key, value in (
            ("width", rendition.width),
            ("height", rendition.height),
            ("size", rendition.size),
        ):
            if value and value > 0:
                said[key] = str(value)
        if rendition.seconds is not None:
            said |= {"duration": rendition.duration, "durationunit": "timeunit:normalPlayTime"}
        add(content, "remoteContent", **said)


def _groups(package: etree._Element, item: Document) -> None:
    groups = [g for g in objects_of(item, "groups") if name_token(g.get("id"))]
    ids = {str(group["id"]) for group in groups}
    group_set = add(package, "groupSet", root="root")
    if "root" not in ids:
        root = add(group_set, "group", id="root", role="grpRole:NEP")
        for name in sorted(ids):
            add(root, "groupRef", idref=name)
    for group in sorted(groups, key=lambda group: group["id"] != "root"):
        role = text_of(group, "role")
        qcode = role if QCODE.fullmatch(role) else f"grpRole:{group['id']}"
        element = add(group_set, "group", id=str(group["id"]), role=qcode)
        for reference in objects_of(group, "refs"):
            _reference(element, reference, ids)


def _reference(group: etree._Element, reference: Mapping[str, Any], ids: set[str]) -> None:
    if reference.get("idRef") in ids:
        add(group, "groupRef", idref=str(reference["idRef"]))
    if not reference.get("residRef"):
        return
    said = {"residref": str(reference["residRef"]), "contenttype": ITEM_MEDIA_TYPE}
    version = integer(reference.get("_current_version"))
    if version and version > 0:
        said["version"] = str(version)
    element = add(group, "itemRef", **said)
    kind = text_of(reference, "type") or ItemType.TEXT
    shown = ItemType.TEXT if kind == ItemType.PREFORMATTED else kind
    add(element, "itemClass", qcode=f"ninat:{shown}")
    status = text_of(reference, "pubstatus") or PubStatus.USABLE
    add(element, "pubStatus", qcode=f"stat:{status}")
    for tag in ("headline", "slugline"):
        if text_of(reference, tag):
            add(element, tag, text_of(reference, tag))
