"""Body nodes as NITF 3.6 content: `body.content`, `abstract` and captions."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from formatters.nitf_media import StoryMedia
from formatters.nodes import (
    Attributes,
    Break,
    Cell,
    Embed,
    Emphasis,
    Flow,
    Heading,
    ItemList,
    Link,
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
    is_inline,
    text_of_nodes,
)
from formatters.xml import escaped_clean, name_token, quoted

EMPHASIS_CLASS = {"bold": "bold", "italic": "italic", "underline": "underscore"}
EMBED_KINDS = {"audio": "audio", "video": "video"}
"""NITF's `media-type` of embeds; all others are `other`."""
ID = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)
"""Editions of XML disagree on letters beyond these."""


class NITFBody:
    """Writes nodes as XML. One of them for each document, in which ids are unique.

    Args:
        story: the media that the document holds; None writes those of the text as they stand there.
    """

    def __init__(self, story: StoryMedia | None = None) -> None:
        self._ids: set[str] = set()
        self._story = story

    def blocks(self, nodes: Nodes) -> str:
        """Return nodes one after the other."""
        return "".join([_WRITERS[type(node)](self, node) for node in nodes])

    def _element(self, tag: str, attributes: str, children: Nodes) -> str:
        if len(children) == 1 and type(children[0]) is Text:
            content = escaped_clean(children[0].text)
        else:
            content = self.blocks(children)
        return f"<{tag}{attributes}>{content}</{tag}>" if content else f"<{tag}{attributes}/>"

    def _common(self, attributes: Attributes, own_class: str = "") -> str:
        """Return `id`, `class` and `style`, which nearly all elements may have.

        An `id` that is no XML name, or that an element before it has, is left out.

        Args:
            own_class: class that the element has in NITF.
        """
        if not attributes:
            return f' class="{own_class}"' if own_class else ""
        said = dict(reversed(attributes))
        written = self._id(said.get("id", ""))
        if classes := f"{own_class} {said.get('class', '')}".strip():
            written += f" class={quoted(classes)}"
        if style := said.get("style"):
            written += f" style={quoted(style)}"
        return written

    def _id(self, wanted: str) -> str:
        if wanted in self._ids or not ID.fullmatch(wanted):
            return ""
        self._ids.add(wanted)
        return f' id="{wanted}"'

    def _text(self, node: Text) -> str:
        return escaped_clean(node.text)

    def _break(self, node: Break) -> str:
        return f"<br{self._id(dict(node.attributes).get('id', ''))}/>"

    def _emphasis(self, node: Emphasis) -> str:
        own_class = EMPHASIS_CLASS.get(node.kind, "")
        return self._element("em", self._common(node.attributes, own_class), node.children)

    def _script(self, node: Script) -> str:
        attributes = self._common(node.attributes)
        return f"<num>{self._element(node.kind, attributes, (Text(node.text),))}</num>"

    def _link(self, node: Link) -> str:
        attributes = f" href={quoted(node.href)}" if node.href else ""
        said = dict(node.attributes)
        for name in ("title", "name"):
            if value := said.get(name):
                attributes += f" {name}={quoted(value)}"
        for name in ("rel", "rev"):
            if token := name_token(said.get(name)):
                attributes += f' {name}="{token}"'
        return self._element("a", attributes + self._common(node.attributes), node.children)

    def _paragraph(self, node: Paragraph) -> str:
        children = node.children
        if children and type(children[-1]) is Break:
            children = children[:-1]
        return self._element("p", self._common(node.attributes), children)

    def _heading(self, node: Heading) -> str:
        return self._element("hl2", self._common(node.attributes), node.children)

    def _list(self, node: ItemList) -> str:
        tag = "ol" if node.ordered else "ul"
        start = f"<{tag}{self._common(node.attributes)}>"
        items = [self._flow("li", self._common(item.attributes), item) for item in node.items]
        return f"{start}{''.join(items)}</{tag}>"

    def _flow(self, tag: str, attributes: str, flow: Flow | Cell) -> str:
        """Return an element that takes inline and block content alike."""
        children = flow.children
        return self._element(
            tag, attributes, children if is_inline(children) else blocks_of(children)
        )

    def _table(self, node: Table) -> str:
        parts = [f"<table{self._common(node.attributes)}>"]
        if node.caption.children:
            parts.append(self._table_caption(node.caption))
        parts += [self._section("thead", node.head), self._section("tfoot", node.foot)]
        has_sections = node.head.rows or node.foot.rows or node.body.attributes
        parts.append(
            self._section("tbody", node.body) if has_sections else self._rows(node.body.rows)
        )
        parts.append("</table>")
        return "".join(parts)

    def _table_caption(self, caption: Flow) -> str:
        children = caption.children
        if not is_inline(children):
            # It takes no blocks: what they say stays.
            children = tuple(
                node if is_inline((node,)) else Text(text_of_nodes((node,))) for node in children
            )
        return self._element("caption", self._common(caption.attributes), children)

    def _section(self, tag: str, section: Section) -> str:
        if not section.rows:
            return ""
        start = f"<{tag}{self._common(section.attributes)}>"
        return f"{start}{self._rows(section.rows)}</{tag}>"

    def _rows(self, rows: tuple[Row, ...]) -> str:
        return "".join([self._row(row) for row in rows])

    def _row(self, row: Row) -> str:
        start = f"<tr{self._common(row.attributes)}>"
        return f"{start}{''.join([self._cell(cell) for cell in row.cells])}</tr>"

    def _cell(self, cell: Cell) -> str:
        attributes = f' colspan="{cell.colspan}"' if cell.colspan > 1 else ""
        if cell.rowspan > 1:
            attributes += f' rowspan="{cell.rowspan}"'
        tag = "th" if cell.is_header else "td"
        return self._flow(tag, attributes + self._common(cell.attributes), cell)

    def _quote(self, node: Quote) -> str:
        start = f"<bq{self._common(node.attributes)}>"
        return f"{start}{self._element('block', '', node.children)}</bq>"

    def _preformatted(self, node: Preformatted) -> str:
        return self._element("pre", self._common(node.attributes), (Text(node.text),))

    def _picture(self, node: Picture) -> str:
        return self._media("image", node, node.alternative)

    def _embed(self, node: Embed) -> str:
        return self._media(EMBED_KINDS.get(node.kind, "other"), node)

    def _media(self, kind: str, node: Picture | Embed, alternative: str = "") -> str:
        common = self._common(node.attributes)
        start = f'<media media-type="{kind}"{common}>'
        said = f" alternate-text={quoted(alternative)}" if alternative else ""
        reference = f"<media-reference source={quoted(node.source)}{said}/>"
        caption = ""
        if node.caption.children:
            attributes = self._common(node.caption.attributes)
            caption = self._flow("media-caption", attributes, node.caption)
        if self._story and (key := self._story.key_of(node)):
            return self._story.written(
                key, attributes=common, alternative=alternative, caption=caption
            )
        return f"{start}{reference}{caption}</media>"

    def _rule(self, node: Rule) -> str:
        return f"<hr{self._common(node.attributes)}/>"


_WRITERS: Mapping[type, Callable[[NITFBody, Any], str]] = {
    Text: NITFBody._text,
    Break: NITFBody._break,
    Emphasis: NITFBody._emphasis,
    Script: NITFBody._script,
    Link: NITFBody._link,
    Paragraph: NITFBody._paragraph,
    Heading: NITFBody._heading,
    ItemList: NITFBody._list,
    Table: NITFBody._table,
    Quote: NITFBody._quote,
    Preformatted: NITFBody._preformatted,
    Picture: NITFBody._picture,
    Embed: NITFBody._embed,
    Rule: NITFBody._rule,
}
