"""NewsML-G2 2.35 at power conformance, valid by its official schema (formats contract 3.7)."""

import re
from collections.abc import Iterable

from apps.core.clock import moment_of
from apps.core.text import plain_text, strip_forbidden
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, PubStatus, State
from formatters import xml
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.conversions import (
    RIGHTS_FIELDS,
    body_with_footer,
    embargo_time,
    integer,
    mapping_of,
    number_within,
    objects_of,
    rights,
    text_of,
    texts_of,
)
from formatters.media import renditions_of
from formatters.newsml_g2_parts import (
    NAMESPACE,
    QCODE,
    add,
    geoname_code,
    groups,
    iso,
    item_class,
    line,
    names,
    position,
    version_of,
)
from formatters.newsml_g2_superdesk import superdesk_message
from formatters.nitf import NITF_NAMESPACE, nitf_document
from formatters.uris import reference
from formatters.xml import XML_LANG, Element, as_superdesk, document, serialize

CATALOG = "http://www.iptc.org/std/catalog/catalog.IPTC-G2-Standards_41.xml"
SCHEMES = ("cat", "genrecv", "rendition", "grpRole", "cv")
"""Aliases that the IPTC catalog does not have; each message brings their scheme along."""
PLACE_KINDS = (("CountryArea", "state"), ("Country", "country"), ("WorldArea", "world_region"))
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
    options = ("compat",)
    numbered = True
    lists_members = True

    def format(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        if self.choice(item, context, "compat", COMPAT):
            message = superdesk_message(item, context)
            return [Formatted(as_superdesk(message, 'version="1.0" encoding="UTF-8"'))]
        root = document("newsMessage", NAMESPACE)
        _header(add(root, "header"), item, context)
        is_package = item.get("type") == ItemType.COMPOSITE
        tag = "packageItem" if is_package else "newsItem"
        news_item = add(add(root, "itemSet"), tag)
        _item(news_item, item, context)
        _asserts(news_item, item)
        if is_package:
            groups(news_item, item, context)
        else:
            _content(add(news_item, "contentSet"), item, context)
        return [Formatted(serialize(root, declaration='version="1.0" encoding="UTF-8"'))]


def _header(header: Element, item: Document, context: FormatContext) -> None:
    add(header, "sent", iso(context.now, context.now))
    add(header, "sender", context.settings.provider_id)
    add(header, "transmitId", str(context.sequence_number))
    priority = integer(item.get("priority")) or 5
    add(header, "priority", str(min(9, max(1, priority))))
    origin = text_of(item, "original_source") or text_of(item, "source")
    if origin:
        add(header, "origin", origin)


def _item(element: Element, item: Document, context: FormatContext) -> None:
    language = text_of(item, "language") or context.settings.default_language
    version = version_of(item)
    for name, value in (
        ("standard", "NewsML-G2"),
        ("standardversion", "2.35"),
        ("conformance", "power"),
        ("guid", text_of(item, "guid")),
        ("version", str(version)),
    ):
        element.set(name, strip_forbidden(value))
    element.set(XML_LANG, line(language))
    add(element, "catalogRef", href=CATALOG)
    catalog = add(element, "catalog")
    for alias in SCHEMES:
        uri = f"http://{context.settings.urn_domain}/cv/{alias}/"
        add(catalog, "scheme", alias=alias, uri=uri)
    _rights(element, item, context)
    _item_meta(add(element, "itemMeta"), item, context, version)
    _content_meta(add(element, "contentMeta"), item, context, language)


def _rights(element: Element, item: Document, context: FormatContext) -> None:
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


def _item_meta(meta: Element, item: Document, context: FormatContext, version: int) -> None:
    created = item.get("firstcreated") or item.get("versioncreated")
    add(meta, "itemClass", qcode=item_class(text_of(item, "type")))
    provider = add(meta, "provider", literal=context.settings.provider_id)
    add(provider, "name", context.settings.provider_id)
    add(meta, "versionCreated", iso(item.get("versioncreated") or created, context.now))
    if moment_of(created):
        add(meta, "firstCreated", iso(created, context.now))
    embargo = embargo_time(item)
    if moment_of(embargo):
        add(meta, "embargoed", iso(embargo, context.now))
    add(meta, "pubStatus", qcode=f"stat:{text_of(item, 'pubstatus') or PubStatus.USABLE}")
    if text_of(item, "ednote"):
        add(meta, "edNote", text_of(item, "ednote"))
    if item.get("state") == State.CORRECTED:
        add(meta, "signal", qcode="sig:correction")
    elif version > 1 and item.get("operation") not in (None, "publish"):
        add(meta, "signal", qcode="sig:update")


def _content_meta(meta: Element, item: Document, context: FormatContext, language: str) -> None:
    urgency = number_within(item.get("urgency"), 1, 9)
    if urgency:
        add(meta, "urgency", str(urgency))
    created = item.get("firstcreated") or item.get("versioncreated")
    if moment_of(created):
        add(meta, "contentCreated", iso(created, context.now))
    if moment_of(item.get("versioncreated")):
        add(meta, "contentModified", iso(item["versioncreated"], context.now))
    _located(meta, mapping_of(mapping_of(item, "dateline"), "located"))
    for name in _creators(item):
        add(add(meta, "creator", literal=name), "name", name)
    add(meta, "language", tag=language)
    for genre in objects_of(item, "genre"):
        _concept(meta, "genre", "genrecv", genre, language, context)
    for keyword in texts_of(item, "keywords"):
        add(meta, "keyword", keyword)
    _subjects(meta, item, language, context)
    _lines(meta, item)


def _creators(item: Document) -> Iterable[str]:
    authors = [text_of(a, "name") or text_of(a, "sub_label") for a in objects_of(item, "authors")]
    known = [line(author) for author in authors if line(author)]
    byline = line(plain_text(text_of(item, "byline")))
    return known or ([byline] if byline else [])


def _located(meta: Element, located: Document) -> None:
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
    meta: Element,
    tag: str,
    alias: str,
    entry: Document,
    language: str,
    context: FormatContext,
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
    names(element, entry, language, context)


def _subjects(meta: Element, item: Document, language: str, context: FormatContext) -> None:
    for subject in objects_of(item, "subject"):
        is_iptc = bool(IPTC_SUBJECT.fullmatch(str(subject.get("qcode") or "")))
        alias = "subj" if is_iptc else "cv"
        _concept(meta, "subject", alias, subject, language, context, "cpnat:abstract")
    for category in objects_of(item, "anpa_category"):
        _concept(meta, "subject", "cat", category, language, context, "cpnat:abstract")
    for place in objects_of(item, "place"):
        _place(meta, place)
    for company in objects_of(item, "company_codes"):
        code = line(company.get("qcode")) or line(company.get("name"))
        if code:
            element = add(meta, "subject", type="cpnat:organisation", literal=code)
            if text_of(company, "name"):
                add(element, "name", text_of(company, "name"))


def _place_identity(place: Document) -> tuple[str, dict[str, str]]:
    """Return what a place is called, and the attributes that identify it; empty where unknown."""
    known = [line(place.get(field)) for _, field in PLACE_KINDS]
    own = line(place.get("name"))
    if place.get("scheme") == "geonames" and own and line(place.get("code")):
        return own, {"qcode": geoname_code(place)}
    name = next(filter(None, known), own)
    return name, {"literal": line(place.get("qcode")) or name}


def _place(meta: Element, place: Document) -> None:
    """Append a place: the most exact of what is known of it, with what lies around it."""
    name, identity = _place_identity(place)
    if not name:
        return
    known = [(kind, line(place.get(field))) for kind, field in PLACE_KINDS]
    wider = [(kind, around) for kind, around in known if around and around != name]
    element = add(meta, "subject", type="cpnat:geoArea", **identity)
    add(element, "name", name)
    for kind, around in wider:
        add(add(element, "broader", type=f"loctyp:{kind}", literal=around), "name", around)


def _lines(meta: Element, item: Document) -> None:
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


def _asserts(news_item: Element, item: Document) -> None:
    """Append what is known of places and companies besides their names."""
    for place in objects_of(item, "place"):
        name, identity = _place_identity(place)
        if name and mapping_of(place, "location"):
            position(add(news_item, "assert", **identity), place)
    for company in objects_of(item, "company_codes"):
        code = line(company.get("qcode"))
        if code:
            details = add(add(news_item, "assert", literal=code), "organisationDetails")
            market = str(company.get("security_exchange") or "")
            known = {"marketlabel": market} if market else {}
            add(details, "hasInstrument", symbol=code, **known)


def _content(content: Element, item: Document, context: FormatContext) -> None:
    if item.get("type") in MEDIA_TYPES:
        _remote(content, item)
    elif item.get("format") == "preserved":
        text = plain_text(body_with_footer(item))
        xml.add(content, "inlineData", text, contenttype="text/plain")
    else:
        inline = add(content, "inlineXML", contenttype="application/nitf+xml")
        inline.append(nitf_document(item, context, NITF_NAMESPACE))


def _remote(content: Element, item: Document) -> None:
    for rendition in renditions_of(item):
        href = reference(rendition.href)
        if not href:
            continue
        said: dict[str, str] = {"href": href}
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
        if rendition.seconds is not None and rendition.duration:
            said |= {"duration": rendition.duration, "durationunit": "timeunit:normalPlayTime"}
        elif rendition.seconds is not None:
            said |= {"duration": f"{rendition.seconds:g}", "durationunit": "timeunit:seconds"}
        add(content, "remoteContent", **said)
