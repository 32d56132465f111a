"""RSS 2.0 feeds with whole texts, Media RSS and links between pages."""

from collections.abc import Iterable
from email.utils import format_datetime
from typing import Any

from lxml import etree

from formatters.feed import Feed, FeedEntry, Medium
from formatters.feed_xml import ATOM, MEDIA, add_in, add_media, document

MEDIA_TYPE = "application/rss+xml"
CONTENT = "http://purl.org/rss/1.0/modules/content/"
DC = "http://purl.org/dc/elements/1.1/"
NAMES = {"atom": ATOM, "content": CONTENT, "dc": DC, "media": MEDIA}


def rss_feed(feed: Feed, entries: Iterable[FeedEntry]) -> bytes:
    """Return a page of a feed; withdrawn items are not in it."""
    root = etree.Element("rss", nsmap=NAMES, version="2.0")
    channel = _add(root, "channel")
    _add(channel, "title", feed.title)
    _add(channel, "link", feed.home)
    _add(channel, "description", feed.title)
    _add(channel, "language", feed.language)
    _add(channel, "lastBuildDate", format_datetime(feed.updated))
    add_in(channel, ATOM, "link", rel="self", type=MEDIA_TYPE, href=feed.self_url)
    if feed.next_url:
        add_in(channel, ATOM, "link", rel="next", type=MEDIA_TYPE, href=feed.next_url)
    for entry in entries:
        if not entry.is_withdrawn:
            _item(channel, entry)
    return document(root)


def _add(parent: Any, tag: str, text: str = "", **attributes: str | None) -> Any:
    return add_in(parent, "", tag, text, **attributes)


def _item(channel: Any, entry: FeedEntry) -> None:
    item = _add(channel, "item")
    _add(item, "title", entry.title)
    _add(item, "guid", entry.uri, isPermaLink="false")
    _add(item, "pubDate", format_datetime(entry.published))
    if entry.summary:
        _add(item, "description", entry.summary)
    for category in entry.categories:
        _add(item, "category", category.label, domain=category.scheme or None)
    add_in(item, DC, "language", entry.language)
    for author in entry.authors:
        add_in(item, DC, "creator", author.name)
    if entry.rights:
        add_in(item, DC, "rights", entry.rights)
    if entry.content_html:
        add_in(item, CONTENT, "encoded", entry.content_html)
    enclosed = next((medium for medium in entry.media if _can_be_enclosed(medium)), None)
    if enclosed:
        file = enclosed.file
        _add(item, "enclosure", url=file.href, length=str(file.size), type=file.mimetype)
    for medium in entry.media:
        add_media(item, medium)


def _can_be_enclosed(medium: Medium) -> bool:
    """Whether all is known that an `enclosure` has to say."""
    return bool(medium.file.size and medium.file.mimetype)
