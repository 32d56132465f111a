"""The format `email`: subject, text and HTML of a mail, as JSON (formats contract 3.8).

The parts come from Jinja templates, which an installation may replace one by one. Whatever markup
an item holds is cleaned by an allow-list before a template sees it.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, TemplateError, select_autoescape
from lxml import etree
from markupsafe import Markup

from apps.core.clock import local_text
from apps.core.documents import object_of, objects_of, text_of
from apps.core.text import parse_html, plain_text, strip_forbidden
from apps.core.vocabulary import ItemType
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.conversions import embargo_notice
from formatters.fragment import sanitized
from formatters.json import encode

TEMPLATES = Path(__file__).parent / "templates"
SUBJECT, TEXT, HTML = "subject.txt", "body.txt", "body.html"

PLAIN_FIELDS = (
    *("headline", "slugline", "anpa_take_key", "byline", "ednote", "source", "sign_off"),
)
MARKUP_FIELDS = ("abstract", "body_footer")

APART = ("table", "figure", "figcaption", "ul", "ol", "dl", "blockquote", "pre")
"""Elements whose paragraphs are no beginning of a story."""

_BODY_TAG = re.compile(r"<body\b[^<>]*>", re.IGNORECASE)
_EMBED_MARK = re.compile(r"<!--\s*EMBED (START|END)")


class EmailFormatter(Formatter):
    """A story as the parts of a mail; the text part is always there."""

    type = "email"
    name = "Email"
    media_type = "application/json"
    file_extension = "txt"
    error_code = 7010
    error_text = 'Article couldn"t be converted to Email'
    item_types = frozenset({ItemType.TEXT})

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        article, notice = _article(item, context), embargo_notice(item, context)
        html = None
        try:
            if item.get("format") == "HTML":
                html = _render(HTML, article, context)
            text = _render(TEXT, article, context)
            subject = _render(SUBJECT, article, context)
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise self.refusal(item, "template", str(error)) from error
        media = object_of(object_of(item, "associations"), "featuremedia")
        parts = {
            "message_html": _below_notice(html, notice) if html else html,
            "message_text": f"{notice}\n\n{text}" if notice else text,
            # Line ends would start a header of their own.
            "message_subject": " ".join(subject.split()),
            "renditions": media.get("renditions") or None,
        }
        return [Formatted(encode(parts))]


def _below_notice(html: str, notice: str) -> str:
    """Put the notice of an embargo at the top of a page; whatever template wrote it."""
    top = _BODY_TAG.search(html)
    place = top.end() if top else 0
    said = f"<p><strong>{Markup.escape(notice)}</strong></p>" if notice else ""
    return html[:place] + said + html[place:]


def _markup(html: str) -> Markup:
    """Return clean markup; line ends after paragraphs keep mails within the length of lines."""
    return Markup(sanitized(html).replace("</p>", "</p>\r"))  # noqa: S704  just cleaned


def _article(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return `item` as templates see it: markup cleaned, texts never null."""
    body = _without_embeds(strip_forbidden(text_of(item, "body_html")))
    dateline = text_of(object_of(item, "dateline"), "text")
    prefix = context.settings.email_prefixes.get(text_of(item, "state"), "")
    return {
        **item,
        **{field: strip_forbidden(text_of(item, field)) for field in PLAIN_FIELDS},
        **{field: _markup(text_of(item, field)) for field in MARKUP_FIELDS},
        "place": [{**place, "name": text_of(place, "name")} for place in objects_of(item, "place")],
        "dateline": {**object_of(item, "dateline"), "text": dateline},
        "prefix": prefix,
        "body_html": _markup(_with_dateline(body, dateline)),
        "body_text": _body_text(item, body, dateline),
    }


def _without_embeds(html: str) -> str:
    """Return a text without what stands between the comments of embedded media, and these."""
    parts, end, start = [], 0, None
    for mark in _EMBED_MARK.finditer(html):
        if mark.start() < end:
            continue
        if mark[1] == "START":
            start = mark.start() if start is None else start
        elif start is not None:
            closed = html.find("-->", mark.end())
            if closed < 0:
                break
            parts.append(html[end:start])
            end, start = closed + len("-->"), None
    return "".join([*parts, html[end:]])


def _with_dateline(html: str, dateline: str) -> str:
    """Put the dateline in front of the text of the first paragraph, else of the whole text.

    What stands in a table, a list, a quotation or under a picture is no beginning of a story.
    """
    if not dateline:
        return html
    root = parse_html(html)
    first = next((p for p in root.iter("p") if next(p.iterancestors(*APART), None) is None), None)
    if first is None:
        return f"{Markup.escape(dateline)} {html}"
    first.text = f"{strip_forbidden(dateline)} {first.text or ''}"
    return "".join(_inner_html(root))


def _inner_html(root: etree._Element) -> Iterable[str]:
    """Yield the markup of a parsed fragment, without the element that holds it."""
    body = root.find("body")
    if body is None or not len(body):
        return
    holder, *others = body
    yield str(Markup.escape(holder.text or ""))
    for element in (*holder, *others):
        yield etree.tostring(element, encoding="unicode", method="html")


def _with_addresses(html: str) -> str:
    """Put behind each link where it leads, unless it says so itself."""
    if "<a " not in html:
        return html
    root = parse_html(html)
    for link in root.iter("a"):
        href, shown = str(link.get("href") or ""), "".join(map(str, link.itertext())).strip()
        if href and href != shown and not href.startswith("#"):
            link.tail = f" ({strip_forbidden(href)}){link.tail or ''}"
    return "".join(_inner_html(root))


def _body_text(item: Document, body: str, dateline: str) -> str:
    html = _with_addresses(sanitized(body))
    text = plain_text(html, line_feeds=item.get("format") != "preserved")
    return f"{strip_forbidden(dateline)} {text}".strip()


def _render(name: str, article: Document, context: FormatContext) -> str:
    environment = _environment(context.settings.email_templates, context.settings.default_timezone)
    return environment.get_template(f"email_article_{name}").render(article=article)


@lru_cache(maxsize=16)
def _environment(directory: str, timezone: str) -> Environment:
    """Return the templates of an installation; those that it lacks are the built-in ones."""
    directories = [directory, str(TEMPLATES)] if directory else [str(TEMPLATES)]
    environment = Environment(
        loader=FileSystemLoader(directories), autoescape=select_autoescape(["html"])
    )

    def format_datetime(
        value: object, timezone_string: str | None = None, date_format: str | None = None
    ) -> str:
        return local_text(value, timezone_string or timezone, date_format or "%c")

    environment.filters["format_datetime"] = format_datetime

    def get_text(html: object, lf_on_block: bool = True) -> str:
        text = plain_text(str(html or "").replace("\r", ""), line_feeds=lf_on_block)
        return text.rstrip("\n")

    environment.filters["get_text"] = get_text
    return environment
