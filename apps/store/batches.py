"""Batches that are bounded by bytes as well as by number.

Documents may have 16 MB each, so a number of them says little about the memory that they take.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import bson
from pymongo.cursor import Cursor

from apps.core.service import Document

MEGABYTE = 1024 * 1024
MOST_BYTES = 8 * MEGABYTE
"""Bytes of documents that one thread works on at once."""

NAMED = 200
"""Values that one query names: stores may look at each document for each value."""

T = TypeVar("T")


def size_of(document: Mapping[str, Any]) -> int:
    """Return the bytes that a document has in the store."""
    return len(bson.encode(document))


def parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield values in parts that one query may name."""
    return (values[start : start + NAMED] for start in range(0, len(values), NAMED))


def batches(
    documents: Iterable[T], size: Callable[[T], int], most: int, most_bytes: int = MOST_BYTES
) -> Iterator[list[T]]:
    """Yield documents in batches, in their order; none is empty.

    A document that is larger than a batch may be is a batch of its own. Documents are taken as they
    are needed, so a cursor is never read far ahead.

    Args:
        size: returns the bytes of a document.
        most: documents of a batch, at most.
        most_bytes: bytes of a batch, at most.
    """
    batch: list[T] = []
    taken = 0
    for document in documents:
        own = size(document)
        if batch and (len(batch) == most or taken + own > most_bytes):
            yield batch
            batch, taken = [], 0
        batch.append(document)
        taken += own
    if batch:
        yield batch


def first_batch(found: Cursor[Document], most: int, most_bytes: int = MOST_BYTES) -> list[Document]:
    """Return the first documents that a query finds; one command where they are not large.

    At least one where it finds any, however large.

    Args:
        found: a query that has no limit yet.
        most: documents, at most.
        most_bytes: bytes of them, at most.
    """
    with found.limit(most):
        return next(batches(found, size_of, most, most_bytes), [])
