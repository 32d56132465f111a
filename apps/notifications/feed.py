"""The websocket process' end of the bus: messages of a Redis channel, across lost connections."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any, Self

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

FIRST_DELAY_SECONDS = 0.1
LAST_DELAY_SECONDS = 5.0
HEARTBEAT_SECONDS = 10.0


class ChannelFeed:
    """Messages published to one channel.

    Args:
        redis: client that does not repeat by itself; see `connect`.
        channel: pub/sub channel (`NOTIFICATION_CHANNEL`).
        heartbeat: seconds of silence after which Redis is asked for a sign of life; as long again
            without one and the connection counts as lost.
    """

    def __init__(self, redis: Redis, channel: str, *, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._redis = redis
        self._channel = channel
        self._heartbeat = heartbeat

    @classmethod
    def connect(cls, url: str, channel: str, *, heartbeat: float = HEARTBEAT_SECONDS) -> Self:
        """Return the feed of `channel` on the Redis at `url`. Lazy."""
        redis = Redis.from_url(
            url,
            socket_connect_timeout=heartbeat,
            socket_timeout=heartbeat,
            retry=Retry(NoBackoff(), 0),
        )
        return cls(redis, channel, heartbeat=heartbeat)

    async def messages(
        self, on_connected: Callable[[], None] = lambda: None
    ) -> AsyncGenerator[bytes, None]:
        """Yield messages as they come, forever.

        A lost connection is made again, waiting a little longer after each failure. What is
        published meanwhile is lost: the bus has no replay.

        Args:
            on_connected: told each time that messages begin to come.
        """
        delay = FIRST_DELAY_SECONDS
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    while True:
                        reply = await self._reply(pubsub)
                        delay = FIRST_DELAY_SECONDS
                        if reply["type"] == "subscribe":
                            log.info("websocket.listening", channel=self._channel)
                            on_connected()
                        elif reply["type"] == "message":
                            yield reply["data"]
            except (RedisError, OSError) as error:
                log.warning("websocket.redis_lost", next_attempt_seconds=delay, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, LAST_DELAY_SECONDS)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _reply(self, pubsub: PubSub) -> dict[str, Any]:
        """Return the next reply; one pong per heartbeat where there is nothing else.

        Raises:
            RedisConnectionError: silence, even after a ping.
        """
        for _ in range(2):
            reply: dict[str, Any] | None = await pubsub.get_message(timeout=self._heartbeat)
            if reply is not None:
                return reply
            await pubsub.ping()
        raise RedisConnectionError(f"no sign of life for {2 * self._heartbeat} s")
