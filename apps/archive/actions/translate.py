"""Translate an item: a copy in another language, tied to its source (resources contract 12)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ActionContext, ItemCommand
from apps.archive.actions.item_copy import CopyOrder, ItemCopier
from apps.archive.events import tell_stage
from apps.archive.places import check_may_send_to, task_with_ids
from apps.archive.translations import linked
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, Operation, State
from apps.core.workflow import Action, check_allowed


class TranslateService(ItemCommand):
    """POST `/archive/translate`.

    Args:
        copier: makes the copies.
    """

    resource = "translate"

    def __init__(self, context: ActionContext, copier: ItemCopier) -> None:
        super().__init__(context)
        self._copier = copier

    def act(self, item_id: str, request: Any, caller: Caller) -> Document:
        source_id = request["guid"]
        source = self.context.readable_item(source_id, caller)
        self.context.check_members(source, caller)
        check_allowed(Action.DUPLICATE, source.get("state"))
        task = self._task(source, task_with_ids(request).get("desk"), caller)
        translation_id = source.get("translation_id") or source_id
        order = CopyOrder(
            source,
            source_id,
            task,
            State.SUBMITTED if task.get("desk") else self._own_state(source),
            Operation.TRANSLATE,
            Operation.TRANSLATE,
            {
                "language": request["language"],
                "translated_from": source_id,
                "translation_id": translation_id,
            },
            lambda copy_id: linked(source, translation_id, copy_id),
        )
        copied = self._copier.copy(order, caller)
        self.context.tell_update([source, copied], caller)
        tell_stage(self.context.notifier, copied)
        return copied

    def _own_state(self, source: Document) -> str:
        """Return the state of a translation without a desk: as its source is being worked on."""
        state = source.get("state") or State.DRAFT
        return State.IN_PROGRESS if state in PUBLISH_STATES else state

    def _task(self, source: Document, desk_id: Any, caller: Caller) -> Document:
        if not desk_id:
            return {**object_of(source, "task"), "user": caller.user_id}
        desk: Mapping[str, Any] = self.context.places.of({"desk": desk_id}).desk or {}
        check_may_send_to(self.db, desk_id, caller)
        return {"desk": desk["_id"], "stage": desk.get("working_stage"), "user": caller.user_id}
