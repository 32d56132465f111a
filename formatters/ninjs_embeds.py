"""Media embedded in the text of `ftp ninjs`: taken out or written anew (formats contract 3.4)."""

import re
from collections.abc import Collection, Iterator, Mapping
from html import escape
from typing import Any

from apps.core.documents import object_of, objects_of, text_of
from apps.core.vocabulary import ItemType
from formatters.base import Document
from formatters.conversions import integer

KINDS: dict[str, str] = {
    ItemType.PICTURE: "Image",
    ItemType.GRAPHIC: "Image",
    ItemType.VIDEO: "Video",
    ItemType.AUDIO: "Audio",
}
"""Kinds of media, by the names that stand in the comments around embedded ones."""

_MARK = re.compile(r'<!-- EMBED (?P<side>START|END) \w+ \{id: "(?P<key>editor_\d+)"\} -->')


def filtered(item: Document, unwanted: Collection[str]) -> dict[str, Any]:
    """Return `item` without the associations `unwanted`, in its text as well.

    Args:
        unwanted: keys of associations that are embedded in the text.
    """
    associations = object_of(item, "associations")
    return {
        **item,
        "associations": {k: held for k, held in associations.items() if k not in unwanted},
        "refs": [ref for ref in objects_of(item, "refs") if ref.get("key") not in unwanted],
    }


def rebuilt(html: str, sent: Mapping[str, Document], unwanted: Collection[str]) -> str:
    """Return a text with the blocks of embedded media written anew.

    Args:
        html: the text; comments stand around each medium that the editor put into it.
        sent: associations as the document sends them, by key.
        unwanted: keys whose blocks are left out.
    """
    parts, end = [], 0
    for start, stop, key in _blocks(html):
        block = embed(key, sent[key]) if key in sent else ""
        if key not in unwanted and not block:
            continue
        parts += [html[end:start], "" if key in unwanted else block]
        end = stop
    return "".join([*parts, html[end:]])


def _blocks(html: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and key of each embedded block."""
    start, key = 0, ""
    for mark in _MARK.finditer(html):
        if mark["side"] == "START":
            start, key = mark.start(), mark["key"]
        elif mark["key"] == key:
            yield start, mark.end(), key
            key = ""


def embed(key: str, medium: Document) -> str:
    """Return the HTML of an embedded medium, "" for types that have none.

    Args:
        medium: the association as the document sends it.
    """
    kind = KINDS.get(text_of(medium, "type"))
    if kind is None:
        return ""
    mark = f'{kind} {{id: "{key}"}}'
    caption = escape(text_of(medium, "description_text"), quote=False)
    shown = _image(key, medium) if kind == "Image" else _player(key, kind.lower(), medium)
    figure = f"<figure>{shown}<figcaption>{caption}</figcaption></figure>"
    return f"<!-- EMBED START {mark} -->{figure}<!-- EMBED END {mark} -->"


def _image(key: str, medium: Document) -> str:
    sizes = [r for r in object_of(medium, "renditions").values() if integer(r.get("width"))]
    srcset = ",".join(f"{r.get('href')} {r['width']}w" for r in sizes)
    attributes = {
        "src": _source(medium),
        "srcset": srcset,
        "sizes": "80vw",
        "alt": text_of(medium, "body_text"),
        "id": key,
    }
    return f"<img{_written(attributes)}>"


def _player(key: str, tag: str, medium: Document) -> str:
    attributes = {
        "controls": "",
        "src": _source(medium),
        "title": text_of(medium, "headline"),
        "id": key,
    }
    return f"<{tag}{_written(attributes)}></{tag}>"


def _source(medium: Document) -> str:
    """Return the address of the original, else of the widest rendition."""
    renditions = object_of(medium, "renditions")
    original = renditions.get("original")
    if original is None:
        widths = {name: integer(r.get("width")) or 0 for name, r in renditions.items()}
        original = renditions[max(widths, key=lambda name: widths[name])] if widths else {}
    return text_of(original, "href")


def _written(attributes: Mapping[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
