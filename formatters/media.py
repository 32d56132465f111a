"""Renditions of an item as the XML formats send them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from apps.core.documents import object_of, text_of
from apps.core.vocabulary import ItemType, PubStatus
from formatters.base import Document
from formatters.conversions import integer, publish_status
from formatters.outgoing import WITHDRAWN_STATES

MEDIUMS = {
    ItemType.PICTURE: "image",
    ItemType.GRAPHIC: "image",
    ItemType.VIDEO: "video",
    ItemType.AUDIO: "audio",
}
"""Item types of media by what NITF and Media RSS call them."""

STILL = (ItemType.PICTURE, ItemType.GRAPHIC)


@dataclass(frozen=True)
class Rendition:
    """One file of a picture, a video or an audio item.

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


def held_media(item: Document) -> Iterator[tuple[str, Document]]:
    """Yield key and item of each medium that `item` holds and that may be used."""
    for key, held in object_of(item, "associations").items():
        if not isinstance(held, Mapping) or text_of(held, "type") not in set(MEDIUMS):
            continue
        is_canceled = publish_status(held) == PubStatus.CANCELED
        if not is_canceled and held.get("state") not in WITHDRAWN_STATES:
            yield str(key), held


def renditions_of(item: Document) -> list[Rendition]:
    """Return the renditions that have an address, in the order stored."""
    stored = object_of(item, "renditions")
    return [
        _rendition(item, str(name), rendition)
        for name, rendition in stored.items()
        if isinstance(rendition, Mapping) and text_of(rendition, "href")
    ]


def _rendition(item: Document, name: str, stored: Mapping[str, Any]) -> Rendition:
    """Return a rendition; of what plays, the measures of the file come before its own."""
    meta = object_of(item, "filemeta")
    is_still = item.get("type") in STILL
    measured = stored if is_still else {**stored, **meta}
    duration = "" if is_still else str(meta.get("duration") or "")
    seconds = None if is_still else _seconds(duration)
    return Rendition(
        name=name,
        href=text_of(stored, "href"),
        mimetype=text_of(stored, "mimetype"),
        width=integer(measured.get("width")),
        height=integer(measured.get("height")),
        size=integer(stored.get("size") or (meta.get("length") if name == "original" else None)),
        seconds=_plain_seconds(stored) if seconds is None else seconds,
        duration=duration,
    )


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
