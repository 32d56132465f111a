"""Body nodes as NITF 3.6 content: `body.content`, `abstract` and captions."""

from apps.core.text import strip_forbidden
from formatters.body import (
    Break,
    Cell,
    Embed,
    Emphasis,
    Heading,
    ItemList,
    Link,
    Node,
    Nodes,
    Paragraph,
    Picture,
    Preformatted,
    Quote,
    Rule,
    Script,
    Table,
    Text,
    blocks_of,
    is_inline,
    text_of_nodes,
)
from formatters.xml import Element, sub_element

EMPHASIS_CLASS = {"bold": "bold", "italic": "italic", "underline": "underscore"}
MEDIA_TYPE = {"audio": "audio", "video": "video"}


class NITFBody:
    """Writes nodes below an element.

    Args:
        namespace: of the elements; None for the form without one.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self._prefix = f"{{{namespace}}}" if namespace else ""

    def write_blocks(self, parent: Element, nodes: Nodes) -> None:
        """Append block nodes to `parent`."""
        for node in nodes:
            self._block(parent, node)

    def write_flow(self, parent: Element, nodes: Nodes) -> None:
        """Append nodes to an element that takes inline and block content alike."""
        for node in nodes if is_inline(nodes) else blocks_of(nodes):
            self._block(parent, node)

    def _add(self, parent: Element, tag: str, **attributes: str) -> Element:
        return sub_element(parent, f"{self._prefix}{tag}", attributes)

    def _block(self, parent: Element, node: Node) -> None:
        match node:
            case Paragraph(children):
                self._inlines(self._add(parent, "p"), _without_last_break(children))
            case Heading(_, children):
                self._inlines(self._add(parent, "hl2"), children)
            case ItemList(ordered, items):
                entries = self._add(parent, "ol" if ordered else "ul")
                for item in items:
                    self.write_flow(self._add(entries, "li"), item)
            case Table():
                self._table(parent, node)
            case Quote(children):
                self.write_blocks(self._add(self._add(parent, "bq"), "block"), children)
            case Preformatted(text):
                self._add(parent, "pre").text = text
            case Picture(source, alternative, caption):
                self._media(parent, "image", source, alternative, caption)
            case Embed(source, kind, caption):
                self._media(parent, MEDIA_TYPE.get(kind, "other"), source, "", caption)
            case Rule():
                self._add(parent, "hr")
            case _:
                self._inline(parent, node)

    def _inlines(self, parent: Element, nodes: Nodes) -> None:
        for node in nodes:
            self._inline(parent, node)

    def _inline(self, parent: Element, node: Node) -> None:
        match node:
            case Text(text):
                append_text(parent, text)
            case Break():
                self._add(parent, "br")
            case Emphasis(kind, children):
                known = {"class": EMPHASIS_CLASS[kind]} if kind in EMPHASIS_CLASS else {}
                self._inlines(self._add(parent, "em", **known), children)
            case Script(kind, text):
                self._add(self._add(parent, "num"), kind).text = text
            case Link(href, title, name, children):
                said = {"href": href, "title": title, "name": name}
                known = {key: value for key, value in said.items() if value}
                self._inlines(self._add(parent, "a", **known), children)
            case _:
                append_text(parent, text_of_nodes((node,)))

    def _table(self, parent: Element, table: Table) -> None:
        element = self._add(parent, "table")
        if table.caption:
            self._inlines(self._add(element, "caption"), table.caption)
        holder = self._add(element, "thead") if table.head else element
        for number, row in enumerate(table.rows):
            if table.head and number == table.head:
                holder = self._add(element, "tbody")
            cells = self._add(holder, "tr")
            for cell in row:
                self._cell(cells, cell)

    def _cell(self, parent: Element, cell: Cell) -> None:
        element = self._add(parent, "th" if cell.is_header else "td")
        for name in ("colspan", "rowspan"):
            if getattr(cell, name) > 1:
                element.set(name, str(getattr(cell, name)))
        self.write_flow(element, cell.children)

    def _media(
        self,
        parent: Element,
        media_type: str,
        source: str,
        alternative: str,
        caption: Nodes,
    ) -> None:
        media = self._add(parent, "media", **{"media-type": media_type})
        reference = self._add(media, "media-reference", source=source)
        if alternative:
            reference.set("alternate-text", alternative)
        if caption:
            self.write_flow(self._add(media, "media-caption"), caption)


def append_text(element: Element, text: str) -> None:
    """Append characters to the content of `element`."""
    clean = strip_forbidden(text)
    if len(element):
        last = element[-1]
        last.tail = (last.tail or "") + clean
    else:
        element.text = (element.text or "") + clean


def _without_last_break(nodes: Nodes) -> Nodes:
    return nodes[:-1] if nodes and isinstance(nodes[-1], Break) else nodes
