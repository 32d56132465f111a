"""HTML fragments that may stand in anybody's page or mail (formats contract 8)."""

import re
from collections.abc import Callable, Mapping, Set
from html import escape
from typing import Any
from urllib.parse import urlsplit

import nh3
from turbohtml import rewrite

from apps.core.html import bounded
from apps.core.text import strip_forbidden, with_ends

TAGS = frozenset({
    "a", "abbr", "b", "blockquote", "br", "caption", "cite", "code", "dd", "del", "div", "dl", "dt",
    "em", "figcaption", "figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "li",
    "ol", "p", "pre", "q", "s", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody",
    "td", "tfoot", "th", "thead", "tr", "u", "ul",
})  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "title", "width", "height"},
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
POSTS = {"blockquote": {"twitter-tweet", "instagram-media", "tiktok-embed"}}
"""Classes by which the scripts of networks find what they show as a post; it reads without them."""


def _cleaner(tags: Set[str], attributes: Mapping[str, set[str]]) -> nh3.Cleaner:
    return nh3.Cleaner(
        tags=set(tags),
        attributes={tag: set(names) for tag, names in attributes.items()},
        allowed_classes=POSTS,
        url_schemes=set(SCHEMES),
        link_rel=None,
    )


_CLEANER, _PLAYER_CLEANER = _cleaner(TAGS, ATTRIBUTES), _cleaner(PLAYER_TAGS, PLAYER_ATTRIBUTES)
"""Made once: making one takes longer than cleaning a story."""
_PLAYING = re.compile("<(?:noscript|iframe|embed|object|video|audio|source)", re.IGNORECASE)


def sanitized(html: str) -> str:
    """Return markup of any quality with nothing in it that runs, loads or hides.

    Elements that are not allowed give way to their content, frames and players to links; scripts
    and styles go with theirs.
    """
    return _cleaned(html, "iframe, embed, object, video, audio, source", _link, _CLEANER)


def sanitized_with_players(html: str) -> str:
    """Return markup as `sanitized` does, with the players that pages may show.

    These are videos, sounds and the frames of `PLAYERS`; other frames give way to links.
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
    return strip_forbidden(cleaner.clean(markup))


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
    address = (element.get("src") or element.get("data") or "").strip()
    if not _host(address):
        element.remove_and_keep_content()
        return
    whole = f"https:{address}" if address.startswith("//") else address
    shown = escape(element.get("title") or whole)
    element.replace(f'<p><a href="{escape(whole)}">{shown}</a></p>', html=True)
