"""NewsML 1.2, valid by its DTD (formats contract 3.6)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text, preserved_text
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, PubStatus, State
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body
from formatters.conversions import (
    authors_of,
    basic_time,
    body_with_footer,
    code_of,
    copyright_year,
    created_time,
    integer,
    keywords_of,
    language_of,
    publish_status,
    rights_of,
    source_of,
    tagged,
    version_of,
)
from formatters.media import Rendition, media_of, renditions_of
from formatters.newsml_12_superdesk import DOCTYPE, superdesk_newsml
from formatters.nitf_body import NITFBody
from formatters.xml import document, element, leaf, quoted

CATALOG = "http://www.iptc.org/std/catalog/catalog.IptcMasterCatalog.xml"
ROLES = {
    ItemType.PICTURE: "Photo",
    ItemType.GRAPHIC: "Graphic",
    ItemType.VIDEO: "Video",
    ItemType.AUDIO: "Audio",
}
ALTERNATIVE = "AlternativeText"
"""Property with what a picture shows, for those who do not see it."""
PLACE_NAME = "Name"
"""Property of a location with its own name, where that says none of what is around it."""
ORIGIN = (("City", "city"), ("CountryArea", "state"), ("Country", "country"))
RELATED = (("CountryArea", "state"), ("Country", "country"), ("WorldRegion", "world_region"))
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

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        is_superdesk = bool(self.choice(item, context, "compat", COMPAT))
        root = _newsml(item, context, with_pictures=not is_superdesk)
        if is_superdesk:
            root = superdesk_newsml(root, item, context)
        address = context.settings.newsml12_doctype or (DOCTYPE if is_superdesk else "")
        doctype = f"NewsML SYSTEM {quoted(address)}" if address else ""
        return [Formatted(document(root, declaration='version="1.0"', doctype=doctype))]


def _newsml(item: Document, context: FormatContext, *, with_pictures: bool) -> str:
    pictures = "".join(_pictures(item, context)) if with_pictures else ""
    return (
        f'<NewsML Version="1.2"><Catalog Href="{CATALOG}"/>{_envelope(item, context)}'
        f'<NewsItem xml:lang="{language_of(item, context)}">'
        f"{_identification(item, context)}{_management(item, context)}"
        f"<NewsComponent>{_component(item, context, pictures)}</NewsComponent></NewsItem></NewsML>"
    )


def _time(moment: object, fallback: datetime) -> str:
    """Return `moment` in the basic form of ISO 8601 with its offset, UTC."""
    known = moment_of(moment) or fallback.astimezone(UTC)
    return f"{basic_time(known)}+0000"


def _formal(tag: str, name: object) -> str:
    return f"<{tag} FormalName={quoted(str(name))}/>"


def _property(name: str, value: object) -> str:
    if value in (None, ""):
        return ""
    return f'<Property FormalName="{name}" Value={quoted(str(value))}/>'


def _envelope(item: Document, context: FormatContext) -> str:
    return (
        f"<NewsEnvelope><TransmissionId>{context.sequence_number}</TransmissionId>"
        f"<DateAndTime>{_time(context.now, context.now)}</DateAndTime>"
        f"{_formal('Priority', integer(item.get('priority')) or 5)}</NewsEnvelope>"
    )


def _identification(item: Document, context: FormatContext) -> str:
    guid, version = text_of(item, "guid"), version_of(item)
    created = created_time(item)
    public_id = f"{item.get('_id') or guid}:{version}N"
    previous = version - 1 if item.get("state") in LATER_STATES else 0
    return (
        "<Identification><NewsIdentifier>"
        f"{leaf('ProviderId', context.settings.provider_id)}"
        f"<DateId>{_time(created, context.now)[:8]}</DateId>"
        f"{leaf('NewsItemId', guid)}"
        f'<RevisionId PreviousRevision="{previous}" Update="N">{version}</RevisionId>'
        f"{leaf('PublicIdentifier', public_id)}"
        f"</NewsIdentifier><DateLabel>{context.now:%A %d %B %Y}</DateLabel></Identification>"
    )


def _management(item: Document, context: FormatContext) -> str:
    created = created_time(item)
    revised = item.get("versioncreated") or created
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    status = publish_status(item)
    embargo = embargo_of(item, context.now)
    is_embargoed = embargo is not None and status != PubStatus.CANCELED
    parts = [
        "<NewsManagement>",
        _formal("NewsItemType", "News"),
        f"<FirstCreated>{_time(created, epoch)}</FirstCreated>",
        f"<ThisRevisionCreated>{_time(revised, epoch)}</ThisRevisionCreated>",
        _formal("Status", "Embargoed" if is_embargoed else status),
    ]
    if is_embargoed:
        change = f"<DateAndTime>{_time(embargo, epoch)}</DateAndTime>"
        future = _formal("FutureStatus", status)
        parts.append(f"<StatusWillChange>{future}{change}</StatusWillChange>")
    if urgency := integer(item.get("urgency")):
        parts.append(_formal("Urgency", urgency))
    if original := text_of(item, "rewrite_of"):
        parts.append(f"<DerivedFrom NewsItem={quoted(original)}/>")
    is_correction = item.get("state") == State.CORRECTED
    parts.append(_formal("Instruction", "Correction" if is_correction else "Update"))
    parts.append("</NewsManagement>")
    return "".join(parts)


def _component(item: Document, context: FormatContext, pictures: str) -> str:
    """Return the component of the item.

    Args:
        pictures: components of the media that it holds.
    """
    parts = [
        "<NewsComponent>",
        _formal("Role", "Main"),
        _lines(item),
        _administration(item, context),
        _rights(item, context),
        _description(item, context),
        *[_company(company) for company in objects_of(item, "company_codes")],
    ]
    kind = text_of(item, "type")
    if kind in TEXT_TYPES:
        parts += [_text(item), pictures]
    elif kind == ItemType.COMPOSITE:
        parts.append(_package(item))
    else:
        parts.append(_media(item, ROLES[ItemType(kind)]))
    parts.append("</NewsComponent>")
    return "".join(parts)


def _company(company: Document) -> str:
    return (
        f"<Metadata>{_formal('MetadataType', 'Securities Identifier')}"
        f"{_property('Name', company.get('name') or company.get('qcode') or '-')}"
        f"{_property('Ticker Symbol', company.get('qcode'))}"
        f"{_property('Exchange', company.get('security_exchange'))}</Metadata>"
    )


def _lines(item: Document) -> str:
    slugline = text_of(item, "slugline")
    lines = [
        leaf(tag, text)
        for tag, text in (
            ("HeadLine", text_of(item, "headline")),
            ("ByLine", text_of(item, "byline")),
            ("DateLine", text_of(object_of(item, "dateline"), "text")),
            ("CreditLine", text_of(item, "creditline") or source_of(item)),
            ("SlugLine", slugline),
            ("KeywordLine", slugline),
        )
        if text
    ]
    if note := text_of(item, "ednote"):
        kind = _formal("NewsLineType", "EditorialNote")
        lines.append(f"<NewsLine>{kind}{leaf('NewsLineText', note)}</NewsLine>")
    return element("NewsLines", "".join(lines))


def _administration(item: Document, context: FormatContext, identity: str = "") -> str:
    """Return who made the item.

    Args:
        identity: of the item, where the document is about another one.
    """
    parties = [
        element("Party", _property("Role", role), FormalName=name)
        for name, role in authors_of(item, context)
    ]
    creators = element("Creator", "".join(parties)) if parties else ""
    return element("AdministrativeMetadata", identity + creators) if identity or creators else ""


def _rights(item: Document, context: FormatContext) -> str:
    said = rights_of(item, context)
    return (
        f"<RightsMetadata><Copyright>{leaf('CopyrightHolder', said['copyrightholder'])}"
        f"<CopyrightDate>{copyright_year(item, context)}</CopyrightDate></Copyright>"
        f"<UsageRights>{leaf('UsageType', said['copyrightnotice'])}"
        f"{leaf('RightsHolder', source_of(item))}{leaf('Limitations', said['usageterms'])}"
        f"<StartDate>{_time(context.now, context.now)}</StartDate>"
        "</UsageRights></RightsMetadata>"
    )


def _description(item: Document, context: FormatContext, key: str = "") -> str:
    """Return what the item is about.

    Args:
        key: by which the story that is sent knows the item: `featuremedia`, `editor_0`.
    """
    parts = ["<DescriptiveMetadata>", _formal("Language", language_of(item, context))]
    for genre in objects_of(item, "genre"):
        if name := genre.get("name") or genre.get("qcode"):
            parts.append(_formal("Genre", name))
    codes = [code_of(subject, is_subject=True) for subject in objects_of(item, "subject")]
    if any(codes):
        subjects = "".join([_formal("Subject", code) for code in codes if code])
        parts.append(f"<SubjectCode>{subjects}</SubjectCode>")
    parts += _locations(item)
    for category in objects_of(item, "anpa_category"):
        parts.append(_property("Category", category.get("qcode")))
    parts += [_property("Keyword", keyword) for keyword in keywords_of(item)]
    parts += [_property(kind.capitalize(), entry["name"]) for kind, entry in tagged(item)]
    for subject in objects_of(item, "subject"):
        if not code_of(subject):
            parts.append(_property("Subject", text_of(subject, "name")))
    parts.append(_property(ALTERNATIVE, text_of(item, "alt_text")))
    parts.append(_property("Association", key))
    parts.append("</DescriptiveMetadata>")
    return "".join(parts)


def _locations(item: Document) -> Iterator[str]:
    if located := object_of(object_of(item, "dateline"), "located"):
        yield _location("Origin", located, ORIGIN)
    for place in objects_of(item, "place"):
        name = text_of(place, "name")
        is_around = any(name == place.get(field) for _, field in RELATED)
        own = "" if is_around else _property(PLACE_NAME, name)
        if own or any(place.get(field) for _, field in RELATED):
            yield _location("RelatesTo", place, RELATED, own)


def _location(
    how: str, place: Document, fields: Sequence[tuple[str, str]], content: str = ""
) -> str:
    said = [_property(name, place.get(field)) for name, field in fields]
    return element("Location", content + "".join(said), HowPresent=how)


def _role(role: str, content: str) -> str:
    return f"<NewsComponent>{_formal('Role', role)}{content}</NewsComponent>"


def _content(content_format: str, data: str) -> str:
    return (
        f"<ContentItem>{_formal('MediaType', 'Text')}{_formal('Format', content_format)}"
        f"{data}</ContentItem>"
    )


def _text(item: Document) -> str:
    abstract = leaf("DataContent", plain_text(text_of(item, "abstract"), line_feeds=True).strip())
    html = body_with_footer(item)
    if item.get("format") == "preserved":
        written = leaf("pre", preserved_text(html))
    else:
        written = NITFBody().blocks(parse_body(html))
    nitf = f"<nitf><body>{element('body.content', written)}</body></nitf>"
    body = f"<DataContent>{nitf}</DataContent>"
    return _role("Abstract", _content("Text", abstract)) + _role("BodyText", _content("NITF", body))


def _pictures(item: Document, context: FormatContext) -> Iterator[str]:
    """Yield a component for each medium that a story holds, the main picture first."""
    for key, medium in media_of(item):
        role = ROLES[ItemType(medium["type"])]
        guid = text_of(medium, "guid")
        identity = leaf("SystemIdentifier", guid) if guid else ""
        parts = [
            _lines(medium),
            _administration(medium, context, identity),
            _rights(medium, context),
            _description(medium, context, key),
            *_files(medium, role),
        ]
        yield _role(role, "".join(parts))


def _media(item: Document, role: str) -> str:
    return _role(role, "".join(_files(item, role)))


def _files(item: Document, role: str) -> Iterator[str]:
    """Yield the caption of a medium, and its renditions."""
    caption = text_of(item, "description_text") or plain_text(text_of(item, "description"))
    if caption:
        yield _role("Caption", _content("Text", leaf("DataContent", caption)))
    media_type = _formal("MediaType", role)
    for file in renditions_of(item):
        known = f"<Format FormalName={quoted(file.mimetype)}/>" if file.mimetype else ""
        yield (
            f"<NewsComponent><Role FormalName={quoted(file.name)}/>"
            f"<ContentItem Href={quoted(file.href)}>{media_type}{known}{_characteristics(file)}"
            "</ContentItem></NewsComponent>"
        )


def _characteristics(file: Rendition) -> str:
    said = f"<SizeInBytes>{file.size}</SizeInBytes>" if file.size else ""
    if file.width is not None:
        said += f'<Property FormalName="Width" Value="{file.width}"/>'
    if file.height is not None:
        said += f'<Property FormalName="Height" Value="{file.height}"/>'
    if file.seconds is not None:
        said += f'<Property FormalName="TotalDuration" Value="{int(file.seconds)}"/>'
    return f"<Characteristics>{said}</Characteristics>" if said else "<Characteristics/>"


def _package(item: Document) -> str:
    groups = [group for group in objects_of(item, "groups") if group.get("id") != "root"]
    return _role("root", "".join(map(_group, groups)))


def _group(group: Document) -> str:
    members = [
        f"<NewsItemRef NewsItem={quoted(_member(reference))}/>"
        for reference in objects_of(group, "refs")
        if reference.get("residRef")
    ]
    return _role(text_of(group, "role") or text_of(group, "id"), "".join(members))


def _member(reference: Document) -> str:
    version = integer(reference.get("_current_version"))
    return f"{reference['residRef']}:{version}N" if version else str(reference["residRef"])
