"""Move an item to another stage or desk, or to the personal space of the caller.

Lifecycle contract 3.7; resources contract 12.
"""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ItemCommand, with_new_etag
from apps.archive.events import tell_arrival, tell_stage
from apps.archive.macro_changes import changes_of_stages
from apps.archive.packages import member_refs
from apps.archive.places import Place, check_is_own, check_may_send_to, task_with_ids
from apps.core import hooks
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import Forbidden, PreconditionFailed
from apps.core.ids import same_id
from apps.core.service import Document
from apps.core.vocabulary import Operation, State
from apps.core.workflow import KEEP_STATE_ON_MOVE, Action, check_allowed

SAME_STAGE = "Move is not allowed within the same stage."
MOVED_BY_OTHER = "Item is locked for move by another user."
PRODUCTION = "production"

OF_THE_MOVE = frozenset(
    {"state", "operation", "expiry", "version_creator", "versioncreated", "sign_off"}
)
"""Fields that a macro cannot take from the move."""


class MoveService(ItemCommand):
    """POST `/archive/<item id>/move`; without a `task` the item becomes the caller's own."""

    resource = "move"

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        original = self.context.readable_item(item_id, caller)
        if request.get("allPackageItems"):
            self.context.check_members(original, caller)
        item = self._move(original, task_with_ids(request.get("task")), caller)
        if request.get("allPackageItems"):
            for ref in member_refs(original.get("groups")):
                self._move_member(ref["residRef"], request, caller)
        return {"_id": item["_id"], "_etag": item["_etag"], "task": item["task"]}

    def _move_member(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> None:
        task = object_of(self.context.item(item_id), "task")
        target = task_with_ids(request.get("task"))
        is_there = same_id(task.get("stage"), target["stage"]) if target else not task.get("desk")
        if not is_there:
            self.act(item_id, request, caller)

    def _move(self, original: Document, target: Mapping[str, Any], caller: Caller) -> Document:
        check_allowed(Action.MOVE, original.get("state"))
        before = object_of(original, "task")
        if same_id(before.get("stage") or None, target.get("stage")):
            raise PreconditionFailed(SAME_STAGE)
        place = self.context.places.of(target)
        if target:
            check_may_send_to(self.db, target["desk"], caller)
        elif not before.get("desk"):
            check_is_own(original, caller)
        left = self.context.places.where(before)
        updates = self._updates(original, left, place, caller)
        sent = changes_of_stages(self.context.macros, {**original, **updates}, left, place)
        updates.update({name: value for name, value in sent.items() if name not in OF_THE_MOVE})
        hooks.ask(hooks.item_move, "archive", item={**original, **updates}, updates=updates)
        after = {**original, **updates}
        row = self.context.history(Operation.MOVE, after, updates, caller)
        note = self.context.journal.action([row], after["_current_version"])
        try:
            self.context.journal.write(updates, original, note)
        except PreconditionFailed as error:
            raise Forbidden(MOVED_BY_OTHER) from error
        tell_arrival(self.context.notifier, "item:move", after, original, caller.user_id)
        hooks.tell(hooks.item_moved, "archive", item=after, original=original)
        tell_stage(self.context.notifier, after, original)
        return after

    def _updates(
        self, original: Mapping[str, Any], left: Place, place: Place, caller: Caller
    ) -> Document:
        now = self.clock.now()
        state = original.get("state")
        return with_new_etag(
            {
                "state": state if state in KEEP_STATE_ON_MOVE else State.SUBMITTED,
                "operation": Operation.MOVE,
                "task": self._task(object_of(original, "task"), left, place, caller),
                "sign_off": self.context.sign_off(original, caller),
                "expiry": self.context.expiry(place) if place.desk else None,
                "version_creator": str(caller.user_id or ""),
                "versioncreated": now,
                "_updated": now,
                "_current_version": original.get("_current_version", 0) + 1,
            }
        )

    def _task(
        self, before: Mapping[str, Any], from_place: Place, place: Place, caller: Caller
    ) -> Document:
        desk, stage = place.desk or {}, place.stage or {}
        task = {n: v for n, v in before.items() if n not in ("desk", "stage")}
        task["user"] = caller.user_id
        if desk:
            task.update({"desk": desk["_id"], "stage": stage["_id"]})
        if stage.get("task_status"):
            task["status"] = stage["task_status"]
        left = before.get("desk")
        if not left or left == desk.get("_id"):
            return task
        task["last_desk"] = left
        task["desk_history"] = [d for d in before.get("desk_history") or () if d != left] + [left]
        old = from_place.desk or {}
        if desk and old.get("desk_type") != desk.get("desk_type"):
            to_production = desk.get("desk_type") == PRODUCTION
            task["last_authoring_desk" if to_production else "last_production_desk"] = left
        return task
