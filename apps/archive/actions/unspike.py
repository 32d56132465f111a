"""Unspike an item: back into production, where it was (lifecycle contract 5.10)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ItemUpdate
from apps.archive.events import tell_stage
from apps.archive.packages import link_changes
from apps.archive.places import task_with_ids
from apps.archive.visibility import audience
from apps.core.caller import Caller
from apps.core.documents import object_of, objects_of
from apps.core.service import Document
from apps.core.vocabulary import ItemType, Operation, State
from apps.core.workflow import Action, check_allowed


class UnspikeService(ItemUpdate):
    """PATCH `/archive/unspike/<item id>`; `task` in the body sends the item elsewhere."""

    operation = Operation.UNSPIKE

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        check_allowed(Action.UNSPIKE, original.get("state"))
        task = self._task(task_with_ids(updates.get("task")), original)
        updates.clear()
        updates["task"] = task
        updates["state"] = original.get("revert_state") or State.DRAFT
        updates["revert_state"] = None
        updates["expiry"] = self.context.expiry(self.context.places.of(task))
        if original.get("type") == ItemType.COMPOSITE:
            updates["groups"], updates["deleted_groups"] = (
                objects_of(original, "deleted_groups"),
                [],
            )
        self.stamp(updates, original, caller)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        user = str(caller.user_id or "")
        seen_by = audience([original, {**original, **updates}])
        self.context.notifier.push(
            "item:unspike", audience=seen_by, item=str(original["_id"]), user=user
        )
        tell_stage(self.context.notifier, {**original, **updates}, original)

    def follow_ups(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        return link_changes(original["_id"], [], updates.get("groups"))

    def _task(self, wanted: Mapping[str, Any], original: Mapping[str, Any]) -> Document:
        before = object_of(original, "task")
        task = {**before, "user": None}
        desk_id = wanted.get("desk") or before.get("desk")
        if desk_id:
            desk = self.context.places.of({"desk": desk_id}).desk or {}
            stage_id = wanted.get("stage") or desk.get("incoming_stage")
            task.update({"desk": desk_id, "stage": stage_id})
        return task
