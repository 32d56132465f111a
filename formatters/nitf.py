"""NITF 3.6, valid by its official schema (formats contract 3.5)."""

from collections.abc import Iterator, Mapping

from apps.core.clock import moment_of
from apps.core.documents import object_of, objects_of, text_of
from apps.core.embargo import embargo_of
from apps.core.text import preserved_text
from apps.core.vocabulary import ItemType, PubStatus, State
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
    number_within,
    publish_status,
    rights_of,
    source_of,
    tagged,
)
from formatters.nitf_body import NITFBody
from formatters.nitf_media import StoryMedia
from formatters.nitf_places import event_location, location, places_of
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


Rights = Mapping[str, str]
"""Holder, notice and terms; see `rights_of`."""


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


def nitf_document(
    item: Document, context: FormatContext, namespace: str = "", *, media_beside: bool = False
) -> str:
    """Return `item` as an `nitf` element.

    Args:
        namespace: of the elements; the form without one is what readers of the DTD expect.
        media_beside: what is around the document says all of the media of the item.
    """
    space = f" xmlns={quoted(namespace)}" if namespace else ""
    language = f' xml:lang="{language_of(item, context)}"' if item.get("language") else ""
    story = StoryMedia(item, context, are_beside=media_beside)
    writer, known = NITFBody(story), rights_of(item, context)
    return (
        f"<nitf{space} version={quoted(VERSION)}>{_head(item, context, known)}<body{language}>"
        f"{_body_head(item, context, known, writer)}{_body_content(item, writer, story)}"
        f"{_body_end(item)}</body></nitf>"
    )


def _head(item: Document, context: FormatContext, known: Rights) -> str:
    meta = [f"<meta name={quoted(n)} content={quoted(value)}/>" for n, value in _meta(item)]
    genre = text_of(next(iter(objects_of(item, "genre")), {}), "name")
    tobject = f"<tobject.property tobject.property.type={quoted(genre)}/>" if genre else ""
    others = ""
    for subject in objects_of(item, "subject"):
        if code := name_token(code_of(subject, is_subject=True)):
            name = text_of(subject, "name")
            kind = f" tobject.subject.type={quoted(name)}" if name else ""
            tobject += f'<tobject.subject tobject.subject.refnum="{code}"{kind}/>'
        else:
            others += _classifier(subject)
    return (
        f"<head>{leaf('title', text_of(item, 'headline'))}{''.join(meta)}"
        f"{element('tobject', tobject, **{'tobject.type': 'news'})}"
        f"{_docdata(item, context, known, others)}</head>"
    )


def _meta(item: Document) -> Iterator[tuple[str, str]]:
    for category in objects_of(item, "anpa_category"):
        if category.get("qcode"):
            yield "anpa-category", str(category["qcode"])
    priority = integer(item.get("priority"))
    if priority:
        yield "priority", str(priority)
    if credit := text_of(item, "creditline"):
        yield "creditline", credit


def _docdata(item: Document, context: FormatContext, known: Rights, subjects: str) -> str:
    """Return what is known of the document.

    Args:
        known: its rights.
        subjects: those that have no code, as XML.
    """
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
    places = places_of(item, context)
    parts += map(event_location, places)
    parts.append(_date("date.issue", created_time(item)))
    parts.append(_date("date.release", embargo))
    # The item's own `expiry` says when it leaves the newsroom's lists, not when it is outdated.
    parts.append(_date("date.expire", object_of(item, "extra").get("expires")))
    parts.append(_document_rights(item, context, known))
    if slugline := text_of(item, "slugline"):
        version = integer(item.get("_current_version")) or 1
        parts.append(f'<du-key key={quoted(slugline)} version="{version}"/>')
    if note:
        parts.append(f"<ed-msg info={quoted(note)}/>")
    if keywords := keywords_of(item):
        entries = [f"<keyword key={quoted(keyword)}/>" for keyword in keywords]
        parts.append(f"<key-list>{''.join(entries)}</key-list>")
    identified = f"{subjects}{_identified(item)}{''.join(map(location, places))}"
    parts.append(element("identified-content", identified) if identified else "")
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
    return written


def _classifier(subject: Document) -> str:
    """Return a subject whose code is no name, as the codes of NITF's subjects have to be."""
    name, code = text_of(subject, "name"), code_of(subject)
    said = {"type": "subject", "idsrc": text_of(subject, "scheme"), "value": code}
    known = {key: value for key, value in said.items() if value}
    return leaf("classifier", name, **known) if name or code else ""


def _document_rights(item: Document, context: FormatContext, known: Rights) -> str:
    written = ""
    if holder := known["copyrightholder"]:
        year = copyright_year(item, context)
        written += f'<doc.copyright holder={quoted(holder)} year="{year}"/>'
    if terms := known["usageterms"]:
        written += f"<doc.rights limitations={quoted(terms)}/>"
    return written


def _rights(known: Rights) -> str:
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


def _body_head(item: Document, context: FormatContext, known: Rights, writer: NITFBody) -> str:
    parts = [f"<body.head><hedline>{leaf('hl1', text_of(item, 'headline'))}</hedline>"]
    parts.append(_rights(known))
    if byline := text_of(item, "byline"):
        parts.append(leaf("byline", byline))
    for name, role in authors_of(item, context):
        title = leaf("byttl", role) if role else ""
        parts.append(element("byline", leaf("person", name) + title))
    if source := source_of(item):
        parts.append(leaf("distributor", source))
    dateline = object_of(item, "dateline")
    if text := text_of(dateline, "text"):
        parts.append(leaf("dateline", text))
    elif place := location(object_of(dateline, "located")):
        parts.append(element("dateline", place))
    if abstract := parse_body(text_of(item, "abstract")):
        parts.append(f"<abstract>{writer.blocks(abstract)}</abstract>")
    parts.append("</body.head>")
    return "".join(parts)


def _body_content(item: Document, writer: NITFBody, story: StoryMedia) -> str:
    html = body_with_footer(item)
    if item.get("format") != "preserved":
        text = writer.blocks(parse_body(story.marked(html))) or "<p/>"
    else:
        text = leaf("pre", preserved_text(html)) if html else ""
    return element("body.content", f"{story.lead()}{text}{story.rest()}")


def _body_end(item: Document) -> str:
    note = text_of(item, "ednote")
    return f"<body.end>{leaf('tagline', note, type='npa')}</body.end>" if note else ""
