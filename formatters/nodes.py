"""The content of a body as a tree of a few kinds of nodes."""

from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar, dataclass_transform

Attributes = tuple[tuple[str, str], ...]
"""Names and values of what an element says of itself, as the source has them."""

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
    text: str
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
    """A list."""

    ordered: bool
    items: tuple[Flow, ...]
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
    """An image with what is said about it."""

    source: str
    alternative: str = ""
    caption: Flow = Flow()
    attributes: Attributes = ()


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
    """Return the characters of `nodes`, breaks as line feeds; blocks are not set apart."""
    return "".join(map(_text_of_node, nodes))


def _text_of_node(node: Node) -> str:
    match node:
        case Text(text) | Script(_, text) | Preformatted(text):
            return text
        case Break():
            return "\n"
        case ItemList(_, items):
            return "".join([text_of_nodes(item.children) for item in items])
        case Table():
            cells = [text_of_nodes(cell.children) for row in node.rows for cell in row.cells]
            return text_of_nodes(node.caption.children) + "".join(cells)
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


def _is_blank(node: Node) -> bool:
    return isinstance(node, Break) or (isinstance(node, Text) and not node.text.strip())
