"""Reads the HTML of bodies into a tree of nodes, which every format writes its way.

One place per element: `_BLOCKS` and `_INLINES` say what becomes of it. Elements that are not named
there give way to their content, so that nothing a reader would see is dropped silently; only
scripts, styles and their like are left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, takewhile

from lxml import etree

from apps.core.text import parse_html, strip_forbidden
from formatters.nodes import (
    INLINE,
    Attributes,
    Break,
    Cell,
    Embed,
    Emphasis,
    Flow,
    Heading,
    ItemList,
    Link,
    Node,
    Nodes,
    Paragraph,
    Picture,
    Preformatted,
    Quote,
    Row,
    Rule,
    Script,
    Section,
    Table,
    Text,
    blocks_of,
)
from formatters.uris import runs_script

HIDDEN = frozenset({"script", "style", "template", "head", "title", "noscript", "meta", "link"})
"""Elements whose content no reader sees."""

MEDIA = ("img", "iframe", "video", "audio", "embed", "object")
"""Elements that show something else than text."""

DEEPEST = 60
"""Nesting beyond which an element gives way to its text."""

BODIES_KEPT = 4
"""One after the other, an item's formats ask for the same body and abstract."""


@lru_cache(maxsize=BODIES_KEPT)
def parse_body(html: str | None) -> Nodes:
    """Return the block nodes of `html`; loose inline content stands in paragraphs of its own.

    No text or attribute in them holds a character that XML forbids.
    """
    return blocks_of(_flow(parse_html(html or ""), 0))


# Every access to an element crosses into libxml2, so walkers make each of them once. Plain runs of
# text take short ways here, in `blocks_of` and in `NITFBody`; without them, NITF takes 20 % longer.


def _flow(element: etree._Element, depth: int) -> Nodes:
    """Return what `element` holds, inline and block nodes in their order."""
    if not len(element):
        text = element.text
        return (Text(text),) if text else ()
    nodes: list[Node] = []
    _walk(element, depth, nodes)
    return tuple(nodes)


def _walk(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    """Append what `element` holds to `nodes`."""
    text = element.text
    if text:
        nodes.append(Text(text))
    for child in element:
        convert = _ELEMENTS.get(child.tag)
        if convert is None or depth >= DEEPEST:
            _give_way(child, depth + 1, nodes)
        else:
            convert(child, depth + 1, nodes)
        tail = child.tail
        if tail:
            nodes.append(Text(tail))


def _give_way(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    """Append what `element` holds; comments and what no reader sees hold nothing."""
    tag = element.tag
    if not isinstance(tag, str) or tag in HIDDEN:
        return
    if depth > DEEPEST:
        nodes.append(Text(_shown_text(element)))
    else:
        _walk(element, depth, nodes)


def _attributes(element: etree._Element) -> Attributes:
    stored = element.items()
    if not stored:
        return ()
    return tuple([(str(name), strip_forbidden(str(value)).strip()) for name, value in stored])


def _number(value: str) -> int:
    """Return how many columns or rows a cell spans."""
    return max(1, int(value)) if value.isdecimal() and len(value) < 4 else 1


def _emphasis(kind: str) -> "Convert":
    def convert(element: etree._Element, depth: int, nodes: list[Node]) -> None:
        attributes = _attributes(element)
        flow = _flow(element, depth)
        _append_around(flow, nodes, lambda inline: Emphasis(kind, inline, attributes))

    return convert


def _link(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    href = dict(attributes).get("href", "")
    flow = _flow(element, depth)
    if runs_script(href):
        nodes += flow
    else:
        _append_around(flow, nodes, lambda inline: Link(href, inline, attributes))


def _append_around(flow: Nodes, nodes: list[Node], wrap: Callable[[Nodes], Node]) -> None:
    """Append `flow`, its runs of inline nodes wrapped; blocks inside them stand alone."""
    for are_inline, run in groupby(flow, lambda node: type(node) in INLINE):
        if are_inline:
            nodes.append(wrap(tuple(run)))
        else:
            nodes += run


def _script(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    if _holds_media(element):
        _walk(element, depth, nodes)
    else:
        nodes.append(Script(str(element.tag), _shown_text(element), _attributes(element)))


def _break(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    nodes.append(Break(_attributes(element)))


def _paragraphs(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    flow = _flow(element, depth)
    if len(flow) == 1 and type(flow[0]) is Text:
        if not flow[0].text.isspace():
            nodes.append(Paragraph(flow, attributes))
    else:
        nodes += blocks_of(flow, attributes)


def _heading(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    level, attributes = int(str(element.tag)[1]), _attributes(element)
    for node in blocks_of(_flow(element, depth)):
        if isinstance(node, Paragraph):
            nodes.append(Heading(level, node.children, attributes))
        else:
            nodes.append(node)


def _list(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    items = [Flow((Text(text),)) for text in _loose(element.text)]
    for child in element:
        tag = child.tag
        if tag in ("li", "dt", "dd"):
            items.append(Flow(_flow(child, depth), _attributes(child)))
        elif isinstance(tag, str) and tag not in HIDDEN:
            items.append(Flow(_converted(child, depth + 1)))
        items += [Flow((Text(text),)) for text in _loose(child.tail)]
    if items:
        nodes.append(ItemList(element.tag == "ol", tuple(items), _attributes(element)))


def _loose(text: str | None) -> tuple[str, ...]:
    """Return text where none belongs, if there is more of it than white space."""
    return (text,) if text and not text.isspace() else ()


def _converted(element: etree._Element, depth: int) -> Nodes:
    """Return what becomes of an element that stands where it should not."""
    nodes: list[Node] = []
    convert = _ELEMENTS.get(element.tag, _give_way)
    (convert if depth <= DEEPEST else _give_way)(element, depth, nodes)
    return tuple(nodes)


@dataclass
class _TableRow:
    """A row as it is read, with the tag and the attributes of the section it is in."""

    row: Row
    section: str
    attributes: Attributes


def _table(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    """Append the table; what stands between its rows parts it, so that all keeps its order."""
    attributes = _attributes(element)
    rows: list[_TableRow] = []
    caption = Flow()
    for piece in _table_pieces(element, depth, "", ()):
        if isinstance(piece, _TableRow):
            rows.append(piece)
        elif isinstance(piece, Flow) and not rows and not caption.children:
            caption = piece
        else:
            nodes += _finished_table(rows, caption, attributes)
            rows, caption = [], Flow()
            nodes += blocks_of(piece.children if isinstance(piece, Flow) else (piece,))
    nodes += _finished_table(rows, caption, attributes)


def _finished_table(rows: list[_TableRow], caption: Flow, attributes: Attributes) -> Nodes:
    if not rows:
        return blocks_of(caption.children)
    head = list(takewhile(lambda row: row.section == "thead", rows))
    foot = [row for row in rows if row.section == "tfoot"]
    body = [row for row in rows[len(head) :] if row.section != "tfoot"]
    if not body:
        # A table of nothing but a head, or a foot, is a table of ordinary rows.
        head, body, foot = ([], head, foot) if head else ([], foot, [])
    return (Table(_section(body), _section(head), _section(foot), caption, attributes),)


def _section(rows: list[_TableRow]) -> Section:
    return Section(tuple(row.row for row in rows), rows[0].attributes) if rows else Section()


def _table_pieces(
    element: etree._Element, depth: int, section: str, attributes: Attributes
) -> Iterator[_TableRow | Flow | Node]:
    """Yield rows, captions (as flows) and what else there is, in its order.

    Args:
        section: `thead`, `tbody` or `tfoot` around it, "" outside of them.
        attributes: of the section.
    """
    for text in _loose(element.text):
        yield Text(text)
    for child in element:
        tag = child.tag
        match tag:
            case "thead" | "tbody" | "tfoot" if depth < DEEPEST:
                yield from _table_pieces(child, depth + 1, str(tag), _attributes(child))
            case "colgroup" if depth < DEEPEST:
                yield from _table_pieces(child, depth + 1, section, attributes)
            case "tr":
                cells = tuple(_cells(child, depth))
                if cells:
                    yield _TableRow(Row(cells, _attributes(child)), section, attributes)
            case "td" | "th":
                yield _TableRow(Row((_cell(child, depth),)), section, attributes)
            case "caption":
                yield Flow(_flow(child, depth), _attributes(child))
            case _:
                yield from _converted(child, depth + 1)
        for text in _loose(child.tail):
            yield Text(text)


def _cells(row: etree._Element, depth: int) -> Iterator[Cell]:
    """Yield the cells of a row; what stands outside of them is one of its own."""
    for text in _loose(row.text):
        yield Cell(False, (Text(text),))
    for child in row:
        if child.tag in ("td", "th"):
            yield _cell(child, depth)
        elif flow := _converted(child, depth + 1):
            yield Cell(False, flow)
        for text in _loose(child.tail):
            yield Cell(False, (Text(text),))


def _cell(element: etree._Element, depth: int) -> Cell:
    attributes = _attributes(element)
    said = dict(attributes)
    return Cell(
        element.tag == "th",
        _flow(element, depth + 1),
        _number(said.get("colspan", "")),
        _number(said.get("rowspan", "")),
        attributes,
    )


def _quote(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    nodes.append(Quote(blocks_of(_flow(element, depth)), _attributes(element)))


def _preformatted(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    if _holds_media(element):
        _paragraphs(element, depth, nodes)
    else:
        nodes.append(Preformatted(_shown_text(element), _attributes(element)))


def _holds_media(element: etree._Element) -> bool:
    return next(element.iter(*MEDIA), None) is not None


def _shown_text(element: etree._Element) -> str:
    """Return the characters in an element, breaks as line feeds, without what no reader sees."""
    if not len(element):
        return element.text or ""
    parts = []
    walk = etree.iterwalk(element, events=("start", "end", "comment", "pi"))
    for event, inner in walk:
        if event != "start":
            parts.append(inner.tail or "" if inner is not element else "")
        elif inner.tag in HIDDEN:
            walk.skip_subtree()
        else:
            parts.append("\n" if inner.tag == "br" else inner.text or "")
    return "".join(parts)


def _picture(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    said = dict(attributes)
    alternative = said.get("alt", "")
    if (source := said.get("src")) and not runs_script(source):
        nodes.append(Picture(source, alternative, attributes=attributes))
    elif alternative:
        nodes.append(Text(alternative))


def _embed(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    said = dict(attributes)
    source = said.get("src") or said.get("data")
    if not source:
        inner = element.find(".//source")
        source = dict(_attributes(inner)).get("src") if inner is not None else ""
    if source and not runs_script(source):
        nodes.append(Embed(source, str(element.tag), attributes=attributes))
    else:
        _walk(element, depth, nodes)


def _figure(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    """Append a medium with its caption, or what else the figure holds, in its order."""
    shown = blocks_of(_flow(element, depth))
    captions = list(element.iter("figcaption"))
    media = [node for node in shown if isinstance(node, (Picture, Embed))]
    others = tuple(node for node in shown if not isinstance(node, (Picture, Embed)))
    if len(captions) == 1 and len(media) == 1:
        caption = Flow(_flow(captions[0], depth), _attributes(captions[0]))
        if others == blocks_of(caption.children, caption.attributes):
            attributes = media[0].attributes + _attributes(element)
            nodes.append(_captioned(media[0], caption, attributes))
            return
    nodes += shown


def _captioned(medium: Picture | Embed, caption: Flow, attributes: Attributes) -> Node:
    if isinstance(medium, Picture):
        return Picture(medium.source, medium.alternative, caption, attributes)
    return Embed(medium.source, medium.kind, caption, attributes)


def _rule(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    nodes.append(Rule(_attributes(element)))


Convert = Callable[[etree._Element, int, list[Node]], None]
"""Appends what becomes of an element, at a depth, to nodes."""

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
