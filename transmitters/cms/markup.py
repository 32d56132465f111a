"""The tree of a body's HTML, and what of it may be copied: addresses, frames, foreign embeds."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

from turbohtml import Comment, Element, Node, Text

from apps.core.html import CLOSED
from apps.core.text import strip_forbidden

_MARK = re.compile(r'\s*EMBED (START|END) (\w+) \{id: "([^"]{1,200})"\}\s*')
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_BLANKS = re.compile("[\t\n\f\r ]+")
_SPACE = re.compile(r"\s+")

_IGNORED = re.compile("[\t\n\r]")
_OUTER = "".join(map(chr, range(33)))
_SAFE = frozenset("!#$%&()*+,/:;=?@_~-.'")


class Mark(NamedTuple):
    """Where a medium of the item stands in a body; `kind` is `Image`, `Video` or `Audio`."""

    key: str
    kind: str


def tag_of(node: Node | None) -> str:
    """Return the name of an element, "" of other nodes."""
    return node.tag if isinstance(node, Element) else ""


def text_of(node: Text) -> str:
    """Return the text of a node; character references may have brought in what XML forbids."""
    return strip_forbidden(node.data)


def attribute(element: Element, name: str) -> str:
    """Return the value of an attribute, "" where there is none."""
    value = element.attrs.get(name)
    return strip_forbidden(" ".join(value) if isinstance(value, list) else value or "")


def classes(element: Element) -> list[str]:
    """Return the classes of an element."""
    return attribute(element, "class").split()


def single_blanks(text: str) -> str:
    """Return a text as HTML shows it: blanks and line ends in a row are one blank."""
    return _BLANKS.sub(" ", text)


def one_line(text: str) -> str:
    """Return a text with single blanks, and none at its ends."""
    return _SPACE.sub(" ", text).strip()


def number(text: str) -> int | None:
    """Return a whole number of at most five digits, None for anything else."""
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else None


def source_of(element: Element) -> str:
    """Return the address of the file that a picture, video or audio element shows, as written."""
    source = attribute(element, "src").strip()
    if source or element.tag == "img":
        return source
    inner = (attribute(one, "src").strip() for one in element.children if isinstance(one, Element))
    return next(filter(None, inner), "")


def web_address(
    url: str, base_url: str | None = None, schemes: Collection[str] = ("http", "https")
) -> str:
    """Return an absolute address of characters that only `&` has to be escaped of; "" for others.

    Args:
        url: as written in the markup.
        base_url: what a relative one is relative to; without it, relative ones are others.
    """
    url = _IGNORED.sub("", url).strip(_OUTER)
    url = f"https:{url}" if url.startswith("//") else url
    try:
        if not _SCHEME.match(url):
            url = urljoin(base_url, url) if base_url and url and url[0] != "#" else ""
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https")
        if parts.scheme not in schemes or (is_web and not parts.hostname):
            return ""
    except ValueError:
        return ""
    return "".join(c if c.isalnum() or c in _SAFE else quote(c, errors="replace") for c in url)


def shown_nodes(root: Node) -> Iterator[Node]:
    """Yield the nodes below `root` in document order, whatever their depth, and nothing hidden."""
    pending = [iter(root.children)] if tag_of(root) not in CLOSED else []
    while pending:
        node = next(pending[-1], None)
        if node is None:
            pending.pop()
            continue
        yield node
        if isinstance(node, Element) and node.tag not in CLOSED:
            pending.append(iter(node.children))


def marked_media(
    root: Element, keys: Collection[str]
) -> tuple[dict[Comment, Mark], frozenset[Node]]:
    """Return the comments at which media of the item stand, and the nodes that they stand for.

    A medium stands between two comments with its key, wherever these are in the tree.

    Args:
        keys: of media; comments with others are comments like any.
    """
    found = [
        (node, match[1] == "START", Mark(match[3], match[2]))
        for node in shown_nodes(root)
        if isinstance(node, Comment) and (match := _MARK.fullmatch(node.data)) and match[3] in keys
    ]
    marks: dict[Comment, Mark] = {}
    ends: dict[Comment, Comment] = {}
    for (node, is_start, mark), (end, end_is_start, end_mark) in pairwise(found):
        if is_start and not end_is_start and mark.key == end_mark.key:
            marks[node] = mark
            ends[node] = end
    return marks, _between(root, ends) if ends else frozenset()


def _between(root: Element, ends: Mapping[Comment, Comment]) -> frozenset[Node]:
    """Return the nodes from each start to its end, without those around the end."""
    between: set[Node] = set()
    end: Node | None = None
    around: set[Node] = set()
    for node in root.descendants:
        if end is None:
            if isinstance(node, Comment) and node in ends:
                end = ends[node]
                around = set(end.ancestors)
        elif node is end:
            end = None
        elif node not in around:
            between.add(node)
    return frozenset(between)


def escaped(text: str) -> str:
    """Return text as it stands in HTML."""
    return escape(text, quote=False)


def written_attributes(
    attributes: Mapping[str, str], escape_text: Callable[[str], str] = escaped
) -> str:
    """Return attributes as they stand in a tag; empty values are written too."""
    values = {name: escape_text(value).replace('"', "&quot;") for name, value in attributes.items()}
    return "".join(f' {name}="{value}"' for name, value in values.items())
