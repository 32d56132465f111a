"""The bus: services push events to a Redis pub/sub channel. The channel's readers are not here."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.core import json
from apps.core.clock import Clock
from apps.core.notifier import Audience

log = structlog.get_logger(__name__)

SOCKET_TIMEOUT_SECONDS = 0.2
"""Most seconds that a request loses to a Redis that accepts nothing or answers nothing."""

PAUSE_SECONDS = 5.0
"""How long pushes are dropped unsent after a failure, so that not every request pays the above."""

Filters = Mapping[str, Any]
"""`{"include": {argument: [values]}, "exclude": {argument: [values]}}`."""


@dataclass(frozen=True)
class Event:
    """One notification.

    Attributes:
        name: as clients know it (`item:publish`).
        extra: payload; ids and dates become text.
        filters: which clients get it; all of them when empty.
        audience: whose clients get it; everybody's when empty.
    """

    name: str
    extra: Mapping[str, Any] = field(default_factory=dict)
    filters: Filters | None = None
    audience: Audience = ()


class Notifications:
    """Push events to whoever listens; the `Notifier` of the services.

    Best effort: a push never raises. While Redis is away events are dropped, with one warning for
    each attempt to reach it and none for the events between. Threads may share it: what they count
    together is for the log only.

    Args:
        redis: client with short timeouts; see `connect`.
        channel: pub/sub channel (`NOTIFICATION_CHANNEL`).
        clock: for `_created`.
        pause: seconds between attempts to reach a Redis that failed.
        monotonic: seconds that never run backwards, for the pause.
    """

    def __init__(
        self,
        redis: Redis,
        channel: str,
        clock: Clock,
        *,
        pause: float = PAUSE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._channel = channel
        self._clock = clock
        self._pause = pause
        self._monotonic = monotonic
        self._next_attempt = float("-inf")
        self._dropped = 0

    @classmethod
    def connect(cls, url: str, channel: str, clock: Clock, *, pause: float = PAUSE_SECONDS) -> Self:
        """Return a bus on the Redis at `url`, with timeouts that suit a request. Lazy."""
        redis = Redis.from_url(
            url,
            socket_connect_timeout=SOCKET_TIMEOUT_SECONDS,
            socket_timeout=SOCKET_TIMEOUT_SECONDS,
            # The pool replaces connections that Redis has closed; repeats would only add waiting
            # and could send an event twice.
            retry=Retry(NoBackoff(), 0),
        )
        return cls(redis, channel, clock, pause=pause)

    def push(
        self,
        event: str,
        *,
        filters: Filters | None = None,
        audience: Audience = (),
        **extra: Any,
    ) -> None:
        """Send one event to all listeners.

        Args:
            event: name of the event.
            filters: which clients get it.
            audience: whose clients get it.
            extra: payload.
        """
        self.push_many([Event(event, extra, filters, audience)])

    def push_many(self, events: Iterable[Event]) -> None:
        """Send `events` in this order, in one round trip."""
        messages = [message for event in events if (message := self._encode(event)) is not None]
        if not messages:
            return
        now = self._monotonic()
        if now < self._next_attempt:
            self._dropped += len(messages)
            return
        if self._dropped:
            # Only this caller probes; the others keep dropping until it is known to work.
            self._next_attempt = now + self._pause
        try:
            self._publish(messages)
        except (RedisError, OSError) as error:
            self._note_failure(len(messages), error)
        else:
            self._note_success()

    def close(self) -> None:
        """Give the connections back."""
        self._redis.close()

    def _encode(self, event: Event) -> bytes | None:
        message: dict[str, Any] = {
            "event": event.name,
            "extra": event.extra,
            # Clients read a UTC time without a zone here, unlike anywhere else.
            "_created": self._clock.precise()
            .replace(tzinfo=None)
            .isoformat(timespec="milliseconds"),
            "_process": os.getpid(),
        }
        if event.filters:
            message["filters"] = event.filters
        if event.audience:
            message["audience"] = event.audience
        try:
            return json.dumps(message)
        except (TypeError, ValueError, RecursionError):
            # A payload without a JSON form is a bug, but not worth a failed publish request.
            log.exception("notification.not_json", name=event.name)
            return None

    def _publish(self, messages: Sequence[bytes]) -> None:
        if len(messages) == 1:
            self._redis.publish(self._channel, messages[0])
            return
        with self._redis.pipeline(transaction=False) as pipeline:
            for message in messages:
                pipeline.publish(self._channel, message)
            pipeline.execute()

    def _note_failure(self, count: int, error: Exception) -> None:
        self._dropped += count
        # Counted from the end of the attempt, which may have waited for a timeout.
        self._next_attempt = self._monotonic() + self._pause
        log.warning("notifications.redis_away", dropped=self._dropped, error=str(error))

    def _note_success(self) -> None:
        if self._dropped:
            log.warning("notifications.redis_back", dropped=self._dropped)
        self._dropped = 0
        self._next_attempt = float("-inf")
