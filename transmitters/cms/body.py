"""Reads the HTML of bodies as blocks.

Nothing is copied: text is escaped anew, and of elements, attributes and addresses only what is
named here is written. Other elements give way to their content, so that no text is lost; only what
no reader sees goes with it. Each element is legal where it stands, whatever the markup.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from turbohtml import Comment, Element, Node, Text

from apps.core.html import HIDDEN, MEDIA, parsed
from apps.core.text import is_blank
from transmitters.cms.base import StoryMedia
from transmitters.cms.blocks import (
    Block,
    Cell,
    Definitions,
    Figure,
    Frame,
    Gallery,
    Heading,
    Item,
    ItemList,
    Paragraph,
    Preformatted,
    Quote,
    Raw,
    Rule,
    Table,
    lines_of,
    strong,
)
from transmitters.cms.embeds import (
    DESCRIPTION,
    EMBED,
    SOCIAL_SCRIPTS,
    embed_address,
    embed_html,
    frame_attributes,
)
from transmitters.cms.markup import (
    Mark,
    attribute,
    classes,
    escaped,
    marked_media,
    number,
    one_line,
    shown_nodes,
    single_blanks,
    source_of,
    tag_of,
    text_of,
    web_address,
    written_attributes,
)

EMBEDS_STRIPPED = "embeds_stripped"
MEDIA_DROPPED = "media_dropped"
LINKS_DROPPED = "links_dropped"

DEEPEST = 60
"""Nesting beyond which of an element only text, line ends and media of the item are read."""

SECTIONS = frozenset({
    "address", "article", "aside", "center", "details", "dialog", "fieldset", "footer", "form",
    "header", "hgroup", "legend", "main", "nav", "object", "search", "section", "summary",
})  # fmt: skip
"""Elements that give way to paragraphs of their own."""

PLAIN_INLINES: Mapping[str, str] = {
    "b": "b", "code": "code", "del": "s", "em": "em", "i": "i", "ins": "u", "kbd": "code", "s": "s",
    "samp": "code", "strike": "s", "strong": "strong", "sub": "sub", "sup": "sup", "tt": "code",
    "u": "u",
}  # fmt: skip
"""Inline elements that every platform keeps, and those for which one of them stands."""

RICH_INLINES: Mapping[str, str] = {
    **PLAIN_INLINES,
    "abbr": "abbr", "acronym": "abbr", "bdi": "bdi", "cite": "cite", "del": "del", "dfn": "dfn",
    "ins": "ins", "kbd": "kbd", "mark": "mark", "q": "q", "rp": "rp", "rt": "rt", "ruby": "ruby",
    "samp": "samp", "small": "small", "var": "var",
}  # fmt: skip
"""Inline elements of platforms that keep HTML."""


@dataclass(frozen=True)
class Style:
    """How a platform wants its text.

    Attributes:
        inlines: inline elements that it keeps, and as what.
        escape: writes text; values of attributes too, whose quotation marks are escaped after it.
    """

    inlines: Mapping[str, str] = field(default_factory=lambda: RICH_INLINES)
    escape: Callable[[str], str] = escaped


@dataclass
class Reading:
    """What was read of a body.

    Attributes:
        warnings: codes of what the reader will miss.
        used_media: keys of the media that it shows, in order.
    """

    blocks: list[Block] = field(default_factory=list)
    warnings: set[str] = field(default_factory=set)
    used_media: dict[str, None] = field(default_factory=dict)


def read_body(
    body: str, media: Mapping[str, StoryMedia], style: Style, base_url: str | None = None
) -> Reading:
    """Return the blocks of a body.

    Args:
        body: HTML of any quality.
        media: what stands for associations and for addresses; of those that are not at the site
            nothing is shown.
        base_url: what relative addresses are relative to; without it they are dropped.
    """
    root = parsed(body)
    reader = _Reader(media, style, base_url, marked_media(root, media))
    reader.reading.blocks = reader.blocks_in(root, 0)
    return reader.reading


def _without_outer_line_ends(inline: str) -> str:
    """Return inline content without line ends at its start and end, in the elements there too."""
    start, end, opened, closed = 0, len(inline), [], []
    while start < end and inline[start] in "\n<":
        after = start + 1 if inline[start] == "\n" else inline.index(">", start) + 1
        opened += [inline[start:after]] if inline[start] == "<" else []
        start = after
    while end > start and inline[end - 1] in "\n>":
        before = end - 1 if inline[end - 1] == "\n" else inline.rindex("<", start, end)
        closed += [inline[before:end]] if inline[end - 1] == ">" else []
        end = before
    return "".join([*opened, inline[start:end], *reversed(closed)])


@dataclass
class _Opened:
    """An inline element around what is read."""

    tag: str
    start: str
    link: str = ""
    is_written: bool = False


class _Line:
    """Inline content as it grows. Elements and blanks are written when text follows.

    Args:
        around: elements that it begins within.
        without: names of elements that are not written.
        is_preformatted: blanks and line ends stay as they are.
    """

    def __init__(
        self,
        style: Style,
        around: "_Line | None" = None,
        *,
        without: str = "",
        is_preformatted: bool = False,
    ) -> None:
        opened = around.opened if around else []
        self.opened: list[_Opened] = [
            replace(one, is_written=False) for one in opened if one.tag != without
        ]
        self.is_preformatted = is_preformatted
        self._style = style
        self._without = without
        self._parts: list[str] = []
        self._pending = ""
        self._is_visible = False

    @property
    def link(self) -> str:
        """The address of the link that it is in, "" where there is none."""
        return next((one.link for one in self.opened if one.link), "")

    def add(self, text: str) -> None:
        if self.is_preformatted:
            self._write(text)
            return
        text = single_blanks(text)
        core = text.strip(" ")
        if text[:1] == " " and not self._pending:
            self._pending = " "
        if core:
            if self._parts:
                self._parts.append(self._pending)
            self._write(core)
            self._pending = " " if text[-1:] == " " else ""

    def _write(self, text: str) -> None:
        for one in self.opened:
            if not one.is_written:
                self._parts.append(one.start)
                one.is_written = True
        self._parts.append(self._style.escape(text))
        self._is_visible = self._is_visible or not is_blank(text)

    def end(self) -> None:
        """Begin a new line within the paragraph."""
        if self.is_preformatted:
            self._write("\n")
        else:
            self._pending = self._pending.strip(" ") + "<br>"

    def end_if_begun(self) -> None:
        """Begin a new line of preformatted text, unless this is one."""
        if self._parts and not self._parts[-1].endswith("\n"):
            self._write("\n")

    def open(self, tag: str, start: str, link: str = "") -> bool:
        """Begin an element; none begins within one of its name, and then this is False."""
        if tag == self._without or any(one.tag == tag for one in self.opened):
            return False
        self.opened.append(_Opened(tag, start, link))
        return True

    def close(self) -> None:
        """End the element that was begun last."""
        one = self.opened.pop()
        if one.is_written:
            self._parts.append(f"</{one.tag}>")

    def finish(self) -> str:
        """Return what has grown, "" where nothing would be seen of it, and begin a new line."""
        for one in reversed(self.opened):
            if one.is_written:
                self._parts.append(f"</{one.tag}>")
                one.is_written = False
        inline = "".join(self._parts) if self._is_visible else ""
        self._parts, self._pending, self._is_visible = [], "", False
        return inline


class _Flow:
    """Blocks as they grow; inline content stands in paragraphs.

    Args:
        takes_captions: captions are gathered in `captions`; else they are paragraphs.
    """

    def __init__(self, line: _Line, *, takes_captions: bool = False) -> None:
        self.line = line
        self.blocks: list[Block] = []
        self.captions: list[str] | None = [] if takes_captions else None

    def add(self, *blocks: Block) -> None:
        self.end_paragraph()
        self.blocks += blocks

    def end_paragraph(self) -> None:
        if self.line.is_preformatted:
            self.line.end_if_begun()
        elif inline := self.line.finish():
            self.blocks.append(Paragraph(inline))


class _Reader:
    """Reads one body; arguments as of `read_body`."""

    def __init__(
        self,
        media: Mapping[str, StoryMedia],
        style: Style,
        base_url: str | None,
        marked: tuple[Mapping[Comment, Mark], frozenset[Node]],
    ) -> None:
        self.reading = Reading()
        self._media = media
        self._style = style
        self._base_url = base_url
        self._marks, self._replaced = marked
        self._by_source = {
            source: key for key, medium in media.items() for source in medium.source_urls
        }
        self._files = {source: _address(media[key]) for source, key in self._by_source.items()}
        self._left_out = 0
        self._is_in_embed = False

    # Walking

    def blocks_in(self, element: Element, depth: int, around: _Flow | None = None) -> list[Block]:
        """Return the blocks that an element holds."""
        return self._flow_in(element, depth, around).blocks

    def _flow_in(
        self, element: Element, depth: int, around: _Flow | None, *, takes_captions: bool = False
    ) -> _Flow:
        line = _Line(self._style, around.line if around else None)
        flow = _Flow(line, takes_captions=takes_captions)
        self._walk(element, flow, depth)
        flow.end_paragraph()
        return flow

    def _walk(self, element: Element, flow: _Flow, depth: int) -> None:
        for node in element.children:
            self._node(node, flow, depth)

    def _node(self, node: Node, flow: _Flow, depth: int) -> None:
        if node in self._replaced:
            return
        if isinstance(node, Text):
            flow.line.add(text_of(node))
        elif isinstance(node, Comment):
            if node in self._marks:
                self._association(self._marks[node], flow)
        elif isinstance(node, Element):
            if depth < DEEPEST:
                self._element(node, flow, depth + 1)
            else:
                self._flat(node, flow)

    def _loose(self, node: Node, around: _Flow, depth: int) -> list[Block]:
        """Return the blocks of a node that stands where it should not."""
        flow = _Flow(_Line(self._style, around.line))
        self._node(node, flow, depth)
        flow.end_paragraph()
        return flow.blocks

    def _element(self, element: Element, flow: _Flow, depth: int) -> None:
        tag = element.tag
        if tag in HIDDEN:
            if tag == "embed":
                self.reading.warnings.add(EMBEDS_STRIPPED)
        elif tag in _HANDLERS:
            _HANDLERS[tag](self, element, flow, depth)
        elif tag in self._style.inlines:
            self._inline(element, flow, depth)
        else:
            self._walk(element, flow, depth)

    def _flat(self, element: Element, flow: _Flow) -> None:
        """Read text, line ends and media of the item: nobody writes what is nested deeper."""
        if element.tag in BLOCK_TAGS:
            flow.end_paragraph()
        for node in shown_nodes(element):
            if tag_of(node) == "br":
                flow.line.end()
            elif tag_of(node) in BLOCK_TAGS:
                flow.end_paragraph()
            elif not isinstance(node, Element):
                self._node(node, flow, DEEPEST)

    def _section(self, element: Element, flow: _Flow, depth: int) -> None:
        flow.end_paragraph()
        self._walk(element, flow, depth)
        flow.end_paragraph()

    # Inline content

    def _inline(self, element: Element, flow: _Flow, depth: int) -> None:
        tag = self._style.inlines[element.tag]
        title = one_line(attribute(element, "title")) if tag == "abbr" else ""
        start = f"<{tag}{self._attributes({'title': title})}>" if title else f"<{tag}>"
        self._within(flow.line.open(tag, start), element, flow, depth)

    def _within(self, is_open: bool, element: Element, flow: _Flow, depth: int) -> None:
        self._walk(element, flow, depth)
        if is_open:
            flow.line.close()

    def _link(self, element: Element, flow: _Flow, depth: int) -> None:
        written = attribute(element, "href").strip()
        href = web_address(written, self._base_url, ("http", "https", "mailto", "tel"))
        if written and not href:
            self.reading.warnings.add(LINKS_DROPPED)
        is_open = bool(href) and flow.line.open("a", self._link_start(element, href), href)
        self._within(is_open, element, flow, depth)

    def _link_start(self, element: Element, href: str) -> str:
        attributes = {"href": href}
        if title := one_line(attribute(element, "title")):
            attributes["title"] = title
        rel = {"nofollow", "sponsored", "ugc"} & set(attribute(element, "rel").lower().split())
        if attribute(element, "target").strip().lower() == "_blank":
            attributes["target"] = "_blank"
            rel.add("noopener")
        if rel:
            attributes["rel"] = " ".join(sorted(rel))
        return f"<a{self._attributes(attributes)}>"

    def _attributes(self, attributes: Mapping[str, str]) -> str:
        return written_attributes(attributes, self._style.escape)

    def _quotation(self, element: Element, flow: _Flow, depth: int) -> None:
        """Read `q`: browsers write its marks; where it is not kept, they are text."""
        if "q" in self._style.inlines:
            self._inline(element, flow, depth)
            return
        flow.line.add("“")
        self._walk(element, flow, depth)
        flow.line.add("”")

    def _break(self, element: Element, flow: _Flow, depth: int) -> None:
        flow.line.end()

    # Blocks of text

    def _rule(self, element: Element, flow: _Flow, depth: int) -> None:
        flow.add(Rule())

    def _paragraph(self, element: Element, flow: _Flow, depth: int) -> None:
        if DESCRIPTION in classes(element) and flow.captions is not None:
            self._caption(element, flow, depth)
        else:
            self._section(element, flow, depth)

    def _heading(self, element: Element, flow: _Flow, depth: int) -> None:
        level = max(2, int(element.tag[1]))
        flow.end_paragraph()
        for block in self.blocks_in(element, depth, flow):
            flow.add(Heading(level, block.inline) if isinstance(block, Paragraph) else block)

    def _list(self, element: Element, flow: _Flow, depth: int) -> None:
        """Add the list; what cannot be in an item stands behind it, and another list goes on."""
        flow.end_paragraph()
        start = number(attribute(element, "start")) if element.tag == "ol" else None
        whole = ItemList(element.tag == "ol", (), start, "reversed" in element.attrs)
        items: list[tuple[str, list[ItemList]]] = []
        for blocks in self._items(element, flow, depth):
            inline, others = lines_of(one for one in blocks if not isinstance(one, ItemList))
            lists = [one for one in blocks if isinstance(one, ItemList)]
            if inline or (lists and not items):
                items.append((inline, lists))
            elif lists:
                items[-1][1].extend(lists)
            if others:
                whole = _add_list(whole, items, flow)
                items = []
                flow.add(*others)
        _add_list(whole, items, flow)

    def _items(self, element: Element, flow: _Flow, depth: int) -> Iterator[list[Block]]:
        """Yield the blocks of each item, and of each node that stands between items."""
        for node in element.children:
            if isinstance(node, Element) and node.tag == "li" and node not in self._replaced:
                yield self.blocks_in(node, depth, flow)
            else:
                yield self._loose(node, flow, depth)

    def _quote(self, element: Element, flow: _Flow, depth: int) -> None:
        scripts = [SOCIAL_SCRIPTS[one] for one in classes(element) if one in SOCIAL_SCRIPTS]
        if scripts and not self._is_in_embed:
            self._is_in_embed = True
            left = _quotes(self.blocks_in(element, depth, flow))
            self._is_in_embed = False
            html = self._embed_html(element)
            html = f'<div class="{EMBED}">{html}<script async src="{scripts[0]}"></script></div>'
            flow.add(Raw(html, tuple(left), embed_address(element)))
        else:
            flow.add(*_quotes(self.blocks_in(element, depth, flow)))

    def _preformatted(self, element: Element, flow: _Flow, depth: int) -> None:
        flow.end_paragraph()
        held = [n for n in element.children if not (isinstance(n, Text) and is_blank(n.data))]
        is_code = len(held) == 1 and tag_of(held[0]) == "code"
        without = "code" if is_code else ""
        line = _Line(self._style, flow.line, without=without, is_preformatted=True)
        inner = _Flow(line)
        self._walk(element, inner, depth)
        if inline := _without_outer_line_ends(line.finish()):
            flow.add(Preformatted(inline, is_code))
        flow.add(*inner.blocks)

    def _definitions(self, element: Element, flow: _Flow, depth: int) -> None:
        flow.end_paragraph()
        entries: list[tuple[bool, str]] = []
        others: list[Block] = []
        for is_term, blocks in self._entries(element, flow, depth):
            inline, rest = lines_of(blocks)
            entries += [(is_term, inline)] if inline else []
            others += rest
        flow.add(*([Definitions(tuple(entries))] if entries else []), *others)

    def _entries(
        self, element: Element, flow: _Flow, depth: int
    ) -> Iterator[tuple[bool, list[Block]]]:
        """Yield the blocks of terms (True) and meanings; groups of them may stand in `div`."""
        for node in element.children:
            tag = tag_of(node)
            if not isinstance(node, Element) or node in self._replaced:
                yield False, self._loose(node, flow, depth)
            elif tag in ("dt", "dd"):
                yield tag == "dt", self.blocks_in(node, depth, flow)
            elif tag == "div" and depth < DEEPEST:
                yield from self._entries(node, flow, depth + 1)
            else:
                yield False, self._loose(node, flow, depth)

    # Tables

    def _table(self, element: Element, flow: _Flow, depth: int) -> None:
        """Add the table, and behind it what its cells cannot hold."""
        flow.end_paragraph()
        sections: dict[str, list[tuple[Cell, ...]]] = {"thead": [], "tbody": [], "tfoot": []}
        others: list[Block] = []
        captions: list[str] = []
        for node in element.children:
            tag = tag_of(node)
            if not isinstance(node, Element) or node in self._replaced:
                others += self._loose(node, flow, depth)
            elif tag in sections:
                sections[tag] += self._rows(node, flow, depth, others)
            elif tag == "caption":
                inline, rest = lines_of(self.blocks_in(node, depth, flow))
                captions += [inline] if inline else []
                others += rest
            else:
                others += self._loose(node, flow, depth)
        if any(cell.inline for rows in sections.values() for row in rows for cell in row):
            head, body, foot = (tuple(rows) for rows in sections.values())
            flow.add(Table(head, body, foot, "<br>".join(captions)))
        else:
            flow.add(*map(Paragraph, captions))
        flow.add(*others)

    def _rows(
        self, section: Element, flow: _Flow, depth: int, others: list[Block]
    ) -> Iterator[tuple[Cell, ...]]:
        for row in section.children:
            if not isinstance(row, Element) or row.tag != "tr" or row in self._replaced:
                others += self._loose(row, flow, depth)
                continue
            cells = []
            for node in row.children:
                tag = tag_of(node)
                if isinstance(node, Element) and tag in ("td", "th") and node not in self._replaced:
                    inline, rest = lines_of(self.blocks_in(node, depth, flow))
                    others += rest
                    cells.append(Cell(inline, tag == "th", *_spans(node)))
                else:
                    others += self._loose(node, flow, depth)
            if cells:
                yield tuple(cells)

    # Media and embeds

    def _association(self, mark: Mark, flow: _Flow) -> None:
        """Add the medium that stands between two marks, as its association says."""
        medium = self._media[mark.key]
        kind = {"Video": "video", "Audio": "audio"}.get(mark.kind, "img")
        if medium.remote is not None:
            kind = {"image": "img", "video": "video", "audio": "audio"}.get(
                medium.remote.mime.partition("/")[0], kind
            )
        self._add_medium(mark.key, Figure(kind, ""), flow, self._caption_of(medium))

    def _file(self, element: Element, flow: _Flow, depth: int) -> None:
        """Add a picture, video or audio file that the text shows by its address."""
        source = source_of(element)
        sizes = [number(attribute(element, name)) for name in ("width", "height")]
        figure = Figure(
            element.tag,
            web_address(source, self._base_url),
            alt=one_line(attribute(element, "alt")),
            title=one_line(attribute(element, "title")),
            width=sizes[0],
            height=sizes[1],
            link=flow.line.link,
        )
        if source in self._by_source:
            self._add_medium(self._by_source[source], figure, flow, "")
        elif figure.src:
            flow.add(figure)
        elif source:
            self.reading.warnings.add(MEDIA_DROPPED)

    def _add_medium(self, key: str, figure: Figure, flow: _Flow, caption: str) -> None:
        medium = self._media[key]
        src = _address(medium)
        if medium.remote is None or not src:
            self._left_out += 1
            return
        self.reading.used_media[key] = None
        flow.add(
            replace(
                figure,
                src=src,
                alt=figure.alt or one_line(medium.alt),
                width=medium.remote.width or medium.width,
                height=medium.remote.height or medium.height,
                caption=caption,
                remote_id=medium.remote.id,
            )
        )

    def _caption_of(self, medium: StoryMedia) -> str:
        caption, credit = one_line(medium.caption), one_line(medium.credit)
        both = f"{caption} ({credit})" if caption and credit else caption or credit
        return self._style.escape(both)

    def _figure(self, element: Element, flow: _Flow, depth: int) -> None:
        """Add what a figure shows, with its caption; of media left out it goes too."""
        left_out = self._left_out
        inner = self._flow_in(element, depth, flow, takes_captions=True)
        blocks, caption = inner.blocks, "<br>".join(inner.captions or ())
        pictures = [one for one in blocks if isinstance(one, Figure) and one.kind == "img"]
        if len(blocks) == len(pictures) > 1:
            flow.add(Gallery(tuple(pictures), caption))
        elif caption and len(blocks) == 1 and isinstance(blocks[0], Figure | Frame | Table):
            flow.add(replace(blocks[0], caption=caption))
        else:
            is_missed = caption and (blocks or self._left_out == left_out)
            flow.add(*blocks, *([Paragraph(caption)] if is_missed else []))

    def _caption(self, element: Element, flow: _Flow, depth: int) -> None:
        inline, others = lines_of(self.blocks_in(element, depth, flow))
        flow.add(*others)
        if inline and flow.captions is not None:
            flow.captions.append(inline)
        elif inline:
            flow.add(Paragraph(inline))

    def _frame(self, element: Element, flow: _Flow, depth: int) -> None:
        src = web_address(attribute(element, "src"), self._base_url)
        if src:
            title = one_line(attribute(element, "title"))
            flow.add(Frame(src, title, tuple(frame_attributes(element).items())))
        else:
            self.reading.warnings.add(EMBEDS_STRIPPED)

    def _embed_html(self, element: Element) -> str:
        return embed_html(element, self._base_url, self._files, self._style.escape)

    def _division(self, element: Element, flow: _Flow, depth: int) -> None:
        is_embed = EMBED in classes(element) and not self._is_in_embed
        if not is_embed or flow.line.is_preformatted:
            self._section(element, flow, depth)
            return
        self._is_in_embed = True
        inner = self._flow_in(element, depth, flow, takes_captions=True)
        self._is_in_embed = False
        left: list[Block] = list(inner.blocks)
        caption = "<br>".join(inner.captions or ())
        if len(left) == 1 and isinstance(left[0], Frame):
            flow.add(replace(left[0], caption=caption or left[0].caption))
            return
        left += [Paragraph(caption)] if caption else []
        has_marks = self._marks and any(node in self._marks for node in shown_nodes(element))
        html = "" if has_marks else self._embed_html(element)
        if not html and not has_marks and element.children:
            self.reading.warnings.add(EMBEDS_STRIPPED)
        flow.add(*([Raw(html, tuple(left), embed_address(element))] if html else left))


def _address(medium: StoryMedia) -> str:
    """Return where a medium is at the site, "" where it is not."""
    return web_address(medium.remote.url) if medium.remote else ""


def _add_list(whole: ItemList, items: list[tuple[str, list[ItemList]]], flow: _Flow) -> ItemList:
    """Add a list of `items` and return how the list goes on after them."""
    if not items:
        return whole
    finished = tuple(Item(inline, tuple(lists)) for inline, lists in items)
    flow.add(replace(whole, items=finished))
    if not whole.is_ordered or whole.is_reversed:
        return whole
    return replace(whole, start=(1 if whole.start is None else whole.start) + len(items))


def _quotes(blocks: list[Block]) -> Iterator[Block]:
    """Yield quotations of the text in `blocks`, and what cannot be in one between them."""
    paragraphs: list[str] = []
    for block in blocks:
        if isinstance(block, Paragraph):
            paragraphs.append(block.inline)
        elif isinstance(block, Heading):
            paragraphs.append(strong(block.inline))
        else:
            yield from _quote_of(paragraphs)
            paragraphs = []
            yield block
    yield from _quote_of(paragraphs)


def _quote_of(paragraphs: list[str]) -> Iterator[Quote]:
    """Yield a quotation, if there is any; a last paragraph that is all `cite` says whose it is."""
    if not paragraphs:
        return
    last = paragraphs[-1]
    is_cite = last.startswith("<cite>") and last.find("</cite>") == len(last) - len("</cite>")
    if is_cite and len(paragraphs) > 1:
        yield Quote(tuple(paragraphs[:-1]), last.removeprefix("<cite>").removesuffix("</cite>"))
    else:
        yield Quote(tuple(paragraphs))


def _spans(cell: Element) -> tuple[int, int]:
    """Return how many columns and rows a cell takes."""
    columns, rows = (number(attribute(cell, name)) for name in ("colspan", "rowspan"))
    return min(max(1, columns or 1), 1000), min(max(1, rows or 1), 1000)


_Handler = Callable[[_Reader, Element, _Flow, int], None]
_HANDLERS: Mapping[str, _Handler] = {
    **dict.fromkeys(SECTIONS, _Reader._section),
    **dict.fromkeys(("h1", "h2", "h3", "h4", "h5", "h6"), _Reader._heading),
    **dict.fromkeys(("ul", "ol", "menu", "dir"), _Reader._list),
    **dict.fromkeys(("pre", "listing", "xmp", "plaintext"), _Reader._preformatted),
    **dict.fromkeys(MEDIA, _Reader._file),
    "a": _Reader._link,
    "blockquote": _Reader._quote,
    "br": _Reader._break,
    "div": _Reader._division,
    "dl": _Reader._definitions,
    "figcaption": _Reader._caption,
    "figure": _Reader._figure,
    "hr": _Reader._rule,
    "iframe": _Reader._frame,
    "p": _Reader._paragraph,
    "q": _Reader._quotation,
    "table": _Reader._table,
    # Stray ones, whose list is not there.
    **dict.fromkeys(("li", "dt", "dd"), _Reader._section),
}
BLOCK_TAGS = frozenset(_HANDLERS) - {"a", "q"} | {"td", "th", "tr", "caption"}
