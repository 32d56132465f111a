"""The items that package groups name."""

from collections.abc import Iterator
from typing import Any


def member_refs(groups: Any) -> Iterator[dict[str, Any]]:
    """Yield the refs of package groups that name items, in order.

    Groups may have been stored by others: what has another shape is left out.
    """
    for group in objects(groups):
        for ref in objects(group.get("refs")):
            if "residRef" in ref:
                yield ref


def member_ids(groups: Any) -> Iterator[str]:
    """Yield the ids of the items that package groups name, in order."""
    for ref in member_refs(groups):
        if isinstance(ref["residRef"], str) and ref["residRef"]:
            yield ref["residRef"]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list, in order."""
    if isinstance(value, (list, tuple)):
        yield from (entry for entry in value if isinstance(entry, dict))
