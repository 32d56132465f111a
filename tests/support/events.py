"""Notifications as a client of the channel receives them."""

from types import TracebackType
from typing import Any, Self

from redis import Redis

from apps.core import json

WAIT_SECONDS = 0.5


class Events:
    """Listens to a channel.

    Args:
        url: Redis.
        channel: of the notifications.
    """

    def __init__(self, url: str, channel: str) -> None:
        self._redis = Redis.from_url(url)
        self._pubsub = self._redis.pubsub()
        self._channel = channel
        self._seen: list[tuple[str, dict[str, Any]]] = []

    def __enter__(self) -> Self:
        self._pubsub.subscribe(self._channel)
        assert self._pubsub.get_message(timeout=5)["type"] == "subscribe"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pubsub.close()
        self._redis.close()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Return the `extra` of every event of that name so far, oldest first.

        Waits a moment for events under way, unless there are some already.
        """
        while found := self._next(0 if self._has(name) else WAIT_SECONDS):
            self._seen.append(found)
        return [extra for event, extra in self._seen if event == name]

    def _has(self, name: str) -> bool:
        return any(event == name for event, _ in self._seen)

    def _next(self, timeout: float) -> tuple[str, dict[str, Any]] | None:
        message = self._pubsub.get_message(timeout=timeout)
        if message is None:
            return None
        event = json.loads(message["data"])
        return event["event"], event["extra"]
