"""Readers of documents that may have been stored by others, and so may have any shape."""

from collections.abc import Iterator
from typing import Any


def objects_in(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list, in order; nothing where `value` is no list."""
    if isinstance(value, (list, tuple)):
        yield from (entry for entry in value if isinstance(entry, dict))
