"""The content of a body as a tree of a few kinds of nodes."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar, dataclass_transform

Attributes = tuple[tuple[str, str], ...]
"""Names and values of what an element says of itself, as the source has them."""

MOST_COVERED = 20
"""Places in the grid of a table for each of its cells, beyond which spans do not count."""

_T = TypeVar("_T")


@dataclass_transform(frozen_default=True)
def _node(cls: type[_T]) -> type[_T]:
    """Make a dataclass that nobody changes: the type checker sees to that.

    Refusing changes while running would make reading a body 15 % slower.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


@_node
class Text:
    """Characters; white space as it stands in the source."""

    text: str


@_node
class Break:
    """A line break inside a paragraph."""

    attributes: Attributes = ()


@_node
class Emphasis:
    """Text that stands out: `bold`, `italic`, `underline` or `strike`."""

    kind: str
    children: "Nodes"
    attributes: Attributes = ()


@_node
class Script:
    """Superscript (`sup`) or subscript (`sub`)."""

    kind: str
    children: "Nodes"
    attributes: Attributes = ()


@_node
class Link:
    """A link; `href` may be empty for a named place."""

    href: str
    children: "Nodes"
    attributes: Attributes = ()


@_node
class Paragraph:
    """A paragraph of inline nodes."""

    children: "Nodes"
    attributes: Attributes = ()


@_node
class Heading:
    """A heading of level 1 to 6."""

    level: int
    children: "Nodes"
    attributes: Attributes = ()


@_node
class Flow:
    """The content of a list item or a caption: inline and block nodes in their order."""

    children: "Nodes" = ()
    attributes: Attributes = ()


@_node
class ItemList:
    """A list; the items of an ordered one have their numbers."""

    ordered: bool
    items: tuple[Flow, ...]
    attributes: Attributes = ()
    numbers: tuple[int, ...] = ()


@_node
class Definition:
    """A term, or what is said of one."""

    is_term: bool
    children: "Nodes"
    attributes: Attributes = ()


@_node
class Definitions:
    """A list of terms and of what is said of each."""

    entries: tuple[Definition, ...]
    attributes: Attributes = ()


@_node
class Cell:
    """A table cell: a flow of inline and block nodes."""

    is_header: bool
    children: "Nodes"
    colspan: int = 1
    rowspan: int = 1
    attributes: Attributes = ()


@_node
class Row:
    """A row of a table."""

    cells: tuple[Cell, ...]
    attributes: Attributes = ()


@_node
class Section:
    """The head, the body or the foot of a table."""

    rows: tuple[Row, ...] = ()
    attributes: Attributes = ()


@_node
class Table:
    """A table of at least one row; its foot stands last, wherever the source has it."""

    body: Section
    head: Section = Section()
    foot: Section = Section()
    caption: Flow = Flow()
    attributes: Attributes = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows, from top to bottom."""
        return self.head.rows + self.body.rows + self.foot.rows

    def placed(self) -> "Iterator[Placed]":
        """Yield the cells by row and column, past those that reach down from above.

        None reaches into the next section of the table. Where spans cover far more than there are
        cells, none of them counts.
        """
        cells = [cell for row in self.rows for cell in row.cells]
        covered = sum(cell.colspan * cell.rowspan for cell in cells)
        are_counted = covered <= MOST_COVERED * (len(cells) + MOST_COVERED)
        taken: set[tuple[int, int]] = set()
        number = 0
        for section in (self.head, self.body, self.foot):
            end = number + len(section.rows)
            for row in section.rows:
                column = 0
                for cell in row.cells:
                    while (number, column) in taken:
                        column += 1
                    rowspan = min(cell.rowspan, end - number) if are_counted else 1
                    colspan = cell.colspan if are_counted else 1
                    yield Placed(cell, number, column, rowspan, colspan)
                    if rowspan > 1:
                        rows, columns = range(1, rowspan), range(column, column + colspan)
                        taken.update((number + down, right) for down in rows for right in columns)
                    column += colspan
                number += 1


@_node
class Placed:
    """A cell with its row and its column, and how many of them it covers."""

    cell: Cell
    row: int
    column: int
    rowspan: int
    colspan: int


@_node
class Quote:
    """A block quotation."""

    children: "Nodes"
    attributes: Attributes = ()


@_node
class Preformatted:
    """Text whose line ends count."""

    text: str
    attributes: Attributes = ()


@_node
class Picture:
    """An image with what is said about it; `href` is where it leads, if it is a link."""

    source: str
    alternative: str = ""
    caption: Flow = Flow()
    attributes: Attributes = ()
    href: str = ""


@_node
class Embed:
    """Something that plays or is shown elsewhere: a video, an audio file, a frame."""

    source: str
    kind: str
    caption: Flow = Flow()
    attributes: Attributes = ()


@_node
class Rule:
    """A line across the page."""

    attributes: Attributes = ()


Node = (
    Text
    | Break
    | Emphasis
    | Script
    | Link
    | Paragraph
    | Heading
    | ItemList
    | Definitions
    | Table
    | Quote
    | Preformatted
    | Picture
    | Embed
    | Rule
)
Nodes = tuple[Node, ...]
INLINE: frozenset[type] = frozenset({Text, Break, Emphasis, Script, Link})


def blocks_of(flow: Nodes, attributes: Attributes = ()) -> Nodes:
    """Return `flow` as block nodes: runs of inline nodes become paragraphs, blank ones vanish.

    Args:
        attributes: of the paragraphs.
    """
    if is_inline(flow):
        return _paragraph(flow, attributes)
    if INLINE.isdisjoint(map(type, flow)):
        return flow
    blocks: list[Node] = []
    for are_inline, nodes in groupby(flow, lambda node: type(node) in INLINE):
        run = tuple(nodes)
        blocks += _paragraph(run, attributes) if are_inline else run
    return tuple(blocks)


def is_inline(flow: Nodes) -> bool:
    """Whether `flow` holds inline nodes only."""
    return INLINE.issuperset(map(type, flow))


def text_of_nodes(nodes: Nodes) -> str:
    """Return the characters of `nodes`, breaks as line feeds, a blank between blocks."""
    if is_inline(nodes):
        return "".join(map(_text_of_node, nodes))
    return " ".join([_text_of_node(node).strip() for node in blocks_of(nodes)])


def inline_of(flow: Nodes) -> Nodes:
    """Return `flow` for a place that takes no blocks: what they say stays."""
    return flow if is_inline(flow) else (Text(text_of_nodes(flow)),)


def _text_of_node(node: Node) -> str:
    match node:
        case Text(text) | Preformatted(text):
            return text
        case Break():
            return "\n"
        case ItemList(_, items):
            return " ".join([text_of_nodes(item.children) for item in items])
        case Definitions(entries):
            return " ".join([text_of_nodes(entry.children) for entry in entries])
        case Table():
            cells = [text_of_nodes(cell.children) for row in node.rows for cell in row.cells]
            return " ".join([text_of_nodes(node.caption.children), *cells])
        case Picture() | Embed():
            return text_of_nodes(node.caption.children)
        case Rule():
            return ""
        case _:
            return text_of_nodes(node.children)


def _paragraph(run: Nodes, attributes: Attributes) -> Nodes:
    """Return a run of inline nodes as a paragraph, without what is blank at its ends."""
    start, end = 0, len(run)
    while end and _is_blank(run[end - 1]):
        end -= 1
    while start < end and _is_blank(run[start]):
        start += 1
    return (Paragraph(run[start:end], attributes),) if start < end else ()


def is_blank_run(run: Nodes) -> bool:
    """Whether inline nodes show nothing but white space and breaks."""
    return all(map(_is_blank, run))


def _is_blank(node: Node) -> bool:
    return isinstance(node, Break) or (isinstance(node, Text) and not node.text.strip())


def begun_with(text: str, nodes: Nodes) -> Nodes:
    """Return block nodes that begin with `text`, such as a dateline.

    It stands in the first paragraph; before anything else than a paragraph it is one of its own.
    """
    if not text.strip():
        return nodes
    first = nodes[0] if nodes else None
    if isinstance(first, Paragraph):
        begun = Paragraph((Text(f"{text} "), *first.children), first.attributes)
        return (begun, *nodes[1:])
    return (Paragraph((Text(text),)), *nodes)
