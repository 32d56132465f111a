"""Locks that people leave on items when they go."""

from typing import Any, Protocol

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.service import Document
from apps.store.collections import ARCHIVE, USERS


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

    def release(self, user_id: Any, session_id: Any | None = None) -> None:
        """Unlock what the user has locked, in one session or, without `session_id`, in all."""
        held = {"lock_user": user_id}
        if session_id is not None:
            held["lock_session"] = session_id
        items = list(self._db[ARCHIVE].find(held, {"lock_session": 1}))
        if not items:
            return
        user = self._db[USERS].find_one({"_id": user_id}) or {"_id": user_id}
        for item in items:
            holder = Caller(user, {"_id": item.get("lock_session")})
            self._unlocker.release(item["_id"], holder)
