"""Body nodes as stories of an IDML package: one for each block."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from apps.core.text import strip_forbidden
from formatters.idml_resources import (
    BULLETS,
    MARGIN,
    NORMAL,
    NUMBERS,
    PAGE_WIDTH,
    PREFORMATTED,
    QUOTE,
    package_part,
    style_id,
)
from formatters.nodes import (
    Break,
    Definition,
    Definitions,
    Embed,
    Emphasis,
    Heading,
    ItemList,
    Link,
    Node,
    Nodes,
    Paragraph,
    Picture,
    Placed,
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
from formatters.xml import element, escaped_clean

LINE_BREAK = "\u2028"
"""The line break of InDesign within a paragraph."""
NO_STYLE = "CharacterStyle/$ID/[No character style]"
INDENT = 18
"""Points by which a list within a list is set in."""
RANGE, CLOSE = "<ParagraphStyleRange", "</ParagraphStyleRange>"
CHARACTERS = f'<CharacterStyleRange AppliedCharacterStyle="{NO_STYLE}"'
PARAGRAPH_END = f"{CHARACTERS}><Br/></CharacterStyleRange>"
STORY_ATTRIBUTES = 'AppliedTOCStyle="n" TrackChanges="false" StoryTitle="$ID/" AppliedNamedGrid="n"'
STORY_PREFERENCE = (
    '<StoryPreference OpticalMarginAlignment="false" FrameType="TextFrameType"'
    ' StoryOrientation="Horizontal"/>'
)
POSITIONS = {"sup": "Superscript", "sub": "Subscript"}


@dataclass
class Story:
    """One story.

    Attributes:
        id: what text frames refer to it by.
        style: paragraph style that it is mostly set in.
        tag: what it is in the structure of the document.
        content: its paragraphs, as XML.
        text: its characters; paragraphs end in a line feed.
    """

    id: str
    style: str
    tag: str
    content: str
    text: str

    @property
    def element(self) -> str:
        """Id of the story's element in the structure of the document."""
        return f"element_{self.id}"

    def document(self) -> str:
        """Return the part of the package with the story."""
        marked = element(
            "XMLElement", self.content, Self=self.element, MarkupTag=f"XMLTag/{self.tag}"
        )
        story = f'<Story Self="{self.id}" {STORY_ATTRIBUTES}>{STORY_PREFERENCE}{marked}</Story>'
        return package_part("Story", story)


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
    _told: list[str] = field(default_factory=list)

    def add_text(self, text: str, style: str, tag: str) -> None:
        """Append a story of one paragraph; white space alone makes none."""
        if text.strip():
            self._add(self._paragraph((Text(strip_forbidden(text)),), style), style, tag)

    def add_blocks(self, nodes: Nodes, style: str = NORMAL, tag: str = "Body") -> None:
        """Append a story for each block of a body.

        Args:
            style: of its ordinary paragraphs.
        """
        for node in nodes:
            own = _own_style(node, style)
            if written := self._write(node, own):
                self._add(_ended(written), own, tag)

    def _add(self, content: str, style: str, tag: str) -> None:
        identity = f"story_{len(self.stories) + 1}"
        if not content.endswith(CLOSE):
            content += CLOSE
        self.stories.append(Story(identity, style, tag, content, "".join(self._told)))
        self._told.clear()

    def _flow(self, nodes: Nodes, style: str, indent: int = 0) -> list[str]:
        """Return the blocks of a flow as paragraphs; see `_write`."""
        blocks = (Paragraph(nodes),) if nodes and is_inline(nodes) else blocks_of(nodes)
        return [written for block in blocks for written in self._write(block, style, indent)]

    def _write(self, node: Node, style: str, indent: int = 0) -> list[str]:
        """Return a block as paragraphs whose end tags are missing: `_ended` joins them."""
        match node:
            case Paragraph(children) | Heading(_, children):
                return [self._paragraph(children, style, indent)]
            case Preformatted(text):
                lines = text.strip("\n").replace("\n", LINE_BREAK)
                return [self._paragraph((Text(lines),), PREFORMATTED, indent)]
            case ItemList():
                return self._list(node, indent + INDENT)
            case Definitions(entries):
                return [
                    text for entry in entries for text in self._definition(entry, style, indent)
                ]
            case Table():
                return self._table(node)
            case Quote(children):
                return self._flow(children, QUOTE, indent)
            case Picture() | Embed():
                return [self._paragraph(_said_of(node), style, indent)]
            case Rule():
                return []
            case _:
                return [self._paragraph((node,), style, indent)]

    def _list(self, node: ItemList, indent: int) -> list[str]:
        written, expected = [], 0
        style = NUMBERS if node.ordered else BULLETS
        for number, item in zip(node.numbers or [0] * len(node.items), node.items, strict=True):
            paragraphs = self._flow(item.children, style, indent)
            # An item that begins with a list begins with the number of that.
            is_numbered = bool(paragraphs) and "NumberingStartAt" in paragraphs[0]
            if paragraphs and node.ordered and number != expected and not is_numbered:
                start = f'NumberingContinue="false" NumberingStartAt="{number}"'
                paragraphs[0] = paragraphs[0].replace(RANGE, f"{RANGE} {start}", 1)
            written += paragraphs
            expected = number + 1
        return written

    def _definition(self, entry: Definition, style: str, indent: int) -> list[str]:
        if not entry.is_term:
            return self._flow(entry.children, style, indent + 2 * INDENT)
        if is_inline(entry.children):
            return self._flow((Emphasis("bold", entry.children),), style, indent)
        return self._flow(entry.children, style, indent)

    def _paragraph(self, nodes: Nodes, style: str, indent: int = 0) -> str:
        set_in = f' LeftIndent="{indent}"' if indent > INDENT else ""
        start = f'{RANGE} AppliedParagraphStyle="{style_id(style)}"{set_in}>'
        written = start + self._inlines(nodes, {})
        self._told.append("\n")
        return written

    def _content(self, text: str, look: Mapping[str, str]) -> str:
        self._told.append(text)
        return _characters(f"<Content>{escaped_clean(text)}</Content>", look) if text else ""

    def _inlines(self, nodes: Nodes, look: Mapping[str, str]) -> str:
        return "".join([self._inline(node, look) for node in nodes])

    def _inline(self, node: Node, look: Mapping[str, str]) -> str:
        match node:
            case Text(text):
                return self._content(text, look)
            case Break():
                return self._content(LINE_BREAK, look)
            case Emphasis(kind, children):
                return self._inlines(children, emphasised(look, kind))
            case Script(kind, children):
                return self._inlines(children, {**look, "Position": POSITIONS[kind]})
            case Link(href, children):
                inner = self._inlines(children, look)
                return self._link(href, inner) if href else inner
            case _:
                return self._content(text_of_nodes((node,)), look)

    def _link(self, address: str, content: str) -> str:
        source = f"link_{len(self.links) + 1}"
        self.links[source] = address
        identity = {"Self": source, "Name": source, "Hidden": "false"}
        return element("HyperlinkTextSource", content, **identity, AppliedCharacterStyle="n")

    def _table(self, table: Table) -> list[str]:
        caption = self._flow(table.caption.children, NORMAL)
        self._tables += 1
        name = f"table_{self._tables}"
        placed = list(table.placed())
        width = max(place.column + place.colspan for place in placed)
        parts = [f'<Row Self="{name}Row{row}" Name="{row}"/>' for row in range(len(table.rows))]
        size = f'SingleColumnWidth="{(PAGE_WIDTH - 2 * MARGIN) / width:.4f}"'
        parts += [
            f'<Column Self="{name}Column{column}" Name="{column}" {size}/>'
            for column in range(width)
        ]
        parts += [self._cell(name, place) for place in placed]
        written = element(
            "Table",
            "".join(parts),
            Self=name,
            HeaderRowCount=str(len(table.head.rows)),
            FooterRowCount=str(len(table.foot.rows)),
            BodyRowCount=str(len(table.body.rows)),
            ColumnCount=str(width),
            AppliedTableStyle="TableStyle/$ID/[Basic Table]",
        )
        start = f'{RANGE} AppliedParagraphStyle="{style_id(NORMAL)}">'
        return [*caption, start + _characters(written, {})]

    def _cell(self, table: str, place: Placed) -> str:
        row, column = place.row, place.column
        content = _ended(self._flow(place.cell.children, NORMAL))
        return element(
            "Cell",
            content,
            Self=f"{table}i{row}x{column}",
            Name=f"{column}:{row}",
            RowSpan=str(place.rowspan),
            ColumnSpan=str(place.colspan),
            AppliedCellStyle="CellStyle/$ID/[None]",
        )


def _own_style(node: Node, style: str) -> str:
    """Return the paragraph style that a block of a body is set in."""
    match node:
        case Heading(level, _):
            return f"Headings:Heading{level}"
        case Quote():
            return QUOTE
        case Preformatted():
            return PREFORMATTED
        case ItemList(ordered, _):
            return NUMBERS if ordered else BULLETS
        case _:
            return style


def _ended(paragraphs: list[str]) -> str:
    """Return paragraphs one after the other: each but the last ends in a break."""
    return (PARAGRAPH_END + CLOSE).join(paragraphs) + CLOSE if paragraphs else ""


def _characters(content: str, look: Mapping[str, str]) -> str:
    shown = "".join([f' {name}="{value}"' for name, value in look.items()])
    return f"{CHARACTERS}{shown}>{content}</CharacterStyleRange>"


def _said_of(medium: Picture | Embed) -> Nodes:
    """Return what is said of a medium, with a link to it, and where it leads."""
    alternative = medium.alternative if isinstance(medium, Picture) else ""
    said = text_of_nodes(medium.caption.children).strip() or alternative.strip() or medium.source
    link = Link(medium.source, (Text(said),))
    if not isinstance(medium, Picture) or not medium.href:
        return (link,)
    return link, Text(" "), Link(medium.href, (Text(medium.href),))


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
