"""Fields of a ninjs document: single values, and texts in the variants that a document may hold.

Values of the wrong shape read as empty. 2.x and 3.x have lists of variants of a text, each with a
role and a media type; roles are free text, and both are often missing. 1.x has plain fields: the
name alone is the main variant, `body_xhtml` the one with the role `xhtml`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from html import escape
from math import isfinite
from typing import Any, NamedTuple

from apps.core.clock import moment_of
from apps.core.text import LINE_ENDING_TAGS, plain_text, text_of_line
from apps.core.vocabulary import ItemType

Fields = dict[str, Any]

LARGEST = 2**53
"""Of numbers: larger ones are not exact in JSON."""

TEXT_KINDS = {"headline": "headlines", "description": "descriptions", "body": "bodies"}
"""Name of a text in 1.x, where a role may follow it, and of its list in 2.x and 3.x."""

MAIN_ROLES = frozenset({"", "main", "title", "simple", "article", "body", "content", "full"})
PLAIN_ROLES = frozenset({"text", "plain", "plaintext"})
MARKUP_ROLES = frozenset({"html", "html5", "xhtml", "richtext", "rich"})
LEAD_ROLES = frozenset({"lead", "abstract", "summary", "intro", "introduction", "preamble"})
CAPTION_ROLES = frozenset({"caption", "description"})
SHORT_ROLES = LEAD_ROLES | CAPTION_ROLES | {"teaser", "kicker", "short", "sms", "tweet", "push"}
"""Roles of texts that stand for a story only where there is no other."""

ROLES: Mapping[str, tuple[frozenset[str], ...]] = {
    "headline": (MAIN_ROLES, PLAIN_ROLES | MARKUP_ROLES),
    "description": (MAIN_ROLES | PLAIN_ROLES | MARKUP_ROLES | LEAD_ROLES, CAPTION_ROLES),
    "caption": (CAPTION_ROLES, MAIN_ROLES | PLAIN_ROLES | MARKUP_ROLES, LEAD_ROLES),
    "body": (MAIN_ROLES, MARKUP_ROLES, PLAIN_ROLES),
}
"""Roles of each text, those first that say most surely that it is the one."""

CAPTIONS = MAIN_ROLES | PLAIN_ROLES | MARKUP_ROLES | CAPTION_ROLES
DESCRIBED_BY_ABSTRACT = frozenset({ItemType.TEXT, ItemType.COMPOSITE})
FIELDS_BY_ROLE = {
    "creditline": "creditline",
    "credit": "creditline",
    "alt": "alt_text",
    "alttext": "alt_text",
}
"""Roles of descriptions that are fields of their own in an item, without signs."""

_DOCUMENT = re.compile(
    r"(?:[\s\ufeff]|<\?xml\b[^<>]*>|<!doctype\b[^<>]*>|<!--.*?-->)*+"
    r"<(?:html|head|body|nitf|title|meta)(?=[\s>])",
    re.DOTALL | re.IGNORECASE,
)
_STARTS = tuple(
    re.compile(tag, re.IGNORECASE)
    for tag in (
        r"<body\.content(?=[\s>])[^<>]*>",
        r"<body(?=[\s>])[^<>]*>",
        r"</head\s*>",
        r"<html(?=[\s>])[^<>]*>",
    )
)
"""Behind which the text of a whole document stands; the first one is NITF's."""
_HEAD = re.compile(
    r"(?:[\s\ufeff]|<!--.*?-->|<\?xml\b[^<>]*>|<(?:!doctype|meta|link|base)\b[^<>]*>"
    r"|<(title|style|script)\b[^<>]*>.*?</\1\s*>)*+",
    re.DOTALL | re.IGNORECASE,
)
"""What belongs to the head of a document, also where its tags are left out."""
_HIDING = re.compile(r"<(!--|(?:title|style|script)(?=[\s>]))", re.IGNORECASE)
_HIDING_ENDS = {
    "!--": re.compile("-->"),
    **{tag: re.compile(rf"</{tag}\s*>", re.IGNORECASE) for tag in ("title", "style", "script")},
}
"""What looks like tags up to these is none."""
_ENDS = re.compile(r"</(?:body\.content|body|html|nitf)\s*>", re.IGNORECASE)
_BLOCK_ELEMENT = re.compile(
    rf"<(?:{'|'.join(sorted(LINE_ENDING_TAGS - {'br'}))})(?=[\s/>])", re.IGNORECASE
)
_INLINE = "a|abbr|b|big|cite|code|del|em|font|i|iframe|ins|q|s|small|span|strong|sub|sup|u|video"
_MARKUP = re.compile(
    rf"</(?:{'|'.join(sorted(LINE_ENDING_TAGS))}|{_INLINE})\s*>"
    r"|<(?:p|br|hr|img|li)(?:\s+[\w:.-]+\s*=\s*(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>=`]+))*\s*/?>",
    re.IGNORECASE,
)
"""What plain texts do not have: the end of a known element, or one that needs no end."""
_LINE_END = re.compile("\r\n?|[\u2028\x85]")
_EMPTY_LINE = re.compile(r"\n\s*\n")
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
    """Return a number, or a text that is one, as an integer; None for what no store holds."""
    known = number(value)
    return int(known) if known is not None and abs(known) <= LARGEST else None


def number(value: Any) -> float | None:
    """Return a number, or a text that is one, as it is; None for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        known = float(value)
    except (ValueError, OverflowError):
        return None
    if not isfinite(known):
        return None
    return int(known) if known.is_integer() else known


def objects(value: Any) -> list[Fields]:
    """Return the objects in a list, or a single object, with lower-case keys."""
    entries = value if isinstance(value, list) else [value]
    return [lowered(entry) for entry in entries if isinstance(entry, Mapping)]


def time(value: Any) -> datetime | None:
    """Return a moment as UTC to the second; what carries no zone is taken as UTC."""
    moment = moment_of(text(value))
    return moment.replace(microsecond=0) if moment else None


class _Variant(NamedTuple):
    """One variant of a text.

    Attributes:
        role: in lower case.
        is_html: whether it is markup.
        is_typed: whether its media type or its role says so, or that it is none.
        value: the markup without the document around it, or the text.
    """

    role: str
    is_html: bool
    is_typed: bool
    value: str

    @property
    def name(self) -> str:
        """The role without signs: `alt-text` and `altText` are one."""
        return _NO_KEY_CHARACTER.sub("", self.role).replace("_", "")

    def as_plain(self) -> str:
        """Return the text without markup."""
        if not self.is_html:
            return self.value
        if not self.is_typed:
            return text_of_line(self.value).strip()
        return plain_text(self.value, line_feeds=True).strip()

    def as_html(self) -> str:
        """Return the text as markup: empty lines part paragraphs, line ends are breaks."""
        if self.is_html:
            return self.value
        said = self.value if self.is_typed else text_of_line(self.value)
        lines = _LINE_END.sub("\n", said).replace("\u2029", "\n\n")
        paragraphs = (part.strip("\n") for part in _EMPTY_LINE.split(lines))
        written = (escape(part, quote=False).replace("\n", "<br>") for part in paragraphs if part)
        return "".join(f"<p>{part}</p>" for part in written)


class _Texts:
    """The variants of one text.

    Attributes:
        main: the variant that is the text, None where there is none.
        html: the text as markup, plain: without it; each None where it is not there.
        others: the variants that say something else.
    """

    def __init__(self, variants: list[_Variant], name: str) -> None:
        self._ranks = {role: rank for rank, roles in enumerate(ROLES[name]) for role in roles}
        wins = self._as_body if name == "body" else self._by_role
        ordered = sorted(variants, key=wins)
        self.main = ordered[0] if ordered else None
        twin = next(filter(self._is_twin, ordered), None)
        pair = [variant for variant in (self.main, twin) if variant]
        self.html = next((variant for variant in pair if variant.is_html), None)
        self.plain = next((variant for variant in pair if not variant.is_html), None)
        said = {variant.value for variant in pair}
        self.others = [variant for variant in ordered if variant.value not in said]

    def _rank(self, variant: _Variant) -> int:
        is_short = variant.role in SHORT_ROLES
        return self._ranks.get(variant.role, len(self._ranks) + is_short)

    def _by_role(self, variant: _Variant) -> tuple[int, ...]:
        return (self._rank(variant),)

    def _as_body(self, variant: _Variant) -> tuple[int, ...]:
        """Order bodies: markup before what has lost it, a summary last."""
        return (variant.role in SHORT_ROLES, not variant.is_html, self._rank(variant))

    def _is_twin(self, variant: _Variant) -> bool:
        """Whether a variant is the main one, with markup or without."""
        main = self.main
        if main is None or variant.is_html == main.is_html:
            return False
        return variant.role == main.role or (
            self._rank(variant) == self._rank(main)
            or {variant.role, main.role} <= MAIN_ROLES | PLAIN_ROLES | MARKUP_ROLES
        )

    def as_plain(self) -> str:
        """Return the text without markup."""
        found = self.plain or self.html
        return found.as_plain() if found else ""

    def as_html(self) -> str:
        """Return the text as markup."""
        found = self.html or self.plain
        return found.as_html() if found else ""


def _variants(fields: Fields, name: str) -> Iterator[_Variant]:
    """Yield every variant of a text."""
    for entry in objects(fields.get(TEXT_KINDS[name], [])):
        if value := text(entry.get("value")):
            media_type = text(entry.get("contenttype")).partition(";")[0].strip().lower()
            yield _variant(text(entry.get("role")).lower(), media_type, value)
    named = [
        (key.removeprefix(f"{name}_"), text(value))
        for key, value in fields.items()
        if key.startswith(f"{name}_") and text(value)
    ]
    if text(fields.get(name)):
        named.insert(0, ("", text(fields[name])))
    # 1.x tells markup by the end of the role: `description_caption_xhtml`.
    ends = [(role, role.rpartition("_")[0], role.rpartition("_")[2]) for role, _ in named]
    has_markup = any(last in MARKUP_ROLES for _, _, last in ends)
    for (role, stem, last), (_, value) in zip(ends, named, strict=True):
        if last in MARKUP_ROLES:
            known = stem if stem in PLAIN_ROLES | SHORT_ROLES else role
            yield _variant(known, "text/html", value)
        else:
            # Beside markup, what is called a text is one.
            is_plain = has_markup and last in PLAIN_ROLES
            yield _variant(role, "text/plain" if is_plain else "", value)


def _variant(role: str, media_type: str, value: str) -> _Variant:
    """Return a variant; what has no media type is markup if its role or its look says so."""
    is_html = "html" in media_type
    if not is_html and media_type != "text/plain":
        is_html = role in MARKUP_ROLES or _MARKUP.search(value) is not None
    is_typed = media_type != "" or role in MARKUP_ROLES
    return _Variant(role, is_html, is_typed, _without_document(value) if is_html else value)


def _without_document(html: str) -> str:
    """Return the markup of a body that stands in a whole document, without what is around it."""
    if not _DOCUMENT.match(html):
        return html
    shown = _shown(html)
    starts = (found for tag in _STARTS if (found := tag.search(shown)))
    start = next(starts, None)
    said = html[start.end() :] if start else html
    if (head := _HEAD.match(said)) and (start is None or "body" not in start[0].lower()):
        said = said[head.end() :]
    return _ENDS.sub("", said).strip()


def _shown(html: str) -> str:
    """Return markup with blanks for comments, titles and code, each place where it was."""
    parts, place = [], 0
    endless = set()
    for start in _HIDING.finditer(html):
        name = start[1].lower()
        if start.start() < place or name in endless:
            continue
        end = _HIDING_ENDS[name].search(html, start.end())
        if end is None:
            endless.add(name)
            continue
        parts += [html[place : start.start()], " " * (end.end() - start.start())]
        place = end.end()
    return "".join([*parts, html[place:]])


def texts_of(fields: Fields, item_type: str) -> Fields:
    """Return the text fields of an item of `item_type`; other roles stand under `extra`."""
    headlines, descriptions, bodies = (list(_variants(fields, name)) for name in TEXT_KINDS)
    item: Fields = {}
    for variant in descriptions:
        if variant.name in FIELDS_BY_ROLE:
            item[FIELDS_BY_ROLE[variant.name]] = variant.as_plain()
    descriptions = [variant for variant in descriptions if variant.name not in FIELDS_BY_ROLE]
    leads: list[_Variant] = []
    is_medium = item_type not in DESCRIBED_BY_ABSTRACT
    if is_medium:
        if "uri" not in fields and text(fields.get("body_text")):
            # Superdesk's ninjs has a guid, and the alternative text of media as its plain body.
            item["alt_text"] = text(fields["body_text"])
            bodies = [variant for variant in bodies if variant.value != item["alt_text"]]
        leads, descriptions = _without_leads(descriptions, CAPTIONS)
    elif not descriptions:
        descriptions, bodies = _without_leads(bodies)
    headline, body = _Texts(headlines, "headline"), _Texts(bodies, "body")
    abstract = _Texts(leads if is_medium else descriptions, "description")
    caption = _Texts(descriptions if is_medium else [], "caption")
    item |= {
        "headline": " ".join(headline.as_plain().split()),
        "abstract": abstract.as_html(),
        "body_html": _in_paragraphs(body.as_html()),
        **_caption(caption),
    }
    named = (("headline", headline), ("description", abstract), ("description", caption))
    return non_empty({**item, "extra": _others([*named, ("body", body)])})


def _without_leads(
    variants: list[_Variant], others: frozenset[str] | None = None
) -> tuple[list[_Variant], list[_Variant]]:
    """Return the leads among the variants of a text, and the rest; no leads where they are all.

    Args:
        others: roles of which there has to be one besides; any other by default.
    """
    leads = [variant for variant in variants if variant.role in LEAD_ROLES]
    rest = [variant for variant in variants if variant.role not in LEAD_ROLES]
    is_told = any(others is None or variant.role in others for variant in rest)
    return (leads, rest) if is_told else ([], variants)


def _in_paragraphs(html: str) -> str:
    """Return a body whose text stands in paragraphs or other blocks."""
    return html if not html or _BLOCK_ELEMENT.search(html) else f"<p>{html}</p>"


def _caption(caption: _Texts) -> Fields:
    """Return the caption of a medium, as markup too where that says more."""
    said, html = caption.as_plain(), caption.html.value if caption.html else ""
    is_plain = html in (said, f"<p>{escape(said, quote=False)}</p>")
    return {"description_text": said, "description_html": "" if is_plain else html}


def _others(named: Iterable[tuple[str, _Texts]]) -> Fields:
    """Return the variants that are no text of the item, by text and role."""
    extra: Fields = {}
    for name, texts in named:
        for variant in texts.others:
            key = _NO_KEY_CHARACTER.sub("_", f"{name}_{variant.role or 'main'}")
            if variant.value not in extra.values():
                extra[free_name(key, extra)] = variant.value
    return extra


def free_name(name: str, taken: Mapping[str, Any]) -> str:
    """Return `name`, numbered where it is taken."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name}-{number}"
    return candidate
