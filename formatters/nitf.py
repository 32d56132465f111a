"""NITF 3.6, valid by its official schema (formats contract 3.5)."""

from collections.abc import Iterator, Mapping
from typing import Any

from apps.core.clock import moment_of
from apps.core.text import plain_text, strip_forbidden
from apps.core.vocabulary import ItemType, PubStatus, State
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.body import Paragraph, Text, parse_body
from formatters.conversions import (
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
from formatters.nitf_body import NITFBody, append_text
from formatters.nitf_superdesk import superdesk_nitf
from formatters.xml import Element, add, as_superdesk, document, name_token, serialize

VERSION = "-//IPTC//DTD NITF 3.6//EN"
NITF_NAMESPACE = "http://iptc.org/std/NITF/2006-10-18/"
MEDIA_TYPES = {
    ItemType.PICTURE: "image",
    ItemType.GRAPHIC: "image",
    ItemType.VIDEO: "video",
    ItemType.AUDIO: "audio",
}
CORRECTED = (State.CORRECTED, State.KILLED, State.RECALLED, State.UNPUBLISHED)


class NITFFormatter(Formatter):
    """A story as an NITF document; packages as a document without a body."""

    type = "nitf"
    name = "NITF"
    media_type = "application/nitf+xml"
    file_extension = "ntf"
    error_code = 7001
    error_text = 'Article couldn"t be converted to NITF format'
    item_types = frozenset({ItemType.TEXT, ItemType.PREFORMATTED, ItemType.COMPOSITE})
    options = ("compat",)

    def format(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        declaration = 'version="1.0"'
        if self.choice(item, context, "compat", COMPAT):
            return [Formatted(as_superdesk(superdesk_nitf(item), declaration))]
        return [Formatted(serialize(nitf_document(item, context), declaration=declaration))]


def nitf_document(item: Document, context: FormatContext, namespace: str | None = None) -> Element:
    """Return `item` as an `nitf` element.

    Args:
        namespace: of the elements; the form without one is what readers of the DTD expect.
    """
    root = document("nitf", namespace, version=VERSION)
    _head(add(root, "head"), item, context)
    body = add(root, "body")
    language = text_of(item, "language")
    if language:
        body.set("{http://www.w3.org/XML/1998/namespace}lang", language)
    writer = NITFBody(namespace)
    _body_head(add(body, "body.head"), item, writer)
    _body_content(add(body, "body.content"), item, writer)
    _body_end(body, item)
    return root


def _head(head: Element, item: Document, context: FormatContext) -> None:
    add(head, "title", text_of(item, "headline"))
    for name, value in _meta(item):
        add(head, "meta", name=name, content=value)
    tobject = add(head, "tobject", **{"tobject.type": "news"})
    genre = next(iter(objects_of(item, "genre")), {})
    if text_of(genre, "name"):
        add(tobject, "tobject.property", **{"tobject.property.type": text_of(genre, "name")})
    for subject in objects_of(item, "subject"):
        code = name_token(subject.get("qcode"))
        if code:
            named = {"tobject.subject.refnum": code}
            if text_of(subject, "name"):
                named["tobject.subject.type"] = strip_forbidden(text_of(subject, "name"))
            add(tobject, "tobject.subject", **named)
    _docdata(add(head, "docdata"), item, context)


def _meta(item: Document) -> Iterator[tuple[str, str]]:
    for category in objects_of(item, "anpa_category"):
        if category.get("qcode"):
            yield "anpa-category", str(category["qcode"])
    priority = integer(item.get("priority"))
    if priority:
        yield "priority", str(priority)


def _docdata(docdata: Element, item: Document, context: FormatContext) -> None:
    embargo = embargo_time(item)
    status = "embargoed" if embargo else text_of(item, "pubstatus") or PubStatus.USABLE
    docdata.set("management-status", status)
    if item.get("state") in CORRECTED and text_of(item, "ednote"):
        add(docdata, "correction", info=text_of(item, "ednote"))
    if text_of(item, "guid"):
        doc_id = {"id-string": text_of(item, "guid"), "regsrc": context.settings.provider_id}
        add(docdata, "doc-id", **doc_id)
    urgency = number_within(item.get("urgency"), 1, 8)
    if urgency:
        add(docdata, "urgency", **{"ed-urg": str(urgency)})
    for place in objects_of(item, "place"):
        _place(docdata, place)
    created = item.get("firstcreated") or item.get("versioncreated")
    for name, moment in (
        ("date.issue", created),
        ("date.release", embargo),
        ("date.expire", item.get("expiry")),
    ):
        known = moment_of(moment)
        if known:
            add(docdata, name, norm=known.strftime("%Y%m%dT%H%M%SZ"))
    _copyright(docdata, item, context)
    if text_of(item, "slugline"):
        version = str(integer(item.get("_current_version")) or 1)
        add(docdata, "du-key", key=text_of(item, "slugline"), version=version)
    _notes(docdata, item)


def _notes(docdata: Element, item: Document) -> None:
    if text_of(item, "ednote"):
        add(docdata, "ed-msg", info=text_of(item, "ednote"))
    keywords = texts_of(item, "keywords")
    if keywords:
        key_list = add(docdata, "key-list")
        for keyword in keywords:
            add(key_list, "keyword", key=keyword)
    companies = [c for c in objects_of(item, "company_codes") if text_of(c, "name")]
    if companies:
        identified = add(docdata, "identified-content")
        for company in companies:
            codes = {"idsrc": company.get("security_exchange"), "value": company.get("qcode")}
            known = {key: str(value) for key, value in codes.items() if value}
            add(identified, "org", text_of(company, "name"), **known)


def _place(docdata: Element, place: Document) -> None:
    """Append where it happened. A place within nothing that is known counts as a city."""
    is_city = text_of(place, "feature_class").upper() == "P"
    is_alone = not any(text_of(place, field) for field in ("state", "country", "world_region"))
    said = {
        "city": text_of(place, "name") if is_city or is_alone else "",
        "state-prov": text_of(place, "state"),
        "iso-cc": text_of(place, "country_code"),
    }
    known = {name: value for name, value in said.items() if value}
    if known:
        add(docdata, "evloc", **known)


def _copyright(docdata: Element, item: Document, context: FormatContext) -> None:
    holder = text_of(item, "copyrightholder") or rights(item, context).get("copyrightholder") or ""
    if holder:
        add(docdata, "doc.copyright", holder=str(holder), year=str(context.now.year))


def _body_head(head: Element, item: Document, writer: NITFBody) -> None:
    add(add(head, "hedline"), "hl1", text_of(item, "headline"))
    if text_of(item, "byline"):
        add(head, "byline", text_of(item, "byline"))
    dateline = text_of(mapping_of(item, "dateline"), "text")
    if dateline:
        add(head, "dateline", dateline)
    abstract = parse_body(text_of(item, "abstract"))
    if abstract:
        writer.write_blocks(add(head, "abstract"), abstract)


def _body_content(content: Element, item: Document, writer: NITFBody) -> None:
    for media in (a for a in mapping_of(item, "associations").values() if isinstance(a, Mapping)):
        _associated_media(content, media)
    html = body_with_footer(item)
    if item.get("format") == "preserved":
        if html:
            add(content, "pre", plain_text(html))
        return
    nodes = parse_body(html)
    writer.write_blocks(content, nodes or (Paragraph((Text(""),)),))


def _associated_media(content: Element, item: Mapping[str, Any]) -> None:
    media_type = MEDIA_TYPES.get(text_of(item, "type"))  # type: ignore[call-overload]
    renditions = [r for r in mapping_of(item, "renditions").values() if isinstance(r, Mapping)]
    shown = [rendition for rendition in renditions if text_of(rendition, "href")]
    if media_type is None or not shown:
        return
    media = add(content, "media", **{"media-type": media_type})
    for rendition in shown:
        reference = {"source": text_of(rendition, "href")}
        if text_of(rendition, "mimetype"):
            reference["mime-type"] = text_of(rendition, "mimetype")
        for name in ("width", "height"):
            if size := integer(rendition.get(name)):
                reference[name] = str(size)
        if text_of(item, "alt_text"):
            reference["alternate-text"] = text_of(item, "alt_text")
        add(media, "media-reference", **reference)
    caption = text_of(item, "description_text") or text_of(item, "headline")
    if caption:
        append_text(add(media, "media-caption"), plain_text(caption))
    if text_of(item, "byline"):
        append_text(add(media, "media-producer"), text_of(item, "byline"))


def _body_end(body: Element, item: Document) -> None:
    if text_of(item, "ednote"):
        add(add(body, "body.end"), "tagline", text_of(item, "ednote"), type="npa")
