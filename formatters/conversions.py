"""Conversions that several formats share (formats contract 2), and tolerant access.

Null equals absent in every item, so the accessors return empty values for what is missing, null
or of the wrong shape.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from apps.core.text import parse_html, plain_text, strip_forbidden
from apps.core.vocabulary import TEXT_TYPES, PubStatus
from formatters.base import Document, FormatContext

CRLF = "\r\n"
DESCRIBED_TYPES = frozenset({"audio", "picture", "video"})
RIGHTS_FIELDS = {
    "copyrightholder": "copyrightHolder",
    "copyrightnotice": "copyrightNotice",
    "usageterms": "usageTerms",
}
"""Rights fields of an item and their names in the vocabulary `rightsinfo`."""

UNDETERMINED = "und"
"""Language tag of what is in no known language (ISO 639-2)."""

_STATUSES = {str(status): status for status in PubStatus}
_LANGUAGE_TAG = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_BREAK = re.compile(r"<br\b[^>]*>(?:</br>)?", re.IGNORECASE)


def text_of(item: Document, field: str) -> str:
    """Return the text in `field`, `""` where there is none."""
    value = item.get(field)
    return value if isinstance(value, str) else ""


def mapping_of(item: Document, field: str) -> Document:
    """Return the object in `field`, empty where there is none."""
    value = item.get(field)
    # Asked first because it is fast: nearly every object is a dict.
    return value if isinstance(value, dict) or isinstance(value, Mapping) else {}  # noqa: SIM101


def objects_of(item: Document, field: str) -> list[Document]:
    """Return the objects in the list `field`; nulls and anything else are skipped."""
    value = item.get(field)
    if not isinstance(value, (list, tuple)):
        return []
    return [e for e in value if isinstance(e, dict) or isinstance(e, Mapping)]  # noqa: SIM101


def values_of(item: Document, field: str) -> list[Document]:
    """Return the objects that the object in `field` holds; nulls and anything else are skipped."""
    held = mapping_of(item, field).values()
    return [e for e in held if isinstance(e, dict) or isinstance(e, Mapping)]  # noqa: SIM101


def integer(value: object) -> int | None:
    """Return `value` as an integer, None where it is none."""
    if type(value) is int:
        return value
    if isinstance(value, (int, float, str)):
        try:
            return int(value)
        except (ValueError, OverflowError):
            return None
    return None


def texts_of(item: Document, field: str) -> list[str]:
    """Return the texts in the list `field`, without empty ones."""
    value = item.get(field)
    if not isinstance(value, (list, tuple)):
        return []
    return [entry for entry in value if isinstance(entry, str) and entry.strip()]


def number_within(value: object, lowest: int, highest: int) -> int | None:
    """Return `value` as an integer from `lowest` to `highest`, None where it is none of those."""
    number = integer(value)
    return number if number is not None and lowest <= number <= highest else None


def first_entry(entries: Sequence[Document], key: str, value: object) -> Document:
    """Return the first of `entries` whose `key` is `value`, empty where there is none."""
    for entry in entries:
        if entry.get(key) == value:
            return entry
    return {}


def localised(entry: Document, field: str, language: str) -> Any:
    """Return `field` of a vocabulary entry in exactly `language`, else as the entry has it."""
    translated = mapping_of(mapping_of(entry, "translations"), field).get(language)
    return translated or entry.get(field)


def language_tag(language: str) -> str:
    """Return `language` as a tag of BCP 47, `en_US` as `en-US`; "" where it is none."""
    tag = language.strip().replace("_", "-")
    return tag if _LANGUAGE_TAG.fullmatch(tag) else ""


def language_of(item: Document, context: FormatContext) -> str:
    """Return the language of `item`, else the default one, as a tag: standards take no other."""
    own = language_tag(text_of(item, "language"))
    return own or language_tag(context.settings.default_language) or UNDETERMINED


def publish_status(item: Document) -> PubStatus:
    """Return the `pubstatus` of `item`; where it has none that is known, it is usable."""
    return known_status(item.get("pubstatus"))


def known_status(value: object) -> PubStatus:
    """Return `value` if it is a `pubstatus` that is known, else usable."""
    return _STATUSES.get(value, PubStatus.USABLE) if isinstance(value, str) else PubStatus.USABLE


def embargo_time(item: Document) -> Any:
    """Return the moment until which `item` is embargoed, None where it is not."""
    return mapping_of(item, "schedule_settings").get("utc_embargo") or item.get("embargo")


def iso_time(value: Any) -> Any:
    """Return a datetime as ISO 8601 text with its offset; other values unchanged."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def body_with_footer(item: Document) -> str:
    """Return the text of `item` with its footer, `""` for types that carry none."""
    body = ""
    if text_of(item, "type") in TEXT_TYPES:
        body = text_of(item, "body_html").replace("<br>", "<br/>")
    elif text_of(item, "type") in DESCRIBED_TYPES:
        body = text_of(item, "description")
    if not body:
        return ""
    footer = text_of(item, "body_footer")
    if item.get("format") != "preserved":
        return body + footer
    return preserved(body) + (CRLF + plain_text(footer) if footer else "")


def preserved(html: str) -> str:
    """Return preformatted `html` as a `div` with CRLF line ends.

    Carriage returns stand as character references, as clients know it.
    """
    source = strip_forbidden(html).replace("\r\n", "\n").replace("\r", "\n")
    source = _BREAK.sub("\n", source)
    if not source.startswith("<"):
        # Text in front of the first element forms a paragraph with the inline elements after it.
        source = "<p>" + source
    root = parse_html(source)
    written = [etree.tostring(part, encoding="unicode") for part in root.iterfind("body/*")]
    return "".join(written).replace("\n", "&#13;\n")


def rights(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return the rights fields that the vocabulary `rightsinfo` holds for the item's source.

    The entry named like the source counts, else the entry `default`; `{}` where there is neither.
    """
    entries = context.vocabularies.get("rightsinfo", ())
    source = item.get("source") or item.get("original_source") or "default"
    entry = first_entry(entries, "name", source) or first_entry(entries, "name", "default")
    if not entry:
        return {}
    if not mapping_of(entry, "translations"):
        return {name: entry.get(key) for name, key in RIGHTS_FIELDS.items()}
    language = text_of(item, "language")
    return {name: localised(entry, key, language) for name, key in RIGHTS_FIELDS.items()}


def basic_time(moment: datetime) -> str:
    """Return a moment in UTC in the basic form of ISO 8601, without its offset."""
    # Much faster than `strftime`.
    return moment.isoformat()[:19].replace("-", "").replace(":", "")
