"""Rules of roles."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Forbidden
from apps.core.notifier import Notifier
from apps.core.schemas import as_stored
from apps.core.service import Document, ResourceService
from apps.store.collections import USERS


class RolesService(ResourceService):
    """Roles of the newsroom; one of them may be the default for new users.

    Args:
        notifier: tells clients.
    """

    resource = "roles"

    def __init__(self, db: Database[Document], clock: Clock, *, notifier: Notifier) -> None:
        super().__init__(db, clock)
        self._notifier = notifier

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            if document.get("is_default"):
                self._keep_one_default(document["_id"])

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        if updates.get("is_default"):
            self._keep_one_default(original["_id"])
        role_id = str(original["_id"])
        if revoked(updates, original):
            self._notifier.push("role_privileges_revoked", updated=1, role_id=role_id)
        else:
            # Clients know the id of the role under this name.
            self._notifier.push("role", updated=1, user_id=role_id)

    def on_delete(self, document: Document, caller: Caller) -> None:
        if document.get("is_default"):
            raise Forbidden("Cannot delete the default role")
        if self.db[USERS].find_one({"role": as_stored(document["_id"])}, {"_id": 1}):
            raise Forbidden("Cannot delete the role, it still has users in it!")

    def default_id(self) -> Any:
        """Return the id of the default role, or None where there is none."""
        role = self.collection.find_one({"is_default": True}, {"_id": 1})
        return role["_id"] if role else None

    def _keep_one_default(self, role_id: Any) -> None:
        others = {"is_default": True, "_id": {"$ne": role_id}}
        self.collection.update_many(others, {"$set": {"is_default": False}})


def revoked(updates: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Whether `updates` take away a privilege that `original` grants."""
    if "privileges" not in updates:
        return False
    kept = updates["privileges"] or {}
    return any(
        granted and not kept.get(name)
        for name, granted in (original.get("privileges") or {}).items()
    )
