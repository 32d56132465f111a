"""Copy an item into the personal space of the user (lifecycle contract 3.7, 5.12)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ItemCommand, Tools
from apps.archive.actions.item_copy import Copying, CopyOf
from apps.core.caller import Caller
from apps.core.errors import PreconditionFailed
from apps.core.service import Document
from apps.core.workflow import Action, check_allowed

ON_A_DESK = "Copy is not allowed on items in a desk."


class CopyService(ItemCommand):
    """POST `/archive/<item id>/copy`.

    Args:
        copying: makes the copies.
    """

    resource = "copy"

    def __init__(self, tools: Tools, copying: Copying) -> None:
        super().__init__(tools)
        self._copying = copying

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        source = self.tools.readable_item(item_id, caller)
        is_on_desk = bool((source.get("task") or {}).get("desk"))
        if is_on_desk and not self.tools.settings["WORKFLOW_ALLOW_COPY_TO_PERSONAL"]:
            raise PreconditionFailed(ON_A_DESK)
        check_allowed(Action.DUPLICATE, source.get("state"))
        changes = {"original_creator": str(caller.user_id or "")}
        order = CopyOf(source, item_id, {}, source["state"], changes=changes)
        copied = self._copying.copy(order, caller)
        self.tools.notifier.push("item:copy", copied=1, user=str(caller.user_id or ""))
        return copied
