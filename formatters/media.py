"""Renditions of an item as the XML formats send them."""

from dataclasses import dataclass
from math import isfinite

from apps.core.documents import object_of, text_of
from apps.core.vocabulary import MEDIA_TYPES, ItemType
from formatters.base import Document
from formatters.conversions import integer
from formatters.outgoing import is_withdrawn
from formatters.uris import reference

MEDIUMS = {
    ItemType.PICTURE: "image",
    ItemType.GRAPHIC: "image",
    ItemType.VIDEO: "video",
    ItemType.AUDIO: "audio",
}
"""Item types of media by what NITF and Media RSS call them."""

FEATURE = "featuremedia"
"""Key of the medium that stands for a story as a whole."""

STILL = (ItemType.PICTURE, ItemType.GRAPHIC)


@dataclass(slots=True)
class Rendition:
    """One file of a picture, a video or an audio item. Not frozen: those take twice as long.

    Attributes:
        size: bytes.
        seconds: how long it plays.
        duration: the same as the file says it, `H:M:S.f`; empty where only the seconds are known.
    """

    name: str
    href: str
    mimetype: str = ""
    width: int | None = None
    height: int | None = None
    size: int | None = None
    seconds: float | None = None
    duration: str = ""


def media_of(item: Document) -> list[tuple[str, Document]]:
    """Return the media of a story that can be fetched, with their keys: the feature first.

    Those that are withdrawn are not among them. Of a medium that lies elsewhere and only has a
    `url`, that is its one rendition.
    """
    held = object_of(item, "associations")
    found: list[tuple[str, Document]] = []
    for key in sorted(held, key=FEATURE.__ne__):
        medium = held[key]
        if not isinstance(medium, dict) or text_of(medium, "type") not in MEDIA_TYPES:
            continue
        if not object_of(medium, "renditions") and text_of(medium, "url"):
            medium = {**medium, "renditions": {"original": _linked(medium)}}
        if is_withdrawn(medium):
            continue
        for file in object_of(medium, "renditions").values():
            if isinstance(file, dict) and reference(text_of(file, "href")):
                found.append((str(key), medium))
                break
    return found


def _linked(medium: Document) -> Document:
    said = {name: medium.get(name) for name in ("width", "height", "size", "duration")}
    mimetype = text_of(medium, "mimetype") or text_of(medium, "mimeType")
    return {"href": medium["url"], "mimetype": mimetype, **said}


def renditions_of(item: Document) -> list[Rendition]:
    """Return the renditions that have an address, in the order stored.

    Of what plays, the measures of the file come before those of a rendition.
    """
    meta = object_of(item, "filemeta")
    is_still = item.get("type") in STILL
    found = []
    for name, stored in object_of(item, "renditions").items():
        if not isinstance(stored, dict) or not (href := text_of(stored, "href")):
            continue
        length = meta.get("length") if name == "original" else None
        measured = stored if is_still or not meta else {**stored, **meta}
        duration = "" if is_still else str(meta.get("duration") or "")
        seconds = _seconds(duration) if duration else None
        found.append(
            Rendition(
                str(name),
                href,
                text_of(stored, "mimetype"),
                _size(measured.get("width")),
                _size(measured.get("height")),
                _size(stored.get("size") or length),
                _plain_seconds(stored) if seconds is None else seconds,
                duration,
            )
        )
    return found


def _size(value: object) -> int | None:
    return value if type(value) is int else integer(value)


def _plain_seconds(stored: Document) -> float | None:
    """Return how long a rendition plays that says so itself, as those of other agencies do."""
    value = stored.get("duration")
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if isfinite(value) and value >= 0 else None


def _seconds(duration: str) -> float | None:
    parts = duration.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    total = hours * 3600 + minutes * 60 + seconds
    return total if isfinite(total) and total >= 0 else None
