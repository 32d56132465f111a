"""Atom feeds (RFC 4287) with pages (RFC 5005) and tombstones (RFC 6721)."""

from collections.abc import Iterable
from typing import Any

from lxml import etree

from formatters.feed import Feed, FeedEntry, rfc3339
from formatters.feed_xml import ATOM, MEDIA, add_in, add_media, document
from formatters.uris import is_uri
from formatters.xml import XML_LANG

MEDIA_TYPE = "application/atom+xml"
TOMBSTONES = "http://purl.org/atompub/tombstones/1.0"
# The default namespace has no prefix, which the stubs of lxml do not know.
NAMES: Any = {None: ATOM, "media": MEDIA, "at": TOMBSTONES}


def atom_feed(feed: Feed, entries: Iterable[FeedEntry]) -> bytes:
    """Return a page of a feed; withdrawn items stand in it as tombstones."""
    root = etree.Element(f"{{{ATOM}}}feed", nsmap=NAMES)
    root.set(XML_LANG, feed.language)
    _add(root, "id", feed.id)
    _add(root, "title", feed.title)
    _add(root, "updated", rfc3339(feed.updated))
    _add(_add(root, "author"), "name", feed.author)
    _add(root, "link", rel="self", type=MEDIA_TYPE, href=feed.self_url)
    _add(root, "link", rel="first", type=MEDIA_TYPE, href=feed.first_url)
    if feed.next_url:
        _add(root, "link", rel="next", type=MEDIA_TYPE, href=feed.next_url)
    for entry in entries:
        if entry.is_withdrawn:
            _tombstone(root, entry)
        else:
            _entry(root, entry)
    return document(root)


def _add(parent: Any, tag: str, text: str = "", **attributes: str | None) -> Any:
    return add_in(parent, ATOM, tag, text, **attributes)


def _tombstone(root: Any, entry: FeedEntry) -> None:
    stone = add_in(root, TOMBSTONES, "deleted-entry", ref=entry.uri, when=rfc3339(entry.updated))
    add_in(stone, TOMBSTONES, "comment", "Withdrawn by the publisher")


def _entry(root: Any, entry: FeedEntry) -> None:
    written = _add(root, "entry")
    written.set(XML_LANG, entry.language)
    _add(written, "id", entry.uri)
    _add(written, "title", entry.title)
    _add(written, "updated", rfc3339(entry.updated))
    _add(written, "published", rfc3339(entry.published))
    for author in entry.authors:
        _add(_add(written, "author"), "name", author.name)
    for category in entry.categories:
        scheme = category.scheme if is_uri(category.scheme) else None
        _add(written, "category", term=category.term, label=category.label, scheme=scheme)
    if entry.rights:
        _add(written, "rights", entry.rights)
    if entry.summary:
        _add(written, "summary", entry.summary)
    # An entry without an alternate link has to have content, be it empty.
    _add(written, "content", entry.content_html, type="html")
    for medium in entry.media:
        add_media(written, medium)
