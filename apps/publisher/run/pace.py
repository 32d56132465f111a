"""How many requests a service gets from all workers together, counted in Redis by its token."""

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from secrets import token_hex
from typing import Any, Self

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0
KEPT = 0.1
"""Share of the requests that is kept for what takes stories off."""
TIMEOUT_SECONDS = 2.0
"""Most seconds that a request waits for Redis."""
PAUSE_SECONDS = 5.0
"""How long Redis is left alone after it failed."""

TAKE = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window, allowed = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used < allowed then
    redis.call('ZADD', KEYS[1], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[1], window)
    return 0
end
local leaves = redis.call('ZRANGE', KEYS[1], used - allowed, used - allowed, 'WITHSCORES')
return math.max(1, leaves[2] + window - now)
"""
"""Counts one request if fewer than allowed were made within the window that ends now.

Else returns the milliseconds until the one that has to leave the window does. The time is that of
Redis: workers may disagree about theirs.
"""


class Pace:
    """Let requests through as fast as a service allows, and no faster (cms contract 12.3).

    While Redis is away each process spreads its own requests evenly.

    Args:
        redis: client with timeouts; see `connect`.
        prefix: begins all keys, one for each installation.
        sleep: waits for some seconds.
        monotonic: seconds that never run backwards.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._sleep = sleep
        self._monotonic = monotonic
        self._next_attempt = float("-inf")

    @classmethod
    def connect(cls, url: str, settings: Mapping[str, Any]) -> Self:
        """Return the pace that the Redis at `url` keeps. Lazy.

        Args:
            settings: NOTIFICATION_CHANNEL begins all keys, for it is one for each installation.
        """
        redis = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            # A repeat could count a request twice.
            retry=Retry(NoBackoff(), 0),
        )
        return cls(redis, settings["NOTIFICATION_CHANNEL"])

    def before(
        self, token: str, rate: int | None, *, is_urgent: bool = False
    ) -> Callable[[], None]:
        """Return what a client calls before each request: it waits until there is room for it.

        Args:
            token: what the service counts requests by; integrations with one token share it.
            rate: requests a minute, None without a limit.
            is_urgent: the requests take a story off, and may use what is kept for that.
        """
        if not rate:
            return lambda: None
        allowed = rate if is_urgent else max(1, rate - max(1, int(rate * KEPT)))
        # Whoever reads Redis learns no token.
        key = f"{self._prefix}:pace:{sha256(token.encode()).hexdigest()}"
        return lambda: self._wait(key, allowed)

    def _wait(self, key: str, allowed: int) -> None:
        while (seconds := self._take(key, allowed)) > 0:
            self._sleep(seconds)

    def _take(self, key: str, allowed: int) -> float:
        """Count a request; return the seconds until it is worth asking again, 0 once it counts."""
        if self._monotonic() >= self._next_attempt:
            window = int(WINDOW_SECONDS * 1000)
            try:
                return float(self._redis.eval(TAKE, 1, key, window, allowed, token_hex(8))) / 1000
            except (RedisError, OSError, ValueError) as error:
                self._next_attempt = self._monotonic() + PAUSE_SECONDS
                log.warning("publisher.paced_locally", error=str(error))
        self._sleep(WINDOW_SECONDS / allowed)
        return 0.0
