"""Body nodes as plain text and as Markdown."""

import re

from formatters.nodes import (
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
    Table,
    Text,
    blocks_of,
)

_SPACE = re.compile(r"[ \t\r\n]+")
_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~])")


class TextBody:
    """Writes nodes as plain text: blocks apart by an empty line, links with their address.

    Attributes:
        quote_mark: what stands before each line of a quotation.
        line_break: what a `br` becomes.
    """

    quote_mark = "  "
    line_break = "\n"

    def write(self, nodes: Nodes) -> str:
        """Return block nodes as text."""
        return "\n\n".join(filter(None, (self.block(node) for node in nodes)))

    def block(self, node: Node) -> str:
        """Return one block."""
        match node:
            case Paragraph(children):
                return self.inlines(children).strip()
            case Heading(level, children):
                return self.heading(level, self.inlines(children).strip())
            case ItemList(ordered, items):
                return self._list(ordered, items)
            case Table():
                title = self.inlines(node.caption.children).strip()
                return "\n\n".join(filter(None, (title, self.table(node.rows))))
            case Quote(children):
                return indented(self.write(children), self.quote_mark)
            case Preformatted(text):
                return self.preformatted(text.strip("\n"))
            case Picture(source, alternative, caption):
                return self.picture(source, alternative, self._caption(caption))
            case Embed(source, _, caption):
                return " ".join(filter(None, (self._caption(caption), self.address(source))))
            case Rule():
                return "---"
            case _:
                return self.inline(node)

    def headline(self, text: str) -> str:
        """Return the title of a document."""
        return text.upper()

    def heading(self, level: int, text: str) -> str:
        """Return a heading of level 1 to 6."""
        return text

    def preformatted(self, text: str) -> str:
        """Return text whose line ends count."""
        return text

    def picture(self, source: str, alternative: str, caption: str) -> str:
        """Return an image, by what is said of it."""
        return f"[{caption or alternative or self.address(source)}]"

    def address(self, source: str) -> str:
        """Return where something lies that cannot be shown."""
        return source

    def table(self, rows: tuple[Row, ...]) -> str:
        """Return the rows of a table, each on a line."""
        return "\n".join("\t".join(self.cell(cell) for cell in row.cells) for row in rows)

    def cell(self, cell: Cell) -> str:
        """Return a cell on one line."""
        return " ".join(self.write(blocks_of(cell.children)).split())

    def inlines(self, nodes: Nodes) -> str:
        """Return inline nodes as text."""
        return "".join(self.inline(node) for node in nodes)

    def inline(self, node: Node) -> str:
        """Return one inline node."""
        match node:
            case Text(text):
                return self.text(_SPACE.sub(" ", text))
            case Break():
                return self.line_break
            case Emphasis(kind, children):
                return self.emphasis(kind, self.inlines(children))
            case Script(kind, text):
                return self.script(kind, text)
            case Link(href, children):
                return self.link(href, self.inlines(children))
            case _:
                return self.block(node)

    def text(self, text: str) -> str:
        """Return characters, so that none of them counts as a mark."""
        return text

    def emphasis(self, kind: str, text: str) -> str:
        """Return text that stands out."""
        return text

    def script(self, kind: str, text: str) -> str:
        """Return superscript or subscript."""
        return text

    def link(self, href: str, text: str) -> str:
        """Return a link with its address, unless the text is the address."""
        shown = text.strip()
        return text if not href or href in (shown, "#") else f"{text} ({href})"

    def _caption(self, caption: Flow) -> str:
        return " ".join(self.write(blocks_of(caption.children)).split())

    def _list(self, ordered: bool, items: tuple[Flow, ...]) -> str:
        lines = []
        for number, item in enumerate(items, start=1):
            mark = f"{number}. " if ordered else "- "
            text = self.write(blocks_of(item.children)).replace("\n\n", "\n")
            lines.append(mark + indented(text, " " * len(mark)).lstrip())
        return "\n".join(lines)


class MarkdownBody(TextBody):
    """Writes nodes as Markdown."""

    quote_mark = "> "
    line_break = "  \n"

    def headline(self, text: str) -> str:
        """Return the title of a document."""
        return f"# {self.text(_SPACE.sub(' ', text))}"

    def heading(self, level: int, text: str) -> str:
        return f"{'#' * min(6, level + 1)} {text}"

    def preformatted(self, text: str) -> str:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
        return f"{fence}\n{text}\n{fence}"

    def picture(self, source: str, alternative: str, caption: str) -> str:
        image = f"![{self.text(alternative)}]({_target(source)})"
        return f"{image}\n\n{caption}" if caption else image

    def address(self, source: str) -> str:
        return f"<{_target(source)}>"

    def table(self, rows: tuple[Row, ...]) -> str:
        written = [[self.cell(cell) for cell in row.cells] for row in rows]
        width = max(map(len, written))
        # The first row says how many columns there are; others may end sooner.
        written[0] += [""] * (width - len(written[0]))
        lines = ["| " + " | ".join(row) + " |" for row in written]
        if not all(cell.is_header for cell in rows[0].cells):
            lines.insert(0, "| " + " | ".join([" "] * width) + " |")
        lines.insert(1, "|" + " --- |" * width)
        return "\n".join(lines)

    def text(self, text: str) -> str:
        return _SPECIAL.sub(r"\\\1", text)

    def emphasis(self, kind: str, text: str) -> str:
        marks = {"bold": "**", "italic": "*", "strike": "~~"}
        mark = marks.get(kind, "")
        inner = text.strip()
        if not inner or not mark:
            return text
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before}{mark}{inner}{mark}{after}"

    def script(self, kind: str, text: str) -> str:
        return f"<{kind}>{self.text(text)}</{kind}>"

    def link(self, href: str, text: str) -> str:
        return f"[{text}]({_target(href)})" if href else text


def _target(address: str) -> str:
    return address.replace(" ", "%20").replace("(", "%28").replace(")", "%29")


def indented(text: str, mark: str) -> str:
    """Return `text` with `mark` before each line."""
    return "\n".join((mark + line).rstrip() for line in text.split("\n"))
