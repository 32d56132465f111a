"""Bodies of stories as platforms take them (cms contract 8).

Items hold HTML that nobody has checked: what is active in it never reaches a site, what a reader
sees always does. The same story gives the same bytes.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from turbohtml import Comment, Element, Text

from apps.core.html import MEDIA, parsed
from transmitters.cms.base import Story
from transmitters.cms.blocks import (
    Block,
    Definitions,
    Figure,
    Frame,
    Gallery,
    Heading,
    ItemList,
    Paragraph,
    Preformatted,
    Quote,
    Raw,
    Rows,
    Rule,
    Table,
    indented_lines,
    row_lines,
    strong,
)
from transmitters.cms.body import (
    BLOCK_TAGS,
    EMBEDS_STRIPPED,
    PLAIN_INLINES,
    Style,
    read_body,
)
from transmitters.cms.embeds import oembed_page
from transmitters.cms.markup import (
    escaped,
    marked_media,
    one_line,
    shown_nodes,
    source_of,
    tag_of,
    text_of,
    written_attributes,
)


@dataclass(frozen=True)
class Body:
    """A body in the form of a platform; `html` is empty where the story shows nothing.

    Attributes:
        warnings: codes of what the reader will miss: `embeds_stripped` (foreign embeds are links),
            `media_dropped`, `links_dropped` (their addresses can be shown by no site).
        used_media: keys of `story.media` that the body shows, each once, in order.
    """

    html: str
    warnings: tuple[str, ...] = ()
    used_media: tuple[str, ...] = ()


@dataclass(frozen=True)
class MediaReferences:
    """What media a body shows.

    Attributes:
        keys: of associations, each once, in order.
        sources: addresses of pictures, videos and audio files that stand in the text by address,
            as written, `data:` included: what `StoryMedia.source_urls` has to name them by.
    """

    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def media_in(body: str, associations: Collection[str]) -> MediaReferences:
    """Return what media a body shows, before any of them is at the site.

    Args:
        body: HTML as the item holds it.
        associations: keys of the item's associations.
    """
    root = parsed(body)
    marks, replaced = marked_media(root, associations)
    keys: dict[str, None] = {}
    sources: dict[str, None] = {}
    for node in shown_nodes(root):
        if isinstance(node, Comment) and node in marks:
            keys[marks[node].key] = None
        elif isinstance(node, Element) and node.tag in MEDIA and node not in replaced:
            sources[source_of(node)] = None
    sources.pop("", None)
    return MediaReferences(tuple(keys), tuple(sources))


def plain_text(html: str) -> str:
    """Return what a reader sees of a headline or an abstract, on one line."""
    parts = [
        text_of(node) if isinstance(node, Text) else " " if tag_of(node) in BLOCK_TAGS else ""
        for node in shown_nodes(parsed(html))
    ]
    return one_line("".join(parts))


def cut_at_word(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters; a longer one ends after a word, with `…`."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    if not text[limit - 1].isspace():
        kept = kept.rpartition(" ")[0] or kept
    return f"{kept.rstrip()}…"


def wordpress_blocks(story: Story, *, embeds: bool = True) -> Body:
    """Return the body as blocks of the WordPress editor.

    Args:
        embeds: foreign embeds are kept; else each becomes a link. False also where the user may
            not write unfiltered HTML.
    """
    return _body(story, WordPressBlocks(), embeds)


def wordpress_classic(story: Story, *, embeds: bool = True) -> Body:
    """Return the body as HTML without blocks; arguments as of `wordpress_blocks`."""
    return _body(story, WordPressClassic(), embeds)


def ghost_html(story: Story, *, embeds: bool = True) -> Body:
    """Return the body for Ghost's `source=html`; arguments as of `wordpress_blocks`."""
    return _body(story, Ghost(), embeds)


def webflow_rich_text(story: Story, *, embeds: bool = True) -> Body:
    """Return the body as Webflow's RichText; arguments as of `wordpress_blocks`."""
    return _body(story, Webflow(), embeds)


def _body(story: Story, writer: "Writer", embeds: bool) -> Body:
    reading = read_body(story.body, story.media, writer.style, story.canonical_url)
    html = writer.document(reading.blocks, embeds=embeds)
    warnings = reading.warnings | writer.warnings
    return Body(html, tuple(sorted(warnings)), tuple(reading.used_media))


def without_shortcodes(text: str) -> str:
    """Return text as it stands in HTML, so that WordPress takes nothing in it for a shortcode."""
    # Not only before a name: what comes next may stand in another piece of text.
    return escaped(text).replace("[", "&#91;")


class Writer:
    """Writes blocks as plain HTML; platforms differ in what they write otherwise.

    Attributes:
        between: what stands between blocks.
        warnings: codes of what was written as less than it is.
    """

    style: ClassVar[Style] = Style()
    between: ClassVar[str] = "\n"

    def __init__(self) -> None:
        self.warnings: set[str] = set()
        self._embeds = True
        self._writers: Mapping[type, Callable[[Any], str]] = {
            Paragraph: self.paragraph,
            Heading: self.heading,
            ItemList: self.item_list,
            Quote: self.quote,
            Figure: self.figure,
            Gallery: self.gallery,
            Frame: self.frame,
            Raw: self.raw,
            Table: self.table,
            Preformatted: self.preformatted,
            Definitions: self.definitions,
            Rule: self.rule,
        }

    def document(self, blocks: Iterable[Block], *, embeds: bool) -> str:
        """Return all blocks of a body.

        Args:
            embeds: foreign embeds are kept.
        """
        self._embeds = embeds
        return self.blocks(blocks)

    def blocks(self, blocks: Iterable[Block]) -> str:
        written = (self._writers[type(block)](block) for block in blocks)
        return self.between.join(filter(None, written))

    def paragraph(self, block: Paragraph) -> str:
        return f"<p>{block.inline}</p>"

    def heading(self, block: Heading) -> str:
        return f"<h{block.level}>{block.inline}</h{block.level}>"

    def item_list(self, block: ItemList) -> str:
        start, end = list_tags(block)
        items = (
            f"<li>{item.inline}{''.join(map(self.item_list, item.lists))}</li>"
            for item in block.items
        )
        return f"{start}{''.join(items)}{end}"

    def quote(self, block: Quote) -> str:
        cite = f"<p><cite>{block.cite}</cite></p>" if block.cite else ""
        return (
            f"<blockquote>{''.join(f'<p>{one}</p>' for one in block.paragraphs)}{cite}</blockquote>"
        )

    def figure(self, block: Figure) -> str:
        return f"<figure>{self.medium(block)}{caption(block.caption)}</figure>"

    def medium(self, block: Figure, **attributes: str) -> str:
        """Return the element that shows a file, within its link."""
        if block.kind != "img":
            shown = {"controls": "", "src": block.src, "title": block.title}
            kept = {name: value for name, value in shown.items() if value or name == "controls"}
            return f"<{block.kind}{self.attributes(kept | attributes)}></{block.kind}>"
        shown = {"src": block.src, "alt": block.alt}
        if block.title:
            shown["title"] = block.title
        image = f"<img{self.attributes(shown | self.size(block) | attributes)}>"
        return linked(image, block.link)

    def size(self, block: Figure) -> dict[str, str]:
        sizes = {"width": block.width, "height": block.height}
        return {name: str(size) for name, size in sizes.items() if size and size > 0}

    def attributes(self, attributes: Mapping[str, str]) -> str:
        return written_attributes(attributes, self.style.escape)

    def gallery(self, block: Gallery) -> str:
        """Return each picture as a figure of its own; the caption stands under the last."""
        *others, last = block.figures
        joined = "<br>".join(filter(None, (last.caption, block.caption)))
        return self.blocks([*others, replace(last, caption=joined)])

    def frame(self, block: Frame) -> str:
        if not self._embeds:
            return self.frame_link(block)
        attributes = {"src": block.src, **({"title": block.title} if block.title else {})}
        page = f"<iframe{self.attributes(attributes | dict(block.attributes))}></iframe>"
        return f"<figure>{page}{caption(block.caption)}</figure>"

    def frame_link(self, block: Frame) -> str:
        """Return a page in a frame as a link to it."""
        self.warnings.add(EMBEDS_STRIPPED)
        page = oembed_page(block.src)
        address = page.url if page else block.src
        lines = (self.link(address, block.title), block.caption)
        return self.blocks(Paragraph(line) for line in lines if line)

    def raw(self, block: Raw) -> str:
        if not self._embeds:
            return self.embed_left(block)
        return block.html

    def embed_left(self, block: Raw) -> str:
        """Return the text of a foreign embed, with a link to what it shows."""
        self.warnings.add(EMBEDS_STRIPPED)
        text = self.blocks(block.left)
        if not block.address or "<a " in text:
            return text
        link = self.link(block.address)
        return self.between.join(filter(None, (text, self.paragraph(Paragraph(link)))))

    def link(self, address: str, text: str = "") -> str:
        """Return a link that shows a text, or where it leads."""
        return f"<a{self.attributes({'href': address})}>{self.style.escape(text or address)}</a>"

    def table(self, block: Table) -> str:
        head = f"<caption>{block.caption}</caption>" if block.caption else ""
        return f"<table>{head}{sections(block)}</table>"

    def preformatted(self, block: Preformatted) -> str:
        inline = f"<code>{block.inline}</code>" if block.is_code else block.inline
        return f"<pre>{inline}</pre>"

    def definitions(self, block: Definitions) -> str:
        entries = (
            f"<dt>{inline}</dt>" if is_term else f"<dd>{inline}</dd>"
            for is_term, inline in block.entries
        )
        return f"<dl>{''.join(entries)}</dl>"

    def rule(self, block: Rule) -> str:
        return "<hr>"


class WordPressClassic(Writer):
    """HTML without blank lines and without text outside of blocks, to which WordPress adds."""

    style = Style(escape=without_shortcodes)

    def medium(self, block: Figure, **attributes: str) -> str:
        """Return the element; by its class WordPress knows a picture, and its other sizes."""
        if block.kind == "img" and block.remote_id.isdecimal():
            attributes["class"] = f"wp-image-{block.remote_id}"
        return super().medium(block, **attributes)


class WordPressBlocks(WordPressClassic):
    """Blocks of the editor, as it writes them itself."""

    between = "\n\n"

    def paragraph(self, block: Paragraph) -> str:
        return comment("paragraph", super().paragraph(block))

    def heading(self, block: Heading) -> str:
        return comment("heading", super().heading(block), level=block.level)

    def item_list(self, block: ItemList) -> str:
        start, end = list_tags(block)
        items = (
            comment(
                "list-item", f"<li>{item.inline}{''.join(map(self.item_list, item.lists))}</li>"
            )
            for item in block.items
        )
        attributes: dict[str, Any] = {"ordered": True} if block.is_ordered else {}
        if block.is_ordered and block.is_reversed:
            attributes["reversed"] = True
        if block.is_ordered and block.start is not None:
            attributes["start"] = block.start
        return comment("list", f"{start}{''.join(items)}{end}", **attributes)

    def quote(self, block: Quote) -> str:
        inner = "\n\n".join(self.paragraph(Paragraph(one)) for one in block.paragraphs)
        cite = f"<cite>{block.cite}</cite>" if block.cite else ""
        return comment("quote", f'<blockquote class="wp-block-quote">{inner}{cite}</blockquote>')

    def figure(self, block: Figure) -> str:
        if block.kind == "img":
            return self.image(block)
        names = {"id": int(block.remote_id)} if block.remote_id.isdecimal() else {}
        medium = self.medium(replace(block, title=""))
        html = f"{medium}{element_caption(block.caption)}"
        return comment(
            block.kind, f'<figure class="wp-block-{block.kind}">{html}</figure>', **names
        )

    def image(self, block: Figure, link_destination: str = "") -> str:
        names: dict[str, Any] = {}
        if block.remote_id.isdecimal():
            names |= {"id": int(block.remote_id)}
        names["sizeSlug"] = "full"
        destination = "custom" if block.link else link_destination
        if destination:
            names["linkDestination"] = destination
        html = f"{self.medium(block)}{element_caption(block.caption)}"
        return comment(
            "image", f'<figure class="wp-block-image size-full">{html}</figure>', **names
        )

    def size(self, block: Figure) -> dict[str, str]:
        """Return nothing: the editor takes a size for one that somebody has chosen."""
        return {}

    def gallery(self, block: Gallery) -> str:
        images = "\n\n".join(self.image(one, "none") for one in block.figures)
        text = (
            f'<figcaption class="blocks-gallery-caption wp-element-caption">{block.caption}'
            "</figcaption>"
            if block.caption
            else ""
        )
        html = (
            '<figure class="wp-block-gallery has-nested-images columns-default is-cropped">'
            f"{images}{text}</figure>"
        )
        return comment("gallery", html, linkTo="none")

    def frame(self, block: Frame) -> str:
        page = oembed_page(block.src)
        if not self._embeds or page is None:
            written = super().frame(block)
            return written if not self._embeds else comment("html", written)
        names = {
            "url": page.url,
            "type": page.type,
            "providerNameSlug": page.provider,
            "responsive": True,
        }
        classes = ["wp-block-embed", f"is-type-{page.type}", f"is-provider-{page.provider}"]
        classes.append(f"wp-block-embed-{page.provider}")
        if page.type == "video":
            aspect = "wp-embed-aspect-16-9 wp-has-aspect-ratio"
            names["className"] = aspect
            classes.append(aspect)
        html = (
            f'<figure class="{" ".join(classes)}"><div class="wp-block-embed__wrapper">\n'
            f"{escaped(page.url)}\n</div>{element_caption(block.caption)}</figure>"
        )
        return comment("embed", html, **names)

    def raw(self, block: Raw) -> str:
        written = super().raw(block)
        return comment("html", written) if self._embeds else written

    def table(self, block: Table) -> str:
        """Return a block; cells over several columns or rows are none of the editor's."""
        if any(cell.colspan > 1 or cell.rowspan > 1 for row in block.rows for cell in row):
            return comment("html", super().table(block))
        html = (
            f'<figure class="wp-block-table"><table>{sections(block)}</table>'
            f"{element_caption(block.caption)}</figure>"
        )
        return comment("table", html)

    def preformatted(self, block: Preformatted) -> str:
        if block.is_code:
            html = f'<pre class="wp-block-code"><code>{block.inline}</code></pre>'
            return comment("code", html)
        return comment("preformatted", f'<pre class="wp-block-preformatted">{block.inline}</pre>')

    def definitions(self, block: Definitions) -> str:
        return comment("html", super().definitions(block))

    def rule(self, block: Rule) -> str:
        return comment("separator", '<hr class="wp-block-separator has-alpha-channel-opacity"/>')


class _Paragraphs(Writer):
    """What platforms without lists of definitions have in common."""

    style = Style(inlines=PLAIN_INLINES)
    between = ""

    def definitions(self, block: Definitions) -> str:
        return self.blocks(
            Paragraph(strong(inline) if is_term else inline) for is_term, inline in block.entries
        )

    def quote(self, block: Quote) -> str:
        paragraphs = [*block.paragraphs, *([block.cite] if block.cite else [])]
        return f"<blockquote>{''.join(f'<p>{one}</p>' for one in paragraphs)}</blockquote>"


class Ghost(_Paragraphs):
    """HTML that becomes Lexical without loss; what would be lost stands in HTML cards."""

    def figure(self, block: Figure) -> str:
        written = super().figure(block)
        return written if block.kind == "img" else card(written)

    def raw(self, block: Raw) -> str:
        written = super().raw(block)
        return card(written) if self._embeds else written

    def table(self, block: Table) -> str:
        return card(super().table(block))

    def preformatted(self, block: Preformatted) -> str:
        return super().preformatted(replace(block, is_code=True))


class Webflow(_Paragraphs):
    """Rich text: no tables, no preformatted text, no markup of others."""

    def figure(self, block: Figure) -> str:
        if block.kind == "img":
            return super().figure(block)
        link = self.link(block.src, block.title or block.src.rpartition("/")[2])
        return self.blocks(Paragraph(line) for line in (link, block.caption) if line)

    def raw(self, block: Raw) -> str:
        return self.embed_left(block)

    def table(self, block: Table) -> str:
        return self.blocks(Paragraph(one) for one in (block.caption, *row_lines(block)) if one)

    def preformatted(self, block: Preformatted) -> str:
        return self.paragraph(Paragraph(indented_lines(block.inline)))

    def rule(self, block: Rule) -> str:
        return "<p>* * *</p>"


def comment(name: str, html: str, **attributes: Any) -> str:
    """Return a block of the WordPress editor.

    Args:
        html: what it shows.
        attributes: what else the editor knows of it.
    """
    names = f" {block_json(attributes)}" if attributes else ""
    return f"<!-- wp:{name}{names} -->\n{html}\n<!-- /wp:{name} -->"


def block_json(attributes: Mapping[str, Any]) -> str:
    """Return attributes of a block: JSON that cannot end the comment it stands in."""
    text = json.dumps(attributes, ensure_ascii=False, separators=(",", ":"))
    for old, new in (
        ("\\\\", "\\u005c"),  # before the quotation marks, whose signs its end would be taken for
        ("--", "\\u002d\\u002d"),
        ("<", "\\u003c"),
        (">", "\\u003e"),
        ("&", "\\u0026"),
        ('\\"', "\\u0022"),
    ):
        text = text.replace(old, new)
    return text


def card(html: str) -> str:
    """Return HTML that Ghost keeps as it is."""
    return f"<!--kg-card-begin: html-->\n{html}\n<!--kg-card-end: html-->"


def list_tags(block: ItemList) -> tuple[str, str]:
    """Return start and end tag of a list."""
    if not block.is_ordered:
        return "<ul>", "</ul>"
    is_reversed = " reversed" if block.is_reversed else ""
    start = f' start="{block.start}"' if block.start is not None else ""
    return f"<ol{is_reversed}{start}>", "</ol>"


def linked(html: str, link: str) -> str:
    """Return markup within a link, if there is one."""
    return f"<a{written_attributes({'href': link})}>{html}</a>" if link else html


def caption(inline: str) -> str:
    """Return the caption of a figure, "" where there is none."""
    return f"<figcaption>{inline}</figcaption>" if inline else ""


def element_caption(inline: str) -> str:
    """Return the caption of a block of the WordPress editor."""
    return f'<figcaption class="wp-element-caption">{inline}</figcaption>' if inline else ""


def sections(table: Table) -> str:
    """Return the rows of a table in their sections."""
    parts = (("thead", table.head), ("tbody", table.body), ("tfoot", table.foot))
    return "".join(f"<{tag}>{_rows(rows)}</{tag}>" for tag, rows in parts if rows)


def _rows(rows: Rows) -> str:
    return "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)


def _cell(cell: Any) -> str:
    tag = "th" if cell.is_header else "td"
    spans = {"colspan": cell.colspan, "rowspan": cell.rowspan}
    written = written_attributes({name: str(n) for name, n in spans.items() if n > 1})
    return f"<{tag}{written}>{cell.inline}</{tag}>"
