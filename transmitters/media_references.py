"""The stored binaries that a formatted JSON item refers to."""

import json
from collections.abc import Container, Iterable, Iterator, Mapping
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
    return [rendition["media"] for rendition in renditions_in(parsed(body))]


def renditions_in(item: Any, without: Container[Any] = ()) -> list[Mapping[str, Any]]:
    """Return the renditions and attachments of an item, one for each media id, in order.

    Args:
        without: names of renditions that are left out.
    """
    found: dict[str, Mapping[str, Any]] = {}
    for name, rendition in _references(item, LEVELS):
        if name not in without:
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


def _references(item: Any, levels: int) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Yield what refers to media, with its name where it has one."""
    if not isinstance(item, Mapping) or not levels:
        return
    for holder in ("renditions", "attachments"):
        for name, entry in _entries(item.get(holder)):
            media = entry.get("media") if isinstance(entry, Mapping) else None
            if media and isinstance(media, str):
                yield name, {**entry, "media": media.encode(errors="replace").decode()}
    for _, association in _entries(item.get("associations")):
        yield from _references(association, levels - 1)


def _entries(value: Any) -> Iterable[tuple[Any, Any]]:
    """Return the members of a list or of an object, with their names.

    Ninjs 1 has objects where ninjs 2 has lists.
    """
    if isinstance(value, Mapping):
        return value.items()
    entries = value if isinstance(value, list) else ()
    return [(e.get("name") if isinstance(e, Mapping) else None, e) for e in entries]
