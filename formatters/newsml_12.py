"""NewsML 1.2, valid by its DTD (formats contract 3.6)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.core.clock import moment_of
from apps.core.text import plain_text
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, PubStatus, State
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body
from formatters.conversions import (
    RIGHTS_FIELDS,
    body_with_footer,
    embargo_time,
    integer,
    mapping_of,
    objects_of,
    rights,
    text_of,
    texts_of,
)
from formatters.media import Rendition, renditions_of
from formatters.newsml_12_superdesk import DOCTYPE, superdesk_layout
from formatters.nitf_body import NITFBody
from formatters.xml import XML_LANG, Element, add, as_lxml, document, serialize

CATALOG = "http://www.iptc.org/std/catalog/catalog.IptcMasterCatalog.xml"
ROLES = {
    ItemType.PICTURE: "Photo",
    ItemType.GRAPHIC: "Graphic",
    ItemType.VIDEO: "Video",
    ItemType.AUDIO: "Audio",
}
LATER_STATES = (State.CORRECTED, State.KILLED, State.RECALLED, State.UNPUBLISHED)


class NewsML12Formatter(Formatter):
    """An item as a NewsML document with one NewsItem."""

    type = "newsml12"
    name = "NewsML 1.2"
    media_type = "application/xml"
    file_extension = "xml"
    error_code = 7005
    error_text = 'Article couldn"t be converted to NewsML 1.2 format'
    item_types = frozenset({*TEXT_TYPES, *MEDIA_TYPES, ItemType.COMPOSITE})
    options = ("compat",)
    numbered = True

    def format(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        is_superdesk = bool(self.choice(item, context, "compat", COMPAT))
        root = document("NewsML", Version="1.2")
        add(root, "Catalog", Href=CATALOG)
        _envelope(add(root, "NewsEnvelope"), item, context)
        news_item = add(root, "NewsItem")
        language = text_of(item, "language") or context.settings.default_language
        news_item.set(XML_LANG, language)
        _identification(add(news_item, "Identification"), item, context)
        _management(add(news_item, "NewsManagement"), item)
        main = add(add(news_item, "NewsComponent"), "NewsComponent")
        _component(main, item, context)
        if is_superdesk:
            root = as_lxml(root)
            superdesk_layout(root, item)
        doctype = context.settings.newsml12_doctype or (DOCTYPE if is_superdesk else "")
        return [Formatted(serialize(root, declaration='version="1.0"', doctype=doctype))]


def basic_time(moment: Any, fallback: datetime) -> str:
    """Return `moment` in the basic form of ISO 8601 with its offset, UTC."""
    known = moment_of(moment) or fallback.astimezone(UTC)
    return known.strftime("%Y%m%dT%H%M%S+0000")


def _formal(parent: Element, tag: str, name: object) -> Any:
    return add(parent, tag, FormalName=str(name))


def _property(parent: Element, name: str, value: object) -> None:
    if value not in (None, ""):
        add(parent, "Property", FormalName=name, Value=str(value))


def _version(item: Document) -> int:
    return max(1, integer(item.get("_current_version")) or 1)


def _envelope(envelope: Element, item: Document, context: FormatContext) -> None:
    add(envelope, "TransmissionId", str(context.sequence_number))
    add(envelope, "DateAndTime", basic_time(context.now, context.now))
    _formal(envelope, "Priority", integer(item.get("priority")) or 5)


def _identification(parent: Element, item: Document, context: FormatContext) -> None:
    guid, version = text_of(item, "guid"), _version(item)
    created = item.get("firstcreated") or item.get("versioncreated")
    identifier = add(parent, "NewsIdentifier")
    add(identifier, "ProviderId", context.settings.provider_id)
    add(identifier, "DateId", basic_time(created, context.now)[:8])
    add(identifier, "NewsItemId", guid)
    previous = version - 1 if item.get("state") in LATER_STATES else 0
    revision = {"PreviousRevision": str(previous), "Update": "N"}
    add(identifier, "RevisionId", str(version), **revision)
    add(identifier, "PublicIdentifier", f"{item.get('_id') or guid}:{version}N")
    add(parent, "DateLabel", context.now.strftime("%A %d %B %Y"))


def _management(parent: Element, item: Document) -> None:
    created = item.get("firstcreated") or item.get("versioncreated")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    status = text_of(item, "pubstatus") or PubStatus.USABLE
    embargo = embargo_time(item)
    _formal(parent, "NewsItemType", "News")
    add(parent, "FirstCreated", basic_time(created, epoch))
    revised = item.get("versioncreated") or created
    add(parent, "ThisRevisionCreated", basic_time(revised, epoch))
    _formal(parent, "Status", "Embargoed" if embargo else status)
    if moment_of(embargo):
        change = add(parent, "StatusWillChange")
        _formal(change, "FutureStatus", status)
        add(change, "DateAndTime", basic_time(embargo, epoch))
    urgency = integer(item.get("urgency"))
    if urgency:
        _formal(parent, "Urgency", urgency)
    if text_of(item, "rewrite_of"):
        add(parent, "DerivedFrom", NewsItem=text_of(item, "rewrite_of"))
    is_correction = item.get("state") == State.CORRECTED
    _formal(parent, "Instruction", "Correction" if is_correction else "Update")


def _component(parent: Element, item: Document, context: FormatContext) -> None:
    _formal(parent, "Role", "Main")
    _lines(add(parent, "NewsLines"), item)
    _rights(add(parent, "RightsMetadata"), item, context)
    _description(add(parent, "DescriptiveMetadata"), item, context)
    for company in objects_of(item, "company_codes"):
        metadata = add(parent, "Metadata")
        _formal(metadata, "MetadataType", "Securities Identifier")
        _property(metadata, "Name", company.get("name") or company.get("qcode") or "-")
        _property(metadata, "Ticker Symbol", company.get("qcode"))
        _property(metadata, "Exchange", company.get("security_exchange"))
    kind = text_of(item, "type")
    if kind in TEXT_TYPES:
        _text(parent, item)
    elif kind == ItemType.COMPOSITE:
        _package(parent, item)
    else:
        _media(parent, item, kind)


def _lines(lines: Element, item: Document) -> None:
    dateline = text_of(mapping_of(item, "dateline"), "text")
    credit = text_of(item, "original_source") or text_of(item, "source")
    for tag, text in (
        ("HeadLine", text_of(item, "headline")),
        ("ByLine", text_of(item, "byline")),
        ("DateLine", dateline),
        ("CreditLine", credit),
        ("SlugLine", text_of(item, "slugline")),
        ("KeywordLine", text_of(item, "slugline")),
    ):
        if text:
            add(lines, tag, text)
    if text_of(item, "ednote"):
        line = add(lines, "NewsLine")
        _formal(line, "NewsLineType", "EditorialNote")
        add(line, "NewsLineText", text_of(item, "ednote"))


def _rights(parent: Element, item: Document, context: FormatContext) -> None:
    known = rights(item, context)
    said = {field: text_of(item, field) or str(known.get(field) or "") for field in RIGHTS_FIELDS}
    copyright_ = add(parent, "Copyright")
    add(copyright_, "CopyrightHolder", said["copyrightholder"])
    add(copyright_, "CopyrightDate", str(context.now.year))
    usage = add(parent, "UsageRights")
    add(usage, "UsageType", said["copyrightnotice"])
    add(usage, "RightsHolder", text_of(item, "original_source") or text_of(item, "source"))
    add(usage, "Limitations", said["usageterms"])
    add(usage, "StartDate", basic_time(context.now, context.now))


def _description(parent: Element, item: Document, context: FormatContext) -> None:
    _formal(parent, "Language", text_of(item, "language") or context.settings.default_language)
    for genre in objects_of(item, "genre"):
        if genre.get("name") or genre.get("qcode"):
            _formal(parent, "Genre", genre.get("name") or genre.get("qcode"))
    codes = [s["qcode"] for s in objects_of(item, "subject") if s.get("qcode")]
    if codes:
        subjects = add(parent, "SubjectCode")
        for code in codes:
            _formal(subjects, "Subject", code)
    located = mapping_of(mapping_of(item, "dateline"), "located")
    if located:
        location = add(parent, "Location", HowPresent="Origin")
        for name, field in (("City", "city"), ("CountryArea", "state"), ("Country", "country")):
            _property(location, name, located.get(field))
    for place in objects_of(item, "place"):
        if any(place.get(field) for field in ("state", "country", "world_region")):
            location = add(parent, "Location", HowPresent="RelatesTo")
            _property(location, "CountryArea", place.get("state"))
            _property(location, "Country", place.get("country"))
            _property(location, "WorldRegion", place.get("world_region"))
    for category in objects_of(item, "anpa_category"):
        _property(parent, "Category", category.get("qcode"))
    for keyword in texts_of(item, "keywords"):
        _property(parent, "Keyword", keyword)


def _role(parent: Element, role: str) -> Any:
    component = add(parent, "NewsComponent")
    _formal(component, "Role", role)
    return component


def _content(component: Element, content_format: str) -> Any:
    content = add(component, "ContentItem")
    _formal(content, "MediaType", "Text")
    _formal(content, "Format", content_format)
    return add(content, "DataContent")


def _text(parent: Element, item: Document) -> None:
    abstract = _content(_role(parent, "Abstract"), "Text")
    abstract.text = plain_text(text_of(item, "abstract"))
    data = _content(_role(parent, "BodyText"), "NITF")
    content = add(add(add(data, "nitf"), "body"), "body.content")
    html = body_with_footer(item)
    if item.get("format") == "preserved":
        add(content, "pre", plain_text(html))
    else:
        NITFBody().write_blocks(content, parse_body(html))


def _media(parent: Element, item: Document, kind: str) -> None:
    component = _role(parent, ROLES[ItemType(kind)])
    caption = text_of(item, "description_text") or text_of(item, "description")
    if caption:
        _content(_role(component, "Caption"), "Text").text = plain_text(caption)
    for rendition in renditions_of(item):
        content = add(_role(component, rendition.name), "ContentItem", Href=rendition.href)
        _formal(content, "MediaType", ROLES[ItemType(kind)])
        if rendition.mimetype:
            _formal(content, "Format", rendition.mimetype)
        _characteristics(content, rendition)


def _characteristics(content: Element, rendition: Rendition) -> None:
    characteristics = add(content, "Characteristics")
    if rendition.size:
        add(characteristics, "SizeInBytes", str(rendition.size))
    _property(characteristics, "Width", rendition.width)
    _property(characteristics, "Height", rendition.height)
    if rendition.seconds is not None:
        _property(characteristics, "TotalDuration", int(rendition.seconds))


def _package(parent: Element, item: Document) -> None:
    root = _role(parent, "root")
    for group in objects_of(item, "groups"):
        if group.get("id") == "root":
            continue
        references = [ref for ref in objects_of(group, "refs") if ref.get("residRef")]
        component = _role(root, text_of(group, "role") or text_of(group, "id"))
        for reference in references:
            add(component, "NewsItemRef", NewsItem=_member(reference))


def _member(reference: Mapping[str, Any]) -> str:
    version = integer(reference.get("_current_version"))
    return f"{reference['residRef']}:{version}N" if version else str(reference["residRef"])
