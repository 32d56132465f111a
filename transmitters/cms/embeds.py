"""What bodies show of other sites: pages in frames, and embeds with markup of their own."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import turbohtml
from turbohtml import Element, Node, Text

from apps.core.html import HIDDEN
from transmitters.cms.markup import (
    attribute,
    escaped,
    shown_nodes,
    single_blanks,
    text_of,
    web_address,
    written_attributes,
)

EMBED = "embed-block"
DESCRIPTION = "embed-block__description"
"""Classes that the editor gives to foreign embeds, and to the text below one."""

SOCIAL_SCRIPTS: Mapping[str, str] = {
    "bluesky-embed": "https://embed.bsky.app/static/embed.js",
    "imgur-embed-pub": "https://s.imgur.com/min/embed.js",
    "instagram-media": "https://www.instagram.com/embed.js",
    "reddit-embed-bq": "https://embed.reddit.com/widgets.js",
    "text-post-media": "https://www.threads.net/embed.js",
    "tiktok-embed": "https://www.tiktok.com/embed.js",
    "twitter-tweet": "https://platform.twitter.com/widgets.js",
    "twitter-video": "https://platform.twitter.com/widgets.js",
}
"""Classes of quotations from social media, with the script that shows them as posts."""

EMBED_ELEMENTS = frozenset({
    "a", "abbr", "article", "aside", "audio", "b", "blockquote", "br", "cite", "code", "dd", "div",
    "dl", "dt", "em", "figcaption", "figure", "footer", "h1", "h2", "h3", "h4", "h5", "h6",
    "header", "hr", "i", "iframe", "img", "li", "mark", "ol", "p", "picture", "pre", "q", "s",
    "script", "section", "small", "source", "span", "strong", "style", "sub", "sup", "table",
    "tbody", "td", "tfoot", "th", "thead", "time", "tr", "u", "ul", "video",
})  # fmt: skip
"""Elements that foreign embeds may consist of; others give way to their content."""

EMBED_READINGS = 4
"""How often an embed is read again: what gave way has left others where they may not stand."""

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

_PREFIXED = re.compile("(?:data|aria)-[a-z0-9_-]{1,60}")
_LEAVES_RAW_TEXT = re.compile(r"<!--|-->|</?\s*(?:script|style)", re.IGNORECASE)


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


def embed_address(root: Element) -> str:
    """Return the address of what a foreign embed shows, "" where it does not say."""
    elements = [root, *(node for node in shown_nodes(root) if isinstance(node, Element))]
    for name in ("cite", "data-href", "data-instgrm-permalink", "href"):
        for element in elements:
            if address := web_address(attribute(element, name)):
                return address
    return ""


def embed_html(
    root: Element,
    base_url: str | None = None,
    files: Mapping[str, str] | None = None,
    escape_text: Callable[[str], str] = escaped,
) -> str:
    """Return a foreign embed as it is: its scripts, classes and styles are what makes it work.

    Left out is what no embed needs and what would reach beyond it: event attributes, addresses that
    are code, documents within attributes, forms, plug-ins, comments. What is returned is read by
    browsers as it is written; markup that is not, however often it is written, is not an embed: "".

    Args:
        base_url: what relative addresses are relative to.
        files: addresses in it, with the ones to write instead; what has "" is left out.
        escape_text: writes text and values of attributes.
    """
    html = _EmbedWriter(base_url, files or {}, escape_text).written([root])
    again = _EmbedWriter(base_url, {}, escape_text)
    for _ in range(EMBED_READINGS):
        before, html = html, again.written(turbohtml.parse_fragment(html).children)
        if html == before:
            return html
    return ""


class _EmbedWriter:
    """Writes what is allowed of nodes; arguments as of `embed_html`."""

    def __init__(
        self, base_url: str | None, files: Mapping[str, str], escape_text: Callable[[str], str]
    ) -> None:
        self._base_url = base_url
        self._files = files
        self._escape = escape_text

    def written(self, nodes: Iterable[Node]) -> str:
        parts: list[str] = []
        pending: list[tuple[Iterator[Node], str]] = [(iter(nodes), "")]
        preformatted = 0
        while pending:
            node = next(pending[-1][0], None)
            if node is None:
                end = pending.pop()[1]
                preformatted -= end == "</pre>"
                parts.append(end)
            elif isinstance(node, Text):
                text = text_of(node)
                parts.append(self._escape(text if preformatted else single_blanks(text)))
            elif isinstance(node, Element) and node.tag in RAW_TEXT:
                parts.append(self._raw_text(node))
            elif isinstance(node, Element) and node.tag not in HIDDEN:
                start, end = self._tags(node)
                parts.append(start)
                preformatted += end == "</pre>"
                pending.append((iter(() if node.tag == "iframe" else node.children), end))
        return "".join(parts).strip()

    def _tags(self, element: Element) -> tuple[str, str]:
        """Return start tag and end tag of an element, empty where it gives way to its content."""
        tag = element.tag
        attributes = self._attributes(element)
        is_empty = tag in ("iframe", "img", "source") and "src" not in attributes
        if tag not in EMBED_ELEMENTS or is_empty:
            return "", ""
        start = f"<{tag}{written_attributes(attributes, self._escape)}>"
        return start, "" if tag in VOID else f"</{tag}>"

    def _attributes(self, element: Element) -> dict[str, str]:
        names = EMBED_ATTRIBUTES["*"] | EMBED_ATTRIBUTES.get(element.tag, frozenset())
        kept: dict[str, str] = {}
        for name in element.attrs:
            value = attribute(element, name)
            if name in ADDRESSES:
                value = self._files.get(value.strip(), value)
                web = ("http", "https")
                schemes = (*web, "mailto", "tel") if name == "href" else web
                value = web_address(value, self._base_url, schemes)
            is_kept = name in names or _PREFIXED.fullmatch(name)
            if is_kept and (value or name not in ADDRESSES):
                kept[name] = value
        if element.tag == "iframe":
            kept |= frame_attributes(element)
        if kept.get("target", "").lower() == "_blank":
            rel = kept.get("rel", "").lower().split()
            kept["rel"] = " ".join(dict.fromkeys([*rel, "noopener"]))
        return kept

    def _raw_text(self, element: Element) -> str:
        """Return a script or style; "" where its text could be read as more than that."""
        attributes = self._attributes(element)
        start = f"<{element.tag}{written_attributes(attributes)}>"
        if "src" in element.attrs:
            return f"{start}</{element.tag}>" if "src" in attributes else ""
        text = "".join(text_of(one) for one in element.children if isinstance(one, Text)).strip()
        if not text or _LEAVES_RAW_TEXT.search(text):
            return ""
        return f"{start}{text}</{element.tag}>"


@dataclass(frozen=True)
class OEmbedPage:
    """The page that stands for a frame at a site which WordPress embeds by address."""

    url: str
    provider: str
    type: str = "video"


def oembed_page(src: str) -> OEmbedPage | None:
    """Return the page for the address of a frame, None for hosts that are not known."""
    parts = urlsplit(src)
    host = (parts.hostname or "").removeprefix("www.")
    steps = [step for step in parts.path.split("/") if step]
    match host, steps:
        case (("youtube.com" | "youtube-nocookie.com"), ["embed", video]) if _is_id(video):
            return OEmbedPage(f"https://www.youtube.com/watch?v={video}", "youtube")
        case "player.vimeo.com", ["video", video] if _is_id(video):
            return OEmbedPage(f"https://vimeo.com/{video}", "vimeo")
        case "dailymotion.com", ["embed", "video", video] if _is_id(video):
            return OEmbedPage(f"https://www.dailymotion.com/video/{video}", "dailymotion")
        case "embed.ted.com", ["talks", *talk] if talk and all(map(_is_id, talk)):
            return OEmbedPage(f"https://www.ted.com/talks/{'/'.join(talk)}", "ted")
        case "open.spotify.com", ["embed", kind, one] if _is_id(kind) and _is_id(one):
            return OEmbedPage(f"https://open.spotify.com/{kind}/{one}", "spotify", "rich")
        case "w.soundcloud.com", ["player"]:
            url = web_address(next(iter(parse_qs(parts.query).get("url", [])), ""))
            if (urlsplit(url).hostname or "") in ("soundcloud.com", "api.soundcloud.com"):
                return OEmbedPage(url, "soundcloud", "rich")
    return None


def _is_id(text: str) -> bool:
    return re.fullmatch("[A-Za-z0-9_-]{1,100}", text) is not None
