"""The format `email`: subject, text and HTML of a mail, as JSON (formats contract 3.8).

The parts come from Jinja templates, which an installation may replace one by one. Whatever markup
an item holds is cleaned by an allow-list before a template sees it.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, TemplateError, select_autoescape
from markupsafe import Markup

from apps.core.clock import local_text
from apps.core.documents import object_of, objects_of, text_of
from apps.core.text import plain_text, preserved_text, strip_forbidden
from apps.core.vocabulary import ItemType
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body
from formatters.conversions import caption_of, notices, rights_line, rights_of
from formatters.fragment import sanitized, with_addresses, with_dateline
from formatters.json import encode
from formatters.outgoing import without_embeds
from formatters.plain_body import TextBody

TEMPLATES = Path(__file__).parent / "templates"
SUBJECT, TEXT, HTML = "subject.txt", "body.txt", "body.html"

PLAIN_FIELDS = (
    *("headline", "slugline", "anpa_take_key", "byline", "ednote", "source", "sign_off"),
)
MARKUP_FIELDS = ("abstract", "body_footer")

_BODY_TAG = re.compile(r"<body\b[^<>]*>", re.IGNORECASE)


class EmailFormatter(Formatter):
    """A story as the parts of a mail; the text part is always there."""

    type = "email"
    name = "Email"
    media_type = "application/json"
    file_extension = "txt"
    error_code = 7010
    error_text = 'Article couldn"t be converted to Email'
    item_types = frozenset({ItemType.TEXT})
    options = ("attach_media",)

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        article, told = _article(item, context), notices(item, context)
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
            "message_html": _below(told, html) if html else html,
            "message_text": "\n\n".join([*told, text]),
            # Line ends would start a header of their own.
            "message_subject": " ".join(subject.split()),
            "renditions": media.get("renditions") or None,
        }
        return [Formatted(encode(parts))]


def _below(told: Sequence[str], html: str) -> str:
    """Put notices at the top of a page; whatever template wrote it."""
    top = _BODY_TAG.search(html)
    place = top.end() if top else 0
    said = "".join(f"<p><strong>{Markup.escape(notice)}</strong></p>" for notice in told)
    return html[:place] + said + html[place:]


def _lined(html: str) -> Markup:
    """Return clean markup with line ends after paragraphs: they keep lines within their length."""
    return Markup(html.replace("</p>", "</p>\r"))  # noqa: S704  it is clean


def _article(item: Document, context: FormatContext) -> dict[str, Any]:
    """Return `item` as templates see it: markup cleaned, texts never null."""
    dateline = strip_forbidden(text_of(object_of(item, "dateline"), "text"))
    html, text = _body(item, dateline)
    rights = (strip_forbidden(text_of(item, "creditline")), rights_line(rights_of(item, context)))
    prefix = context.settings.email_prefixes.get(text_of(item, "state"), "")
    return {
        **item,
        **{field: strip_forbidden(text_of(item, field)) for field in PLAIN_FIELDS},
        **{field: _lined(sanitized(text_of(item, field))) for field in MARKUP_FIELDS},
        "place": [{**place, "name": text_of(place, "name")} for place in objects_of(item, "place")],
        "dateline": {**object_of(item, "dateline"), "text": dateline},
        "prefix": prefix,
        "body_html": _lined(html),
        "body_text": text,
        "picture": _picture(item, context),
        "rights": "; ".join(filter(None, rights)),
    }


def _body(item: Document, dateline: str) -> tuple[str, str]:
    """Return the text of a mail as clean markup and as text, with the dateline in front.

    Pictures that the editor has put into it stay out; players and posts become links.
    """
    body = without_embeds(text_of(item, "body_html"), lambda kind, _: kind == "Image")
    if item.get("format") == "preserved":
        html = sanitized(body)
        return html, f"{dateline} {preserved_text(html)}".strip()
    html = sanitized(with_dateline(body, dateline))
    return html, TextBody().write(parse_body(html))


def _picture(item: Document, context: FormatContext) -> str:
    """Return what is said of the picture that is attached: caption, who made it, whose it is."""
    media = object_of(object_of(item, "associations"), "featuremedia")
    if not (media.get("renditions") and context.config.get("attach_media")):
        return ""
    makers = (text_of(media, "byline"), text_of(media, "creditline") or text_of(media, "source"))
    credit = "; ".join(
        filter(None, (", ".join(filter(None, makers)), rights_line(rights_of(media, context))))
    )
    caption = strip_forbidden(caption_of(media)).strip()
    return " ".join(filter(None, (caption, f"({strip_forbidden(credit)})" if credit else "")))


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
        clean = with_addresses(str(html or "").replace("\r", ""))
        text = plain_text(clean, line_feeds=lf_on_block)
        return text.rstrip("\n")

    environment.filters["get_text"] = get_text
    return environment
