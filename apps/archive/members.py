"""The items that package groups name."""

from collections.abc import Iterator
from typing import Any


def member_ids(groups: Any) -> Iterator[str]:
    """Yield the ids of the items that package groups name, in order."""
    for group in groups or ():
        for ref in group.get("refs") or ():
            if ref.get("residRef"):
                yield ref["residRef"]
