"""Locks that people leave on items when they go."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import State

UNLOCKED: dict[str, Any] = {
    "lock_user": None,
    "lock_session": None,
    "lock_time": None,
    "lock_action": None,
}
SHOWN = {"_current_version": 1, "state": 1, "lock_user": 1, "lock_session": 1, "_etag": 1}


class ItemLocks:
    """Unlock items without asking who holds them (resources contract 4.1, session end).

    Etags of the items stay as they are.

    Args:
        db: the database.
        notifier: tells clients.
    """

    def __init__(self, db: Database[Document], notifier: Notifier) -> None:
        self._db = db
        self._notifier = notifier

    def release(self, user_id: Any, session_id: Any | None = None) -> None:
        """Unlock what the user has locked, in one session or, without `session_id`, in all.

        Drafts that were never saved (version 0) are removed.
        """
        held = {"lock_user": user_id}
        if session_id is not None:
            held["lock_session"] = session_id
        items = list(self._db["archive"].find(held, SHOWN))
        if not items:
            return
        ids = [item["_id"] for item in items]
        unsaved = {"_current_version": 0, "state": State.DRAFT}
        self._db["archive"].delete_many({"_id": {"$in": ids}, **held, **unsaved})
        self._db["archive"].update_many({"_id": {"$in": ids}, **held}, {"$set": UNLOCKED})
        self._db["archive_autosave"].delete_many({"_id": {"$in": ids}})
        for item in items:
            self._tell(item)

    def _tell(self, item: Mapping[str, Any]) -> None:
        self._notifier.push(
            "item:unlock",
            item=str(item["_id"]),
            item_version=str(item.get("_current_version", 1)),
            state=item.get("state"),
            user=str(item["lock_user"]),
            lock_session=str(item.get("lock_session") or ""),
            _etag=item.get("_etag"),
        )
