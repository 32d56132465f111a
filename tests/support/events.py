"""Notifications as a client of the channel receives them."""

from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from redis import Redis

from apps.core import json

LONGEST_WAIT_SECONDS = 60


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
        self._heard: list[tuple[str, dict[str, Any]]] = []
        self.messages: list[dict[str, Any]] = []
        """Every message heard so far, whole."""

    def __enter__(self) -> Self:
        self._pubsub.subscribe(self._channel)
        assert self._pubsub.get_message(timeout=LONGEST_WAIT_SECONDS)["type"] == "subscribe"
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
        """Return the `extra` of every event of that name so far, oldest first."""
        return [extra for event, extra in self.heard() if event == name]

    def heard(self) -> list[tuple[str, dict[str, Any]]]:
        """Return name and `extra` of every event so far, oldest first.

        Redis keeps the order of a channel: whatever was pushed before the mark comes before it.
        """
        mark = uuid4().hex.encode()
        self._redis.publish(self._channel, mark)
        while (message := self._pubsub.get_message(timeout=LONGEST_WAIT_SECONDS)) is not None:
            if message["data"] == mark:
                return self._heard
            event = json.loads(message["data"])
            self.messages.append(event)
            self._heard.append((event["event"], event["extra"]))
        raise AssertionError("Redis did not return the mark")
