"""What the content API keeps of an item (routing contract 9)."""

from typing import Any

from formatters.base import Document, FormatContext
from formatters.ninjs_newsroom import NewsroomNinjsFormatter


class ContentApiFormatter(NewsroomNinjsFormatter):
    """As newsroom ninjs, without the products. No destination can name it."""

    type = "content api"
    name = None
    shows_products = False

    def additions(self, item: Document, context: FormatContext) -> dict[str, Any]:
        added = super().additions(item, context)
        del added["products"]
        return added
