"""Rules of users."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.auth.passwords import hash_password, is_hash
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.service import Document, ResourceService


class UsersService(ResourceService):
    """Users of the newsroom.

    Args:
        settings: BCRYPT_GENSALT_WORK_FACTOR.
    """

    resource = "users"

    def __init__(self, db: Database[Document], clock: Clock, settings: Mapping[str, Any]) -> None:
        super().__init__(db, clock)
        self._work_factor = int(settings["BCRYPT_GENSALT_WORK_FACTOR"])

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            self._hash_password(document)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._hash_password(updates)

    def _hash_password(self, document: Document) -> None:
        password = document.get("password")
        if password and not is_hash(password):
            document["password"] = hash_password(password, self._work_factor)
