"""Lock an item for one user and login session (lifecycle contract 3.7)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import ItemCommand, retry_when_overtaken, with_new_etag
from apps.archive.places import check_may_edit, is_locked_by_other
from apps.archive.visibility import audience
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import Forbidden
from apps.core.ids import same_id
from apps.core.service import Document
from apps.core.vocabulary import Operation

HELD_BY_OTHER = "Item is locked by another user."
HELD_IN_OTHER_SESSION = "Item is locked by you in another session."


class LockService(ItemCommand):
    """POST `/archive/<item id>/lock`."""

    resource = "archive_lock"

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        action = request.get("lock_action") or "edit"
        item = retry_when_overtaken(
            lambda: self._lock(item_id, action, caller), Forbidden(HELD_BY_OTHER)
        )
        self.context.notifier.push(
            "item:lock",
            audience=audience([item]),
            item=item_id,
            item_version=str(item.get("_current_version", 1)),
            user=str(caller.user_id or ""),
            lock_time=item["lock_time"],
            lock_session=str(caller.session_id or ""),
            _etag=item["_etag"],
        )
        return item

    def _lock(self, item_id: str, action: str, caller: Caller) -> Document:
        original = self.context.item(item_id)
        check_may_edit(self.db, original, caller)
        if is_locked_by_other(original, caller):
            raise Forbidden(HELD_BY_OTHER)
        session = original.get("lock_session")
        if original.get("lock_user") and not same_id(session, caller.session_id):
            raise Forbidden(HELD_IN_OTHER_SESSION)
        lock = {
            "lock_user": caller.user_id,
            "lock_session": caller.session_id,
            "lock_time": self.clock.now(),
            "lock_action": action,
        }
        task = {**object_of(original, "task"), "user": caller.user_id}
        updates = with_new_etag({**lock, "task": task, "_updated": self.clock.now()})
        row = self.context.lock_history(Operation.ITEM_LOCK, original, lock, caller)
        self.context.journal.write(updates, original, self.context.journal.action([row]))
        return {**original, **updates}
