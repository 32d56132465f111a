"""Whether a token belongs to a session whose user may still see the newsroom."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol, Self

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from apps.notifications.viewers import Viewer
from apps.store.collections import AUTH, STAGES, USERS

USER_FIELDS = {"is_active": 1, "is_enabled": 1, "invisible_stages": 1}


class SessionsUnavailable(Exception):
    """Sessions cannot be looked up at the moment."""


class ActiveSessions(Protocol):
    """Look-up of sessions by token."""

    async def active(self, tokens: Collection[str]) -> Mapping[str, Viewer]:
        """Return those of `tokens` that are in force, with whose they are.

        Raises:
            SessionsUnavailable: the store did not answer.
        """
        ...


class MongoSessions:
    """Sessions in the collection `auth`, their users in `users`, with the stages in `stages`.

    Args:
        database: where both are.
    """

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database

    @classmethod
    def connect(cls, uri: str, name: str) -> Self:
        """Return the sessions in the database `name` of the server at `uri`. Lazy."""
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, serverSelectionTimeoutMS=3000, appname="wiredesk-websocket"
        )
        return cls(client[name])

    async def active(self, tokens: Collection[str]) -> dict[str, Viewer]:
        """See `ActiveSessions.active`. Two queries, whatever the number of tokens."""
        try:
            sessions = await self._find(AUTH, "token", tokens, {"token": 1, "user": 1})
            owners = {session["user"] for session in sessions if session.get("user")}
            users = await self._find(USERS, "_id", owners, USER_FIELDS)
        except PyMongoError as error:
            raise SessionsUnavailable(str(error)) from error
        allowed = {user["_id"]: Viewer.of(user) for user in users if _may_log_in(user)}
        return {
            session["token"]: allowed[session["user"]]
            for session in sessions
            if session.get("user") in allowed
        }

    async def nobody(self) -> Viewer:
        """Return the viewer of connections without a token.

        Raises:
            SessionsUnavailable: the store did not answer.
        """
        try:
            hidden = await self._find(STAGES, "is_visible", [False], {"_id": 1})
        except PyMongoError as error:
            raise SessionsUnavailable(str(error)) from error
        return Viewer.nobody(stage["_id"] for stage in hidden)

    async def close(self) -> None:
        """Close the connections."""
        await self._database.client.close()

    async def _find(
        self, collection: str, key: str, values: Collection[Any], fields: Mapping[str, int]
    ) -> list[dict[str, Any]]:
        if not values:
            return []
        return await self._database[collection].find({key: {"$in": list(values)}}, fields).to_list()


def _may_log_in(user: Mapping[str, Any]) -> bool:
    """Both switches default to on (resources contract 5)."""
    return bool(user.get("is_active", True) and user.get("is_enabled", True))
