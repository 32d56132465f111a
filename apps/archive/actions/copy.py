"""Copy an item into the personal space of the user (lifecycle contract 3.7, 5.12)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ActionContext, ItemCommand
from apps.archive.actions.item_copy import CopyOrder, ItemCopier
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import PreconditionFailed
from apps.core.service import Document
from apps.core.workflow import Action, check_allowed

ON_A_DESK = "Copy is not allowed on items in a desk."


class CopyService(ItemCommand):
    """POST `/archive/<item id>/copy`.

    Args:
        copier: makes the copies.
    """

    resource = "copy"

    def __init__(self, context: ActionContext, copier: ItemCopier) -> None:
        super().__init__(context)
        self._copier = copier

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        source = self.context.readable_item(item_id, caller)
        is_on_desk = bool(object_of(source, "task").get("desk"))
        if is_on_desk and not self.context.settings["WORKFLOW_ALLOW_COPY_TO_PERSONAL"]:
            raise PreconditionFailed(ON_A_DESK)
        self.context.check_members(source, caller)
        check_allowed(Action.DUPLICATE, source.get("state"))
        changes = {"original_creator": str(caller.user_id or "")}
        order = CopyOrder(source, item_id, {}, source["state"], changes=changes)
        copied = self._copier.copy(order, caller)
        self.context.notifier.push("item:copy", copied=1, user=str(caller.user_id or ""))
        return copied
