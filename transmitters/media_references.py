"""The stored binaries that a formatted JSON item refers to."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from apps.core.json import loads

LEVELS = 3
"""The item, its associations and theirs (delivery contract 5.1)."""


def media_references(body: bytes) -> list[str]:
    """Return the media ids in the renditions and attachments of an item, each once, in order.

    Args:
        body: a ninjs document; anything else refers to nothing.
    """
    return [rendition["media"] for rendition in media_renditions(body)]


def media_renditions(body: bytes) -> list[Mapping[str, Any]]:
    """Return the renditions and attachments of an item, one for each media id, in order.

    Args:
        body: a ninjs document; anything else refers to nothing.
    """
    return renditions_in(parsed(body))


def renditions_in(item: Any) -> list[Mapping[str, Any]]:
    """Return the renditions and attachments of an item, one for each media id, in order."""
    found: dict[str, Mapping[str, Any]] = {}
    for rendition in _references(item, LEVELS):
        found.setdefault(rendition["media"], rendition)
    return list(found.values())


def parsed(body: bytes) -> Any:
    """Return the JSON value in `body`; None where there is none."""
    with suppress(ValueError):
        return loads(body)
    # Lone surrogates are JSON to the standard library alone.
    with suppress(ValueError, RecursionError):
        return json.loads(body)
    return None


def _references(item: Any, levels: int) -> Iterator[Mapping[str, Any]]:
    if not isinstance(item, Mapping) or not levels:
        return
    for holder in ("renditions", "attachments"):
        for entry in _entries(item.get(holder)):
            media = entry.get("media") if isinstance(entry, Mapping) else None
            if media and isinstance(media, str):
                yield {**entry, "media": media.encode(errors="replace").decode()}
    for association in _entries(item.get("associations")):
        yield from _references(association, levels - 1)


def _entries(value: Any) -> Iterable[Any]:
    """Return the members of a list or of an object: ninjs 1 has objects where ninjs 2 has lists."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()
