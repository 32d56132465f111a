"""Duplicate an item onto a desk or into the personal space (lifecycle contract 3.7, 5.12)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ActionContext, ItemCommand
from apps.archive.actions.item_copy import CopyOrder, ItemCopier
from apps.archive.events import tell_stage
from apps.archive.places import (
    LOCKED_BY_OTHER,
    check_may_send_to,
    is_locked_by_other,
    task_with_ids,
)
from apps.archive.visibility import check_may_read
from apps.core.caller import Caller
from apps.core.errors import Forbidden, NotFound
from apps.core.service import Document
from apps.core.vocabulary import State
from apps.core.workflow import Action, check_allowed
from apps.store.collections import ARCHIVED

NOT_TO_PERSONAL = "Duplicate to Personal space is not allowed."


class DuplicateService(ItemCommand):
    """POST `/archive/<item id>/duplicate`.

    Args:
        copier: makes the copies.
    """

    resource = "duplicate"

    def __init__(self, context: ActionContext, copier: ItemCopier) -> None:
        super().__init__(context)
        self._copier = copier

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        desk_id = request["desk"]
        if not desk_id and not self.context.settings["WORKFLOW_ALLOW_COPY_TO_PERSONAL"]:
            raise Forbidden(NOT_TO_PERSONAL)
        source, source_id = self._source(item_id, request)
        check_may_read(source, caller)
        self.context.check_members(source, caller)
        check_allowed(Action.DUPLICATE, source.get("state"))
        if is_locked_by_other(source, caller):
            raise Forbidden(LOCKED_BY_OTHER)
        task = self._task(task_with_ids(request), caller)
        state = State.SUBMITTED if desk_id else State.IN_PROGRESS
        copied = self._copier.copy(CopyOrder(source, source_id, task, state), caller)
        # Under the id of the source, where the copy stands: whoever sees the copy knows that id.
        self.context.tell_update([{**copied, "_id": source_id}], caller)
        tell_stage(self.context.notifier, copied)
        return copied

    def _source(self, item_id: str, request: Mapping[str, Any]) -> tuple[Document, str]:
        if request["type"] != ARCHIVED:
            return self.context.item(item_id), item_id
        wanted = request.get("item_id") or item_id
        rows = self.db[ARCHIVED].find({"item_id": wanted}).sort("_current_version", -1).limit(1)
        source = next(iter(rows), None)
        if source is None:
            raise NotFound(f"Failed to find item with guid: {wanted}")
        return source, wanted

    def _task(self, request: Mapping[str, Any], caller: Caller) -> Document:
        if not request["desk"]:
            return {"user": caller.user_id}
        task = {"desk": request["desk"], "stage": request.get("stage"), "user": caller.user_id}
        place = self.context.places.of(task)
        check_may_send_to(self.db, request["desk"], caller)
        task["stage"] = task["stage"] or (place.desk or {}).get("working_stage")
        return place.task(task)
