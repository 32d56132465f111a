"""Locks that people leave on items when they go."""

from collections.abc import Collection
from typing import Any, Protocol

import structlog
from pymongo.database import Database
from pymongo.errors import ConnectionFailure

from apps.core.caller import Caller
from apps.core.ids import forms_of, id_forms
from apps.core.service import Document
from apps.store.collections import ARCHIVE, USERS

log = structlog.get_logger(__name__)


class Unlocker(Protocol):
    """Unlocks one item at the end of a login session."""

    def release(self, item_id: str, holder: Caller) -> None:
        """Unlock the item if `holder` still has it locked; others are not asked."""
        ...


class ItemLocks:
    """Unlock items without asking who holds them (resources contract 4.1, session end).

    Args:
        db: the database.
        unlocker: unlocks one item; drafts that were never saved go, autosaved content is saved.
    """

    def __init__(self, db: Database[Document], unlocker: Unlocker) -> None:
        self._db = db
        self._unlocker = unlocker

    def release(self, user_id: Any, session_ids: Collection[Any] | None = None) -> None:
        """Unlock what the user has locked, in these sessions or, without `session_ids`, in all."""
        held: Document = {"lock_user": {"$in": id_forms(user_id)}}
        if session_ids is not None:
            held["lock_session"] = {"$in": forms_of(session_ids)}
        items = list(self._db[ARCHIVE].find(held, {"lock_session": 1}))
        if not items:
            return
        user = self._db[USERS].find_one({"_id": user_id}) or {"_id": user_id}
        for item in items:
            holder = Caller(user, {"_id": item.get("lock_session")})
            try:
                self._unlocker.release(item["_id"], holder)
            except ConnectionFailure:
                raise
            except Exception:
                # Whoever goes leaves, whatever one of the items is like; the others are unlocked.
                log.exception("session.lock_left", item=str(item["_id"]))
