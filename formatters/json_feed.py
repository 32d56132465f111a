"""JSON Feed 1.1 (jsonfeed.org)."""

from collections.abc import Iterable
from typing import Any

from apps.core import json
from formatters.conversions import without_empty
from formatters.feed import Author, Feed, FeedEntry, Medium, rfc3339

MEDIA_TYPE = "application/feed+json"
VERSION = "https://jsonfeed.org/version/1.1"


def json_feed(feed: Feed, entries: Iterable[FeedEntry]) -> bytes:
    """Return a page of a feed; withdrawn items are not in it."""
    document = without_empty(
        {
            "version": VERSION,
            "title": feed.title,
            "home_page_url": feed.home,
            "feed_url": feed.self_url,
            "next_url": feed.next_url,
            "language": feed.language,
            "authors": [{"name": feed.author}],
        }
    )
    document["items"] = [_item(entry) for entry in entries if not entry.is_withdrawn]
    return json.dumps(document)


def _item(entry: FeedEntry) -> dict[str, Any]:
    images = [medium.file.href for medium in entry.media if medium.kind == "image"]
    item = without_empty(
        {
            "id": entry.uri,
            "title": entry.title,
            "summary": entry.summary,
            "image": images[0] if images else None,
            "date_published": rfc3339(entry.published),
            "date_modified": rfc3339(entry.updated),
            "authors": [_author(author) for author in entry.authors],
            "tags": list(dict.fromkeys(category.label for category in entry.categories)),
            "language": entry.language,
            "attachments": [_attachment(medium) for medium in entry.media if medium.file.mimetype],
            "_rights": without_empty({"text": entry.rights}),
        }
    )
    return {**item, "content_html": entry.content_html}


def _author(author: Author) -> dict[str, Any]:
    return without_empty({"name": author.name, "avatar": author.avatar})


def _attachment(medium: Medium) -> dict[str, Any]:
    file = medium.file
    return without_empty(
        {
            "url": file.href,
            "mime_type": file.mimetype,
            "size_in_bytes": file.size,
            "duration_in_seconds": file.seconds,
            "_credits": without_empty(
                {
                    "caption": medium.caption,
                    "maker": medium.maker,
                    "credit": medium.credit,
                    "rights": medium.rights,
                }
            ),
        }
    )
