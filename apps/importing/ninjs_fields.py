"""Fields of a ninjs document: single values, and texts in the variants that a document may hold.

Values of the wrong shape read as empty. 2.x and 3.x have lists of variants of a text, each with a
role and a content type. 1.x has plain fields: the name alone is the main variant, `body_xhtml` the
one with the role `xhtml`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from html import escape
from typing import Any

from apps.core.clock import moment_of
from apps.core.text import plain_text
from apps.core.vocabulary import ItemType

Fields = dict[str, Any]

TEXT_KINDS = {"headline": "headlines", "description": "descriptions", "body": "bodies"}
"""Name of a text in 1.x, where a role may follow it, and of its list in 2.x and 3.x."""

MAIN_ROLES = frozenset({"", "main", "title", "simple"})
PLAIN_ROLES = frozenset({"text", "plain", "plaintext", "caption", "summary"})
MARKUP_ROLES = frozenset({"html", "xhtml", "richtext"})
MARKUP_TYPES = frozenset({"text/html", "application/xhtml+xml", "description_xhtml"})

DESCRIBED_BY_ABSTRACT = frozenset({ItemType.TEXT, ItemType.COMPOSITE})
FIELDS_BY_ROLE = {"creditline": "creditline", "alt": "alt_text", "alttext": "alt_text"}
"""Roles of descriptions that are fields of their own in an item."""

_BODY_ELEMENT = re.compile(r"\s*<body\b[^>]*>(.*)</body>\s*", re.DOTALL | re.IGNORECASE)
_BLOCK_ELEMENT = re.compile(
    r"<(p|div|h[1-6]|ul|ol|dl|table|blockquote|pre|section|article|figure)\b", re.IGNORECASE
)
_NO_KEY_CHARACTER = re.compile(r"\W+")


def lowered(document: Mapping[str, Any]) -> Fields:
    """Return `document` with lower-case keys and without nulls."""
    return {str(key).lower(): value for key, value in document.items() if value is not None}


def non_empty(fields: Fields) -> Fields:
    """Return `fields` without empty texts, lists and objects; numbers stay."""
    return {key: value for key, value in fields.items() if value not in ("", None, [], {})}


def text(value: Any) -> str:
    """Return a text without surrounding white space."""
    return value.strip() if isinstance(value, str) else ""


def integer(value: Any) -> int | None:
    """Return a number, or a text that is one, as an integer."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None


def objects(value: Any) -> list[Fields]:
    """Return the objects in a list, or a single object, with lower-case keys."""
    entries = value if isinstance(value, list) else [value]
    return [lowered(entry) for entry in entries if isinstance(entry, Mapping)]


def time(value: Any) -> datetime | None:
    """Return a moment as UTC to the second; what carries no zone is taken as UTC."""
    moment = moment_of(text(value))
    return moment.replace(microsecond=0) if moment else None


class _Texts:
    """The variants of one text: headline, description or body.

    Attributes:
        html: the main text as markup, `""` where it is plain only.
        plain: the main text without markup, `""` where it is markup only.
        others: what is neither, by role.
    """

    def __init__(self, fields: Fields, name: str) -> None:
        self.html = ""
        self.plain = ""
        self.others: dict[str, str] = {}
        main_first = sorted(_variants(fields, name), key=lambda variant: variant[0] in PLAIN_ROLES)
        for role, content_type, value in main_first:
            self._add(role, content_type, value)

    def _add(self, role: str, content_type: str, value: str) -> None:
        is_markup = content_type in MARKUP_TYPES or role in MARKUP_ROLES
        is_main = role in MAIN_ROLES or role in PLAIN_ROLES or role in MARKUP_ROLES
        if is_main and is_markup and not self.html:
            self.html = value
        elif is_main and not is_markup and not self.plain:
            self.plain = value
        elif value not in (self.html, self.plain):
            self.others.setdefault(role or "main", value)

    def as_plain(self) -> str:
        """Return the main text without markup."""
        return self.plain or plain_text(self.html)

    def as_html(self) -> str:
        """Return the main text as markup whose loose text stands in paragraphs."""
        if not self.html:
            paragraphs = re.split(r"\n\s*\n", self.plain)
            return "".join(f"<p>{escape(part, quote=False)}</p>" for part in paragraphs if part)
        inner = _BODY_ELEMENT.fullmatch(self.html)
        html = (inner[1] if inner else self.html).strip()
        return html if _BLOCK_ELEMENT.search(html) else f"<p>{html}</p>"


def _variants(fields: Fields, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield role, content type and value of every variant of a text."""
    for entry in objects(fields.get(TEXT_KINDS[name], [])):
        if value := text(entry.get("value")):
            yield text(entry.get("role")).lower(), text(entry.get("contenttype")), value
    for key, value in fields.items():
        base, _, role = key.partition("_")
        if base == name and text(value):
            # 1.x tells markup by the end of the role: `description_caption_xhtml`.
            stem, _, last = role.rpartition("_")
            is_markup = last in MARKUP_ROLES
            kept = stem if is_markup and stem in PLAIN_ROLES else role
            yield kept, "text/html" if is_markup else "", text(value)


def texts_of(fields: Fields, item_type: str) -> Fields:
    """Return the text fields of an item of `item_type`; other roles stand under `extra`."""
    headline, description, body = (_Texts(fields, name) for name in TEXT_KINDS)
    others = {
        _NO_KEY_CHARACTER.sub("_", f"{name}_{role}"): value
        for name, texts in zip(TEXT_KINDS, (headline, description, body), strict=True)
        for role, value in texts.others.items()
    }
    item = {"headline": headline.as_plain(), "body_html": body.as_html()}
    if item_type in DESCRIBED_BY_ABSTRACT:
        item["abstract"] = description.as_html()
    else:
        item |= {"description_text": description.as_plain(), "description_html": description.html}
        if "uri" not in fields and not body.html:
            # Superdesk's ninjs has a guid, and the alternative text of media as its plain body.
            item |= {"body_html": "", "alt_text": body.plain}
    for role, field in FIELDS_BY_ROLE.items():
        if value := others.pop(f"description_{role}", ""):
            item[field] = value
    return non_empty({**item, "extra": others})
