"""Plain text and Markdown, for mail, chat and headless content management."""

from collections.abc import Iterable
from typing import ClassVar

from apps.core.documents import text_of
from apps.core.text import strip_forbidden
from apps.core.vocabulary import TEXT_TYPES, ItemType
from formatters.base import Document, FormatContext, Formatted, Formatter
from formatters.body import parse_body, story_nodes
from formatters.conversions import notices
from formatters.plain_body import MarkdownBody, TextBody


class _PlainFormatter(Formatter):
    """Head lines, then the body. Subclasses say who writes them."""

    error_code = 7013
    error_text = 'Article couldn"t be converted to text'
    item_types = frozenset({*TEXT_TYPES, ItemType.COMPOSITE})
    is_extra = True
    can_preview = True
    can_export = True

    writer: ClassVar[TextBody]

    def write(self, item: Document, context: FormatContext) -> list[Formatted]:
        self.require(item)
        parts = [*self._notices(item, context), *self._head(item), self._body(item)]
        text = "\n\n".join(part for part in parts if part)
        return [Formatted(strip_forbidden(text) + "\n")]

    def _notices(self, item: Document, context: FormatContext) -> list[str]:
        return [self.writer.line(notice) for notice in notices(item, context)]

    def _head(self, item: Document) -> Iterable[str]:
        if text_of(item, "headline"):
            yield self.writer.headline(text_of(item, "headline").strip())
        yield self.writer.line(text_of(item, "byline"))
        yield self.writer.write(parse_body(text_of(item, "abstract")))

    def _body(self, item: Document) -> str:
        return self.writer.write(story_nodes(item)).strip("\r\n")


class TextFormatter(_PlainFormatter):
    """A story as plain text."""

    type = "text"
    name = "Plain text"
    media_type = "text/plain"
    file_extension = "txt"
    writer = TextBody()


class MarkdownFormatter(_PlainFormatter):
    """A story as Markdown (CommonMark, with tables)."""

    type = "markdown"
    name = "Markdown"
    media_type = "text/markdown"
    file_extension = "md"
    writer = MarkdownBody()
