"""Body nodes as NITF 3.6 content: `body.content`, `abstract` and captions."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from apps.core.text import strip_forbidden
from formatters.nitf_media import StoryMedia
from formatters.nodes import (
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
    inline_of,
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
        """Return a script; it takes text only, so that links stand around it."""
        attributes = self._common(node.attributes)
        written = []
        for child in node.children:
            inner = child.children if isinstance(child, Link) else (child,)
            script = self._element(node.kind, attributes, (Text(text_of_nodes(inner)),))
            number = f"<num>{script}</num>"
            written.append(self._linked(child, number) if isinstance(child, Link) else number)
            attributes = ""
        return "".join(written)

    def _link(self, node: Link) -> str:
        return self._linked(node, self.blocks(node.children))

    def _linked(self, node: Link, content: str) -> str:
        attributes = f" href={quoted(node.href)}" if node.href else ""
        said = dict(node.attributes)
        for name in ("title", "name"):
            if value := said.get(name):
                attributes += f" {name}={quoted(value)}"
        for name in ("rel", "rev"):
            if token := name_token(said.get(name)):
                attributes += f' {name}="{token}"'
        attributes += self._common(node.attributes)
        return f"<a{attributes}>{content}</a>" if content else f"<a{attributes}/>"

    def _paragraph(self, node: Paragraph) -> str:
        children = node.children
        if children and type(children[-1]) is Break:
            children = children[:-1]
        return self._element("p", self._common(node.attributes), children)

    def _heading(self, node: Heading) -> str:
        return self._element("hl2", self._common(node.attributes), node.children)

    def _list(self, node: ItemList) -> str:
        """Return a list; a number that does not follow on the one before begins another."""
        tag = "ol" if node.ordered else "ul"
        written: list[str] = []
        common, expected = self._common(node.attributes), 1
        for place, item in enumerate(node.items):
            number = node.numbers[place] if node.numbers else expected
            if not place or number != expected:
                sequence = f' seqnum="{number}"' if number != 1 or place else ""
                written += [f"</{tag}>" if place else "", f"<{tag}{sequence}{common}>"]
                common = ""
            written.append(self._flow("li", self._common(item.attributes), item))
            expected = number + 1
        return f"{''.join(written)}</{tag}>"

    def _definitions(self, node: Definitions) -> str:
        entries = "".join(map(self._definition, node.entries))
        return f"<dl{self._common(node.attributes)}>{entries}</dl>"

    def _definition(self, entry: Definition) -> str:
        attributes = self._common(entry.attributes)
        if entry.is_term:
            return self._element("dt", attributes, inline_of(entry.children))
        return self._element("dd", attributes, blocks_of(entry.children))

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
        return self._element(
            "caption", self._common(caption.attributes), inline_of(caption.children)
        )

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
        if self._story and (key := self._story.key_of(node)):
            caption = self._caption(node, self._story.caption_of(key) or alternative)
            return self._story.written(
                key, attributes=common, alternative=alternative, caption=caption
            )
        said = f" alternate-text={quoted(alternative)}" if alternative else ""
        reference = f"<media-reference source={quoted(node.source)}{said}/>"
        caption = self._caption(node, alternative)
        return f'<media media-type="{kind}"{common}>{reference}{caption}</media>'

    def _caption(self, node: Picture | Embed, said: str) -> str:
        """Return what stands below a medium: its caption, or where a picture leads.

        Args:
            said: of a picture, by which its link is known.
        """
        below = node.caption.children
        if isinstance(node, Picture) and node.href and not below:
            below = (Link(node.href, (Text(strip_forbidden(said) or node.href),)),)
        if not below:
            return ""
        return self._flow("media-caption", self._common(node.caption.attributes), Flow(below))

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
    Definitions: NITFBody._definitions,
    Table: NITFBody._table,
    Quote: NITFBody._quote,
    Preformatted: NITFBody._preformatted,
    Picture: NITFBody._picture,
    Embed: NITFBody._embed,
    Rule: NITFBody._rule,
}
