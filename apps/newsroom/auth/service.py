"""Log in, find who a token stands for, end sessions (resources contract 4.1)."""

import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pymongo.database import Database

from apps.core.caller import SYSTEM, Caller
from apps.core.clock import Clock
from apps.core.errors import Forbidden, Unauthorized
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import UserType
from apps.newsroom.auth.item_locks import ItemLocks
from apps.newsroom.auth.passwords import NOBODY, matches
from apps.store.collections import USERS


class AuthService(ResourceService):
    """Sessions of users.

    Args:
        locks: unlocks items when sessions end.
        settings: SESSION_EXPIRY_MINUTES, SESSION_UPDATE_SECONDS, PASSWORD_EXPIRY_DAYS.
    """

    resource = "auth"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        locks: ItemLocks,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._locks = locks
        self._expires_after = timedelta(minutes=settings["SESSION_EXPIRY_MINUTES"])
        self._refresh_after = timedelta(seconds=settings["SESSION_UPDATE_SECONDS"])
        self._password_days = int(settings["PASSWORD_EXPIRY_DAYS"])

    def caller_of(self, token: str, arguments: Mapping[str, str]) -> Caller | None:
        """Return the caller that `token` stands for, or None; one command.

        A user who was switched off has no caller, whatever sessions are left.
        """
        found = self.collection.aggregate(
            [
                {"$match": {"token": token}},
                {"$limit": 1},
                {"$lookup": _joined("users", "user")},
                {"$unwind": "$users"},
                {"$lookup": _joined("roles", "users.role")},
            ]
        )
        session = next(iter(found), None)
        if session is None or self._has_expired(session):
            return None
        user, roles = session.pop("users"), session.pop("roles")
        if not (user.get("is_active", True) and user.get("is_enabled", True)):
            return None
        granted = {**(roles[0].get("privileges") or {} if roles else {}), **_privileges(user)}
        names = frozenset(name for name, value in granted.items() if value)
        return Caller(user, session, names, arguments)

    def _has_expired(self, session: Mapping[str, Any]) -> bool:
        return bool(session["_updated"] < self.clock.now() - self._expires_after)

    def touch(self, caller: Caller) -> None:
        """Refresh the session of `caller`, at most once per SESSION_UPDATE_SECONDS."""
        now = self.clock.now()
        if caller.session is None or caller.session["_updated"] > now - self._refresh_after:
            return
        self.collection.update_one({"_id": caller.session_id}, {"$set": {"_updated": now}})
        self.db[USERS].update_one({"_id": caller.user_id}, {"$set": {"last_activity_at": now}})

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        """Check the credentials and open the session.

        Raises:
            Unauthorized: unknown user or wrong password; one answer for both.
            Forbidden: the user may not log in.
        """
        for document in documents:
            user = self.db[USERS].find_one({"username": document["username"]})
            stored = user.get("password") if user else None
            if not matches(document.pop("password"), stored or NOBODY) or not user:
                raise Unauthorized("", {"credentials": 1})
            self._check_may_log_in(user)
            document["user"] = user["_id"]
            document["token"] = secrets.token_urlsafe(32)
            # Sessions age by the clock of this service, whatever Eve has stamped.
            document["_created"] = document["_updated"] = self.clock.now()

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        self.end_expired()
        now = self.clock.now()
        for document in documents:
            self.db[USERS].update_one(
                {"_id": document["user"]}, {"$set": {"last_activity_at": now}}
            )

    def on_delete(self, document: Document, caller: Caller) -> None:
        if document.get("user") != caller.user_id and not caller.may("users"):
            raise Forbidden("Not allowed to end the session of another user.")

    def on_deleted(self, document: Document, caller: Caller) -> None:
        """Unlock the session's items; those of all sessions when it was the user's last."""
        user_id = document.get("user")
        if self.is_logged_in(user_id):
            self._locks.release(user_id, document["_id"])
            return
        self._locks.release(user_id)
        self.db[USERS].update_one({"_id": user_id}, {"$set": {"last_activity_at": None}})

    def is_logged_in(self, user_id: Any) -> bool:
        """Whether the user has a session."""
        return self.collection.find_one({"user": user_id}, {"_id": 1}) is not None

    def end_all(self, user_id: Any) -> None:
        """End every session of the user and unlock what the user has locked."""
        self.collection.delete_many({"user": user_id})
        self._locks.release(user_id)
        self.db[USERS].update_one({"_id": user_id}, {"$set": {"last_activity_at": None}})

    def end_expired(self) -> int:
        """End the sessions that nobody has used for SESSION_EXPIRY_MINUTES; return how many."""
        oldest = self.clock.now() - self._expires_after
        expired = list(self.collection.find({"_updated": {"$lt": oldest}}, {"user": 1}))
        for session in expired:
            self.delete(session, SYSTEM)
            self.on_deleted(session, SYSTEM)
        return len(expired)

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            if document.get("user") != caller.user_id:
                raise Forbidden("Not allowed to see the session of another user.")

    def _check_may_log_in(self, user: Mapping[str, Any]) -> None:
        if user.get("user_type") == UserType.EXTERNAL:
            raise Forbidden("", {"user_type": "external"})
        if self._password_is_expired(user):
            raise Forbidden("", {"password_is_expired": True})
        for flag in ("is_enabled", "is_active"):
            if not user.get(flag, True):
                raise Forbidden("", {flag: False})

    def _password_is_expired(self, user: Mapping[str, Any]) -> bool:
        if self._password_days <= 0:
            return False
        changed = user.get("password_changed_on")
        oldest = self.clock.now() - timedelta(days=self._password_days)
        return changed is None or changed < oldest


def _joined(collection: str, local_field: str) -> dict[str, str]:
    return {
        "from": collection,
        "localField": local_field,
        "foreignField": "_id",
        "as": collection,
    }


def _privileges(user: Mapping[str, Any]) -> dict[str, Any]:
    return user.get("privileges") or {}
