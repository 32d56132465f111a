"""Change one's password, which works without a session: an expired password opens none."""

from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Unauthorized
from apps.core.service import Document, ResourceService
from apps.newsroom.auth.credentials import WRONG, Credentials
from apps.newsroom.users.service import UsersService


class ChangePasswordService(ResourceService):
    """Sets a new password for who knows the old one. Nothing of its own is stored.

    Args:
        users: stores the password.
        credentials: checks names and passwords.
    """

    resource = "change_user_password"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        users: UsersService,
        credentials: Credentials,
    ) -> None:
        super().__init__(db, clock)
        self._users = users
        self._credentials = credentials

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Change the passwords; return the ids of the users.

        All sessions of the user end, but that of `caller`.

        Raises:
            Unauthorized: unknown user, wrong password, or no new one; one answer for all.
            TooManyRequests: the same, after too many failures.
            SchemaIssues: the new one cannot be a password.
        """
        for document in documents:
            old, new = document.pop("old_password"), document.pop("new_password")
            user = self._credentials.user_of(document["username"], old, caller.address)
            if not new:
                raise Unauthorized("", WRONG)
            changed = self._users.set_password(
                user["_id"], new, caller, field="new_password", min_length=1
            )
            document.update({"_id": user["_id"], "_etag": changed["_etag"]})
        return [document["_id"] for document in documents]
