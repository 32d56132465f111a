"""Body nodes as stories of an IDML package: one for each block."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lxml import etree

from formatters.idml_resources import (
    BULLETS,
    MARGIN,
    NORMAL,
    NUMBERS,
    PAGE_WIDTH,
    PREFORMATTED,
    QUOTE,
    inside,
    package_part,
    style_id,
)
from formatters.nodes import (
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
from formatters.xml import add

LINE_BREAK = "\u2028"
"""The line break of InDesign within a paragraph."""
NO_STYLE = "CharacterStyle/$ID/[No character style]"
INDENT = 18
"""Points by which a list within a list is set in."""
POSITIONS = {"sup": "Superscript", "sub": "Subscript"}


@dataclass
class Story:
    """One story.

    Attributes:
        id: what text frames refer to it by.
        style: paragraph style that it is mostly set in.
        root: the document.
    """

    id: str
    style: str
    root: etree._Element

    @property
    def text(self) -> str:
        """Its characters; paragraphs end in a line feed."""
        parts = []
        for element in self.root.iter("Content", "Br"):
            parts.append("\n" if element.tag == "Br" else element.text or "")
        return "".join(parts)


@dataclass
class Stories:
    """Stories of a document, in their order, and the links in them.

    Attributes:
        stories: see `Story`.
        links: address of each link, by the id of its source.
    """

    stories: list[Story] = field(default_factory=list)
    links: dict[str, str] = field(default_factory=dict)
    _tables: int = 0

    def add_text(self, text: str, style: str, tag: str) -> None:
        """Append a story of one paragraph; white space alone makes none."""
        if text.strip():
            self._paragraph(self._story(style, tag), (Text(text),), style)

    def add_blocks(self, nodes: Nodes) -> None:
        """Append a story for each block of a body."""
        for node in nodes:
            self._block(node)

    def _story(self, style: str, tag: str = "Body") -> Any:
        number = len(self.stories) + 1
        root = package_part("Story")
        identity = {"Self": f"story_{number}", "AppliedTOCStyle": "n", "TrackChanges": "false"}
        story = inside(root, "Story", StoryTitle="$ID/", AppliedNamedGrid="n", **identity)
        kinds = {"FrameType": "TextFrameType", "StoryOrientation": "Horizontal"}
        add(story, "StoryPreference", OpticalMarginAlignment="false", **kinds)
        self.stories.append(Story(identity["Self"], style, root))
        return add(story, "XMLElement", Self=f"element_{number}", MarkupTag=f"XMLTag/{tag}")

    def _block(self, node: Node, style: str = NORMAL) -> None:
        match node:
            case Quote(children):
                self._flow(self._story(QUOTE), children, QUOTE)
            case Rule():
                return
            case Heading(level, _):
                style = f"Headings:Heading{level}"
                self._write(self._story(style), node, style)
            case Preformatted():
                self._write(self._story(PREFORMATTED), node, PREFORMATTED)
            case ItemList(ordered, _):
                style = NUMBERS if ordered else BULLETS
                self._write(self._story(style), node, style)
            case _:
                self._write(self._story(style), node, style)

    def _flow(self, parent: Any, nodes: Nodes, style: str, indent: int = 0) -> None:
        """Append the blocks of a flow as paragraphs, parted by paragraph ends."""
        blocks = (Paragraph(nodes),) if nodes and is_inline(nodes) else blocks_of(nodes)
        for number, block in enumerate(blocks):
            if number:
                self._end(parent)
            self._write(parent, block, style, indent)

    def _write(self, parent: Any, node: Node, style: str, indent: int = 0) -> None:
        match node:
            case Paragraph(children) | Heading(_, children):
                self._paragraph(parent, children, style, indent)
            case Preformatted(text):
                lines = text.strip("\n").replace("\n", LINE_BREAK)
                self._paragraph(parent, (Text(lines),), PREFORMATTED, indent)
            case ItemList(ordered, items):
                for number, item in enumerate(items):
                    if number:
                        self._end(parent)
                    self._flow(
                        parent, item.children, NUMBERS if ordered else BULLETS, indent + INDENT
                    )
            case Table():
                self._table(parent, node)
            case Quote(children):
                self._flow(parent, children, QUOTE, indent)
            case Picture(source, alternative, caption):
                self._medium(parent, source, caption.children or (Text(alternative),), style)
            case Embed(source, _, caption):
                self._medium(parent, source, caption.children, style)
            case Rule():
                return
            case _:
                self._paragraph(parent, (node,), style, indent)

    def _medium(self, parent: Any, source: str, caption: Nodes, style: str) -> None:
        """Append what is said of a medium, with a link to it."""
        said = text_of_nodes(caption).strip() or source
        self._paragraph(parent, (Link(source, (Text(said),)),), style)

    def _paragraph(self, parent: Any, nodes: Nodes, style: str, indent: int = 0) -> None:
        ranged = add(parent, "ParagraphStyleRange", AppliedParagraphStyle=style_id(style))
        if indent > INDENT:
            ranged.set("LeftIndent", str(indent))
        self._inlines(ranged, nodes, {})

    def _end(self, parent: Any) -> None:
        """End the last paragraph."""
        last = next(parent.iterchildren("ParagraphStyleRange", reversed=True), None)
        if last is not None:
            add(self._characters(last, {}), "Br")

    def _characters(self, parent: Any, look: Mapping[str, str]) -> Any:
        return add(parent, "CharacterStyleRange", AppliedCharacterStyle=NO_STYLE, **look)

    def _inlines(self, parent: Any, nodes: Nodes, look: Mapping[str, str]) -> None:
        for node in nodes:
            self._inline(parent, node, look)

    def _inline(self, parent: Any, node: Node, look: Mapping[str, str]) -> None:
        match node:
            case Text(text):
                if text:
                    add(self._characters(parent, look), "Content", text)
            case Break():
                add(self._characters(parent, look), "Content", LINE_BREAK)
            case Emphasis(kind, children):
                self._inlines(parent, children, emphasised(look, kind))
            case Script(kind, text):
                add(
                    self._characters(parent, {**look, "Position": POSITIONS[kind]}), "Content", text
                )
            case Link(href, children):
                self._inlines(self._link(parent, href) if href else parent, children, look)
            case _:
                add(self._characters(parent, look), "Content", text_of_nodes((node,)))

    def _link(self, parent: Any, address: str) -> Any:
        source = f"link_{len(self.links) + 1}"
        self.links[source] = address
        return add(
            parent,
            "HyperlinkTextSource",
            Self=source,
            Name=source,
            Hidden="false",
            AppliedCharacterStyle="n",
        )

    def _table(self, parent: Any, table: Table) -> None:
        if table.caption.children:
            self._flow(parent, table.caption.children, NORMAL)
            self._end(parent)
        self._tables += 1
        name = f"table_{self._tables}"
        placed = list(_placed(table))
        width = max(place.column + place.cell.colspan for place in placed)
        ranged = add(parent, "ParagraphStyleRange", AppliedParagraphStyle=style_id(NORMAL))
        element = add(
            self._characters(ranged, {}),
            "Table",
            Self=name,
            HeaderRowCount=str(len(table.head.rows)),
            FooterRowCount=str(len(table.foot.rows)),
            BodyRowCount=str(len(table.body.rows)),
            ColumnCount=str(width),
            AppliedTableStyle="TableStyle/$ID/[Basic Table]",
        )
        for row in range(len(table.rows)):
            add(element, "Row", Self=f"{name}Row{row}", Name=str(row))
        for column in range(width):
            size = f"{(PAGE_WIDTH - 2 * MARGIN) / width:.4f}"
            identity = {"Self": f"{name}Column{column}", "Name": str(column)}
            add(element, "Column", SingleColumnWidth=size, **identity)
        for place in placed:
            row, column = place.row, place.column
            identity = {"Self": f"{name}i{row}x{column}", "Name": f"{column}:{row}"}
            spans = {"RowSpan": str(place.rowspan), "ColumnSpan": str(place.cell.colspan)}
            style = {"AppliedCellStyle": "CellStyle/$ID/[None]"}
            written = add(element, "Cell", **identity, **spans, **style)
            self._flow(written, place.cell.children, NORMAL)


@dataclass
class _Placed:
    """A cell with its row and its column, and the rows that it covers."""

    cell: Cell
    row: int
    column: int
    rowspan: int


def _placed(table: Table) -> Iterator[_Placed]:
    """Yield the cells of a table, past those that reach down from above.

    None reaches into the next section of the table.
    """
    taken: set[tuple[int, int]] = set()
    number = 0
    for section in (table.head, table.body, table.foot):
        end = number + len(section.rows)
        for row in section.rows:
            column = 0
            for cell in row.cells:
                while (number, column) in taken:
                    column += 1
                rowspan = min(cell.rowspan, end - number)
                yield _Placed(cell, number, column, rowspan)
                taken |= {
                    (number + down, column + right)
                    for down in range(rowspan)
                    for right in range(cell.colspan)
                }
                column += cell.colspan
            number += 1


def emphasised(look: Mapping[str, str], kind: str) -> dict[str, str]:
    """Return the attributes of text that stands out in one more way."""
    match kind:
        case "bold" | "italic":
            styles = {*look.get("FontStyle", "").split(), kind.capitalize()}
            return {**look, "FontStyle": " ".join(sorted(styles))}
        case "underline":
            return {**look, "Underline": "true"}
        case _:
            return {**look, "StrikeThru": "true"}
