"""Names of the files that delivery types write at a destination (delivery contract 5)."""

import re
from hashlib import sha256

from transmitters.base import Delivery

MAX_BYTES = 200
"""Longest name written. File systems take 255 bytes; the rest is for temporary names."""
MAX_EXTENSION = 20

# What would leave the directory, hide in a listing or be refused: separators, `..`, controls and
# lone surrogates. `:` is replaced as Superdesk does.
_UNSAFE = re.compile(r"\.\.|[/\\:\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def safe_name(text: str) -> str:
    """Return `text` as part of a file name: what is unsafe in one becomes `-`."""
    return _UNSAFE.sub("-", text)


def file_name(delivery: Delivery, extension: object = None) -> str:
    """Return `<item id>-<version>-<sequence number>.<extension>`, the same for every repeat.

    An id that is too long for a file system is cut and told apart by a hash.

    Args:
        extension: `file_extension` as the destination has it; the format's own when it is empty.
    """
    wanted = str(extension or "").strip().lstrip(".")[:MAX_EXTENSION]
    suffix = safe_name(wanted or delivery.file_extension)
    tail = f"-{delivery.item_version}-{delivery.sequence_number}.{suffix}"
    return fitting(safe_name(delivery.item_id), MAX_BYTES - len(tail.encode())) + tail


def fitting(name: str, size: int = MAX_BYTES) -> str:
    """Return `name` in at most `size` bytes: one that is longer is cut and told apart by a hash."""
    encoded = name.encode()
    if len(encoded) <= size:
        return name
    digest = sha256(encoded).hexdigest()[:16]
    return encoded[: max(size - len(digest) - 1, 0)].decode(errors="ignore") + "-" + digest
