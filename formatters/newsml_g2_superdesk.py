"""NewsML-G2 as Superdesk lays it out, for subscribers whose readers expect that.

Formats contract 3.7.

It is not valid by the standard: elements stand out of order, and NITF in the namespace of NewsML.
"""

from collections.abc import Iterator
from typing import Any

from lxml import etree

from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text
from apps.core.vocabulary import MEDIA_TYPES, ItemType, PubStatus, State
from formatters import newsml_g2_parts as parts
from formatters.base import Document, FormatContext
from formatters.conversions import (
    RIGHTS_FIELDS,
    body_with_footer,
    caption_of,
    created_time,
    integer,
    iso_time,
    language_of,
    rights,
    source_of,
    version_of,
)
from formatters.media import renditions_of
from formatters.newsml_g2_parts import NAMESPACE, iso
from formatters.nitf_superdesk import superdesk_nitf
from formatters.xml import XML_LANG, add, add_written

CATALOG = "http://www.iptc.org/std/catalog/catalog.IPTC-G2-Standards_25.xml"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SCHEMA = "http://www.iptc.org/std/NewsML-G2/2.18/specification/NewsML-G2_2.18-spec-All-Power.xsd"


def superdesk_message(item: Document, context: FormatContext) -> etree._Element:
    """Return `item` as a `newsMessage` in Superdesk's layout."""
    names: Any = {None: NAMESPACE, "x": "http://www.w3.org/1999/xhtml", "xsi": INSTANCE}
    root = etree.Element(f"{{{NAMESPACE}}}newsMessage", nsmap=names)
    root.set(f"{{{INSTANCE}}}schemaLocation", f"{NAMESPACE}     {SCHEMA}")
    _header(add(root, "header"), item, context)
    is_package = item.get("type") == ItemType.COMPOSITE
    element = add(add(root, "itemSet"), "packageItem" if is_package else "newsItem")
    _item(element, item, context)
    for company in objects_of(item, "company_codes"):
        code = str(company.get("qcode") or "")
        details = add(add(element, "assert", literal=code), "organisationDetails")
        market = str(company.get("security_exchange") or "")
        add(details, "hasInstrument", symbol=code, marketlabel=market)
    if is_package:
        written = parts.groups(item, context, with_versions=False)
        add_written(element, "groupSet", written, root="root")
    else:
        _content(add(element, "contentSet"), item, context)
    return root


def _header(header: etree._Element, item: Document, context: FormatContext) -> None:
    add(header, "sent", iso(context.now, context.now))
    add(header, "sender", context.settings.provider_id)
    add(header, "transmitId", str(context.sequence_number))
    add(header, "priority", str(integer(item.get("priority")) or 5))
    add(header, "origin", source_of(item))


def _item(element: etree._Element, item: Document, context: FormatContext) -> None:
    language = text_of(item, "language") or context.settings.default_language
    said = {"standard": "NewsML-G2", "standardversion": "2.18", "guid": text_of(item, "guid")}
    for name, value in (*said.items(), ("version", str(version_of(item)))):
        element.set(name, parts.line(value))
    element.set(XML_LANG, parts.line(language))
    element.set("conformance", "power")
    add(element, "catalogRef", href=CATALOG)
    known = rights(item, context)
    holder, notice, terms = (str(known.get(field) or "") for field in RIGHTS_FIELDS)
    info = add(element, "rightsInfo")
    add(add(info, "copyrightHolder"), "name", holder)
    add(info, "copyrightNotice", notice)
    add(info, "usageTerms", terms)
    _item_meta(add(element, "itemMeta"), item, context)
    _content_meta(add(element, "contentMeta"), item, context, language)


def _item_meta(meta: etree._Element, item: Document, context: FormatContext) -> None:
    created = created_time(item)
    add(meta, "itemClass", qcode=parts.item_class(text_of(item, "type")))
    add(add(meta, "provider"), "name", context.settings.provider_id)
    add(meta, "versionCreated", iso(item.get("versioncreated") or created, context.now))
    add(meta, "firstCreated", iso(created, context.now))
    add(meta, "pubStatus", qcode=f"stat:{text_of(item, 'pubstatus') or PubStatus.USABLE}")
    embargo = embargo_of(item, context.now)
    if embargo is not None:
        add(meta, "embargoed", str(iso_time(embargo)))
    if text_of(item, "ednote"):
        add(meta, "edNote", text_of(item, "ednote"))
    is_correction = item.get("state") == State.CORRECTED
    add(meta, "signal", qcode="sig:correction" if is_correction else "sig:update")


def _content_meta(
    meta: etree._Element, item: Document, context: FormatContext, language: str
) -> None:
    created = created_time(item)
    add(meta, "urgency", str(integer(item.get("urgency")) or 5))
    add(meta, "contentCreated", iso(created, context.now))
    add(meta, "contentModified", iso(item.get("versioncreated") or created, context.now))
    if item.get("byline") is not None:
        add(add(meta, "creator"), "name", text_of(item, "byline"))
    dateline = object_of(item, "dateline")
    _located(meta, object_of(dateline, "located"))
    if text_of(dateline, "text"):
        add(meta, "dateline", text_of(dateline, "text"))
    for subject in objects_of(item, "subject"):
        if subject.get("qcode"):
            element = _abstract(meta, "subject", f"subj:{subject['qcode']}")
            _name(element, subject, language, context)
    for genre in objects_of(item, "genre"):
        if genre.get("name"):
            code = genre.get("qcode") or genre["name"]
            element = add(meta, "genre", qcode=code)
            _name(element, genre, language, context)
    add(meta, "slugline", text_of(item, "slugline"))
    add(meta, "headline", text_of(item, "headline"))
    for place in objects_of(item, "place"):
        _place(meta, place)
    for category in objects_of(item, "anpa_category"):
        element = _abstract(meta, "subject", f"cat:{category.get('qcode') or ''}")
        _name(element, category, language, context)
    for company in objects_of(item, "company_codes"):
        code = str(company.get("qcode") or "")
        element = add(meta, "subject", type="cpnat:organisation", literal=code)
        add(element, "name", text_of(company, "name"))
    if item.get("type") in MEDIA_TYPES:
        caption = caption_of(item)
        add(meta, "description", caption, role="drol:caption")
        add(meta, "creditline", source_of(item))


def _name(element: etree._Element, entry: Document, language: str, context: FormatContext) -> None:
    name, tag = parts.name_of(entry, language)
    if name:
        add(element, "name", name).set(XML_LANG, tag or language_of({}, context))


def _abstract(parent: etree._Element, tag: str, qcode: str) -> Any:
    return add(parent, tag, type="cpnat:abstract", qcode=qcode)


def _located(meta: etree._Element, located: Document) -> None:
    if not text_of(located, "city"):
        return
    element = _abstract(meta, "located", "loctyp:City")
    add(element, "name", text_of(located, "city"))
    for kind, field in parts.PLACE_KINDS[:2]:
        if text_of(located, field):
            broader = _abstract(element, "broader", f"loctyp:{kind}")
            add(broader, "name", text_of(located, field))


def _place(meta: etree._Element, place: Document) -> None:
    if place.get("scheme") == "geonames":
        _geoname(meta, place)
        return
    known = [
        (kind, text_of(place, field)) for kind, field in parts.PLACE_KINDS if text_of(place, field)
    ]
    if not known:
        return
    (kind, name), *wider = known
    element = _abstract(meta, "subject", f"loctyp:{kind}")
    add(element, "name", name)
    for kind, name in wider:
        add(_abstract(element, "broader", f"loctyp:{kind}"), "name", name)


def _geoname(meta: etree._Element, place: Document) -> None:
    element = add(meta, "subject", type="cpnat:geoArea", qcode=parts.geoname_code(place))
    add(element, "name", text_of(place, "name"))
    for kind, code, name in _wider(place):
        add(add(element, "broader", type=f"cptype:{kind}", qcode=code), "name", name)
    if position := parts.position(place):
        add_written(element, "geoAreaDetails", position)


def _wider(place: Document) -> Iterator[tuple[str, str, str]]:
    country = text_of(place, "country_code")
    if text_of(place, "state"):
        code = f"iso3166-2:{country}-{text_of(place, 'state_code')}"
        yield "statprov", code, text_of(place, "state")
    if text_of(place, "country"):
        yield "country", f"iso3166-1a2:{country}", text_of(place, "country")


def _content(content: etree._Element, item: Document, context: FormatContext) -> None:
    if item.get("type") in MEDIA_TYPES:
        for rendition in renditions_of(item):
            said = {
                "href": rendition.href,
                "contenttype": rendition.mimetype,
                "rendition": f"rendition:{rendition.name}",
                "width": rendition.width,
                "height": rendition.height,
                "duration": rendition.duration,
                "durationunit": "timeunit:normalPlayTime" if rendition.duration else "",
                "size": rendition.size,
            }
            known = {name: str(value) for name, value in said.items() if value}
            add(content, "remoteContent", **known)
    elif item.get("format") == "preserved":
        add(content, "inlineData", plain_text(body_with_footer(item)), contenttype="text/plain")
    else:
        inline = add(content, "inlineXML", contenttype="application/nitf+xml")
        inline.append(superdesk_nitf(item, context, NAMESPACE))
