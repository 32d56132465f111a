"""Bodies of stories as platforms take them.

Items hold HTML that nobody has checked: what is active in it never reaches a site, what a reader
sees always does. The same story gives the same bytes.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

import turbohtml
from turbohtml import Comment, Element

from apps.core.text import strip_forbidden
from transmitters.cms.base import Story

_MARK = re.compile(r'\s*EMBED (START|END) \w+ \{id: "([^"]{1,200})"\}\s*')
_SPACE = re.compile("[\t\n\f\r ]+")


@dataclass(frozen=True)
class Body:
    """A body in the form of a platform; `html` is empty where the story shows nothing.

    Attributes:
        warnings: codes of what the reader will miss: `embeds_stripped` (foreign embeds are links),
            `image_dropped` (no address that a site could show).
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
        sources: addresses of pictures, videos and audio files that no association stands for,
            `data:` included, as `StoryMedia.source_urls` shall name them.
    """

    keys: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def wordpress_blocks(story: Story, *, embeds: bool = True) -> Body:
    """Return the body as blocks of the WordPress editor.

    Args:
        embeds: foreign embeds are kept; else each becomes a link. False also where the user may
            not write unfiltered HTML.
    """
    return wordpress_classic(story, embeds=embeds)


def wordpress_classic(story: Story, *, embeds: bool = True) -> Body:
    """Return the body as HTML without blocks; arguments as of `wordpress_blocks`."""
    text = plain_text(story.body)
    return Body(f"<p>{_escaped(text)}</p>" if text else "")


def ghost_html(story: Story, *, embeds: bool = True) -> Body:
    """Return the body for Ghost's `source=html`; arguments as of `wordpress_blocks`."""
    return wordpress_classic(story, embeds=embeds)


def webflow_rich_text(story: Story, *, embeds: bool = True) -> Body:
    """Return the body as Webflow's RichText; arguments as of `wordpress_blocks`."""
    return wordpress_classic(story, embeds=embeds)


def media_in(body: str, associations: Collection[str]) -> MediaReferences:
    """Return what media a body shows, before any of them is at the site.

    Args:
        body: HTML as the item holds it.
        associations: keys of the item's associations.
    """
    keys: list[str] = []
    sources: list[str] = []
    for node in turbohtml.parse_fragment(body).descendants:
        if isinstance(node, Comment):
            mark = _MARK.fullmatch(node.data)
            if mark and mark[1] == "START" and mark[2] in associations:
                keys.append(mark[2])
        elif isinstance(node, Element) and node.tag in ("img", "video", "audio"):
            source = node.attrs.get("src")
            if isinstance(source, str):
                sources.append(source.strip())
    return MediaReferences(tuple(dict.fromkeys(keys)), tuple(dict.fromkeys(sources)))


def plain_text(html: str) -> str:
    """Return what a reader sees of a headline or an abstract, on one line."""
    text = " ".join(turbohtml.parse_fragment(html).strings) if "<" in html or "&" in html else html
    return _SPACE.sub(" ", strip_forbidden(text)).strip()


def cut_at_word(text: str, limit: int) -> str:
    """Return a text of at most `limit` characters; a longer one ends at a word, with `…`."""
    if len(text) <= limit:
        return text
    kept = text[: limit - 1]
    if not text[limit - 1].isspace():
        kept = kept.rsplit(None, 1)[0] if " " in kept else kept
    return kept.rstrip() + "…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
