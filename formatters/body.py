"""Reads the HTML of bodies into a tree of nodes, which every format writes its way.

`formatters/elements.py` says of what kind each element is, `_CONVERTERS` what becomes of a kind.
Elements that are not named there give way to their content, so that nothing a reader would see is
dropped silently; only scripts, styles and their like are left out.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby, takewhile

from lxml import etree

from apps.core.documents import object_of, text_of
from apps.core.text import (
    parse_html,
    preserved_text,
    preserved_text_of,
    quote_marks,
    strip_forbidden,
)
from formatters.base import Document
from formatters.conversions import body_with_footer
from formatters.elements import BLANK, ELEMENTS, POST_ADDRESSES, SOURCES, TAGS, Kind
from formatters.nodes import (
    INLINE,
    Attributes,
    Break,
    Cell,
    Definition,
    Definitions,
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
    begun_with,
    blocks_of,
    is_blank_run,
    is_inline,
)
from formatters.uris import runs_script

HIDDEN = frozenset(TAGS[Kind.NOTHING].split())
"""Elements whose content no reader sees."""

MEDIA = (*TAGS[Kind.PICTURE].split(), *TAGS[Kind.PLAYER].split())
"""Elements that show something else than text."""

DEEPEST = 60
"""Nesting beyond which an element gives way to its text."""

_INTEGER = re.compile("-?[0-9]{1,9}")

BODIES_KEPT = 4
"""One after the other, an item's formats ask for the same body and abstract."""


@lru_cache(maxsize=BODIES_KEPT)
def parse_body(html: str | None) -> Nodes:
    """Return the block nodes of `html`; loose inline content stands in paragraphs of its own.

    No text or attribute in them holds a character that XML forbids.
    """
    return blocks_of(_flow(parse_html(html or ""), 0))


def story_nodes(item: Document) -> Nodes:
    """Return the text of `item` as block nodes, its dateline where the text begins.

    Preserved text is one block.
    """
    html = body_with_footer(item)
    if item.get("format") == "preserved":
        text = preserved_text(html).replace("\r\n", "\n").strip("\n")
        nodes: Nodes = (Preformatted(text),) if text.strip() else ()
    else:
        nodes = parse_body(html)
    dateline = text_of(object_of(item, "dateline"), "text")
    return begun_with(strip_forbidden(dateline), nodes)


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


def _number(value: str, least: int = 1) -> int:
    """Return how many columns or rows a cell spans."""
    return max(least, int(value)) if value.isdecimal() and len(value) < 4 else 1


def _emphasis(kind: Kind) -> "Convert":
    def convert(element: etree._Element, depth: int, nodes: list[Node]) -> None:
        attributes = _attributes(element)
        flow = _flow(element, depth)
        nodes += _around(flow, lambda inline: Emphasis(str(kind), inline, attributes))

    return convert


def _link(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    href = dict(attributes).get("href", "")
    flow = _flow(element, depth)
    if runs_script(href):
        nodes += flow
        return
    for holds_link, run in groupby(flow, _holds_link):
        # As browsers have it, a link within a link stands alone.
        inner = tuple(run)
        wrapped = _around(inner, lambda inline: Link(href, inline, attributes), href)
        nodes += inner if holds_link else wrapped


def _holds_link(node: Node) -> bool:
    match node:
        case Link():
            return True
        case Emphasis(_, children) | Script(_, children):
            return any(map(_holds_link, children))
        case _:
            return False


Wrap = Callable[[Nodes], Node]
"""Puts a run of inline nodes into another one."""


def _around(flow: Nodes, wrap: Wrap, href: str = "") -> Nodes:
    """Return `flow` with its inline nodes wrapped, also those inside of its blocks.

    Args:
        href: where pictures lead.
    """
    if is_inline(flow):
        return (wrap(flow),) if flow else ()
    found: list[Node] = []
    for are_inline, run in groupby(flow, lambda node: type(node) in INLINE):
        inner = tuple(run)
        if not are_inline:
            found += [_around_block(node, wrap, href) for node in inner]
        elif not is_blank_run(inner):
            found.append(wrap(inner))
    return tuple(found)


def _around_block(node: Node, wrap: Wrap, href: str) -> Node:
    def inside(part: Flow) -> Flow:
        return replace(part, children=_around(part.children, wrap, href))

    match node:
        case Paragraph(children) | Heading(_, children) | Quote(children):
            return replace(node, children=_around(children, wrap, href))
        case ItemList(_, items):
            return replace(node, items=tuple(map(inside, items)))
        case Definitions(entries):
            wrapped = [replace(one, children=_around(one.children, wrap, href)) for one in entries]
            return replace(node, entries=tuple(wrapped))
        case Table():
            body, head, foot = (
                _around_section(part, wrap, href) for part in (node.body, node.head, node.foot)
            )
            return Table(body, head, foot, inside(node.caption), node.attributes)
        case Picture() if href:
            return replace(node, caption=inside(node.caption), href=node.href or href)
        case Picture() | Embed():
            return replace(node, caption=inside(node.caption))
        case _:
            return node


def _around_section(section: Section, wrap: Wrap, href: str) -> Section:
    rows = [
        replace(
            row,
            cells=tuple(
                replace(cell, children=_around(cell.children, wrap, href)) for cell in row.cells
            ),
        )
        for row in section.rows
    ]
    return replace(section, rows=tuple(rows))


def _quotation(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    """Append a quotation within a line, with the marks that browsers put around it."""
    flow = _flow(element, depth)
    first, last = quote_marks(element)
    if is_inline(flow):
        nodes += (Text(first), *flow, Text(last)) if first else flow
        return
    blocks = list(blocks_of(flow))
    for place, before, after in ((0, first, ""), (-1, "", last)):
        block = blocks[place]
        if isinstance(block, Paragraph):
            marked = (Text(before), *block.children, Text(after))
            blocks[place] = replace(block, children=tuple(t for t in marked if t != Text("")))
    nodes += blocks


def _reading(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    """Append how a word is read, in parentheses unless the source has them."""
    parent, before = element.getparent(), element.getprevious()
    has_marks = any(one is not None and one.tag == "rp" for one in (parent, before))
    flow = _flow(element, depth)
    nodes += flow if has_marks or not flow else (Text("("), *flow, Text(")"))


def _script(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    nodes += _around(_flow(element, depth), lambda run: Script(str(element.tag), run, attributes))


def _break(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    nodes.append(Break(_attributes(element)))


def _paragraphs(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    flow = _flow(element, depth)
    if len(flow) == 1 and type(flow[0]) is Text:
        if not flow[0].text.isspace():
            nodes.append(Paragraph(flow, attributes))
            return
        flow = ()
    nodes += blocks_of(flow, attributes) if flow else _post(attributes)


def _post(attributes: Attributes) -> Nodes:
    """Return the post that a network's script puts into an empty element, by its address."""
    said = dict(attributes) if attributes else {}
    addresses = (said.get(name, "") for name in POST_ADDRESSES)
    shown = (Embed(a, "iframe") for a in addresses if a.startswith(("https://", "http://")))
    return tuple(shown)[:1]


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
        if tag == "li":
            items.append(Flow(_flow(child, depth), _attributes(child)))
        elif isinstance(tag, str) and (flow := _converted(child, depth + 1)):
            items.append(Flow(flow))
        items += [Flow((Text(text),)) for text in _loose(child.tail)]
    if items:
        attributes, is_ordered = _attributes(element), element.tag == "ol"
        numbers = _numbers(items, dict(attributes)) if is_ordered else ()
        nodes.append(ItemList(is_ordered, tuple(items), attributes, numbers))


def _numbers(items: list[Flow], said: Mapping[str, str]) -> tuple[int, ...]:
    """Return the numbers of the items of an ordered list.

    Args:
        said: attributes of the list.
    """
    is_reversed = "reversed" in said
    number = _integer(said.get("start"), len(items) if is_reversed else 1)
    numbers = []
    for item in items:
        number = _integer(dict(item.attributes).get("value"), number)
        numbers.append(number)
        number += -1 if is_reversed else 1
    return tuple(numbers)


def _integer(value: str | None, default: int) -> int:
    return int(value) if value and _INTEGER.fullmatch(value) else default


def _definitions(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    if entries := tuple(_entries(element, depth)):
        nodes.append(Definitions(entries, _attributes(element)))


def _entries(element: etree._Element, depth: int) -> Iterator[Definition]:
    """Yield terms and what is said of them; groups of them give way to what they hold."""
    for text in _loose(element.text):
        yield Definition(False, (Text(text),))
    for child in element:
        tag = child.tag
        if tag in ("dt", "dd"):
            yield Definition(tag == "dt", _flow(child, depth), _attributes(child))
        elif tag == "div" and depth < DEEPEST:
            yield from _entries(child, depth + 1)
        elif isinstance(tag, str) and (flow := _converted(child, depth + 1)):
            yield Definition(False, flow)
        for text in _loose(child.tail):
            yield Definition(False, (Text(text),))


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
    """A row as it is read, with the tag and the attributes of the section it is in.

    Attributes:
        group: the element that holds it; no cell reaches out of that.
    """

    row: Row
    section: str
    attributes: Attributes
    group: etree._Element


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
    for _, group in groupby(rows, lambda row: row.group):
        _end_spans(list(group))
    head = list(takewhile(lambda row: row.section == "thead", rows))
    foot = [row for row in rows if row.section == "tfoot"]
    body = [row for row in rows[len(head) :] if row.section != "tfoot"]
    if not body:
        # A table of nothing but a head, or a foot, is a table of ordinary rows.
        head, body, foot = ([], head, foot) if head else ([], foot, [])
    return (Table(_section(body), _section(head), _section(foot), caption, attributes),)


def _end_spans(rows: list[_TableRow]) -> None:
    """Let cells reach no further down than the rows of their group; those of no number do so."""
    for left, row in zip(range(len(rows), 0, -1), rows, strict=True):
        if any(not 0 < cell.rowspan <= left for cell in row.row.cells):
            cells = [
                replace(cell, rowspan=min(cell.rowspan or left, left)) for cell in row.row.cells
            ]
            row.row = replace(row.row, cells=tuple(cells))


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
                    yield _TableRow(Row(cells, _attributes(child)), section, attributes, element)
            case "td" | "th":
                yield _TableRow(Row((_cell(child, depth),)), section, attributes, element)
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
        _number(said.get("rowspan", ""), 0),
        attributes,
    )


def _quote(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    blocks = blocks_of(_flow(element, depth))
    if blocks:
        nodes.append(Quote(blocks, attributes))
    else:
        nodes += _post(attributes)


def _preformatted(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    if _holds_media(element):
        _paragraphs(element, depth, nodes)
    else:
        nodes.append(Preformatted(_shown_text(element), _attributes(element)))


def _holds_media(element: etree._Element) -> bool:
    return next(element.iter(*MEDIA), None) is not None


def _shown_text(element: etree._Element) -> str:
    """Return the characters in an element, breaks as line feeds, without what no reader sees."""
    return preserved_text_of(element, HIDDEN) if len(element) else element.text or ""


def _picture(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    said = dict(attributes)
    alternative = said.get("alt", "")
    if (source := said.get("src")) and not runs_script(source):
        nodes.append(Picture(source, alternative, attributes=attributes))
    elif alternative:
        nodes.append(Text(alternative))
    # The parser knows no `image`, so that it puts what follows into it.
    _walk(element, depth, nodes)


def _embed(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    attributes = _attributes(element)
    said = dict(attributes)
    source = next((said[name] for name in SOURCES if said.get(name, BLANK) != BLANK), "")
    if not source:
        inner = element.find(".//source")
        source = dict(_attributes(inner)).get("src", "") if inner is not None else ""
    is_shown = bool(source) and not runs_script(source)
    if is_shown:
        nodes.append(Embed(source, str(element.tag), attributes=attributes))
    if not is_shown or element.tag == "embed":
        # An `embed` ends where it begins, though the parser puts what follows into it.
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
        return Picture(medium.source, medium.alternative, caption, attributes, medium.href)
    return Embed(medium.source, medium.kind, caption, attributes)


def _rule(element: etree._Element, depth: int, nodes: list[Node]) -> None:
    nodes.append(Rule(_attributes(element)))


Convert = Callable[[etree._Element, int, list[Node]], None]
"""Appends what becomes of an element, at a depth, to nodes."""

_CONVERTERS: Mapping[Kind, Convert] = {
    **{kind: _emphasis(kind) for kind in (Kind.BOLD, Kind.ITALIC, Kind.UNDERLINE, Kind.STRIKE)},
    Kind.LINK: _link,
    Kind.SCRIPT: _script,
    Kind.QUOTATION: _quotation,
    Kind.READING: _reading,
    Kind.BREAK: _break,
    Kind.PARAGRAPH: _paragraphs,
    Kind.HEADING: _heading,
    Kind.LIST: _list,
    Kind.DEFINITIONS: _definitions,
    Kind.TABLE: _table,
    Kind.QUOTE: _quote,
    Kind.PREFORMATTED: _preformatted,
    Kind.PICTURE: _picture,
    Kind.PLAYER: _embed,
    Kind.FIGURE: _figure,
    Kind.RULE: _rule,
}
_ELEMENTS: Mapping[str, Convert] = {
    tag: _CONVERTERS[kind] for tag, kind in ELEMENTS.items() if kind in _CONVERTERS
}
