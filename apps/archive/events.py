"""Push notifications about items, and marks of items for users (lifecycle contract 1.5, 6)."""

from collections.abc import Iterable, Mapping
from typing import Any

from apps.archive.visibility import audience
from apps.core.documents import object_of
from apps.core.notifier import Notifier
from apps.core.service import Document

MARK = "marked_for_user"


def tell_update(
    notifier: Notifier, items: Iterable[Mapping[str, Any]], user_id: Any = None
) -> None:
    """Tell clients that items have changed: `content:update` with their desks and stages.

    Args:
        items: as stored in `archive`; one that has moved as it was and as it is.
        user_id: who changed them; None for the system.
    """
    known = list(items)
    tasks = [object_of(item, "task") for item in known]
    forms: dict[str, list[Mapping[str, Any]]] = {}
    for item in known:
        forms.setdefault(str(item["_id"]), []).append(item)
    notifier.push(
        "content:update",
        audience=audience(*forms.values()),
        user=str(user_id or ""),
        items={str(item["_id"]): 1 for item in known},
        desks={str(task["desk"]): 1 for task in tasks if task.get("desk")},
        stages={str(task["stage"]): 1 for task in tasks if task.get("stage")},
    )


def tell_arrival(
    notifier: Notifier,
    event: str,
    item: Mapping[str, Any],
    source: Mapping[str, Any],
    user_id: Any,
) -> None:
    """Tell clients that an item has come to another place: `item:move` or `item:fetch`.

    Args:
        event: its name.
        item: where it is now.
        source: the item as it was where it came from.
        user_id: who brought it.
    """
    before, after = object_of(source, "task"), object_of(item, "task")
    is_same = source["_id"] == item["_id"]
    notifier.push(
        event,
        audience=audience([item, source] if is_same else [item]),
        user=str(user_id or ""),
        item=str(item["_id"]),
        item_version=str(item["_current_version"]),
        from_desk=str(before.get("desk") or ""),
        from_stage=str(before.get("stage") or ""),
        to_desk=str(after.get("desk") or ""),
        to_stage=str(after.get("stage") or ""),
    )


def tell_stage(
    notifier: Notifier, item: Mapping[str, Any], before: Mapping[str, Any] | None = None
) -> None:
    """Tell clients that an item has come to another stage: `task:stage` (resources contract 26).

    Args:
        item: as it is now.
        before: as it was; None for an item that is new on its desk: `task:new`.
    """
    if before is None:
        if object_of(item, "task").get("desk"):
            notifier.push("task:new")
        return
    old, new = object_of(before, "task"), object_of(item, "task")
    if old.get("stage") == new.get("stage"):
        return
    notifier.push(
        "task:stage",
        audience=audience([item, before]),
        new_stage=str(new.get("stage") or ""),
        old_stage=str(old.get("stage") or ""),
        new_desk=str(new.get("desk") or ""),
        old_desk=str(old.get("desk") or ""),
    )


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
        audience=audience([{**original, **updates}, original]),
        item_id=str(original.get("item_id") or original["_id"]),
        user_list=[str(user) for user in (after or before,)],
        extension="markForUser",
    )
    return True
