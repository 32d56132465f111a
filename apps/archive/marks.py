"""Marks of items for users (lifecycle contract 1.5, 6)."""

from collections.abc import Mapping
from typing import Any

from apps.core.notifier import Notifier
from apps.core.service import Document

MARK = "marked_for_user"


def move_mark(updates: Document, original: Mapping[str, Any]) -> None:
    """Take the mark off an item that goes out; who had it stays known."""
    marked = updates.get(MARK, original.get(MARK))
    if marked:
        updates["previous_marked_user"] = marked
        updates.update({MARK: None, "marked_for_sign_off": None})


def tell_marked(
    notifier: Notifier, updates: Mapping[str, Any], original: Mapping[str, Any]
) -> bool:
    """Tell clients when a write changed whom the item is marked for; return whether it did."""
    before = original.get(MARK)
    after = updates.get(MARK, before)
    if before == after:
        return False
    notifier.push(
        "item:marked",
        item_id=str(original.get("item_id") or original["_id"]),
        user_list=[str(user) for user in (after or before,)],
        extension="markForUser",
    )
    return True
