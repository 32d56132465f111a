"""Who is connected, and which of them gets which message when."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import structlog

from apps.core import json
from apps.core.notifier import SESSIONS_ENDED
from apps.notifications.audience import is_addressed
from apps.notifications.client import Client
from apps.notifications.throttle import Message, Throttle
from apps.notifications.viewers import VISIBILITY_EVENT, Viewer

log = structlog.get_logger(__name__)

NOT_SENT = ("filters", "audience")
"""Keys of messages that clients do not get."""


class Fanout:
    """Hand messages to the clients they are meant for, floods throttled. Lives in one event loop.

    Args:
        throttle: decides when a message goes out.
        on_sessions_ended: told when a session has ended, whoever's it was.
    """

    def __init__(self, throttle: Throttle, on_sessions_ended: Callable[[], None]) -> None:
        self._throttle = throttle
        self._on_sessions_ended = on_sessions_ended
        self._flush: asyncio.TimerHandle | None = None
        self._clients: set[Client] = set()
        self.changes = 0
        """How often the bus has told that other stages are hidden from users."""

    def __len__(self) -> int:
        return len(self._clients)

    def __iter__(self) -> Iterator[Client]:
        """Iterate over the clients of this moment; they may come and go meanwhile."""
        return iter(list(self._clients))

    def add(self, client: Client) -> None:
        self._clients.add(client)

    def discard(self, client: Client) -> None:
        self._clients.discard(client)

    def receive(self, data: bytes) -> None:
        """Take one message from the bus: send it, or hold it back until its time has come."""
        message = _parse(data)
        if message is None:
            log.warning("websocket.message_not_json", bytes=len(data))
            return
        if message.get("event") == SESSIONS_ENDED:
            self._on_sessions_ended()
            return
        if message.get("event") == VISIBILITY_EVENT:
            self._hide(message.get("extra") or {})
            return
        passed = self._throttle.offer(message)
        if passed is not None:
            self.send(passed)
        elif self._flush is None:
            self._schedule_flush()

    def send(self, message: Message) -> None:
        """Send `message` now to the clients that `filters` and `audience` let through.

        Both are for this process alone and are not sent.
        """
        filters, audience = message.get("filters"), message.get("audience")
        text = json.dumps({key: message[key] for key in message if key not in NOT_SENT})
        # Each user is looked at once, and by nothing but what is known of the connection.
        sees = cache(lambda viewer: viewer is not None and viewer.is_in(audience))
        for client in self:
            if is_addressed(filters, client.arguments) and (not audience or sees(client.viewer)):
                client.send(text)

    def _hide(self, extra: Mapping[str, Any]) -> None:
        """Take over which stages are hidden from users, before the next message is looked at."""
        self.changes += 1
        users, stages = extra.get("users") or {}, extra.get("stages") or ()
        for client in self:
            if client.viewer is None:
                continue
            if client.viewer.is_nobody:
                client.viewer = Viewer.nobody(stages)
            elif client.viewer.user in users:
                hidden = frozenset(users[client.viewer.user])
                client.viewer = replace(client.viewer, hidden=hidden)

    def drain(self) -> None:
        """Send everything that is held back: the last states before a shutdown."""
        if self._flush is not None:
            self._flush.cancel()
        self._send_all(self._throttle.drain())

    def _schedule_flush(self) -> None:
        delay = self._throttle.delay()
        loop = asyncio.get_running_loop()
        self._flush = None if delay is None else loop.call_later(delay, self._flush_due)

    def _flush_due(self) -> None:
        self._send_all(self._throttle.due())
        self._schedule_flush()

    def _send_all(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self.send(message)


def _parse(data: bytes) -> Message | None:
    try:
        message = json.loads(data)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None
