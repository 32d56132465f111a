"""The content of an HTML body as a tree of a few kinds of nodes, which every format writes its way.

One place per element: `_BLOCKS` and `_INLINES` say what becomes of it. Elements that are not named
there give way to their content, so that nothing a reader would see is dropped silently; only
scripts, styles and their like are left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from lxml import etree

from apps.core.text import parse_html, strip_forbidden

HIDDEN = frozenset({"script", "style", "template", "head", "title", "noscript", "meta", "link"})
"""Elements whose content no reader sees."""

MEDIA = ("img", "iframe", "video", "audio", "embed", "object")
"""Elements that show something else than text."""

DEEPEST = 60
"""Nesting beyond which an element gives way to its text."""


@dataclass(frozen=True)
class Text:
    """Characters; white space as it stands in the source."""

    text: str


@dataclass(frozen=True)
class Break:
    """A line break inside a paragraph."""


@dataclass(frozen=True)
class Emphasis:
    """Text that stands out: `bold`, `italic`, `underline` or `strike`."""

    kind: str
    children: "tuple[Node, ...]"


@dataclass(frozen=True)
class Script:
    """Superscript (`sup`) or subscript (`sub`)."""

    kind: str
    text: str


@dataclass(frozen=True)
class Link:
    """A link; `href` may be empty for a named place."""

    href: str
    title: str
    name: str
    children: "tuple[Node, ...]"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of inline nodes."""

    children: "tuple[Node, ...]"


@dataclass(frozen=True)
class Heading:
    """A heading of level 1 to 6."""

    level: int
    children: "tuple[Node, ...]"


@dataclass(frozen=True)
class ItemList:
    """A list; each item is a flow of inline and block nodes."""

    ordered: bool
    items: "tuple[tuple[Node, ...], ...]"


@dataclass(frozen=True)
class Cell:
    """A table cell: a flow of inline and block nodes."""

    is_header: bool
    children: "tuple[Node, ...]"
    colspan: int = 1
    rowspan: int = 1


@dataclass(frozen=True)
class Table:
    """A table of rows; `caption` is a flow of inline nodes, `head` counts the rows of its head."""

    rows: tuple[tuple[Cell, ...], ...]
    caption: "tuple[Node, ...]" = ()
    head: int = 0


@dataclass(frozen=True)
class Quote:
    """A block quotation."""

    children: "tuple[Node, ...]"


@dataclass(frozen=True)
class Preformatted:
    """Text whose line ends count."""

    text: str


@dataclass(frozen=True)
class Picture:
    """An image with what is said about it."""

    source: str
    alternative: str = ""
    caption: "tuple[Node, ...]" = ()


@dataclass(frozen=True)
class Embed:
    """Something that plays or is shown elsewhere: a video, an audio file, a frame."""

    source: str
    kind: str
    caption: "tuple[Node, ...]" = ()


@dataclass(frozen=True)
class Rule:
    """A line across the page."""


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
INLINE = (Text, Break, Emphasis, Script, Link)

BODIES_KEPT = 4
"""One after the other, an item's formats ask for the same body and abstract."""


@lru_cache(maxsize=BODIES_KEPT)
def parse_body(html: str | None) -> Nodes:
    """Return the block nodes of `html`; loose inline content stands in paragraphs of its own."""
    root = parse_html(strip_forbidden(html or ""))
    return blocks_of(_flow(root, 0))


def blocks_of(flow: Nodes) -> Nodes:
    """Return `flow` as block nodes: runs of inline nodes become paragraphs, blank ones vanish."""
    blocks: list[Node] = []
    run: list[Node] = []
    for node in flow:
        if isinstance(node, INLINE):
            run.append(node)
            continue
        if run:
            blocks += _paragraph(run)
            run = []
        blocks.append(node)
    return (*blocks, *_paragraph(run)) if run else tuple(blocks)


def is_inline(flow: Nodes) -> bool:
    """Whether `flow` holds inline nodes only."""
    return all(isinstance(node, INLINE) for node in flow)


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
            return "".join(map(text_of_nodes, items))
        case Table(rows, caption):
            cells = (text_of_nodes(cell.children) for row in rows for cell in row)
            return text_of_nodes(caption) + "".join(cells)
        case Picture(_, _, caption) | Embed(_, _, caption):
            return text_of_nodes(caption)
        case Rule():
            return ""
        case _:
            return text_of_nodes(node.children)


def _paragraph(run: list[Node]) -> list[Node]:
    while run and _is_blank(run[-1]):
        run.pop()
    start = next((i for i, node in enumerate(run) if not _is_blank(node)), len(run))
    return [Paragraph(tuple(run[start:]))] if start < len(run) else []


def _is_blank(node: Node) -> bool:
    return isinstance(node, Break) or (isinstance(node, Text) and not node.text.strip())


def _flow(element: etree._Element, depth: int) -> Nodes:
    """Return what `element` holds, inline and block nodes in their order."""
    return tuple(_nodes(element, depth))


def _nodes(element: etree._Element, depth: int) -> Iterator[Node]:
    # Every access to an element crosses into libxml2, so each is made once.
    text = element.text
    if text:
        yield Text(strip_forbidden(text))
    for child in element:
        tag = child.tag
        if isinstance(tag, str) and tag not in HIDDEN:
            yield from _convert(child, depth + 1)
        tail = child.tail
        if tail:
            yield Text(strip_forbidden(tail))


def _convert(element: etree._Element, depth: int) -> Iterator[Node]:
    if depth > DEEPEST:
        yield Text(_all_text(element))
        return
    convert = _ELEMENTS.get(element.tag)
    if convert is None:
        yield from _nodes(element, depth)
    else:
        yield from convert(element, depth)


def _all_text(element: etree._Element) -> str:
    return strip_forbidden("".join(map(str, element.itertext())))


def _of(element: etree._Element, name: str) -> str:
    return strip_forbidden(element.get(name) or "").strip()


def _number(element: etree._Element, name: str) -> int:
    value = _of(element, name)
    return max(1, int(value)) if value.isdecimal() and len(value) < 4 else 1


def _emphasis(kind: str) -> "Convert":
    def convert(element: etree._Element, depth: int) -> Iterator[Node]:
        yield from _around(_flow(element, depth), lambda inline: Emphasis(kind, inline))

    return convert


def _around(flow: Nodes, wrap: Callable[[Nodes], Node]) -> Iterator[Node]:
    """Wrap the runs of inline nodes in `flow`; blocks inside an inline element stand alone."""
    run: list[Node] = []
    for node in flow:
        if isinstance(node, INLINE):
            run.append(node)
            continue
        if run:
            yield wrap(tuple(run))
        yield node
        run = []
    if run:
        yield wrap(tuple(run))


def _link(element: etree._Element, depth: int) -> Iterator[Node]:
    href, title, name = (_of(element, key) for key in ("href", "title", "name"))
    yield from _around(_flow(element, depth), lambda inline: Link(href, title, name, inline))


def _script(element: etree._Element, depth: int) -> Iterator[Node]:
    if _holds_media(element):
        yield from _nodes(element, depth)
    else:
        yield Script(element.tag, _shown_text(element))


def _break(element: etree._Element, depth: int) -> Iterator[Node]:
    yield Break()


def _paragraphs(element: etree._Element, depth: int) -> Iterator[Node]:
    text = element.text
    if text and not len(element):
        # Most paragraphs: text and nothing else.
        if text.strip():
            yield Paragraph((Text(strip_forbidden(text)),))
        return
    yield from blocks_of(_flow(element, depth))


def _heading(element: etree._Element, depth: int) -> Iterator[Node]:
    level = int(element.tag[1])
    for node in blocks_of(_flow(element, depth)):
        yield Heading(level, node.children) if isinstance(node, Paragraph) else node


def _list(element: etree._Element, depth: int) -> Iterator[Node]:
    items = []
    for child in element:
        if isinstance(child.tag, str) and child.tag not in HIDDEN:
            item = (
                _flow(child, depth)
                if child.tag in ("li", "dt", "dd")
                else tuple(_convert(child, depth + 1))
            )
            items.append(item)
        if child.tail and child.tail.strip():
            items.append((Text(strip_forbidden(child.tail)),))
    if element.text and element.text.strip():
        items.insert(0, (Text(strip_forbidden(element.text)),))
    if items:
        yield ItemList(element.tag == "ol", tuple(items))


@dataclass(frozen=True)
class _Row:
    cells: tuple[Cell, ...]
    is_head: bool


@dataclass(frozen=True)
class _Caption:
    flow: Nodes


def _table(element: etree._Element, depth: int) -> Iterator[Node]:
    """Yield the table; what stands between its rows parts it, so that all keeps its order."""
    rows: list[_Row] = []
    caption: Nodes = ()
    for piece in _table_pieces(element, depth, False):
        if isinstance(piece, _Row):
            rows.append(piece)
        elif isinstance(piece, _Caption) and not rows and not caption:
            caption = piece.flow
        else:
            yield from _finished_table(rows, caption)
            rows, caption = [], ()
            yield from blocks_of(piece.flow if isinstance(piece, _Caption) else (piece,))
    yield from _finished_table(rows, caption)


def _finished_table(rows: list[_Row], caption: Nodes) -> Iterator[Node]:
    if not rows:
        yield from blocks_of(caption)
        return
    head = next((number for number, row in enumerate(rows) if not row.is_head), 0)
    yield Table(tuple(row.cells for row in rows), caption, head)


def _table_pieces(
    element: etree._Element, depth: int, is_head: bool
) -> "Iterator[_Row | _Caption | Node]":
    """Yield rows, captions and what else there is, in its order."""
    if element.text and element.text.strip():
        yield Text(strip_forbidden(element.text))
    for child in element:
        match child.tag:
            case "thead" | "tbody" | "tfoot" | "colgroup" if depth < DEEPEST:
                yield from _table_pieces(child, depth + 1, is_head or child.tag == "thead")
            case "tr":
                cells = tuple(_cells(child, depth))
                if cells:
                    yield _Row(cells, is_head)
            case "td" | "th":
                yield _Row((_cell(child, depth),), is_head)
            case "caption":
                yield _Caption(_flow(child, depth))
            case str() if child.tag not in HIDDEN:
                yield from _convert(child, depth + 1)
        if child.tail and child.tail.strip():
            yield Text(strip_forbidden(child.tail))


def _cells(row: etree._Element, depth: int) -> Iterator[Cell]:
    """Yield the cells of a row; what stands outside of them is one of its own."""
    if row.text and row.text.strip():
        yield Cell(False, (Text(strip_forbidden(row.text)),))
    for child in row:
        if child.tag in ("td", "th"):
            yield _cell(child, depth)
        elif isinstance(child.tag, str) and child.tag not in HIDDEN:
            flow = tuple(_convert(child, depth + 1))
            if flow:
                yield Cell(False, flow)
        if child.tail and child.tail.strip():
            yield Cell(False, (Text(strip_forbidden(child.tail)),))


def _cell(element: etree._Element, depth: int) -> Cell:
    return Cell(
        element.tag == "th",
        _flow(element, depth + 1),
        _number(element, "colspan"),
        _number(element, "rowspan"),
    )


def _quote(element: etree._Element, depth: int) -> Iterator[Node]:
    yield Quote(blocks_of(_flow(element, depth)))


def _preformatted(element: etree._Element, depth: int) -> Iterator[Node]:
    if _holds_media(element):
        yield from _paragraphs(element, depth)
    else:
        yield Preformatted(_shown_text(element))


def _holds_media(element: etree._Element) -> bool:
    return next(element.iter(*MEDIA), None) is not None


def _shown_text(element: etree._Element) -> str:
    """Return the characters in an element, breaks as line feeds, without what no reader sees."""
    parts = []
    walk = etree.iterwalk(element, events=("start", "end", "comment", "pi"))
    for event, inner in walk:
        if event != "start":
            parts.append(inner.tail or "" if inner is not element else "")
        elif inner.tag in HIDDEN:
            walk.skip_subtree()
        else:
            parts.append("\n" if inner.tag == "br" else inner.text or "")
    return strip_forbidden("".join(parts))


def _picture(element: etree._Element, depth: int) -> Iterator[Node]:
    if _of(element, "src"):
        yield Picture(_of(element, "src"), _of(element, "alt"))
    elif _of(element, "alt"):
        yield Text(_of(element, "alt"))


def _embed(element: etree._Element, depth: int) -> Iterator[Node]:
    source = _of(element, "src") or _of(element, "data")
    if not source:
        inner = element.find(".//source")
        source = _of(inner, "src") if inner is not None else ""
    if source:
        yield Embed(source, element.tag)
    else:
        yield from _nodes(element, depth)


def _figure(element: etree._Element, depth: int) -> Iterator[Node]:
    """Yield a medium with its caption, or what else the figure holds, in its order."""
    shown = blocks_of(_flow(element, depth))
    captions = list(element.iter("figcaption"))
    media = [node for node in shown if isinstance(node, (Picture, Embed))]
    others = tuple(node for node in shown if not isinstance(node, (Picture, Embed)))
    if len(captions) == 1 and len(media) == 1:
        caption = _flow(captions[0], depth)
        if others == blocks_of(caption):
            yield replace(media[0], caption=caption)
            return
    yield from shown


def _rule(element: etree._Element, depth: int) -> Iterator[Node]:
    yield Rule()


Convert = Callable[[etree._Element, int], Iterator[Node]]

_INLINES: dict[str, Convert] = {
    "b": _emphasis("bold"),
    "strong": _emphasis("bold"),
    "i": _emphasis("italic"),
    "em": _emphasis("italic"),
    "cite": _emphasis("italic"),
    "u": _emphasis("underline"),
    "ins": _emphasis("underline"),
    "s": _emphasis("strike"),
    "strike": _emphasis("strike"),
    "del": _emphasis("strike"),
    "a": _link,
    "sup": _script,
    "sub": _script,
    "br": _break,
}

_BLOCKS: dict[str, Convert] = {
    **dict.fromkeys(
        ("p", "div", "section", "article", "header", "footer", "main", "aside", "address"),
        _paragraphs,
    ),
    "figcaption": _paragraphs,
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _heading),
    **dict.fromkeys(("ul", "ol", "dl"), _list),
    "table": _table,
    "blockquote": _quote,
    "pre": _preformatted,
    "img": _picture,
    **dict.fromkeys(MEDIA[1:], _embed),
    "figure": _figure,
    "hr": _rule,
}

_ELEMENTS: dict[str, Convert] = {**_INLINES, **_BLOCKS}
