"""Corrections in a state of their own: begin one, give it up (lifecycle contract 5.6)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.events import tell_stage
from apps.archive.follow_ups import change, follow_up, record, with_follow_ups
from apps.archive.rights import check_may_read
from apps.core.caller import Caller
from apps.core.errors import NotFound, ServerError
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import Operation, State
from apps.core.workflow import Action, check_allowed
from apps.publish.content.attempt import Tools

WITHDRAW = "remove_correction"
"""Query argument that gives a correction up."""


def state_without_correction(item: Mapping[str, Any]) -> State:
    """Return the state of an item, or of its row, when nobody corrects it any more."""
    return State.CORRECTED if item.get("correction_sequence") else State.PUBLISHED


def end_of_correction(item: Mapping[str, Any]) -> Document:
    """Return the follow-up that gives the row under correction its former state."""
    row = {"item_id": item["_id"], "state": State.BEING_CORRECTED}
    return change("published", row, {"state": state_without_correction(item)})


class CorrectionService(ResourceService):
    """PATCH `archive/correction/<id>`: the item goes back to its desk while its last row stays out.

    Version and etag stay as they are.
    """

    resource = "archive"
    endpoint = "archive_correction"

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools.db, tools.clock)
        self._tools = tools

    def on_found(self, document: Document, caller: Caller) -> None:
        check_may_read(document, caller)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        """Check the change and stamp the item; nothing is stored.

        Raises:
            ServiceError: the workflow is off, the state does not allow it, or no row is out.
        """
        if not self._tools.settings["CORRECTIONS_WORKFLOW"]:
            raise NotFound("The corrections workflow is not in use.")
        check_allowed(Action.CORRECTION, original.get("state"))
        updates.clear()
        if is_withdrawal(caller):
            state = original.get("state")
            if state == State.CORRECTION:
                state = state_without_correction(original)
            updates.update({"state": state, "operation": Operation.CANCEL_CORRECTION})
        else:
            updates.update(self._beginning(original))

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Store the state of the item and of its last row; safe against a crash."""
        # The item is the same for those who read it before: only its state is another.
        updates["_etag"] = original.get("_etag")
        now, journal = self.clock.now(), self._tools.journal
        update = {name: updates[name] for name in ("state", "operation")}
        writes = [
            self._row_change(original, caller),
            record(Operation.CORRECTION, original, update, caller.user_id, now),
        ]
        note = with_follow_ups({"at": self.clock.precise()}, writes)
        journal.store(updates, original, note, ["state"])
        follow_up(self.db, note)
        self.collection.update_one(
            {"_id": id, "journal.at": note["at"]}, {"$unset": {"journal": 1}}
        )

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        user = str(caller.user_id or "")
        self._tools.notifier.push("item:correction", item=str(original["_id"]), user=user)
        tell_stage(self._tools.notifier, {**original, **updates}, original)

    def _beginning(self, original: Mapping[str, Any]) -> Document:
        last = {"item_id": original["_id"], "last_published_version": True}
        if self.db["published"].find_one(last, {"_id": 1}) is None:
            item_id = original["_id"]
            raise ServerError(f"Failed to generate correction: {item_id} is not published")
        task = dict(original.get("task") or {})
        desk = self._tools.places.of({"desk": task.get("desk")}).desk
        if desk:
            task["stage"] = desk.get("working_stage")
        return {
            "state": State.CORRECTION,
            "operation": Operation.CORRECTION,
            "task": task,
            "publish_schedule": None,
            "schedule_settings": {},
        }

    def _row_change(self, original: Mapping[str, Any], caller: Caller) -> Document:
        if is_withdrawal(caller):
            return end_of_correction(original)
        row = {"item_id": original["_id"], "last_published_version": True}
        return change("published", row, {"state": State.BEING_CORRECTED})


def is_withdrawal(caller: Caller) -> bool:
    """Whether the request gives the correction up."""
    return str(caller.arguments.get(WITHDRAW, "")).lower() in ("true", "1")
