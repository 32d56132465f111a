"""Corrections in a state of their own: begin one, give it up (lifecycle contract 5.6)."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.events import tell_stage
from apps.archive.journal.follow_ups import change, record
from apps.archive.visibility import audience, audience_of_write, check_found
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import NotFound, ServerError
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import Operation, QueueState, State
from apps.core.workflow import Action, check_allowed
from apps.publish.content.collaborators import Collaborators
from apps.store.collections import PUBLISHED

WAS_SCHEDULED = "was_scheduled"
"""Mark of a row under correction that has not been out."""
WITHDRAW = "remove_correction"
"""Query argument that gives a correction up."""


def state_without_correction(item: Mapping[str, Any]) -> State:
    """Return the state of an item, or of its row, when nobody corrects it any more."""
    return State.CORRECTED if item.get("correction_sequence") else State.PUBLISHED


def end_of_correction(item: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that give the row under correction its former state.

    One that was only scheduled does not come out any more.
    """
    row = {"item_id": item["_id"], "state": State.BEING_CORRECTED}
    return [
        change(PUBLISHED, {**row, WAS_SCHEDULED: True}, {"state": State.SCHEDULED}),
        change(PUBLISHED, row, {"state": state_without_correction(item)}),
    ]


def return_to_schedule(item: Mapping[str, Any]) -> Document:
    """Return the follow-up that lets the row under correction come out at its time again."""
    row = {"item_id": item["_id"], "state": State.BEING_CORRECTED, WAS_SCHEDULED: True}
    waiting = {"state": State.SCHEDULED, "queue_state": QueueState.PENDING}
    return change(PUBLISHED, row, {**waiting, WAS_SCHEDULED: False})


def scheduled_row(db: Database[Document], item_id: str) -> Document | None:
    """Return the row under correction of an item that was only scheduled, if it was."""
    row = {"item_id": item_id, "state": State.BEING_CORRECTED, WAS_SCHEDULED: True}
    return db[PUBLISHED].find_one(row)


class CorrectionService(ResourceService):
    """PATCH `archive/correction/<id>`: the item goes back to its desk while its last row stays out.

    Version and etag stay as they are.
    """

    resource = "archive"
    endpoint = "archive_correction"

    def __init__(self, collaborators: Collaborators) -> None:
        super().__init__(collaborators.db, collaborators.clock)
        self._settings = collaborators.settings
        self._journal = collaborators.journal
        self._places = collaborators.places
        self._notifier = collaborators.notifier
        self._wake_up = collaborators.wake_up

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_write(document, original)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        """Check the change and stamp the item; nothing is stored.

        Raises:
            ServiceError: the workflow is off, the state does not allow it, or no row is out.
        """
        if not self._settings["CORRECTIONS_WORKFLOW"]:
            raise NotFound("The corrections workflow is not in use.")
        state = original.get("state")
        if state != State.SCHEDULED or not self._settings["ALLOW_UPDATING_SCHEDULED_ITEMS"]:
            check_allowed(Action.CORRECTION, state)
        updates.clear()
        if is_withdrawal(caller):
            updates.update(self._ending(original))
        else:
            updates.update(self._beginning(original))

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Store the state of the item and of its last row; safe against a crash."""
        # The item is the same for those who read it before: only its state is another.
        updates["_etag"] = original.get("_etag")
        update = {name: updates[name] for name in ("state", "operation")}
        writes = [
            *self._row_changes(updates, original, caller),
            record(Operation.CORRECTION, original, update, caller.user_id, self.clock.now()),
        ]
        note = self._journal.action(writes)
        self._journal.write(updates, original, note, unless_changed=["state"])

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        user = str(caller.user_id or "")
        item = {**original, **updates}
        seen_by = audience([item, original])
        self._notifier.push(
            "item:correction", audience=seen_by, item=str(original["_id"]), user=user
        )
        tell_stage(self._notifier, item, original)
        if updates.get("state") == State.SCHEDULED:
            self._wake_up()

    def _ending(self, original: Mapping[str, Any]) -> Document:
        """Return what an item gets back when its correction is given up."""
        updates: Document = {"operation": Operation.CANCEL_CORRECTION}
        if original.get("state") != State.CORRECTION:
            return {**updates, "state": original.get("state")}
        if row := scheduled_row(self.db, original["_id"]):
            times = {name: row.get(name) for name in ("publish_schedule", "schedule_settings")}
            return {**updates, **times, "state": State.SCHEDULED}
        return {**updates, "state": state_without_correction(original)}

    def _beginning(self, original: Mapping[str, Any]) -> Document:
        last = {"item_id": original["_id"], "last_published_version": True}
        if self.db[PUBLISHED].find_one(last, {"_id": 1}) is None:
            item_id = original["_id"]
            raise ServerError(f"Failed to generate correction: {item_id} is not published")
        task = dict(object_of(original, "task"))
        desk = self._places.of({"desk": task.get("desk")}).desk
        if desk:
            task["stage"] = desk.get("working_stage")
        return {
            "state": State.CORRECTION,
            "operation": Operation.CORRECTION,
            "task": task,
            "publish_schedule": None,
            "schedule_settings": {},
        }

    def _row_changes(
        self, updates: Mapping[str, Any], original: Mapping[str, Any], caller: Caller
    ) -> list[Document]:
        if is_withdrawal(caller):
            is_scheduled = updates["state"] == State.SCHEDULED
            return [return_to_schedule(original)] if is_scheduled else end_of_correction(original)
        row = {"item_id": original["_id"], "last_published_version": True}
        begun: Document = {"state": State.BEING_CORRECTED}
        if original.get("state") == State.SCHEDULED:
            # It waits for the correction, not for its time.
            begun |= {"queue_state": QueueState.QUEUED_NOT_TRANSMITTED, WAS_SCHEDULED: True}
        return [change(PUBLISHED, row, begun)]


def is_withdrawal(caller: Caller) -> bool:
    """Whether the request gives the correction up."""
    return str(caller.arguments.get(WITHDRAW, "")).lower() in ("true", "1")
