"""Members of packages on the publish actions (lifecycle contract 5.7)."""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any

from apps.archive.packages import is_package, member_ids, member_refs
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, State
from apps.publish.content.request import Batch, Outgoing

COPIED_TO_REFS = ("headline", "slugline")

Publish = Callable[[Document, Document], Document]
"""Publishes a member: its updates and the item as stored; returns what was stored."""


def members_to_publish(
    updates: Mapping[str, Any], original: Mapping[str, Any], batch: Batch, *, is_correction: bool
) -> list[str]:
    """Return the ids of direct members that go out with the package.

    A correction takes only those along that are new in the package.
    """
    item = {**original, **updates}
    if not is_package(item) or (is_correction and "groups" not in updates):
        return []
    known = set(member_ids(original.get("groups"))) if is_correction else set()
    wanted = dict.fromkeys(m for m in member_ids(item.get("groups")) if m not in known)
    return [m for m in wanted if not is_out(batch.items.get(m))]


def is_out(item: Mapping[str, Any] | None) -> bool:
    """Whether the item has left the newsroom."""
    return (item or {}).get("state") in PUBLISH_STATES


def is_live(package: Mapping[str, Any]) -> bool:
    """Whether the package is out and has not been withdrawn."""
    return package.get("state") in (State.PUBLISHED, State.CORRECTED)


def publish_members(
    updates: Document,
    original: Mapping[str, Any],
    batch: Batch,
    publish: Publish,
    *,
    is_correction: bool,
) -> None:
    """Publish the members that are not out, then write their versions into the refs.

    Members that are out are left alone, so a repeated request completes what one that died began.
    """
    item = {**original, **updates}
    if not is_package(item) or (is_correction and "groups" not in updates):
        return
    for member_id in members_to_publish(updates, original, batch, is_correction=is_correction):
        member = batch.items.get(member_id)
        if member and member_id not in batch.started:
            batch.items[member_id] = publish(schedule_of(updates), member)
    updates["groups"] = with_versions(item.get("groups"), batch.items)


def schedule_of(updates: Mapping[str, Any]) -> Document:
    """Return the updates that give what goes out with an item the item's hour."""
    if updates.get("state") != State.SCHEDULED:
        return {}
    return {field: deepcopy(updates[field]) for field in ("publish_schedule", "schedule_settings")}


def with_versions(groups: Any, items: Mapping[str, Document]) -> list[Document]:
    """Return groups whose refs say which version of the members they hold."""
    result: list[Document] = deepcopy(list(groups or ()))
    for ref in member_refs(result):
        member = items.get(ref["residRef"])
        if member:
            ref["_current_version"] = member.get("_current_version")
            if member.get("associations"):
                ref["associations"] = member["associations"]
    return result


def is_behind(package: Mapping[str, Any], item: Mapping[str, Any]) -> bool:
    """Whether the package holds an older version of the item."""
    versions = [
        ref.get("_current_version")
        for ref in member_refs(package.get("groups"))
        if ref["residRef"] == item["_id"]
    ]
    return any((version or 0) < (item.get("_current_version") or 0) for version in versions)


def with_members(groups: Any, gone: Iterable[Outgoing]) -> list[Document]:
    """Return package groups with what changed at some members."""
    result: list[Document] = deepcopy(list(groups or ()))
    by_id = {outgoing.item["_id"]: outgoing for outgoing in gone}
    for ref in member_refs(result):
        if outgoing := by_id.get(ref["residRef"]):
            changes = outgoing.changes
            ref.update({f: changes[f] for f in COPIED_TO_REFS if changes.get(f) is not None})
            ref["_current_version"] = outgoing.item.get("_current_version")
    return result
