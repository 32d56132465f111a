"""NITF 3.6, valid by its official schema (formats contract 3.5)."""

from collections.abc import Iterator

from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of, text_of, values_of
from apps.core.embargo import embargo_of
from apps.core.text import plain_text
from apps.core.vocabulary import ItemType, PubStatus, State
from formatters.base import COMPAT, Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body
from formatters.conversions import (
    RIGHTS_FIELDS,
    authors_of,
    basic_time,
    body_with_footer,
    code_of,
    copyright_year,
    created_time,
    integer,
    keywords_of,
    language_of,
    number_within,
    publish_status,
    rights,
    source_of,
    tagged,
)
from formatters.media import MEDIUMS
from formatters.nitf_body import NITFBody
from formatters.nitf_superdesk import VERSION, superdesk_nitf
from formatters.xml import as_superdesk, document, element, escaped, leaf, name_token, quoted

IDENTIFIED = {
    "person": "person",
    "organisation": "org",
    "event": "event",
    "object": "object.title",
}
"""Elements of what an item is about."""
NITF_NAMESPACE = "http://iptc.org/std/NITF/2006-10-18/"
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

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        declaration = 'version="1.0"'
        if self.choice(item, context, "compat", COMPAT):
            return [Formatted(as_superdesk(superdesk_nitf(item, context), declaration))]
        return [Formatted(document(nitf_document(item, context), declaration=declaration))]


def nitf_document(item: Document, context: FormatContext, namespace: str = "") -> str:
    """Return `item` as an `nitf` element.

    Args:
        namespace: of the elements; the form without one is what readers of the DTD expect.
    """
    space = f" xmlns={quoted(namespace)}" if namespace else ""
    language = f' xml:lang="{language_of(item, context)}"' if item.get("language") else ""
    writer = NITFBody()
    return (
        f"<nitf{space} version={quoted(VERSION)}>{_head(item, context)}<body{language}>"
        f"{_body_head(item, context, writer)}{_body_content(item, writer)}{_body_end(item)}"
        "</body></nitf>"
    )


def _head(item: Document, context: FormatContext) -> str:
    meta = [f"<meta name={quoted(n)} content={quoted(value)}/>" for n, value in _meta(item)]
    genre = text_of(next(iter(objects_of(item, "genre")), {}), "name")
    tobject = f"<tobject.property tobject.property.type={quoted(genre)}/>" if genre else ""
    for subject in objects_of(item, "subject"):
        if code := name_token(code_of(subject, is_subject=True)):
            name = text_of(subject, "name")
            kind = f" tobject.subject.type={quoted(name)}" if name else ""
            tobject += f'<tobject.subject tobject.subject.refnum="{code}"{kind}/>'
    return (
        f"<head>{leaf('title', text_of(item, 'headline'))}{''.join(meta)}"
        f"{element('tobject', tobject, **{'tobject.type': 'news'})}"
        f"{_docdata(item, context)}</head>"
    )


def _meta(item: Document) -> Iterator[tuple[str, str]]:
    for category in objects_of(item, "anpa_category"):
        if category.get("qcode"):
            yield "anpa-category", str(category["qcode"])
    priority = integer(item.get("priority"))
    if priority:
        yield "priority", str(priority)


def _docdata(item: Document, context: FormatContext) -> str:
    embargo = embargo_of(item, context.now)
    status: str = publish_status(item)
    if embargo and status != PubStatus.CANCELED:
        status = "embargoed"
    note = text_of(item, "ednote")
    parts = [f'<docdata management-status="{status}">']
    if note and item.get("state") in CORRECTED:
        parts.append(f"<correction info={quoted(note)}/>")
    if guid := text_of(item, "guid"):
        provider = quoted(context.settings.provider_id)
        parts.append(f"<doc-id id-string={quoted(guid)} regsrc={provider}/>")
    if urgency := number_within(item.get("urgency"), 1, 8):
        parts.append(f'<urgency ed-urg="{urgency}"/>')
    parts += [_place(place) for place in objects_of(item, "place")]
    parts.append(_date("date.issue", created_time(item)))
    parts.append(_date("date.release", embargo))
    # The item's own `expiry` says when it leaves the newsroom's lists, not when it is outdated.
    parts.append(_date("date.expire", object_of(item, "extra").get("expires")))
    parts.append(_document_rights(item, context))
    if slugline := text_of(item, "slugline"):
        version = integer(item.get("_current_version")) or 1
        parts.append(f'<du-key key={quoted(slugline)} version="{version}"/>')
    if note:
        parts.append(f"<ed-msg info={quoted(note)}/>")
    if keywords := keywords_of(item):
        entries = [f"<keyword key={quoted(keyword)}/>" for keyword in keywords]
        parts.append(f"<key-list>{''.join(entries)}</key-list>")
    parts.append(_identified(item))
    parts.append("</docdata>")
    return "".join(parts)


def _date(tag: str, value: object) -> str:
    moment = moment_of(value)
    return f'<{tag} norm="{basic_time(moment)}Z"/>' if moment else ""


def _identified(item: Document) -> str:
    """Return persons, organisations and the like that the item is about."""
    written = ""
    for kind, entry in tagged(item):
        identity = {"idsrc": text_of(entry, "scheme"), "value": str(entry.get("qcode") or "")}
        attributes = {key: value for key, value in identity.items() if value}
        written += leaf(IDENTIFIED[kind], str(entry["name"]), **attributes)
    for company in objects_of(item, "company_codes"):
        if name := text_of(company, "name"):
            codes = {"idsrc": company.get("security_exchange"), "value": company.get("qcode")}
            known = {key: str(value) for key, value in codes.items() if value}
            written += leaf("org", name, **known)
    return f"<identified-content>{written}</identified-content>" if written else ""


def _place(place: Document) -> str:
    """Return where it happened. A place within nothing that is known counts as a city."""
    state = text_of(place, "state")
    is_within = state or text_of(place, "country") or text_of(place, "world_region")
    is_city = not is_within or text_of(place, "feature_class").upper() == "P"
    said = {
        "city": text_of(place, "name") if is_city else "",
        "state-prov": state,
        "iso-cc": text_of(place, "country_code"),
    }
    known = {name: value for name, value in said.items() if value}
    return element("evloc", **known) if known else ""


def _known_rights(item: Document, context: FormatContext) -> dict[str, str]:
    """Return holder, notice and terms: the item's own, else those of its source."""
    known = rights(item, context)
    return {name: text_of(item, name) or str(known.get(name) or "") for name in RIGHTS_FIELDS}


def _document_rights(item: Document, context: FormatContext) -> str:
    known = _known_rights(item, context)
    written = ""
    if holder := known["copyrightholder"]:
        year = copyright_year(item, context)
        written += f'<doc.copyright holder={quoted(holder)} year="{year}"/>'
    if terms := known["usageterms"]:
        written += f"<doc.rights limitations={quoted(terms)}/>"
    return written


def _rights(item: Document, context: FormatContext) -> str:
    known = _known_rights(item, context)
    parts = [
        leaf(tag, text)
        for tag, text in (
            ("rights.owner", known["copyrightholder"]),
            ("rights.limitations", known["usageterms"]),
        )
        if text
    ]
    notice = escaped(known["copyrightnotice"])
    return element("rights", notice + "".join(parts)) if notice or parts else ""


def _body_head(item: Document, context: FormatContext, writer: NITFBody) -> str:
    parts = [f"<body.head><hedline>{leaf('hl1', text_of(item, 'headline'))}</hedline>"]
    parts.append(_rights(item, context))
    if byline := text_of(item, "byline"):
        parts.append(leaf("byline", byline))
    for name, role in authors_of(item, context):
        title = leaf("byttl", role) if role else ""
        parts.append(element("byline", leaf("person", name) + title))
    if source := source_of(item):
        parts.append(leaf("distributor", source))
    if dateline := text_of(object_of(item, "dateline"), "text"):
        parts.append(leaf("dateline", dateline))
    if abstract := parse_body(text_of(item, "abstract")):
        parts.append(f"<abstract>{writer.blocks(abstract)}</abstract>")
    parts.append("</body.head>")
    return "".join(parts)


def _body_content(item: Document, writer: NITFBody) -> str:
    parts = [_associated_media(held) for held in values_of(item, "associations")]
    html = body_with_footer(item)
    if item.get("format") != "preserved":
        parts.append(writer.blocks(parse_body(html)) or "<p/>")
    elif html:
        parts.append(leaf("pre", plain_text(html)))
    return element("body.content", "".join(parts))


def _associated_media(item: Document) -> str:
    kind = MEDIUMS.get(text_of(item, "type"))  # type: ignore[call-overload]
    if kind is None:
        return ""
    alternative = text_of(item, "alt_text")
    said = f" alternate-text={quoted(alternative)}" if alternative else ""
    parts = [_media_reference(file, said) for file in values_of(item, "renditions")]
    if not any(parts):
        return ""
    if caption := text_of(item, "description_text") or text_of(item, "headline"):
        parts.append(leaf("media-caption", plain_text(caption)))
    if byline := text_of(item, "byline"):
        parts.append(leaf("media-producer", byline))
    return f'<media media-type="{kind}">{"".join(parts)}</media>'


def _media_reference(rendition: Document, said: str) -> str:
    """Return the reference to a file, nothing where its address is unknown.

    Args:
        said: attributes that all files of the item have.
    """
    href = text_of(rendition, "href")
    if not href:
        return ""
    attributes = f"source={quoted(href)}"
    if mimetype := text_of(rendition, "mimetype"):
        attributes += f" mime-type={quoted(mimetype)}"
    if width := integer(rendition.get("width")):
        attributes += f' width="{width}"'
    if height := integer(rendition.get("height")):
        attributes += f' height="{height}"'
    return f"<media-reference {attributes}{said}/>"


def _body_end(item: Document) -> str:
    note = text_of(item, "ednote")
    return f"<body.end>{leaf('tagline', note, type='npa')}</body.end>" if note else ""
