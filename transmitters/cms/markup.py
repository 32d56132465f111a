"""The tree of a body's HTML, and what of it may be copied: addresses, frames, foreign embeds."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from html import escape
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit

import turbohtml
from turbohtml import Comment, Element, Node, Text, rewrite

from apps.core.text import strip_forbidden

HIDDEN = frozenset({
    "base", "button", "canvas", "datalist", "embed", "head", "input", "link", "meta", "meter",
    "noembed", "noframes", "noscript", "optgroup", "option", "progress", "script", "select",
    "style", "svg", "template", "textarea", "title",
})  # fmt: skip
"""Elements that go with all that is in them."""

MEDIA = ("img", "video", "audio")
CLOSED = HIDDEN.union(MEDIA, ("iframe",))
"""Elements whose content no reader sees."""

MANY_TAGS = 2000
"""A body with more tags is rid of the attributes of formatting elements before it is parsed: by
HTML's rules, different ones that nobody closes return by hundreds in every paragraph after them."""

DEEPEST_PARSED = 500
"""Nesting at which the parser is near its end."""

FLAT = frozenset({"a", "br", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "p"})
"""Elements that are kept of a body that is nested as deeply."""

FORMATTING = "b, big, code, em, font, i, nobr, s, small, strike, strong, tt, u"
"""Elements that return in every paragraph until they are closed."""

EMBED_ELEMENTS = frozenset({
    "a", "abbr", "article", "aside", "audio", "b", "blockquote", "br", "cite", "code", "dd", "div",
    "dl", "dt", "em", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "i", "iframe", "img", "li", "mark", "ol", "p", "picture", "pre", "q", "s",
    "script", "section", "small", "source", "span", "strong", "style", "sub", "sup", "table",
    "tbody", "td", "tfoot", "th", "thead", "time", "tr", "u", "ul", "video",
})  # fmt: skip
"""Elements that foreign embeds may consist of; others give way to their content."""

VOID = frozenset({"br", "hr", "img", "source"})
RAW_TEXT = frozenset({"script", "style"})

EMBED_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "*": frozenset({"class", "dir", "height", "id", "lang", "role", "style", "title", "width"}),
    "a": frozenset({"href", "rel", "target"}),
    "audio": frozenset({"controls", "preload", "src"}),
    "blockquote": frozenset({"cite"}),
    "iframe": frozenset({"src"}),
    "img": frozenset({"alt", "loading", "src"}),
    "ol": frozenset({"reversed", "start"}),
    "script": frozenset({"async", "charset", "crossorigin", "defer", "integrity", "src", "type"}),
    "source": frozenset({"src", "type"}),
    "td": frozenset({"colspan", "rowspan"}),
    "th": frozenset({"colspan", "rowspan", "scope"}),
    "time": frozenset({"datetime"}),
    "video": frozenset({"controls", "loop", "muted", "playsinline", "poster", "preload", "src"}),
}
"""Attributes that they may have, beside `data-`, `aria-` and what `frame_attributes` gives."""

ADDRESSES = frozenset({"cite", "href", "poster", "src"})
"""Attributes that hold an address."""

FRAME_PERMISSIONS = frozenset({
    "accelerometer", "autoplay", "clipboard-write", "encrypted-media", "fullscreen", "gyroscope",
    "picture-in-picture", "web-share",
})  # fmt: skip
"""What a page in a frame may be allowed to do."""

FRAME_VALUES: Mapping[str, re.Pattern[str]] = {
    "width": re.compile("[0-9]{1,5}%?"),
    "height": re.compile("[0-9]{1,5}%?"),
    "loading": re.compile("lazy|eager"),
    "referrerpolicy": re.compile("[a-z-]{1,40}"),
    "sandbox": re.compile("[a-z -]{0,400}"),
}

_MARK = re.compile(r'\s*EMBED (START|END) (\w+) \{id: "([^"]{1,200})"\}\s*')
_SCHEME = re.compile("[A-Za-z][A-Za-z0-9+.-]*:")
_SPACE = re.compile(r"\s+")
_PREFIXED = re.compile("(?:data|aria)-[a-z0-9_-]{1,60}")
_IGNORED = re.compile("[\t\n\r]")
_OUTER = "".join(map(chr, range(33)))
_SAFE = frozenset("!#$%&()*+,/:;=?@_~-.'")
_LEAVES_RAW_TEXT = re.compile(r"<!--|-->|</?\s*(?:script|style)", re.IGNORECASE)


class Mark(NamedTuple):
    """Where a medium of the item stands in a body; `kind` is `Image`, `Video` or `Audio`."""

    key: str
    kind: str


def parsed(body: str) -> Element:
    """Return the tree of a body, as browsers see it; takes time by its length alone."""
    clean = strip_forbidden(body)
    if clean.count("<") > MANY_TAGS:
        clean = rewrite.rewrite(clean, elements=[(FORMATTING, _drop_attributes)])
    root = turbohtml.parse_fragment(clean, positions=False)
    if clean.count("<") > DEEPEST_PARSED and _is_cut_off(root):
        # Behind tables that are nested deeper than the parser goes, text would be lost.
        clean = rewrite.rewrite(clean, elements=[("*", _flatten)])
        root = turbohtml.parse_fragment(clean, positions=False)
    return root


def _is_cut_off(root: Element) -> bool:
    """Whether elements are nested as deeply as the parser goes."""
    pending = [iter(root.children)]
    while pending and len(pending) < DEEPEST_PARSED:
        node = next(pending[-1], None)
        if node is None:
            pending.pop()
        elif isinstance(node, Element):
            pending.append(iter(node.children))
    return bool(pending)


def _flatten(element: rewrite.Element) -> None:
    """Let an element give way to its content, unless it holds no others or is hidden."""
    if element.tag not in FLAT and element.tag not in CLOSED:
        element.before(" ")
        element.after(" ")
        element.remove_and_keep_content()


def _drop_attributes(element: rewrite.Element) -> None:
    for name, _ in element.attrs:
        element.remove_attribute(name)


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


def frame_attributes(element: Element) -> dict[str, str]:
    """Return the attributes of a page in a frame that are kept, beside its address and title."""
    kept = {
        name: value
        for name, pattern in FRAME_VALUES.items()
        if name in element.attrs and pattern.fullmatch(value := attribute(element, name).strip())
    }
    asked = [one.split() for one in attribute(element, "allow").split(";")]
    allowed = [words[0] for words in asked if words and words[0] in FRAME_PERMISSIONS]
    if allowed:
        kept["allow"] = "; ".join(dict.fromkeys(allowed))
    if "allowfullscreen" in element.attrs:
        kept["allowfullscreen"] = ""
    return kept


def escaped(text: str) -> str:
    """Return text as it stands in HTML."""
    return escape(text, quote=False)


def written_attributes(
    attributes: Mapping[str, str], escape_text: Callable[[str], str] = escaped
) -> str:
    """Return attributes as they stand in a tag; empty values are written too."""
    values = {name: escape_text(value).replace('"', "&quot;") for name, value in attributes.items()}
    return "".join(f' {name}="{value}"' for name, value in values.items())


def embed_address(root: Element) -> str:
    """Return the address of what a foreign embed shows, "" where it does not say."""
    elements = [root, *(node for node in shown_nodes(root) if isinstance(node, Element))]
    for name in ("cite", "data-href", "data-instgrm-permalink", "href"):
        for element in elements:
            if address := web_address(attribute(element, name)):
                return address
    return ""


def embed_html(
    root: Element, base_url: str | None = None, files: Mapping[str, str] | None = None
) -> str:
    """Return a foreign embed as it is: its scripts, classes and styles are what makes it work.

    Left out is what no embed needs and what would reach beyond it: event attributes, addresses that
    are code, documents within attributes, forms, plug-ins, comments.

    Args:
        files: addresses in it, with the ones to write instead; what has "" is left out.
    """
    files = files or {}
    parts: list[str] = []
    pending: list[tuple[Iterator[Node], str]] = [(iter((root,)), "")]
    preformatted = 0
    while pending:
        node = next(pending[-1][0], None)
        if node is None:
            end = pending.pop()[1]
            preformatted -= end == "</pre>"
            parts.append(end)
        elif isinstance(node, Text):
            text = text_of(node)
            parts.append(escaped(text if preformatted else _SPACE.sub(" ", text)))
        elif isinstance(node, Element) and node.tag in RAW_TEXT:
            parts.append(_raw_text(node, base_url))
        elif isinstance(node, Element) and node.tag not in HIDDEN:
            tag = node.tag
            start, end, is_open = _embed_tag(node, base_url, files)
            parts.append(start)
            preformatted += end == "</pre>"
            if tag != "iframe" and tag not in VOID:
                pending.append((iter(node.children), end))
            elif is_open:
                parts.append(end)
    return "".join(parts).strip()


def _embed_tag(
    element: Element, base_url: str | None, files: Mapping[str, str]
) -> tuple[str, str, bool]:
    """Return start tag and end tag of an element, empty where it gives way to its content."""
    tag = element.tag
    if tag not in EMBED_ELEMENTS:
        return "", "", False
    attributes = _embed_attributes(element, base_url, files)
    if tag in ("iframe", "img", "source") and "src" not in attributes:
        return "", "", False
    return f"<{tag}{written_attributes(attributes)}>", "" if tag in VOID else f"</{tag}>", True


def _embed_attributes(
    element: Element, base_url: str | None, files: Mapping[str, str]
) -> dict[str, str]:
    names = EMBED_ATTRIBUTES["*"] | EMBED_ATTRIBUTES.get(element.tag, frozenset())
    kept: dict[str, str] = {}
    for name in element.attrs:
        value = attribute(element, name)
        if name in ADDRESSES:
            schemes = ("http", "https", "mailto", "tel") if name == "href" else ("http", "https")
            value = web_address(files.get(value.strip(), value), base_url, schemes)
            if not value:
                continue
        if name in names or _PREFIXED.fullmatch(name):
            kept[name] = value
    if element.tag == "iframe":
        kept |= frame_attributes(element)
    if kept.get("target", "").lower() == "_blank":
        kept["rel"] = " ".join(dict.fromkeys([*kept.get("rel", "").lower().split(), "noopener"]))
    return kept


def _raw_text(element: Element, base_url: str | None) -> str:
    """Return a script or style; "" where its text could be read as more than that."""
    attributes = _embed_attributes(element, base_url, {})
    has_source = "src" in attributes
    text = (
        "" if has_source else "".join(text_of(t) for t in element.children if isinstance(t, Text))
    )
    if ("src" in element.attrs and not has_source) or _LEAVES_RAW_TEXT.search(text):
        return ""
    if not has_source and not text.strip():
        return ""
    return f"<{element.tag}{written_attributes(attributes)}>{text.strip()}</{element.tag}>"
