"""Whether a token belongs to a session whose user may still see the newsroom."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any, Protocol, Self

from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from apps.core.clock import Clock, SystemClock
from apps.core.tokens import hash_token, is_in_force
from apps.notifications.viewers import Viewer
from apps.store.clock import StoreClock
from apps.store.collections import AUTH, STAGES, USERS
from apps.store.mongo import CODEC, client_options

SESSION_FIELDS = dict.fromkeys(("token_hash", "user", "security_stamps", "_updated"), 1)
USER_FIELDS = dict.fromkeys(
    ("is_active", "is_enabled", "security_stamp", "invisible_stages", "account"), 1
)


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
        expires_after: age of the last request at which sessions end.
        clock: source of time; the machine's unless given.
    """

    def __init__(
        self,
        database: AsyncDatabase[dict[str, Any]],
        expires_after: timedelta,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._expires_after = expires_after
        self._clock = clock or SystemClock()

    @classmethod
    def connect(cls, uri: str, name: str, expires_after: timedelta) -> Self:
        """Return the sessions in the database `name` of the server at `uri`. Lazy."""
        clock = StoreClock()
        client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
            uri, **client_options(uri), appname="wiredesk-websocket", event_listeners=[clock]
        )
        return cls(client.get_database(name, codec_options=CODEC), expires_after, clock)

    async def active(self, tokens: Collection[str]) -> dict[str, Viewer]:
        """See `ActiveSessions.active`. Two queries, whatever the number of tokens."""
        by_hash = {hash_token(token): token for token in tokens}
        try:
            sessions = await self._find(AUTH, "token_hash", by_hash, SESSION_FIELDS)
            owners = {session["user"] for session in sessions if session.get("user")}
            users = await self._find(USERS, "_id", owners, USER_FIELDS)
        except PyMongoError as error:
            raise SessionsUnavailable(str(error)) from error
        known = {user["_id"]: user for user in users}
        now = self._clock.now()
        return {
            by_hash[session["token_hash"]]: Viewer.of(known[session["user"]])
            for session in sessions
            if session.get("user") in known
            and is_in_force(session, known[session["user"]], now, self._expires_after)
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
