"""Conversions that several formats share (formats contract 2)."""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from apps.core.clock import local_text, moment_of
from apps.core.codes import known_concept
from apps.core.documents import object_of, objects_of, text_of, texts_of
from apps.core.embargo import embargo_of
from apps.core.text import parse_html, plain_text, strip_forbidden
from apps.core.vocabulary import TEXT_TYPES, ItemType, PubStatus, State
from formatters.base import Document, FormatContext

CRLF = "\r\n"
EMBARGO_TIME = "%d %B %Y %H:%M"
DESCRIBED_TYPES = frozenset({"audio", "picture", "video"})
RIGHTS_FIELDS = {
    "copyrightholder": "copyrightHolder",
    "copyrightnotice": "copyrightNotice",
    "usageterms": "usageTerms",
}
"""Rights fields of an item and their names in the vocabulary `rightsinfo`."""

TAGGED = ("person", "organisation", "event", "object")
"""Fields with what an item is about, besides `subject` and `place`."""

UNDETERMINED = "und"
"""Language tag of what is in no known language (ISO 639-2)."""

_STATUSES = {str(status): status for status in PubStatus}
_LANGUAGE_TAG = re.compile("[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_BREAK = re.compile(r"<br\b[^<>]*>(?:</br>)?", re.IGNORECASE)


def integer(value: object) -> int | None:
    """Return `value` as an integer, None where it is none."""
    if type(value) is int:
        return value
    if not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def number_within(value: object, lowest: int, highest: int) -> int | None:
    """Return `value` as an integer from `lowest` to `highest`, None where it is none of those."""
    number = integer(value)
    return number if number is not None and lowest <= number <= highest else None


def without_empty(values: Document) -> dict[str, Any]:
    """Return `values` without the empty ones."""
    return {key: value for key, value in values.items() if value}


def first_entry(entries: Sequence[Document], key: str, value: object) -> Document:
    """Return the first of `entries` whose `key` is `value`, empty where there is none."""
    for entry in entries:
        if entry.get(key) == value:
            return entry
    return {}


def localised(entry: Document, field: str, language: str) -> Any:
    """Return `field` of a vocabulary entry in exactly `language`, else as the entry has it."""
    translated = object_of(object_of(entry, "translations"), field).get(language)
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


def sent_type(kind: str) -> str:
    """Return what an item type is called outside: preformatted text is text, and so is no type."""
    return ItemType.TEXT if kind in ("", ItemType.PREFORMATTED) else kind


def version_of(item: Document) -> int:
    """Return the version of `item`, at least 1."""
    return max(1, integer(item.get("_current_version")) or 1)


def created_time(item: Document) -> Any:
    """Return when `item` was created, as stored; where that is missing, when this version was."""
    return item.get("firstcreated") or item.get("versioncreated")


def keywords_of(item: Document) -> list[str]:
    """Return the keywords of `item`, each once."""
    return list(dict.fromkeys(keyword.strip() for keyword in texts_of(item, "keywords")))


def tagged(item: Document) -> Iterator[tuple[str, Document]]:
    """Yield what `item` is about besides subjects and places, each once.

    Of each it is its kind (`TAGGED`) and its entry.
    """
    for kind in TAGGED:
        known = set()
        for entry in objects_of(item, kind):
            identity = tuple(str(entry.get(key) or "") for key in ("name", "qcode", "scheme"))
            if any(identity[:2]) and identity not in known:
                known.add(identity)
                yield kind, {"name": entry.get("qcode"), **without_empty(entry)}


def code_of(entry: Document, *, is_subject: bool = False) -> str:
    """Return the code of a vocabulary entry, as its vocabulary spells it; "" where it has none.

    Args:
        is_subject: see `known_concept`.
    """
    value = entry.get("qcode")
    code = str(value) if isinstance(value, (str, int)) else ""
    found = known_concept(code, text_of(entry, "scheme"), is_subject=is_subject)
    return found.code if found else code


def authors_of(item: Document, context: FormatContext) -> Iterator[tuple[str, str]]:
    """Yield name and role of each author, the role by its name in the vocabulary `job_titles`."""
    titles = context.vocabularies.get("job_titles", ())
    for author in objects_of(item, "authors"):
        user = context.users.get(str(author.get("parent")), {})
        names = (user.get("display_name"), author.get("name"), author.get("sub_label"))
        name = next((name for name in names if isinstance(name, str) and name.strip()), "")
        role = text_of(author, "role")
        known = text_of(first_entry(titles, "qcode", role), "name") if role else ""
        if name:
            yield strip_forbidden(name).strip(), known or role


def copyright_year(item: Document, context: FormatContext) -> int:
    """Return the year of the content."""
    return (moment_of(created_time(item)) or context.now).year


def source_of(item: Document) -> str:
    """Return who `item` came from in the first place."""
    return text_of(item, "original_source") or text_of(item, "source")


def caption_of(item: Document) -> str:
    """Return the caption of a medium."""
    return text_of(item, "description_text") or text_of(item, "description")


def embargo_notice(item: Document, context: FormatContext) -> str:
    """Return the line with which texts for people begin under an embargo; `""` without one.

    The time is that of the item's zone (`schedule_settings.time_zone`), else of the newsroom's.
    """
    until = embargo_of(item, context.now)
    if until is None or publish_status(item) == PubStatus.CANCELED:
        return ""
    own = text_of(object_of(item, "schedule_settings"), "time_zone")
    for zone in (own, context.settings.default_timezone):
        with suppress(ValueError):
            return f"EMBARGOED until {local_text(until, zone, EMBARGO_TIME)}, {zone}"
    return f"EMBARGOED until {until:{EMBARGO_TIME}}, UTC"


def notices(item: Document, context: FormatContext) -> list[str]:
    """Return the lines with which texts for people begin: what readers have to know of `item`.

    That it was withdrawn, until when it is under an embargo, what a correction corrects.
    """
    said = []
    if publish_status(item) == PubStatus.CANCELED:
        said.append("WITHDRAWN")
    if embargo := embargo_notice(item, context):
        said.append(embargo)
    return [*said, *corrections(item)]


def corrections(item: Document) -> list[str]:
    """Return the line that says what a correction corrects, nothing for other items."""
    note = text_of(item, "ednote").strip() if item.get("state") == State.CORRECTED else ""
    return [f"CORRECTION: {note}"] if note else []


def iso_time(value: Any) -> Any:
    """Return a datetime as ISO 8601 text with its offset; other values unchanged."""
    if not isinstance(value, datetime):
        return value
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()


def body_with_footer(item: Document) -> str:
    """Return the text of `item` with its footer, `""` for types that carry none."""
    body = ""
    if text_of(item, "type") in (*TEXT_TYPES, ItemType.COMPOSITE):
        # Agencies send packages with a text of their own.
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
    if not object_of(entry, "translations"):
        return {name: entry.get(key) for name, key in RIGHTS_FIELDS.items()}
    language = text_of(item, "language")
    return {name: localised(entry, key, language) for name, key in RIGHTS_FIELDS.items()}


def rights_of(item: Document, context: FormatContext) -> dict[str, str]:
    """Return holder, notice and terms: the item's own, else those of `rights`.

    Somebody else's content is not under the notice and the terms of the source.
    """
    own = {field: text_of(item, field) for field in RIGHTS_FIELDS}
    if own["copyrightholder"] or own["copyrightnotice"]:
        return own
    known = rights(item, context)
    return {field: value or str(known.get(field) or "") for field, value in own.items()}


def rights_line(known: Document) -> str:
    """Return notice, holder and terms of use in one line; a holder that the notice names goes.

    Args:
        known: what `rights_of` returns.
    """
    said = [strip_forbidden(text_of(known, field)) for field in RIGHTS_FIELDS]
    holder, notice, terms = (" ".join(text.split()) for text in said)
    return "; ".join(filter(None, (notice, "" if holder in notice else holder, terms)))


def basic_time(moment: datetime) -> str:
    """Return a moment in UTC in the basic form of ISO 8601, without its offset."""
    # `strftime` writes years before 1000 with fewer digits.
    return moment.isoformat()[:19].replace("-", "").replace(":", "")
