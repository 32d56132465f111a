"""Renditions of an item as the XML formats send them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from apps.core.vocabulary import ItemType
from formatters.base import Document
from formatters.conversions import integer, mapping_of, text_of

STILL = (ItemType.PICTURE, ItemType.GRAPHIC)


@dataclass(frozen=True)
class Rendition:
    """One file of a picture, a video or an audio item.

    Attributes:
        size: bytes, known of the original.
        seconds: how long it plays.
        duration: the same as stored, `H:M:S.f`.
    """

    name: str
    href: str
    mimetype: str = ""
    width: int | None = None
    height: int | None = None
    size: int | None = None
    seconds: float | None = None
    duration: str = ""


def renditions_of(item: Document) -> list[Rendition]:
    """Return the renditions that have an address, in the order stored."""
    stored = mapping_of(item, "renditions")
    return [
        _rendition(item, str(name), rendition)
        for name, rendition in stored.items()
        if isinstance(rendition, Mapping) and text_of(rendition, "href")
    ]


def _rendition(item: Document, name: str, stored: Mapping[str, Any]) -> Rendition:
    meta = mapping_of(item, "filemeta")
    measured = stored if item.get("type") in STILL else meta
    duration = "" if item.get("type") in STILL else str(meta.get("duration") or "")
    return Rendition(
        name=name,
        href=text_of(stored, "href"),
        mimetype=text_of(stored, "mimetype"),
        width=integer(measured.get("width")),
        height=integer(measured.get("height")),
        size=integer(meta.get("length")) if name == "original" else None,
        seconds=_seconds(duration),
        duration=duration,
    )


def _seconds(duration: str) -> float | None:
    parts = duration.split(":")
    try:
        hours, minutes, seconds = (float(part) for part in parts)
    except ValueError:
        return None
    total = hours * 3600 + minutes * 60 + seconds
    return total if isfinite(total) and total >= 0 else None
