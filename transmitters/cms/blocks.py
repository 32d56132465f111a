"""The blocks that bodies consist of, between the HTML of items and the forms of sites."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Paragraph:
    """A paragraph; `inline`, here and below, is HTML without blocks, written and safe."""

    inline: str


@dataclass(frozen=True)
class Heading:
    """A heading, from 2 to 6."""

    level: int
    inline: str


@dataclass(frozen=True)
class Item:
    """An item of a list, with the lists in it."""

    inline: str
    lists: "tuple[ItemList, ...]" = ()


@dataclass(frozen=True)
class ItemList:
    """A list; `start` and `is_reversed` are of ordered ones."""

    is_ordered: bool
    items: tuple[Item, ...]
    start: int | None = None
    is_reversed: bool = False


@dataclass(frozen=True)
class Quote:
    """A quotation, its paragraphs and who said it."""

    paragraphs: tuple[str, ...]
    cite: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture, video or audio file.

    Attributes:
        kind: `img`, `video` or `audio`.
        remote_id: of a file that is at the site; "" of a foreign one.
        link: where a click on it leads.
    """

    kind: str
    src: str
    alt: str = ""
    title: str = ""
    width: int | None = None
    height: int | None = None
    caption: str = ""
    link: str = ""
    remote_id: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures under one caption."""

    figures: tuple[Figure, ...]
    caption: str = ""


@dataclass(frozen=True)
class Frame:
    """A page of another site within the text."""

    src: str
    title: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    caption: str = ""


@dataclass(frozen=True)
class Raw:
    """A foreign embed.

    Attributes:
        html: as it is.
        left: what is shown where it cannot be.
        address: of what it shows, "" where it does not say.
    """

    html: str
    left: "tuple[Block, ...]"
    address: str = ""


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    inline: str
    is_header: bool = False
    colspan: int = 1
    rowspan: int = 1


Rows = tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Table:
    """A table in its three sections."""

    head: Rows
    body: Rows
    foot: Rows
    caption: str = ""

    @property
    def rows(self) -> Rows:
        return self.head + self.body + self.foot


@dataclass(frozen=True)
class Preformatted:
    """Text with its own line ends."""

    inline: str
    is_code: bool = False


@dataclass(frozen=True)
class Definitions:
    """Terms (True) and what they mean (False)."""

    entries: tuple[tuple[bool, str], ...]


@dataclass(frozen=True)
class Rule:
    """A line across."""


Block = (
    Paragraph | Heading | ItemList | Quote | Figure | Gallery | Frame | Raw | Table | Preformatted
    | Definitions | Rule
)  # fmt: skip


def lines_of(blocks: Iterable[Block]) -> tuple[str, list[Block]]:
    """Return the text of blocks as inline content, and the blocks that have no such form."""
    lines: list[str] = []
    others: list[Block] = []
    for block in blocks:
        if isinstance(block, (Figure, Gallery, Frame, Raw)):
            others.append(block)
        else:
            lines += _lines(block)
    return "<br>".join(filter(None, lines)), others


def _lines(block: Block) -> Iterator[str]:
    match block:
        case Paragraph(inline):
            yield inline
        case Heading(_, inline):
            yield strong(inline)
        case Preformatted(inline):
            yield indented_lines(inline)
        case Quote(paragraphs, cite):
            yield from (*paragraphs, cite)
        case ItemList():
            yield from item_lines(block)
        case Table():
            yield block.caption
            yield from row_lines(block)
        case Definitions(entries):
            yield from (strong(inline) if is_term else inline for is_term, inline in entries)
        case _:
            return


def indented_lines(inline: str) -> str:
    """Return preformatted text as lines of a paragraph, their indentation kept."""
    return "<br>".join(
        _indented(_without_last_blanks(line)) for line in inline.expandtabs(4).split("\n")
    )


def _indented(line: str) -> str:
    """Return a line with its first blanks, those in elements included, as what stays there."""
    done: list[str] = []
    while line.startswith((" ", "<")):
        rest = line.lstrip(" ")
        done.append("\N{NO-BREAK SPACE}" * (len(line) - len(rest)))
        tag, end, line = rest.partition(">") if rest.startswith("<") else ("", "", rest)
        done += (tag, end)
    return "".join(done) + line


def _without_last_blanks(line: str) -> str:
    """Return a line without the blanks at its end, those before the ends of elements included."""
    line, ends = line.rstrip(" "), ""
    while line.endswith(">") and line.startswith("</", start := line.rindex("<")):
        line, ends = line[:start].rstrip(" "), line[start:] + ends
    return line + ends


def item_lines(block: ItemList) -> Iterator[str]:
    """Yield the items of a list, and of the lists in it, as lines."""
    for item in block.items:
        if item.inline:
            yield f"• {item.inline}"
        for inner in item.lists:
            yield from item_lines(inner)


def row_lines(table: Table) -> Iterator[str]:
    """Yield the rows of a table as lines; those of its head are strong."""
    for row in table.rows:
        cells = (strong(cell.inline) if cell.is_header else cell.inline for cell in row)
        yield " | ".join(filter(None, cells))


def strong(inline: str) -> str:
    """Return inline content that stands out."""
    is_strong = not inline or "<strong>" in inline or "<b>" in inline
    return inline if is_strong else f"<strong>{inline}</strong>"
