"""Log in, find who a token stands for, end sessions (resources contract 4.1)."""

import secrets
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Forbidden
from apps.core.notifier import SESSIONS_ENDED, Notifier
from apps.core.service import Document, ResourceService
from apps.core.tokens import hash_token, is_in_force
from apps.core.vocabulary import UserType
from apps.newsroom.auth.credentials import Credentials
from apps.newsroom.auth.item_locks import ItemLocks
from apps.newsroom.stages.visibility import StageVisibility
from apps.store.by_id import find_by_id
from apps.store.collections import ROLES, USERS

SECRETS = ("token", "token_hash", "security_stamps")
"""Fields of sessions that nobody is shown."""


class AuthService(ResourceService):
    """Sessions of users.

    Args:
        locks: unlocks items when sessions end.
        visibility: knows which stages are hidden from a user.
        credentials: checks names and passwords.
        notifier: tells the websocket process when sessions end.
        settings: SESSION_EXPIRY_MINUTES, SESSION_UPDATE_SECONDS, PASSWORD_EXPIRY_DAYS.
    """

    resource = "auth"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        locks: ItemLocks,
        visibility: StageVisibility,
        credentials: Credentials,
        notifier: Notifier,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._locks = locks
        self._visibility = visibility
        self._credentials = credentials
        self._notifier = notifier
        self._expires_after = timedelta(minutes=settings["SESSION_EXPIRY_MINUTES"])
        self._refresh_after = timedelta(seconds=settings["SESSION_UPDATE_SECONDS"])
        self._password_days = int(settings["PASSWORD_EXPIRY_DAYS"])

    def caller_of(self, token: str, arguments: Mapping[str, str]) -> Caller | None:
        """Return the caller that `token` stands for, or None; one command.

        A user who was switched off has no caller, whatever sessions are left; see `is_in_force`.
        Of a user whom others have stored it is found out once which stages are hidden.
        """
        found = self.collection.aggregate(
            [
                {"$match": {"token_hash": hash_token(token)}},
                {"$limit": 1},
                {"$lookup": _joined("users", "user")},
                {"$unwind": "$users"},
                {"$lookup": _joined("roles", "users.role")},
            ]
        )
        session = next(iter(found), None)
        if session is None:
            return None
        user, roles = session.pop("users"), session.pop("roles")
        if not is_in_force(session, user, self.clock.now(), self._expires_after):
            return None
        if user.get("invisible_stages") is None:
            user["invisible_stages"] = self._visibility.recompute([user["_id"]])[user["_id"]]
        if not roles and user.get("role"):
            # It is named in another form than the one that it has.
            roles = [find_by_id(self.db[ROLES], user["role"]) or {}]
        granted = {**(roles[0].get("privileges") or {} if roles else {}), **_privileges(user)}
        names = frozenset(name for name, value in granted.items() if value)
        return Caller(user, session, names, arguments)

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
            TooManyRequests: the same, after too many failures.
            Forbidden: the user may not log in.
        """
        for document in documents:
            password = document.pop("password")
            user = self._credentials.user_of(document["username"], password, caller.address)
            self._check_may_log_in(user)
            document["user"] = user["_id"]
            document["token"] = secrets.token_urlsafe(32)
            # That of the user whose password was checked: a session of one that was changed
            # meanwhile never is in force.
            document["security_stamps"] = [user.get("security_stamp")]
            # Sessions age by the clock of this service, whatever Eve has stamped.
            document["_created"] = document["_updated"] = self.clock.now()

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Store sessions with the hashes of their tokens; who logs in is shown the token."""
        stored = [
            {**document, "token_hash": hash_token(document["token"])} for document in documents
        ]
        for document in stored:
            del document["token"]
        return super().create(stored, caller)

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
        self._notifier.push(SESSIONS_ENDED)
        self._leave(document.get("user"), [document["_id"]])

    def is_logged_in(self, user_id: Any) -> bool:
        """Whether the user has a session."""
        return self.collection.find_one({"user": user_id}, {"_id": 1}) is not None

    def keep(self, session_id: Any, stamp: str) -> None:
        """Let one session stay when its user gets a new `security_stamp`; call it before."""
        self.collection.update_one({"_id": session_id}, {"$push": {"security_stamps": stamp}})

    def end_older(self, user_id: Any) -> None:
        """Remove the sessions from before the user's `security_stamp`, and unlock their items."""
        user = self.db[USERS].find_one({"_id": user_id}, {"security_stamp": 1}) or {}
        since = {"$ne": user.get("security_stamp")}
        older = self.collection.find({"user": user_id, "security_stamps": since}, {"_id": 1})
        ended = [session["_id"] for session in older]
        self.collection.delete_many({"_id": {"$in": ended}})
        self._notifier.push(SESSIONS_ENDED)
        self._leave(user_id, ended)

    def end_expired(self) -> int:
        """End the sessions that nobody has used for SESSION_EXPIRY_MINUTES; return how many."""
        oldest = self.clock.now() - self._expires_after
        expired = list(self.collection.find({"_updated": {"$lt": oldest}}, {"user": 1}))
        # Unless somebody uses it meanwhile, or has removed it.
        ended = [session for session in expired if self._remove_unused(session["_id"], oldest)]
        if ended:
            self._notifier.push(SESSIONS_ENDED)
        for session in ended:
            self._leave(session.get("user"), [session["_id"]])
        return len(ended)

    def _remove_unused(self, session_id: Any, oldest: datetime) -> bool:
        unused = {"_id": session_id, "_updated": {"$lt": oldest}}
        return bool(self.collection.delete_one(unused).deleted_count)

    def _leave(self, user_id: Any, session_ids: Collection[Any]) -> None:
        """Unlock the items of ended sessions; those of all when they were the user's last."""
        if self.is_logged_in(user_id):
            self._locks.release(user_id, session_ids)
            return
        self._locks.release(user_id)
        self.db[USERS].update_one({"_id": user_id}, {"$set": {"last_activity_at": None}})

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            if document.get("user") != caller.user_id:
                raise Forbidden("Not allowed to see the session of another user.")
            for field in SECRETS:
                document.pop(field, None)

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
