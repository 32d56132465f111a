"""NewsML-G2 2.35 at power conformance, valid by its official schema (formats contract 3.7)."""

from collections.abc import Iterable, Iterator, Mapping

from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, State
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.conversions import (
    RIGHTS_FIELDS,
    authors_of,
    body_with_footer,
    caption_of,
    created_time,
    integer,
    keywords_of,
    language_of,
    number_within,
    publish_status,
    rights,
    source_of,
    tagged,
    version_of,
)
from formatters.media import Rendition, renditions_of
from formatters.newsml_g2_parts import (
    NAMESPACE,
    OWN_ALIAS,
    PLACE_KINDS,
    QCODE,
    concept_qcode,
    geoname_code,
    groups,
    iso,
    item_class,
    leaf,
    line,
    name_of,
    own_aliases,
    place_concept,
    position,
)
from formatters.newsml_g2_superdesk import superdesk_message
from formatters.nitf import NITF_NAMESPACE, nitf_document
from formatters.uris import reference
from formatters.xml import as_superdesk, document, element, escaped, quoted

CATALOG = "http://www.iptc.org/std/catalog/catalog.IPTC-G2-Standards_41.xml"
ROLE_ALIAS = "role"
"""Of the roles of authors."""
SCHEMES = ("cat", "genrecv", "rendition", "grpRole", ROLE_ALIAS, OWN_ALIAS)
"""Aliases that the IPTC catalog does not have; each message brings their scheme along."""


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

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        declaration = 'version="1.0" encoding="UTF-8"'
        if self.choice(item, context, "compat", COMPAT):
            return [Formatted(as_superdesk(superdesk_message(item, context), declaration))]
        root = (
            f'<newsMessage xmlns="{NAMESPACE}">{_header(item, context)}'
            f"<itemSet>{_item(item, context)}</itemSet></newsMessage>"
        )
        return [Formatted(document(root, declaration=declaration))]


def _header(item: Document, context: FormatContext) -> str:
    origin = source_of(item)
    priority = min(9, max(1, integer(item.get("priority")) or 5))
    return (
        f"<header><sent>{iso(context.now, context.now)}</sent>"
        f"{leaf('sender', context.settings.provider_id)}"
        f"<transmitId>{context.sequence_number}</transmitId><priority>{priority}</priority>"
        f"{leaf('origin', origin) if origin else ''}</header>"
    )


def _item(item: Document, context: FormatContext) -> str:
    """Return the `newsItem`, of packages the `packageItem`."""
    language = language_of(item, context)
    is_package = item.get("type") == ItemType.COMPOSITE
    tag = "packageItem" if is_package else "newsItem"
    version = version_of(item)
    if is_package:
        content = element("groupSet", groups(item, context), root="root")
    else:
        content = element("contentSet", _content(item, context))
    return (
        f'<{tag} standard="NewsML-G2" standardversion="2.35" conformance="power"'
        f' guid={quoted(text_of(item, "guid"))} version="{version}"'
        f' xml:lang="{language}">'
        f"{_catalogs(item, context)}{_rights(item, context)}{_item_meta(item, context, version)}"
        f"<contentMeta>{''.join(_content_meta(item, context, language))}</contentMeta>"
        f"{_asserts(item, context)}{content}</{tag}>"
    )


def _catalogs(item: Document, context: FormatContext) -> str:
    domain = context.settings.urn_domain
    own = [(alias, f"http://{domain}/cv/{alias}/") for alias in SCHEMES]
    schemes = [
        f'<scheme alias="{alias}" uri={quoted(uri)}/>'
        for alias, uri in (*own, *own_aliases(item, domain).values())
    ]
    return f'<catalogRef href="{CATALOG}"/><catalog>{"".join(schemes)}</catalog>'


def _rights(item: Document, context: FormatContext) -> str:
    known = rights(item, context)
    said = {field: line(text_of(item, field) or known.get(field)) for field in RIGHTS_FIELDS}
    parts = []
    if holder := said["copyrightholder"]:
        parts.append(_named("copyrightHolder", holder, literal=holder))
    if notice := said["copyrightnotice"]:
        parts.append(leaf("copyrightNotice", notice))
    if terms := said["usageterms"]:
        parts.append(leaf("usageTerms", terms))
    return element("rightsInfo", "".join(parts)) if parts else ""


def _named(tag: str, name: str, /, **attributes: str) -> str:
    """Return an element that holds a name."""
    return element(tag, leaf("name", name), **attributes)


def _item_meta(item: Document, context: FormatContext, version: int) -> str:
    created = created_time(item)
    embargo = embargo_of(item, context.now)
    provider = context.settings.provider_id
    parts = [
        f'<itemMeta><itemClass qcode="{item_class(text_of(item, "type"))}"/>',
        _named("provider", provider, literal=provider),
        f"<versionCreated>{iso(item.get('versioncreated') or created, context.now)}"
        "</versionCreated>",
    ]
    if moment_of(created):
        parts.append(f"<firstCreated>{iso(created, context.now)}</firstCreated>")
    if embargo is not None:
        parts.append(f"<embargoed>{iso(embargo, context.now)}</embargoed>")
    parts.append(f'<pubStatus qcode="stat:{publish_status(item)}"/>')
    if note := text_of(item, "ednote"):
        parts.append(leaf("edNote", note))
    if item.get("state") == State.CORRECTED:
        parts.append('<signal qcode="sig:correction"/>')
    elif version > 1 and item.get("operation") not in (None, "publish"):
        parts.append('<signal qcode="sig:update"/>')
    parts.append("</itemMeta>")
    return "".join(parts)


def _content_meta(item: Document, context: FormatContext, language: str) -> Iterator[str]:
    """Yield the description of the content, in the order of the standard."""
    if urgency := number_within(item.get("urgency"), 1, 9):
        yield f"<urgency>{urgency}</urgency>"
    created = created_time(item)
    if moment_of(created):
        yield f"<contentCreated>{iso(created, context.now)}</contentCreated>"
    if moment_of(item.get("versioncreated")):
        yield f"<contentModified>{iso(item['versioncreated'], context.now)}</contentModified>"
    yield _located(object_of(object_of(item, "dateline"), "located"))
    for name, role in _creators(item, context):
        said = {"role": f"{ROLE_ALIAS}:{role}"} if QCODE.fullmatch(f"{ROLE_ALIAS}:{role}") else {}
        yield _named("creator", name, literal=name, **said)
    yield f'<language tag="{language}"/>'
    aliases = own_aliases(item, context.settings.urn_domain)
    for genre in objects_of(item, "genre"):
        qcode = concept_qcode(genre, aliases, "genrecv")
        yield _concept("genre", qcode, genre, language, context)
    for keyword in keywords_of(item):
        yield leaf("keyword", keyword)
    yield from _subjects(item, language, context)
    yield from _lines(item)


def _creators(item: Document, context: FormatContext) -> Iterable[tuple[str, str]]:
    """Return name and role of those who made the item; without authors the byline, of no role."""
    known = [(line(name), line(role)) for name, role in authors_of(item, context) if line(name)]
    byline = line(text_of(item, "byline"))
    return known or ([(byline, "")] if byline else [])


def _located(located: Document) -> str:
    city = line(located.get("city"))
    if not city:
        return ""
    parts = [leaf("name", city)]
    for kind, field in (("CountryArea", "state"), ("Country", "country")):
        if name := line(located.get(field)):
            parts.append(_named("broader", name, type=f"loctyp:{kind}", literal=name))
    return element("located", "".join(parts), type="loctyp:City", literal=city)


def _concept(
    tag: str,
    qcode: str,
    entry: Document,
    language: str,
    context: FormatContext,
    concept_type: str = "",
) -> str:
    """Return a concept: under `qcode` where that is one, else as a literal."""
    code, name = line(entry.get("qcode")), line(entry.get("name"))
    if not (code or name):
        return ""
    is_qcode = bool(code) and QCODE.fullmatch(qcode) is not None
    identity = f"qcode={quoted(qcode)}" if is_qcode else f"literal={quoted(code or name)}"
    kind = f' type="{concept_type}"' if concept_type else ""
    shown, shown_in = name_of(entry, language, context)
    named = f"<name xml:lang={quoted(shown_in)}>{escaped(shown)}</name>" if shown else ""
    return f"<{tag}{kind} {identity}>{named}</{tag}>" if named else f"<{tag}{kind} {identity}/>"


def _subjects(item: Document, language: str, context: FormatContext) -> Iterator[str]:
    aliases = own_aliases(item, context.settings.urn_domain)
    for subject in objects_of(item, "subject"):
        qcode = concept_qcode(subject, aliases, is_subject=True)
        yield _concept("subject", qcode, subject, language, context, "cpnat:abstract")
    for category in objects_of(item, "anpa_category"):
        qcode = f"cat:{line(category.get('qcode'))}"
        yield _concept("subject", qcode, category, language, context, "cpnat:abstract")
    for place in objects_of(item, "place"):
        yield _place(place, aliases)
    for kind, entry in tagged(item):
        qcode = concept_qcode(entry, aliases)
        yield _concept("subject", qcode, entry, language, context, f"cpnat:{kind}")
    for company in objects_of(item, "company_codes"):
        code = line(company.get("qcode")) or line(company.get("name"))
        if code:
            name = text_of(company, "name")
            named = leaf("name", name) if name else ""
            yield element("subject", named, type="cpnat:organisation", literal=code)


def _place_identity(
    place: Document, aliases: Mapping[str, tuple[str, str]]
) -> tuple[str, dict[str, str]]:
    """Return what a place is called, and the attributes that identify it; empty where unknown.

    Args:
        aliases: see `own_aliases`.
    """
    own, found = line(place.get("name")), place_concept(place)
    if found and own:
        is_geoname = found.vocabulary == "geonames"
        return own, {"qcode": geoname_code(place) if is_geoname else found.qcode}
    qcode = concept_qcode(place, aliases) if place.get("scheme") and place.get("qcode") else ""
    if own and QCODE.fullmatch(qcode):
        return own, {"qcode": qcode}
    known = [line(place.get(field)) for _, field in PLACE_KINDS]
    name = next(filter(None, known), own)
    return name, {"literal": line(place.get("qcode")) or name}


def _place(place: Document, aliases: Mapping[str, tuple[str, str]]) -> str:
    """Return a place: the most exact of what is known of it, with what lies around it."""
    name, identity = _place_identity(place, aliases)
    if not name:
        return ""
    parts = [leaf("name", name)]
    for kind, field in PLACE_KINDS:
        around = line(place.get(field))
        if around and around != name:
            parts.append(_named("broader", around, type=f"loctyp:{kind}", literal=around))
    return element("subject", "".join(parts), type="cpnat:geoArea", **identity)


def _lines(item: Document) -> Iterator[str]:
    is_media = item.get("type") in MEDIA_TYPES
    description = caption_of(item)
    if not is_media:
        description = plain_text(text_of(item, "abstract"), line_feeds=True).strip()
    credit = source_of(item)
    for tag, text in (
        ("slugline", text_of(item, "slugline")),
        ("headline", text_of(item, "headline")),
        ("dateline", text_of(object_of(item, "dateline"), "text")),
        ("by", text_of(item, "byline")),
        ("creditline", credit),
    ):
        if text:
            yield leaf(tag, text)
    if description:
        role = "caption" if is_media else "summary"
        yield leaf("description", plain_text(description), role=f"drol:{role}")


def _asserts(item: Document, context: FormatContext) -> str:
    """Return what is known of places and companies besides their names."""
    parts = []
    aliases = own_aliases(item, context.settings.urn_domain) if item.get("place") else {}
    for place in objects_of(item, "place"):
        name, identity = _place_identity(place, aliases)
        if name and object_of(place, "location"):
            found = position(place)
            details = element("geoAreaDetails", found) if found else ""
            parts.append(element("assert", details, **identity))
    for company in objects_of(item, "company_codes"):
        if code := line(company.get("qcode")):
            market = str(company.get("security_exchange") or "")
            known = {"marketlabel": market} if market else {}
            details = element("hasInstrument", symbol=code, **known)
            organisation = element("organisationDetails", details)
            parts.append(element("assert", organisation, literal=code))
    return "".join(parts)


def _content(item: Document, context: FormatContext) -> str:
    """Return the content of an item that is no package."""
    if item.get("type") in MEDIA_TYPES:
        return "".join(map(_remote, renditions_of(item)))
    if item.get("format") == "preserved":
        text = escaped(plain_text(body_with_footer(item)))
        return element("inlineData", text, contenttype="text/plain")
    nitf = nitf_document(item, context, NITF_NAMESPACE)
    return element("inlineXML", nitf, contenttype="application/nitf+xml")


def _remote(rendition: Rendition) -> str:
    """Return where a file lies, nothing where that is no reference."""
    href = reference(rendition.href)
    if not href:
        return ""
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
    return element("remoteContent", **said)
