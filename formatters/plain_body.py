"""Body nodes as plain text and as Markdown."""

import re
from collections.abc import Iterator
from unicodedata import category

from formatters.nodes import (
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
    Rule,
    Script,
    Table,
    Text,
    blocks_of,
)

_SPACE = re.compile(r"[ \t\r\n]+")


class TextBody:
    """Writes nodes as plain text: blocks apart by an empty line, links with their address.

    Attributes:
        quote_mark: what stands before each line of a quotation.
        line_break: what a `br` becomes.
        rule: a line across the page.
    """

    quote_mark = "  "
    line_break = "\n"
    rule = "---"

    def write(self, nodes: Nodes) -> str:
        """Return block nodes as text."""
        return "\n\n".join(filter(None, self.blocks(nodes)))

    def blocks(self, nodes: Nodes) -> Iterator[str]:
        """Yield each of several block nodes as text."""
        return (self.block(node) for node in nodes)

    def line(self, text: str) -> str:
        """Return a text that stands alone, such as a byline."""
        return self.block(Paragraph((Text(text),)))

    def block(self, node: Node) -> str:
        """Return one block."""
        match node:
            case Paragraph(children):
                return self.paragraph(self.inlines(children))
            case Heading(level, children):
                return self.heading(level, self.inlines(children))
            case ItemList():
                return self.item_list(node)
            case Definitions(entries):
                return self.definitions(entries)
            case Table():
                title = self.paragraph(self.one_line(node.caption.children))
                return "\n\n".join(filter(None, (title, self.table(node))))
            case Quote(children):
                return indented(self.write(children), self.quote_mark)
            case Preformatted(text):
                return self.preformatted(text.strip("\n"))
            case Picture():
                return self.picture(node, self.one_line(node.caption.children))
            case Embed(source, _, caption):
                said = (self.one_line(caption.children), self.address(source))
                return self.paragraph(" ".join(filter(None, said)))
            case Rule():
                return self.rule
            case _:
                return self.inlines((node,))

    def headline(self, text: str) -> str:
        """Return the title of a document."""
        return text.upper()

    def paragraph(self, text: str) -> str:
        """Return lines of inline nodes as a paragraph."""
        return text.strip()

    def heading(self, level: int, text: str) -> str:
        """Return a heading of level 1 to 6."""
        return text.strip()

    def preformatted(self, text: str) -> str:
        """Return text whose line ends count."""
        return text

    def picture(self, picture: Picture, caption: str) -> str:
        """Return an image, by what is said of it."""
        said = f"[{caption or picture.alternative or self.address(picture.source)}]"
        return self.link(picture.href, said) if picture.href not in said else said

    def address(self, source: str) -> str:
        """Return where something lies that cannot be shown."""
        return source

    def item_list(self, node: ItemList) -> str:
        """Return the items of a list, each with its mark."""
        marks = [f"{number}. " for number in node.numbers] or ["- "] * len(node.items)
        return "\n".join(map(self.item, marks, node.items))

    def item(self, mark: str, item: Flow) -> str:
        """Return a list item, set in behind its mark."""
        text = "\n".join(filter(None, self.blocks(blocks_of(item.children))))
        return (mark + indented(text, " " * len(mark)).lstrip()).rstrip()

    def definitions(self, entries: tuple[Definition, ...]) -> str:
        """Return terms, and set in what is said of them."""
        written = []
        for entry in entries:
            text = "\n".join(filter(None, self.blocks(blocks_of(entry.children))))
            written.append(text if entry.is_term else indented(text, self.quote_mark))
        return "\n".join(filter(None, written))

    def table(self, table: Table) -> str:
        """Return the rows of a table, each on a line, its values in their columns."""
        return "\n".join("\t".join(row) for row in self.rows(table))

    def rows(self, table: Table) -> list[list[str]]:
        """Return the rows of a table, with a text for each column up to the last cell."""
        rows: list[list[str]] = [[] for _ in table.rows]
        for place in table.placed():
            row = rows[place.row]
            row += [""] * (place.column - len(row))
            row.append(self.cell(place.cell))
        return rows

    def cell(self, cell: Cell) -> str:
        """Return a cell on one line."""
        return self.one_line(cell.children)

    def one_line(self, flow: Nodes) -> str:
        """Return nodes of any kind on one line."""
        return " ".join(filter(None, (self._on_a_line(node) for node in blocks_of(flow))))

    def _on_a_line(self, node: Node) -> str:
        match node:
            case Paragraph(children) | Heading(_, children):
                return _SPACE.sub(" ", self.inlines(children).replace(self.line_break, " ")).strip()
            case Quote(children):
                return self.one_line(children)
            case ItemList(_, items, _, numbers):
                marks = [f"{number}. " for number in numbers] or [""] * len(items)
                told = [self.one_line(item.children) for item in items]
                return " ".join(map(str.__add__, marks, told))
            case Definitions(entries):
                return " ".join(self.one_line(entry.children) for entry in entries)
            case Table():
                rows = [", ".join(filter(None, row)) for row in self.rows(node)]
                return "; ".join(filter(None, [self.one_line(node.caption.children), *rows]))
            case Preformatted(text):
                return self.text(_SPACE.sub(" ", text).strip())
            case Rule():
                return ""
            case _:
                return _SPACE.sub(" ", self.block(node))

    def inlines(self, nodes: Nodes) -> str:
        """Return inline nodes as text."""
        return "".join([self.inline(node) for node in nodes])

    def inline(self, node: Node) -> str:
        """Return one inline node."""
        match node:
            case Text(text):
                return self.text(_SPACE.sub(" ", text))
            case Break():
                return self.line_break
            case Emphasis(_, children) | Script(_, children):
                return self.inlines(children)
            case Link(href, children):
                return self.link(href, self.inlines(children))
            case _:
                return self.block(node)

    def text(self, text: str) -> str:
        """Return characters, so that none of them counts as a mark."""
        return text

    def link(self, href: str, text: str) -> str:
        """Return a link with its address, unless the text is the address."""
        return text if not href or href in (text.strip(), "#") else f"{text} ({href})"


_SPECIAL = re.compile(r"[\\`*_\[\]<>#|~]")
"""What Markdown may take for a mark anywhere."""
_REFERENCE = re.compile("&(?=#?[A-Za-z0-9]+;)")
_LINE_START = re.compile(
    # Numbered lists; other lists, underlines of headings, lines across the page, columns of tables.
    r"[0-9]{1,9}(?=[.)](?: |$))|(?=[-+](?:[ :-]|$)|=+ *$|:-)"
)
"""What Markdown would take for a mark at the beginning of a line."""
_EMPTY_LINES = re.compile(r" *\n(?: *\n)+")
_TARGET = re.compile(r"[\s\x00-\x20()<>\\`|]|&(?=#?[A-Za-z0-9]+;)")
_ABSOLUTE = re.compile("[A-Za-z][A-Za-z0-9+.-]{1,31}:")
_MOST = 999_999_999
"""The largest number of a list item."""


class MarkdownBody(TextBody):
    """Writes nodes as Markdown: CommonMark 0.31, with the tables of GitHub.

    Emphasis is written around the words of each run of text, without the signs and blanks at its
    ends: beside these, CommonMark does not take marks for emphasis.
    """

    quote_mark = "> "
    line_break = "  \n"
    rule = "***"

    def write(self, nodes: Nodes) -> str:
        parts: list[str] = []
        previous: Node | None = None
        for node in nodes:
            if not (written := self.block(node)):
                continue
            if isinstance(node, ItemList) and isinstance(previous, ItemList):
                # Lists that follow each other would be one.
                parts.append("<!-- -->")
            parts.append(written)
            previous = node
        return "\n\n".join(parts)

    def headline(self, text: str) -> str:
        return f"# {self.text(_SPACE.sub(' ', text))}"

    def paragraph(self, text: str) -> str:
        shown = text.strip(" \t\n")
        if "\n" not in shown:
            return _line(shown)
        return "\n".join(map(_line, _EMPTY_LINES.sub("\n\n", shown).split("\n")))

    def heading(self, level: int, text: str) -> str:
        return f"{'#' * min(6, level + 1)} {_SPACE.sub(' ', text).strip()}"

    def preformatted(self, text: str) -> str:
        if not text.strip():
            return ""
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        return f"{fence}\n{text}\n{fence}"

    def picture(self, picture: Picture, caption: str) -> str:
        image = f"![{self.text(_SPACE.sub(' ', picture.alternative))}]({_target(picture.source)})"
        if picture.href:
            image = f"[{image}]({_target(picture.href)})"
        return f"{image}\n\n{self.paragraph(caption)}" if caption else image

    def address(self, source: str) -> str:
        target = _target(source)
        return f"<{target}>" if _ABSOLUTE.match(target) else f"[{self.text(source)}]({target})"

    def item_list(self, node: ItemList) -> str:
        if not node.ordered:
            return "\n".join(self.item("- ", item) for item in node.items)
        lines, sign, expected = [], ".", node.numbers[0]
        for number, item in zip(node.numbers, node.items, strict=True):
            if 0 <= number <= _MOST:
                if number != expected:
                    # Another sign begins another list, with a number of its own.
                    sign = ")" if sign == "." else "."
                lines.append(self.item(f"{number}{sign} ", item))
            else:
                marked = (Text(f"{number}. "), *item.children)
                lines.append(self.item("- ", Flow(marked)))
            expected = number + 1
        return "\n".join(lines)

    def item(self, mark: str, item: Flow) -> str:
        blocks = blocks_of(item.children)
        text = self.write(blocks)
        if len(blocks) == 2 and isinstance(blocks[0], Paragraph) and _interrupts(blocks[1]):
            text = text.replace("\n\n", "\n", 1)
        return (mark + indented(text, " " * len(mark)).lstrip(" ")).rstrip(" ")

    def definitions(self, entries: tuple[Definition, ...]) -> str:
        return self.write(tuple(block for entry in entries for block in _paragraphs(entry)))

    def table(self, table: Table) -> str:
        written = self.rows(table)
        width = max(map(len, written))
        # The first row says how many columns there are; others may end sooner.
        written[0] += [""] * (width - len(written[0]))
        lines = ["| " + " | ".join(row) + " |" for row in written]
        if not all(cell.is_header for cell in table.rows[0].cells):
            lines.insert(0, "| " + " | ".join([" "] * width) + " |")
        lines.insert(1, "|" + " --- |" * width)
        return "\n".join(lines)

    def text(self, text: str) -> str:
        safe = _SPECIAL.sub(_escaped, text) if text else ""
        return _REFERENCE.sub(r"\\&", safe) if "&" in safe and ";" in safe else safe

    def inlines(self, nodes: Nodes) -> str:
        if len(nodes) == 1 and type(nodes[0]) is Text:
            return self.text(_SPACE.sub(" ", nodes[0].text))
        return self._emphasised(nodes, frozenset())

    def _emphasised(self, nodes: Nodes, kinds: frozenset[str]) -> str:
        """Return inline nodes that stand out in the ways of `kinds`."""
        written, is_marked = "", False
        for node, own in _leaves(nodes, kinds):
            match node:
                case Text(text):
                    mark = _mark(own)
                    before, inner, after = (
                        _parted(_SPACE.sub(" ", text)) if mark else (text, "", "")
                    )
                    if is_marked and not before:
                        # Marks that touch would be read as others.
                        mark = ""
                    parts = (self.text(before), mark, self.text(inner), mark, self.text(after))
                    part = "".join(parts) if inner else self.text(_SPACE.sub(" ", text))
                    is_marked = bool(inner and mark and not after)
                case Link(href, children) if href:
                    # An empty line would end the link.
                    held = _EMPTY_LINES.sub("\n", self._emphasised(children, own))
                    part = f"[{held}]({_target(href)})"
                    if written.endswith("!"):
                        # That would be an image.
                        written = f"{written[:-1]}\\!"
                    is_marked = False
                case Script(kind, children):
                    # A tag alone on its line would begin a block of HTML.
                    held = _SPACE.sub(" ", self._emphasised(children, own))
                    part = f"<{kind}>{held}</{kind}>" if held.strip() else held
                    is_marked = False
                case _:
                    part, is_marked = self.inline(node), False
            written += part
        return written


def _escaped(sign: re.Match[str]) -> str:
    return f"\\{sign[0]}"


def _line(text: str) -> str:
    """Return a line of a paragraph, so that its beginning counts as no mark."""
    line = text.lstrip(" ")
    start = _LINE_START.match(line)
    return f"{start[0]}\\{line[start.end() :]}" if start else line


def _leaves(nodes: Nodes, kinds: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    """Yield what emphasis holds, with all the ways in which it stands out.

    Texts that stand out in the same ways and follow each other are one.
    """
    pending = ""
    last: frozenset[str] = kinds
    for node, own in _apart(nodes, kinds):
        if isinstance(node, Text) and (own == last or not pending):
            pending, last = pending + node.text, own
            continue
        if pending:
            yield Text(pending), last
            pending = ""
        if isinstance(node, Text):
            pending, last = node.text, own
        else:
            yield node, own
    if pending:
        yield Text(pending), last


def _apart(nodes: Nodes, kinds: frozenset[str]) -> Iterator[tuple[Node, frozenset[str]]]:
    for node in nodes:
        if isinstance(node, Emphasis):
            yield from _apart(node.children, kinds | {node.kind})
        elif isinstance(node, Link) and not node.href:
            yield from _apart(node.children, kinds)
        else:
            yield node, kinds


def _mark(kinds: frozenset[str]) -> str:
    if "strike" in kinds:
        # Beside other marks it would need a blank.
        return "~~"
    return "*" * (2 * ("bold" in kinds) + ("italic" in kinds))


def _parted(text: str) -> tuple[str, str, str]:
    """Return signs and blanks before the first word of a text, its words, and those behind them."""
    start, end = 0, len(text)
    while start < end and category(text[start])[0] in "PSZC":
        start += 1
    while end > start and category(text[end - 1])[0] in "PSZC":
        end -= 1
    return text[:start], text[start:end], text[end:]


def _interrupts(node: Node) -> bool:
    """Whether a list may follow a paragraph without an empty line."""
    if not isinstance(node, ItemList) or not node.items[0].children:
        return False
    return not node.ordered or node.numbers[0] == 1


def _paragraphs(entry: Definition) -> Nodes:
    blocks = blocks_of(entry.children)
    if not entry.is_term:
        return blocks
    return tuple(
        Paragraph((Emphasis("bold", block.children),)) if isinstance(block, Paragraph) else block
        for block in blocks
    )


def _target(address: str) -> str:
    """Return an address as the destination of a link."""
    return _TARGET.sub(_encoded, address)


def _encoded(character: re.Match[str]) -> str:
    return "&amp;" if character[0] == "&" else "".join(f"%{b:02X}" for b in character[0].encode())


def indented(text: str, mark: str) -> str:
    """Return `text` with `mark` before each line."""
    lines = text.split("\n") if text else ()
    return "\n".join([mark + line if line else mark.rstrip() for line in lines])
