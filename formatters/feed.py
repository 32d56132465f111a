"""Feeds and their entries, from which Atom, RSS and JSON Feed are written."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import escape

from apps.core.codes import known_concept
from apps.core.documents import object_of, objects_of, text_of
from apps.core.text import plain_text, preserved_text, strip_forbidden
from apps.core.vocabulary import TEXT_TYPES, ItemType, PubStatus
from formatters.base import Document, FormatContext
from formatters.conversions import (
    TAGGED,
    body_with_footer,
    corrections,
    keywords_of,
    language_of,
    rights_line,
    rights_of,
)
from formatters.fragment import sanitized_with_players, with_dateline
from formatters.media import MEDIUMS, Rendition, renditions_of
from formatters.ninjs_fields import authors
from formatters.outgoing import outgoing
from formatters.uris import item_uri, web_address

ENTRY_TYPES = frozenset(
    {ItemType.TEXT, ItemType.PREFORMATTED, ItemType.PICTURE, ItemType.GRAPHIC}
    | {ItemType.VIDEO, ItemType.AUDIO}
)
"""Item types that can stand in a feed."""


@dataclass(frozen=True)
class Feed:
    """A page of a feed, apart from its entries.

    Attributes:
        id: URI that stays the same for ever and is no secret.
        title: for people.
        home: address of whom the feed comes from.
        self_url: address of this page.
        next_url: address of the page with older entries, None on the last one.
        first_url: address of the page with the newest entries.
        author: who answers for entries that name nobody.
        language: of the feed as a whole.
        updated: when an entry of the page changed last.
    """

    id: str
    title: str
    home: str
    self_url: str
    first_url: str
    next_url: str | None
    author: str
    language: str
    updated: datetime


@dataclass(frozen=True)
class Medium:
    """A file that belongs to an entry.

    Attributes:
        kind: `image`, `video` or `audio`.
        thumbnail: address of a small version, "" where there is none.
        maker: who took it, "" where that is not known.
        credit: whom it has to be credited to; where that is not said, its source.
        rights: notice, holder and terms, "" where nothing is known.
        terms_url: address of the terms, "" where they are text.
    """

    kind: str
    file: Rendition
    thumbnail: str
    title: str
    caption: str
    maker: str
    credit: str
    rights: str
    terms_url: str


@dataclass(frozen=True)
class Author:
    """The author of an entry."""

    name: str
    avatar: str = ""


@dataclass(frozen=True)
class Category:
    """A subject, place or genre of an entry."""

    term: str
    label: str
    scheme: str


@dataclass(frozen=True)
class FeedEntry:
    """An item as feeds show it. Texts are plain unless their name says otherwise.

    Attributes:
        uri: stays the same over all versions of the item.
        is_withdrawn: killed, taken down or unpublished: nothing else of it may be shown.
        rights: whom it has to be credited to, notice, holder and terms, in one line.
    """

    uri: str
    is_withdrawn: bool
    title: str
    summary: str
    content_html: str
    published: datetime
    updated: datetime
    language: str
    rights: str
    authors: Sequence[Author]
    categories: Sequence[Category]
    media: Sequence[Medium]


def feed_entry(item: Document, context: FormatContext) -> FeedEntry:
    """Return `item` as an entry.

    Args:
        item: the published document, of one of `ENTRY_TYPES`, trimmed to its content profile.
        context: users, vocabularies, settings and the time.
    """
    item = outgoing(item)
    updated = _moment(item, ("versioncreated", "firstpublished", "firstcreated"), context.now)
    return FeedEntry(
        uri=item_uri(text_of(item, "guid") or str(item.get("_id")), context.settings.urn_domain),
        is_withdrawn=text_of(item, "pubstatus") == PubStatus.CANCELED,
        title=_title(item),
        summary=_clean(plain_text(text_of(item, "abstract"), line_feeds=True)),
        content_html=_content(item),
        published=_moment(item, ("firstpublished", "firstcreated"), updated),
        updated=updated,
        language=language_of(item, context),
        rights=_rights(item, context),
        authors=list(_authors(item, context)),
        categories=list(_categories(item)),
        media=list(_media(item, context)),
    )


def rfc3339(moment: datetime) -> str:
    """Return `moment` as Atom and JSON Feed write it."""
    utc = moment.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    return f"{utc.isoformat()}Z"


def _moment(item: Document, fields: Sequence[str], fallback: datetime) -> datetime:
    """Return the first of `fields` that holds a time."""
    found = (item.get(field) for field in fields)
    moment = next((value for value in found if isinstance(value, datetime)), fallback)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _address(value: object) -> str:
    """Return `value` as an absolute address that anybody may follow, "" where it is none."""
    address = web_address(value) if isinstance(value, str) else ""
    return address if address.startswith(("http://", "https://")) else ""


def _clean(text: str) -> str:
    return strip_forbidden(text).strip()


def _line(document: Document, field: str) -> str:
    return _clean(text_of(document, field))


def _title(item: Document) -> str:
    candidates = (text_of(item, "headline"), text_of(item, "slugline"))
    named = (_clean(candidate) for candidate in candidates)
    return next((title for title in named if title), "(untitled)")


def _content(item: Document) -> str:
    """Return the body as HTML with its dateline, of media the caption; first what it corrects."""
    said = "".join(f"<p><strong>{_escaped(note)}</strong></p>" for note in corrections(item))
    if item.get("format") == "preserved":
        text = _clean(preserved_text(body_with_footer(item)))
        return said + f"<pre>{_escaped(text)}</pre>" if text else said
    html = body_with_footer(item)
    if html and text_of(item, "type") in TEXT_TYPES:
        html = with_dateline(html, _line(object_of(item, "dateline"), "text"))
    if not html and (caption := _line(item, "description_text")):
        html = f"<p>{_escaped(caption)}</p>"
    return said + sanitized_with_players(html).strip()


def _rights(item: Document, context: FormatContext) -> str:
    said = (_line(item, "creditline"), rights_line(rights_of(item, context)))
    return "; ".join(filter(None, said))


def _escaped(text: str) -> str:
    return escape(strip_forbidden(text), quote=False)


def _authors(item: Document, context: FormatContext) -> Iterator[Author]:
    named = [
        Author(name, _address(author.get("avatar_url")))
        for author in authors(item, context)
        if (name := _clean(str(author.get("name") or "")))
    ]
    byline = _clean(text_of(item, "byline"))
    yield from named or ([Author(byline)] if byline else [])


def _categories(item: Document) -> Iterator[Category]:
    for field in ("anpa_category", "subject", "genre", "place", *TAGGED):
        for entry in objects_of(item, field):
            code, name = entry.get("qcode") or entry.get("code"), text_of(entry, "name")
            term, scheme = _clean(str(code or name)), _clean(text_of(entry, "scheme"))
            if found := known_concept(term, scheme, is_subject=field == "subject"):
                term, scheme = found.code, found.scheme_uri
            if term:
                yield Category(term, _clean(name) or term, scheme)
    for company in objects_of(item, "company_codes"):
        code, name = _clean(str(company.get("qcode") or "")), _line(company, "name")
        if code or name:
            yield Category(code or name, name or code, "")
    for word in filter(None, map(_clean, keywords_of(item))):
        yield Category(word, word, "")


def _media(item: Document, context: FormatContext) -> Iterator[Medium]:
    """Yield the item's own file, if it is a medium, and those of what it holds."""
    associations = object_of(item, "associations")
    first = associations.get("featuremedia")
    others = (held for key, held in associations.items() if key != "featuremedia")
    for medium in (item, first, *others):
        if isinstance(medium, Mapping):
            yield from _medium(medium, context)


def _medium(item: Document, context: FormatContext) -> Iterator[Medium]:
    kind = MEDIUMS.get(text_of(item, "type"))  # type: ignore[call-overload]
    if kind is None:
        return
    files = renditions_of(item)
    files.sort(key=lambda file: (file.name == "original", file.width or 0), reverse=True)
    shown = next((file for file in files if _address(file.href)), None)
    if shown is None:
        return
    thumbnail = next((file.href for file in files if file.name == "thumbnail"), "")
    known = rights_of(item, context)
    yield Medium(
        kind=kind,
        file=replace(shown, href=_address(shown.href)),
        thumbnail=_address(thumbnail),
        title=_line(item, "headline"),
        caption=_line(item, "description_text"),
        maker=_line(item, "byline"),
        credit=_line(item, "creditline") or _line(item, "source"),
        rights=rights_line(known),
        terms_url=_address(text_of(known, "usageterms")),
    )
