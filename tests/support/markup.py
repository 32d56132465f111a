"""What bodies that were written for sites consist of, told by parsers that know nothing of how."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import turbohtml

VOID = frozenset({"br", "hr", "img", "source"})
SHOWN = frozenset({
    "a", "abbr", "audio", "b", "bdi", "blockquote", "br", "caption", "cite", "code", "dd", "del",
    "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h2", "h3", "h4", "h5", "h6", "hr", "i",
    "iframe", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "rp", "rt", "ruby", "s",
    "samp", "small", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr",
    "u", "ul", "var", "video",
})  # fmt: skip
ATTRIBUTES = frozenset({
    "allow", "allowfullscreen", "alt", "class", "colspan", "controls", "height", "href", "loading",
    "referrerpolicy", "rel", "reversed", "rowspan", "sandbox", "src", "start", "target", "title",
    "width",
})  # fmt: skip
ADDRESS = re.compile(r"(?:https?://[^/\s]|mailto:|tel:)\S*")

_DELIMITER = re.compile(
    r"<!--\s+(?P<end>/)?wp:(?P<name>[a-z][a-z0-9-]*)\s+(?P<json>\{.*?\}\s+)?-->", re.DOTALL
)
INNER = {
    None: {
        "audio", "code", "embed", "gallery", "heading", "html", "image", "list", "paragraph",
        "preformatted", "quote", "separator", "table", "video",
    },
    "list": {"list-item"},
    "list-item": {"list"},
    "quote": {"paragraph"},
    "gallery": {"image"},
}  # fmt: skip
"""Which blocks of the WordPress editor may stand in which."""


class _Events(HTMLParser):
    """Start tags, end tags and texts as they are written."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.events: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.events.append(f"<{tag}>")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        assert tag in VOID
        self.events.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self.events.append(f"</{tag}>")


def written_tags(html: str) -> list[str]:
    """Return the tags of `html` in their order."""
    parser = _Events()
    parser.feed(html)
    parser.close()
    return parser.events


def seen_tags(html: str) -> list[str]:
    """Return the tags that a browser would write for the tree that it makes of `html`."""
    return list(_tags(turbohtml.parse_fragment(html)))


def _tags(node: turbohtml.Node) -> Iterator[str]:
    for child in node.children:
        if isinstance(child, turbohtml.Element):
            yield f"<{child.tag}>"
            yield from _tags(child)
            if child.tag not in VOID:
                yield f"</{child.tag}>"


def assert_well_formed(html: str) -> None:
    """Every element is closed, stands where it may, and is seen by a browser as it is written."""
    assert written_tags(html) == seen_tags(html)


def assert_embed_is_bounded(html: str) -> None:
    """What embeds bring along stays within them, and runs by its scripts only."""
    for node in turbohtml.parse_fragment(html).descendants:
        if isinstance(node, turbohtml.Element):
            assert node.namespace is turbohtml.Namespace.HTML
            assert node.tag in SHOWN | {"script", "style", "h1", "span", "section"}
            assert not any(name.startswith("on") for name in node.attrs)
            assert not {"srcdoc", "formaction", "is", "slot"} & set(node.attrs)
            for name in {"href", "src", "cite", "poster"} & set(node.attrs):
                assert ADDRESS.fullmatch(str(node.attrs[name]))


def assert_passive(html: str) -> None:
    """Nothing in `html` runs, loads code or leads to code."""
    for node in turbohtml.parse_fragment(html).descendants:
        if isinstance(node, turbohtml.Element):
            assert node.namespace is turbohtml.Namespace.HTML
            assert node.tag in SHOWN
            assert set(node.attrs) <= ATTRIBUTES
            for name in {"href", "src"} & set(node.attrs):
                assert ADDRESS.fullmatch(str(node.attrs[name]))


def words(html: str) -> list[str]:
    """Return the words that a reader of `html` sees."""
    texts = (
        node.data
        for node in turbohtml.parse_fragment(html).descendants
        if isinstance(node, turbohtml.Text)
    )
    return " ".join(texts).split()


def editor_blocks(html: str) -> list[tuple[str, dict[str, Any], str | None]]:
    """Return name, attributes and name of the block around it of each block in `html`.

    Fails where blocks are not closed, stand where they may not, or text stands outside of all.
    """
    blocks: list[tuple[str, dict[str, Any], str | None]] = []
    opened: list[str] = []
    end = 0
    for delimiter in _DELIMITER.finditer(html):
        if not opened:
            assert not html[end : delimiter.start()].strip()
        end = delimiter.end()
        name = delimiter["name"]
        if delimiter["end"]:
            assert opened.pop() == name
            continue
        around = opened[-1] if opened else None
        assert name in INNER.get(around, set())
        written = delimiter["json"] or "{}"
        assert not re.search(r"--|[<>&]", written)
        blocks.append((name, json.loads(written), around))
        opened.append(name)
    assert not opened
    assert not html[end:].strip()
    assert html.count("<!--") == html.count("-->") == 2 * len(blocks)
    return blocks
