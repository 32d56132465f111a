"""HTML fragments that may stand in anybody's page or mail (formats contract 8)."""

import re
from collections.abc import Callable, Mapping, Set
from html import escape
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import nh3
from cachetools import LRUCache, cached
from lxml import etree
from turbohtml import rewrite

from apps.core.html import bounded
from apps.core.text import LINE_ENDING_TAGS, is_blank, parse_html, strip_forbidden, with_ends
from formatters.elements import POST_ADDRESSES, SOURCES

TAGS = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "cite", "code", "dd", "del",
    "dfn", "div", "dl", "dt", "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "img", "ins", "kbd", "li", "mark", "ol", "p", "pre", "q", "rp", "rt", "ruby", "s",
    "samp", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot",
    "th", "thead", "tr", "u", "ul", "var",
})  # fmt: skip
BLOCKS = frozenset({
    "address", "article", "aside", "center", "details", "dialog", "fieldset", "footer", "form",
    "header", "hgroup", "legend", "main", "nav", "optgroup", "option", "search", "section",
    "summary",
})  # fmt: skip
"""Elements that are no more than blocks to a reader; they become `div`."""
ATTRIBUTES = {
    "*": {"dir", "lang"},
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
    "li": {"value"},
    "ol": {"start", "reversed", "type"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
SCHEMES = frozenset({"http", "https", "mailto", "tel", "cid"})

PLAYERS = frozenset({
    "dailymotion.com", "datawrapper.dwcdn.net", "facebook.com", "flo.uri.sh", "instagram.com",
    "open.spotify.com", "platform.twitter.com", "player.twitch.tv", "player.vimeo.com",
    "tiktok.com", "w.soundcloud.com", "youtube-nocookie.com", "youtube.com",
})  # fmt: skip
"""Hosts, and those below them, whose frames show readers what they name and nothing else."""
PLAYER_TAGS = TAGS | {"iframe", "video", "audio", "source"}
PLAYER_ATTRIBUTES = {
    **ATTRIBUTES,
    "iframe": {"src", "title", "width", "height", "allowfullscreen"},
    "video": {"src", "controls", "poster", "width", "height"},
    "audio": {"src", "controls"},
    "source": {"src", "type"},
}
CHARACTERS_KEPT = 4_000_000
"""Of clean markup that a process keeps: some thousand stories."""
POSTS = {"blockquote": {"twitter-tweet", "instagram-media", "tiktok-embed"}}
"""Classes by which the scripts of networks find what they show as a post; it reads without them."""


APART = frozenset({
    "aside", "audio", "blockquote", "button", "dl", "figcaption", "figure", "h1", "h2", "h3", "h4",
    "h5", "h6", "head", "iframe", "nav", "noscript", "object", "ol", "pre", "script", "select",
    "style", "summary", "table", "template", "textarea", "title", "ul", "video",
})  # fmt: skip
"""Elements whose text is no beginning of a story."""
HOLDER = "x-holder"
APART_CLASSES = frozenset({"embed-block", "media-block"})
"""Classes of what the editor embeds."""
_FIRST_PARAGRAPH = re.compile(r"\s*<p(?:\s+class=\"[\w -]*\")?>(?=(?:<(?:b|strong|i|em)>)?[^\s<&])")
"""A beginning that needs no reading: a paragraph, maybe emphasis, and a character."""


def _cleaner(tags: Set[str], attributes: Mapping[str, set[str]]) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags={*tags, *BLOCKS},
        attributes={tag: set(names) for tag, names in attributes.items()},
        allowed_classes=POSTS,
        url_schemes=set(SCHEMES),
        link_rel=None,
    )


_CLEANER, _PLAYER_CLEANER = _cleaner(TAGS, ATTRIBUTES), _cleaner(PLAYER_TAGS, PLAYER_ATTRIBUTES)
"""Made once: making one takes longer than cleaning a story."""
_BLOCK = re.compile(rf"<(/?)(?:{'|'.join(sorted(BLOCKS))})\b")
_POST_ADDRESS = rf"\s(?:{'|'.join(POST_ADDRESSES)})=([\"'])(https?://[^\s\"'<>]+)\2"
_EMPTY_POST = re.compile(
    rf"<(div|blockquote)\b[^<>]{{0,900}}?{_POST_ADDRESS}[^<>]{{0,900}}>\s*</\1>", re.IGNORECASE
)
"""An empty element into which a network's script puts a post, and where that is.

Without limits, an element with thousands of addresses would take minutes.
"""
_PLAYING = re.compile("<(?:noscript|iframe|embed|object|video|audio|source)", re.IGNORECASE)
_FOREIGN = re.compile(
    "</?(?:math|maction|menclose|merror|mfenced|mfrac|mi|mmultiscripts|mn|mo|mover|mpadded|mphantom"
    "|mroot|mrow|ms|mspace|msqrt|mstyle|msub|msubsup|msup|mtable|mtd|mtext|mtr|munder|munderover"
    r"|semantics|annotation|svg|g|defs|text|tspan|textpath|desc|foreignobject)(?=[\s/>])[^<>]*>",
    re.IGNORECASE,
)
"""Tags of formulas and drawings. The cleaner drops all in them, also what follows if nobody closes
them; without their tags, their text is kept as that of any element that is not allowed."""


def sanitized(html: str) -> str:
    """Return markup of any quality with nothing in it that runs, loads or hides.

    Elements that are not allowed give way to their content, frames and players to links, other
    blocks to `div`; scripts and styles go with theirs.
    """
    return _cleaned(html, "iframe, embed, object, video, audio, source", _link, _CLEANER)


@cached(LRUCache(CHARACTERS_KEPT, len), lock=Lock())
def sanitized_with_players(html: str) -> str:
    """Return markup as `sanitized` does, with the players that pages may show.

    These are videos, sounds and the frames of `PLAYERS`; other frames give way to links. What was
    cleaned last is kept: every reader of a feed gets the same stories.
    """
    return _cleaned(html, "iframe, embed, object", _link_if_unknown, _PLAYER_CLEANER)


def _cleaned(html: str, playing: str, link: Callable[[Any], None], cleaner: nh3.Cleaner) -> str:
    """Return clean markup.

    Args:
        playing: selects what may give way to a link.
        link: lets it.
    """
    markup = bounded(with_ends(strip_forbidden(html)))
    if _PLAYING.search(markup):
        # What is for readers without scripts repeats what is shown to the others; it would become
        # text.
        handlers = [("noscript", rewrite.Element.remove), (playing, link)]
        markup = rewrite.rewrite(markup, elements=handlers)
    if any(name in markup for name in POST_ADDRESSES):
        markup = _EMPTY_POST.sub(r'<p><a href="\3">\3</a></p>', markup)
    if _FOREIGN.search(markup):
        markup = with_ends(_FOREIGN.sub("", markup))
    # What is clean has no `<` in its texts.
    clean = _BLOCK.sub(r"<\1div", cleaner.clean(markup))
    return strip_forbidden(clean) if "&#" in markup else clean


def with_addresses(html: str) -> str:
    """Return clean markup with where it leads behind each link, unless the link says so itself."""
    if "<a " not in html:
        return html
    root = parse_html(html)
    for link in root.iter("a"):
        href, shown = str(link.get("href") or ""), "".join(map(str, link.itertext())).strip()
        if href and href != shown and not href.startswith("#"):
            link.tail = f" ({strip_forbidden(href)}){link.tail or ''}"
    return _inner_html(root)


def with_dateline(html: str, dateline: str) -> str:
    """Return markup with the dateline where its text begins.

    What stands in a table, a list, a quotation, a heading, a player or under a picture is no
    beginning of a story: where there is nothing else, the dateline is a paragraph of its own.
    """
    if not dateline:
        return html
    shown = escape(strip_forbidden(dateline), quote=False)
    if begun := _FIRST_PARAGRAPH.match(html):
        return f"{html[: begun.end()]}{shown} {html[begun.end() :]}"
    root = parse_html(html)
    if not _put_in_front(root, f"{strip_forbidden(dateline)} "):
        return f"<p>{shown}</p>{html}"
    return _inner_html(root)


def _put_in_front(root: etree._Element, text: str) -> bool:
    """Put `text` in front of the first text that may begin a story; return whether there is one."""
    events = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in events:
        if event == "start":
            if element.tag in APART or APART_CLASSES & {*str(element.get("class")).split()}:
                events.skip_subtree()
            elif not is_blank(element.text or ""):
                _put_behind(None, element, text)
                return True
        elif (parent := element.getparent()) is not None and not is_blank(element.tail or ""):
            _put_behind(element, parent, text)
            return True
    return False


def _put_behind(before: Any, holder: Any, text: str) -> None:
    """Put `text` in front of what `holder` says behind one of its elements.

    Where that is emphasised, `text` stands in front of the emphasis.

    Args:
        before: that element, None for the first text of `holder`.
    """
    while holder.tag not in (*LINE_ENDING_TAGS, "body", "html"):
        before, holder = holder.getprevious(), holder.getparent()
    if before is None:
        holder.text = text + (holder.text or "").lstrip()
    else:
        before.tail = text + (before.tail or "").lstrip()


def _inner_html(root: etree._Element) -> str:
    """Return the markup of a parsed fragment, without the elements that hold it."""
    holder = root.find("body/div")
    if holder is not None:
        holder.tag = HOLDER
    # Stray end tags have put some of it outside of the holder, or of the body.
    etree.strip_tags(root, HOLDER, "body", "head")
    written = (str(etree.tostring(e, encoding="unicode", method="html")) for e in root)
    return "".join([escape(root.text or "", quote=False), *written])


def _link_if_unknown(element: Any) -> None:
    if element.tag != "iframe" or not _is_player(element.get("src") or ""):
        _link(element)


def _is_player(address: str) -> bool:
    host = _host(address)
    return any(host == known or host.endswith(f".{known}") for known in PLAYERS)


def _host(address: str) -> str:
    """Return the host of a web address, `""` for anything else."""
    try:
        parts = urlsplit(f"https:{address}" if address.startswith("//") else address.strip())
        return (parts.hostname or "") if parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""


def _link(element: Any) -> None:
    """Put a link in the place of what plays; what has no address of its own gives way."""
    said = ((element.get(name) or "").strip() for name in SOURCES)
    address = next(filter(_host, said), "")
    if not address:
        element.remove_and_keep_content()
        return
    whole = f"https:{address}" if address.startswith("//") else address
    shown = escape(element.get("title") or whole)
    element.replace(f'<p><a href="{escape(whole)}">{shown}</a></p>', html=True)
