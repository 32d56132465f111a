"""The format `imatrics`: articles for the iMatrics tagging service (formats contract 3.9)."""

from collections.abc import Iterator
from typing import Any

from apps.core.documents import object_of, objects_of, text_of
from apps.core.text import plain_text
from apps.core.vocabulary import ItemType, PubStatus
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.conversions import authors_of, created_time, iso_time
from formatters.json import encode
from formatters.ninjs import NINJSFormatter

CONCEPT_TYPES = ("organisation", "person", "place", "event", "object")


class IMatricsFormatter(Formatter):
    """A text as the service stores it. Not listed among the formats for subscribers."""

    type = "imatrics"
    name = None
    media_type = "application/json"
    file_extension = "txt"
    error_code = NINJSFormatter.error_code
    error_text = NINJSFormatter.error_text
    item_types = frozenset({ItemType.TEXT})

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        created = created_time(item)
        modified = item.get("versioncreated") or created
        document = {
            "uuid": text_of(item, "guid"),
            "createdTimestamp": iso_time(created),
            "latestVersionTimestamp": iso_time(modified),
            "publicationTimestamp": iso_time(item.get("firstpublished") or modified),
            "authors": [name for name, _ in authors_of(item, context)],
            "language": text_of(item, "language") or context.settings.default_language,
            "pubStatus": (item.get("pubstatus") or PubStatus.USABLE) == PubStatus.USABLE,
            "headline": text_of(item, "headline"),
            "preamble": plain_text(text_of(item, "abstract"), line_feeds=True).strip(),
            "dateline": text_of(object_of(item, "dateline"), "text"),
            "body": _lines(text_of(item, "body_html")),
            "concepts": list(_concepts(item)),
        }
        return [Formatted(encode(document))]


def _lines(html: str) -> list[str]:
    lines = plain_text(html, line_feeds=True).split("\n")
    return [line.strip() for line in lines if line.strip()]


def _concepts(item: Document) -> Iterator[dict[str, Any]]:
    for subject in objects_of(item, "subject"):
        kind = "topic" if subject.get("scheme") == "imatrics_topic" else "category"
        yield from _concept(kind, subject)
    for field in CONCEPT_TYPES:
        for entry in objects_of(item, field):
            yield from _concept(field, entry)


def _concept(kind: str, entry: Document) -> Iterator[dict[str, Any]]:
    uuid = object_of(entry, "altids").get("imatrics")
    if uuid:
        yield {"type": kind, "title": entry.get("name"), "uuid": uuid}
