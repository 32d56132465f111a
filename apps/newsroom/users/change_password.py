"""Change one's password, which works without a session: an expired password opens none."""

from typing import Any

from pymongo.database import Database

from apps.core.caller import SYSTEM, Caller
from apps.core.clock import Clock
from apps.core.errors import Unauthorized
from apps.core.service import Document, ResourceService
from apps.newsroom.auth.passwords import NOBODY, matches
from apps.newsroom.users.service import UsersService
from apps.store.collections import USERS


class ChangePasswordService(ResourceService):
    """Sets a new password for who knows the old one. Nothing of its own is stored.

    Args:
        users: stores the password.
    """

    resource = "change_user_password"

    def __init__(self, db: Database[Document], clock: Clock, *, users: UsersService) -> None:
        super().__init__(db, clock)
        self._users = users

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Change the passwords; return the ids of the users.

        Raises:
            Unauthorized: unknown user, wrong password, or no new one; one answer for all.
        """
        for document in documents:
            user = self.db[USERS].find_one({"username": document["username"]})
            stored = user.get("password") if user else None
            knows = matches(document.pop("old_password"), stored or NOBODY)
            new = document.pop("new_password")
            if not knows or not user or not new:
                raise Unauthorized("", {"credentials": 1})
            changed = self._users.patch(user["_id"], {"password": new}, SYSTEM)
            document.update({"_id": user["_id"], "_etag": changed["_etag"]})
        return [document["_id"] for document in documents]
