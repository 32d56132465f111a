"""Unlock an item: by its holder, by who may, or because a login session ends.

Lifecycle contract 3.7, 3.8.
"""

from collections.abc import Mapping
from typing import Any

from apps.archive.actions.base import (
    ActionContext,
    ItemCommand,
    retry_when_overtaken,
    with_new_etag,
)
from apps.archive.actions.lock import HELD_BY_OTHER
from apps.archive.autosave import saved_changes
from apps.archive.packages import link_changes
from apps.archive.places import check_may_edit, is_locked_by_other
from apps.archive.schema import UNLOCKED
from apps.archive.service import ArchiveService
from apps.archive.visibility import audience
from apps.core.caller import Caller
from apps.core.errors import (
    BadRequest,
    EtagMismatch,
    Forbidden,
    NotFound,
    PreconditionFailed,
    WiredeskError,
)
from apps.core.ids import same_id
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, Operation, State
from apps.core.workflow import Action, is_allowed
from apps.store.collections import ARCHIVE_AUTOSAVE

NOT_LOCKED = "Item is not locked."
MAY_NOT_UNLOCK = "You don't have permissions to unlock an item."


class ItemUnlocker:
    """Unlocks items; who may is not asked here.

    Args:
        context: see `ActionContext`.
        archive: saves autosaved content as a version.
    """

    def __init__(self, context: ActionContext, archive: ArchiveService) -> None:
        self._context = context
        self._archive = archive

    def unlock(self, item: Document, caller: Caller) -> Document:
        """Unlock the item as it was read; return it as it is now, `{"_id": 0}` when it is gone.

        A draft that was never saved is deleted; autosaved content becomes a version.

        Raises:
            EtagMismatch: somebody has written the item since.
        """
        if item.get("_current_version") == 0 and item.get("state") == State.DRAFT:
            self._delete(item, caller)
            self._tell(item, caller)
            return {"_id": 0}
        return self._tell(self._save(item, caller) or self._clear(item, caller), caller)

    def release(self, item_id: str, holder: Caller) -> None:
        """Unlock at the end of a login session, whoever writes the item meanwhile.

        Autosaved content that may not be saved stays what it is.
        """

        def attempt() -> Document:
            item = self._context.item(item_id)
            if not same_id(item.get("lock_user"), holder.user_id):
                return item
            try:
                return self.unlock(item, holder)
            except PreconditionFailed:
                raise
            except WiredeskError:
                return self._tell(self._clear(item, holder, keep_autosave=True), holder)

        try:
            retry_when_overtaken(attempt, Forbidden(HELD_BY_OTHER))
        except NotFound:
            return

    def _delete(self, item: Document, caller: Caller) -> None:
        unlink = link_changes(item["_id"], item.get("groups"), [])
        if not self._context.journal.remove(item, archive=False, follow_ups=unlink):
            raise EtagMismatch()
        self._context.tell_update([item], caller)
        self._context.notifier.push(
            "item:expired", audience=audience([item]), items={str(item["_id"]): 1}
        )

    def _save(self, item: Document, caller: Caller) -> Document | None:
        """Save autosaved content as a version; None when there is none or it may not be saved."""
        state = item.get("state")
        if state in PUBLISH_STATES or not is_allowed(Action.SAVE, state):
            return None
        autosave = self._context.db[ARCHIVE_AUTOSAVE].find_one({"_id": item["_id"]})
        changes = saved_changes(autosave or {}, item)
        if not changes:
            return None
        self._archive.patch(item["_id"], {**changes, "force_unlock": True, **UNLOCKED}, caller)
        return self._context.item(item["_id"])

    def _clear(self, item: Document, caller: Caller, *, keep_autosave: bool = False) -> Document:
        context = self._context
        updates = with_new_etag({**UNLOCKED, "_updated": context.clock.now()})
        row = context.lock_history(Operation.ITEM_UNLOCK, item, UNLOCKED, caller)
        context.journal.write(updates, item, context.journal.action([row]))
        if not keep_autosave:
            context.db[ARCHIVE_AUTOSAVE].delete_one({"_id": item["_id"]})
        return {**item, **updates}

    def _tell(self, item: Document, caller: Caller) -> Document:
        tell_unlocked(self._context, item, caller)
        return item


class UnlockService(ItemCommand):
    """POST `/archive/<item id>/unlock`.

    Args:
        unlocker: does it.
    """

    resource = "archive_unlock"

    def __init__(self, context: ActionContext, unlocker: ItemUnlocker) -> None:
        super().__init__(context)
        self._unlocker = unlocker

    def act(self, item_id: str, request: Mapping[str, Any], caller: Caller) -> Document:
        return retry_when_overtaken(lambda: self._unlock(item_id, caller), Forbidden(HELD_BY_OTHER))

    def _unlock(self, item_id: str, caller: Caller) -> Document:
        item = self.context.readable_item(item_id, caller)
        if not item.get("lock_user"):
            raise BadRequest(NOT_LOCKED)
        check_may_edit(self.db, item, caller)
        if is_locked_by_other(item, caller) and not caller.may("unlock"):
            raise Forbidden(MAY_NOT_UNLOCK)
        return self._unlocker.unlock(item, caller)


def tell_unlocked(context: ActionContext, item: Mapping[str, Any], caller: Caller) -> None:
    """Tell clients that the item is free: `item:unlock`."""
    context.notifier.push(
        "item:unlock",
        audience=audience([item]),
        item=str(item["_id"]),
        item_version=str(item.get("_current_version", 1)),
        state=item.get("state"),
        user=str(caller.user_id or ""),
        lock_session=str(caller.session_id or ""),
        _etag=item.get("_etag"),
    )
