"""JSON Feed 1.1 (jsonfeed.org)."""

from collections.abc import Iterable
from typing import Any

from apps.core import json
from formatters.feed import Author, Entry, Feed, Medium, rfc3339

MEDIA_TYPE = "application/feed+json"
VERSION = "https://jsonfeed.org/version/1.1"


def json_feed(feed: Feed, entries: Iterable[Entry]) -> bytes:
    """Return a page of a feed; withdrawn items are not in it."""
    document = _known(
        version=VERSION,
        title=feed.title,
        home_page_url=feed.home,
        feed_url=feed.self_url,
        next_url=feed.next_url,
        language=feed.language,
        authors=[{"name": feed.author}],
    )
    document["items"] = [_item(entry) for entry in entries if not entry.is_withdrawn]
    return json.dumps(document)


def _known(**members: Any) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _item(entry: Entry) -> dict[str, Any]:
    images = [medium.file.href for medium in entry.media if medium.kind == "image"]
    item = _known(
        id=entry.uri,
        title=entry.title,
        summary=entry.summary,
        image=images[0] if images else None,
        date_published=rfc3339(entry.published),
        date_modified=rfc3339(entry.updated),
        authors=[_author(author) for author in entry.authors],
        tags=list(dict.fromkeys(category.label for category in entry.categories)),
        language=entry.language,
        attachments=[_attachment(medium) for medium in entry.media if medium.file.mimetype],
    )
    return {**item, "content_html": entry.content_html}


def _author(author: Author) -> dict[str, Any]:
    return _known(name=author.name, avatar=author.avatar)


def _attachment(medium: Medium) -> dict[str, Any]:
    file = medium.file
    return _known(
        url=file.href,
        mime_type=file.mimetype,
        size_in_bytes=file.size,
        duration_in_seconds=file.seconds,
    )
