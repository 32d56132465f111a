"""NewsML-G2 2.35 at power conformance, valid by its official schema (formats contract 3.7)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

from apps.core.clock import moment_of
from apps.core.codes import known_concept
from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text, preserved_text
from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType, State
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.conversions import (
    authors_of,
    body_with_footer,
    created_time,
    integer,
    keywords_of,
    language_of,
    number_within,
    publish_status,
    rights_of,
    source_of,
    tagged,
    version_of,
)
from formatters.media import Rendition, media_of, renditions_of
from formatters.newsml_g2_parts import (
    ITEM_MEDIA_TYPE,
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
    rights_expression,
)
from formatters.newsml_g2_superdesk import superdesk_message
from formatters.ninjs3_fields import digital_source_type
from formatters.nitf import NITF_NAMESPACE, nitf_document
from formatters.outgoing import is_withdrawn
from formatters.uris import is_uri, reference
from formatters.xml import as_superdesk, document, element, escaped, quoted

CATALOG = "http://www.iptc.org/std/catalog/catalog.IPTC-G2-Standards_41.xml"
ROLE_ALIAS = "role"
"""Of the roles of authors."""
SCHEMES = ("cat", "genrecv", "rendition", "grpRole", ROLE_ALIAS, OWN_ALIAS)
"""Aliases that the IPTC catalog does not have; each message brings their scheme along."""


RENDITIONS = {
    "original": "rnd:highRes",
    "baseImage": "rnd:web",
    "viewImage": "rnd:preview",
    **{
        name: f"rnd:{name}"
        for name in ("highRes", "lowRes", "mobile", "preview", "print", "sms", "thumbnail", "web")
    },
}
"""Renditions that the IPTC has a code for, by name; all others have the one of their name."""
DIGITAL_SOURCES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ADDRESS = re.compile("(?:https?|urn|tag|acct|mailto|did):", re.IGNORECASE)
"""What names and codes do not begin with."""
COUNTRY, STATE = re.compile("[A-Z]{2}"), re.compile("[A-Z0-9]{1,3}", re.ASCII)
"""Codes of ISO 3166."""
Aliases = Mapping[str, tuple[str, str]]
"""See `own_aliases`."""
EARLIEST = datetime.min.replace(tzinfo=UTC)


class NewsMLG2Formatter(Formatter):
    """An item as a news message: a newsItem or packageItem, then a newsItem for each medium."""

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
        held = _held(item)
        written = _item(item, context, held) + "".join(_item(each, context) for each in held)
        root = (
            f'<newsMessage xmlns="{NAMESPACE}">{_header(item, context, is_whole=bool(held))}'
            f"<itemSet>{written}</itemSet></newsMessage>"
        )
        return [Formatted(document(root, declaration=declaration))]


def _held(item: Document) -> list[Document]:
    """Return the media of `item` as items of their own, each once; of a withdrawn one none.

    What they do not say of themselves, their language, time and until when they may not be shown,
    is that of the item: their captions were written for it.
    """
    if is_withdrawn(item):
        return []
    guid = line(text_of(item, "guid"))
    until = embargo_of(item, EARLIEST)
    held: dict[str, Document] = {}
    for key, medium in media_of(item):
        own = line(text_of(medium, "guid")) or f"{guid}#{line(key)}"
        if own == guid or own in held:
            continue
        shown = {
            "guid": own,
            "language": medium.get("language") or item.get("language"),
            "versioncreated": medium.get("versioncreated") or item.get("versioncreated"),
        }
        if until:
            shown["embargoed"] = max(until, embargo_of(medium, EARLIEST) or until)
        held[own] = {**medium, **shown}
    return list(held.values())


def _header(item: Document, context: FormatContext, *, is_whole: bool) -> str:
    """Return the header of a message.

    Args:
        is_whole: the message has several items, which go together.
    """
    origin = source_of(item)
    priority = min(9, max(1, integer(item.get("priority")) or 5))
    return (
        f"<header><sent>{iso(context.now, context.now)}</sent>"
        f"{leaf('sender', context.settings.provider_id)}"
        f"<transmitId>{context.sequence_number}</transmitId><priority>{priority}</priority>"
        f"{leaf('origin', origin) if origin else ''}"
        f"{element('signal', qcode='nmsig:atomic') if is_whole else ''}</header>"
    )


def _item(item: Document, context: FormatContext, held: Sequence[Document] = ()) -> str:
    """Return the `newsItem`, of packages the `packageItem`.

    Args:
        held: its media, as items of their own.
    """
    language = language_of(item, context)
    is_package = item.get("type") == ItemType.COMPOSITE
    tag = "packageItem" if is_package else "newsItem"
    version = version_of(item)
    aliases = own_aliases(item, context.settings.urn_domain)
    if is_package:
        content = element("groupSet", groups(item, context), root="root")
    else:
        content = element("contentSet", _content(item, context))
    return (
        f'<{tag} standard="NewsML-G2" standardversion="2.35" conformance="power"'
        f' guid={quoted(text_of(item, "guid"))} version="{version}"'
        f' xml:lang="{language}">'
        f"{_catalogs(aliases, context)}{_rights(item, context)}"
        f"{_item_meta(item, context, version, held)}"
        f"<contentMeta>{''.join(_content_meta(item, context, language, aliases))}</contentMeta>"
        f"{_asserts(item, aliases)}{content}</{tag}>"
    )


def _catalogs(aliases: Aliases, context: FormatContext) -> str:
    schemes = "".join(_scheme(alias, uri) for alias, uri in aliases.values()) if aliases else ""
    return f"{_own_schemes(context.settings.urn_domain)}{schemes}</catalog>"


@lru_cache(maxsize=8)
def _own_schemes(domain: str) -> str:
    """Return the reference to the IPTC catalog and the start of the own one."""
    own = (_scheme(alias, f"http://{domain}/cv/{alias}/") for alias in SCHEMES)
    return f'<catalogRef href="{CATALOG}"/><catalog>{"".join(own)}'


def _scheme(alias: str, uri: str) -> str:
    return f'<scheme alias="{alias}" uri={quoted(uri)}/>'


def _rights(item: Document, context: FormatContext) -> str:
    said = {field: line(text) for field, text in rights_of(item, context).items()}
    parts = ""
    if holder := said["copyrightholder"]:
        parts += _named("copyrightHolder", holder)
    if notice := said["copyrightnotice"]:
        parts += leaf("copyrightNotice", notice)
    if terms := said["usageterms"]:
        parts += leaf("usageTerms", terms)
    parts += rights_expression(item)
    return f"<rightsInfo>{parts}</rightsInfo>" if parts else ""


def _named(tag: str, name: str, /, **attributes: str) -> str:
    """Return an element that holds a name, which identifies it where no attribute is given."""
    if not attributes:
        return f"<{tag} literal={quoted(name)}><name>{escaped(name)}</name></{tag}>"
    return element(tag, leaf("name", name), **attributes)


def _item_meta(
    item: Document, context: FormatContext, version: int, held: Sequence[Document]
) -> str:
    created = created_time(item)
    embargo = embargo_of(item, context.now)
    provider = line(context.settings.provider_id)
    parts = [
        f'<itemMeta><itemClass qcode="{item_class(text_of(item, "type"))}"/>',
        _named("provider", provider),
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
    parts.append(_signals(item, version))
    if expires := moment_of(object_of(item, "extra").get("expires")):
        parts.append(f"<expires>{iso(expires, context.now)}</expires>")
    if earlier := line(text_of(item, "rewrite_of")):
        said = {"residref": earlier, "contenttype": ITEM_MEDIA_TYPE}
        parts.append(element("link", rel="irel:previousVersion", **said))
    parts += [_link(medium) for medium in held]
    parts.append("</itemMeta>")
    return "".join(parts)


def _signals(item: Document, version: int) -> str:
    """Return what receivers have to do about the item besides taking it."""
    is_later = version > 1 and item.get("operation") not in (None, "publish")
    signals = ""
    if item.get("state") == State.CORRECTED:
        signals = '<signal qcode="sig:correction"/>'
    elif is_later or text_of(item, "rewrite_of"):
        signals = '<signal qcode="sig:update"/>'
    if object_of(item, "flags").get("marked_for_legal"):
        signals += '<signal qcode="sig:cwarn"/>'
    return signals


def _link(medium: Document) -> str:
    """Return the link from a story to a medium that the same message has as an item."""
    return element(
        "link",
        f'<itemClass qcode="{item_class(text_of(medium, "type"))}"/>',
        rel="irel:seeAlso",
        residref=text_of(medium, "guid"),
        version=str(version_of(medium)),
        contenttype=ITEM_MEDIA_TYPE,
    )


def _content_meta(
    item: Document, context: FormatContext, language: str, aliases: Aliases
) -> Iterator[str]:
    """Yield the description of the content, in the order of the standard."""
    if urgency := number_within(item.get("urgency"), 1, 9):
        yield f"<urgency>{urgency}</urgency>"
    created = moment_of(object_of(item, "extra").get("contentcreated")) or created_time(item)
    if moment_of(created):
        yield f"<contentCreated>{iso(created, context.now)}</contentCreated>"
    if moment_of(item.get("versioncreated")):
        yield f"<contentModified>{iso(item['versioncreated'], context.now)}</contentModified>"
    yield _digital_source(item)
    if dateline := object_of(item, "dateline"):
        yield _located(object_of(dateline, "located"))
    yield from _sources(item)
    yield from _creators(item, context)
    yield f'<language tag="{language}"/>'
    for genre in objects_of(item, "genre"):
        qcode = concept_qcode(genre, aliases, "genrecv")
        yield _concept("genre", qcode, genre, language)
    for keyword in keywords_of(item):
        yield leaf("keyword", keyword)
    yield from _subjects(item, language, aliases)
    yield from _lines(item)


def _digital_source(item: Document) -> str:
    """Return how the content came about: by a code of the IPTC, else as the item says it."""
    known = digital_source_type(item)
    if not known:
        return ""
    said, literal = line(known.get("uri")), line(known.get("literal"))
    code = said.removeprefix(DIGITAL_SOURCES).removeprefix("digsrctype:")
    if code != said and QCODE.fullmatch(f"digsrctype:{code}"):
        identity = {"qcode": f"digsrctype:{code}"}
    else:
        identity = {"uri": said} if said else {"literal": literal or line(known.get("name"))}
    name = line(known.get("name"))
    return element("digitalSourceType", leaf("name", name) if name else "", **identity)


def _sources(item: Document) -> Iterator[str]:
    """Yield who the content comes from, each once."""
    given = objects_of(object_of(item, "extra"), "infosources")
    if not given:
        own = (line(text_of(item, field)) for field in ("source", "original_source"))
        yield from (_named("infoSource", name) for name in dict.fromkeys(own) if name)
        return
    found: dict[str, str] = {}
    for source in given:
        names = (line(source.get(key)) for key in ("name", "literal", "code"))
        if name := next(filter(None, names), ""):
            found.setdefault(name, _named("infoSource", name, **_address(source)))
    yield from found.values()


def _address(entry: Document) -> dict[str, str]:
    """Return the attribute that identifies what has an address; none for what only has a name."""
    own = line(entry.get("uri"))
    return {"uri": own} if ADDRESS.match(own) and is_uri(own) else {}


def _creators(item: Document, context: FormatContext) -> Iterator[str]:
    """Yield those who made the item with their roles; without authors the byline, of no role."""
    is_known = False
    for author in objects_of(item, "authors"):
        for name, role in authors_of({"authors": [author]}, context):
            is_known = True
            said = _address(author) or {"literal": line(name)}
            # Codes hold no blanks; this one is that of the role's address.
            if code := line(role).replace(" ", "%20"):
                said["role"] = f"{ROLE_ALIAS}:{code}"
            yield _named("creator", line(name), **said)
    byline = line(text_of(item, "byline"))
    if byline and not is_known:
        yield _named("creator", byline)


def _located(located: Document) -> str:
    """Return where the item was written: the most exact that is known, and what lies around it."""
    known = [
        (kind, name, _located_identity(located, kind, name))
        for kind, field in (("City", "city"), ("CountryArea", "state"), ("Country", "country"))
        if (name := line(located.get(field)))
    ]
    if not known:
        return ""
    (kind, name, identity), *wider = known
    parts = leaf("name", name)
    for around, around_name, around_identity in wider:
        parts += _named("broader", around_name, type=f"loctyp:{around}", **around_identity)
    lies = position(located) or position(object_of(located, "place"))
    if lies and kind == "City":
        parts += element("geoAreaDetails", lies)
    return element("located", parts, type=f"loctyp:{kind}", **identity)


def _located_identity(located: Document, kind: str, name: str) -> dict[str, str]:
    """Return the attribute that identifies a city, state or country: its code, else its name."""
    country = line(located.get("country_code")).upper()
    state = line(located.get("state_code")).upper().removeprefix(f"{country}-")
    if kind == "City":
        place = object_of(located, "place")
        found = place_concept(place) if place else None
        if found and found.vocabulary in ("geonames", "wikidata"):
            return {"qcode": found.qcode}
    elif COUNTRY.fullmatch(country):
        if kind == "Country":
            return {"qcode": f"iso3166-1a2:{country}"}
        # Codes without a letter are those of GeoNames as a rule.
        if STATE.fullmatch(state) and not state.isdecimal():
            return {"qcode": f"iso3166-2:{country}-{state}"}
    return {"literal": name}


def _concept(
    tag: str,
    qcode: str,
    entry: Document,
    language: str,
    concept_type: str = "",
) -> str:
    """Return a concept: under `qcode` where that is one, else as a literal."""
    code, name = line(entry.get("qcode")), line(entry.get("name"))
    if not (code or name):
        return ""
    identity = _identity(entry, code, qcode) or f"literal={quoted(code or name)}"
    if tag == "subject":
        for key in ("relevance", "confidence"):
            if (measured := number_within(entry.get(key), 0, 100)) is not None:
                identity += f' {key}="{measured}"'
    kind = f' type="{concept_type}"' if concept_type else ""
    shown, shown_in = name_of(entry, language)
    known = f" xml:lang={quoted(shown_in)}" if shown_in else ""
    named = f"<name{known}>{escaped(shown)}</name>" if shown else ""
    return f"<{tag}{kind} {identity}>{named}</{tag}>" if named else f"<{tag}{kind} {identity}/>"


def _identity(entry: Document, code: str, qcode: str) -> str:
    """Return the attribute that identifies a concept: a code, or an address; "" for neither."""
    own = line(entry.get("uri"))
    for address in (own, code):
        if ADDRESS.match(address) and is_uri(address):
            found = known_concept(address)
            return f"qcode={quoted(found.qcode)}" if found else f"uri={quoted(address)}"
    return f"qcode={quoted(qcode)}" if code and QCODE.fullmatch(qcode) else ""


def _subjects(item: Document, language: str, aliases: Aliases) -> Iterator[str]:
    for subject in objects_of(item, "subject"):
        qcode = concept_qcode(subject, aliases, is_subject=True)
        yield _concept("subject", qcode, subject, language, "cpnat:abstract")
    for category in objects_of(item, "anpa_category"):
        qcode = f"cat:{line(category.get('qcode'))}"
        yield _concept("subject", qcode, category, language, "cpnat:abstract")
    for place in objects_of(item, "place"):
        yield _place(place, aliases)
    for kind, entry in tagged(item):
        qcode = concept_qcode(entry, aliases)
        yield _concept("subject", qcode, entry, language, f"cpnat:{kind}")
    for company in objects_of(item, "company_codes"):
        code = line(company.get("qcode")) or line(company.get("name"))
        if code:
            name = text_of(company, "name")
            named = leaf("name", name) if name else ""
            yield element("subject", named, type="cpnat:organisation", literal=code)


def _place_identity(place: Document, aliases: Aliases) -> tuple[str, dict[str, str]]:
    """Return what a place is called, and the attributes that identify it; empty where unknown."""
    own, found = line(place.get("name")), place_concept(place)
    if found and own:
        is_geoname = found.vocabulary == "geonames"
        return own, {"qcode": geoname_code(place) if is_geoname else found.qcode}
    qcode = concept_qcode(place, aliases) if place.get("scheme") and place.get("qcode") else ""
    if own and QCODE.fullmatch(qcode):
        return own, {"qcode": qcode}
    code = line(place.get("qcode"))
    # The name of a locator is its code (`NSW`): what it stands for says more.
    known = (line(place.get(field)) for _, field in PLACE_KINDS)
    name = own if own and own != code else next(filter(None, known), own)
    return name, {"literal": code or name}


def _place(place: Document, aliases: Aliases) -> str:
    """Return a place: the most exact of what is known of it, with what lies around it."""
    name, identity = _place_identity(place, aliases)
    if not name:
        return ""
    parts = [leaf("name", name)]
    for kind, field in PLACE_KINDS:
        around = line(place.get(field))
        if around and around != name:
            known = _located_identity(place, kind, around) if kind == "Country" else {}
            identified = known or {"literal": around}
            parts.append(_named("broader", around, type=f"loctyp:{kind}", **identified))
    return element("subject", "".join(parts), type="cpnat:geoArea", **identity)


def _lines(item: Document) -> Iterator[str]:
    is_media = item.get("type") in MEDIA_TYPES
    if is_media:
        description = text_of(item, "description_text") or plain_text(text_of(item, "description"))
    else:
        description = plain_text(text_of(item, "abstract"), line_feeds=True)
    credit = text_of(item, "creditline") or source_of(item)
    for tag, text in (
        ("slugline", text_of(item, "slugline")),
        ("headline", text_of(item, "headline")),
        ("dateline", text_of(object_of(item, "dateline"), "text")),
        ("by", text_of(item, "byline")),
        ("creditline", credit),
    ):
        if text:
            yield leaf(tag, text)
    alternative = text_of(item, "alt_text") if is_media else ""
    role = "caption" if is_media else "summary"
    for kind, text in ((role, line(description)), ("altText", alternative)):
        if text:
            yield f'<description role="drol:{kind}">{escaped(line(text))}</description>'


def _asserts(item: Document, aliases: Aliases) -> str:
    """Return what is known of places and companies besides their names."""
    parts = []
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
        text = escaped(preserved_text(body_with_footer(item)))
        return element("inlineData", text, contenttype="text/plain", **_words(item))
    nitf = nitf_document(item, context, NITF_NAMESPACE, media_beside=True)
    return element("inlineXML", nitf, contenttype="application/nitf+xml", **_words(item))


def _words(item: Document) -> dict[str, str]:
    """Return the attribute with the number of words, as the archive counted them."""
    words = integer(item.get("word_count"))
    return {"wordcount": str(words)} if words is not None and words >= 0 else {}


def _remote(rendition: Rendition) -> str:
    """Return where a file lies, nothing where that is no reference."""
    href = reference(rendition.href)
    if not href:
        return ""
    said = f"<remoteContent href={quoted(href)}"
    if name := RENDITIONS.get(rendition.name):
        said += f' rendition="{name}"'
    elif QCODE.fullmatch(name := f"rendition:{rendition.name}"):
        said += f" rendition={quoted(name)}"
    if rendition.mimetype:
        said += f" contenttype={quoted(rendition.mimetype)}"
    if (width := rendition.width) and width > 0:
        said += f' width="{width}"'
    if (height := rendition.height) and height > 0:
        said += f' height="{height}"'
    if (size := rendition.size) and size > 0:
        said += f' size="{size}"'
    if rendition.seconds is not None and rendition.duration:
        said += f' duration={quoted(rendition.duration)} durationunit="timeunit:normalPlayTime"'
    elif rendition.seconds is not None:
        said += f' duration="{rendition.seconds:g}" durationunit="timeunit:seconds"'
    return f"{said}/>"
