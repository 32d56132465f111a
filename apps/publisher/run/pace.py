"""How many requests a service gets from all workers together, counted in Redis by its token."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Any, Self

import structlog
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.secrets.vault import UnreadableSecret
from transmitters.cms.base import ErrorClass, PlatformError
from transmitters.cms.failures import SECONDS_TO_WAIT, seconds_asked
from transmitters.cms.http import SiteAnswer

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0
KEPT = 0.1
"""Share of the requests that is kept for what takes stories off."""
TIMEOUT_SECONDS = 2.0
"""Most seconds that a request waits for Redis."""
TOO_MANY = 429
PAUSE_SECONDS = 5.0
"""How long Redis is left alone after it failed."""

TAKE = """
local pause = redis.call('PTTL', KEYS[2])
if pause > 0 then return {pause, 1} end
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window, allowed = tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local used = redis.call('ZCARD', KEYS[1])
if used < allowed then
    redis.call('ZADD', KEYS[1], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[1], window)
    return {0, 0}
end
local leaves = redis.call('ZRANGE', KEYS[1], used - allowed, used - allowed, 'WITHSCORES')
return {math.max(1, leaves[2] + window - now), 0}
"""
"""Counts one request if fewer than allowed were made within the window that ends now.

Returns 0 then; else the milliseconds until the one that has to leave the window does, or until the
service wants to hear of us again, and whether it is the latter. The time is that of Redis: workers
may disagree about theirs.
"""


_takes_off: ContextVar[bool] = ContextVar("takes_off", default=False)


@contextmanager
def taking_off() -> Iterator[None]:
    """Let requests of this thread, made meanwhile, use what is kept for retractions."""
    before = _takes_off.set(True)
    try:
        yield
    finally:
        _takes_off.reset(before)


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

    def limit(self, token: str, rate: int) -> "Limit":
        """Return what a client calls before and after each request.

        Args:
            token: what the service counts requests by; integrations with one token share it.
            rate: requests a minute.
        """
        # Whoever reads Redis learns no token.
        return Limit(self, f"{self._prefix}:pace:{sha256(token.encode()).hexdigest()}", rate)

    def wait(self, key: str, allowed: int) -> None:
        """Wait until there is room for a request; count it.

        Raises:
            PlatformError: the service has asked for a pause.
        """
        while (seconds := self._take(key, allowed)) > 0:
            self._sleep(seconds)

    def pause(self, key: str, seconds: float) -> None:
        """Send no request for a while, whoever asks."""
        if self._monotonic() < self._next_attempt:
            return
        try:
            self._redis.set(f"{key}:pause", 1, px=max(1, int(seconds * 1000)))
        except (RedisError, OSError, ValueError) as error:
            self._failed(error)

    def _take(self, key: str, allowed: int) -> float:
        """Count a request; return the seconds until it is worth asking again, 0 once it counts."""
        if self._monotonic() >= self._next_attempt:
            keys, window = (key, f"{key}:pause"), int(WINDOW_SECONDS * 1000)
            try:
                wait, is_pause = self._redis.eval(TAKE, 2, *keys, window, allowed, token_hex(8))
            except (RedisError, OSError, ValueError) as error:
                self._failed(error)
            else:
                if is_pause:
                    raise PlatformError(
                        ErrorClass.RATE_LIMITED,
                        "paused",
                        "The service has asked us to slow down",
                        retry_after=int(wait) / 1000,
                    )
                return int(wait) / 1000
        self._sleep(WINDOW_SECONDS / allowed)
        return 0.0

    def _failed(self, error: Exception) -> None:
        self._next_attempt = self._monotonic() + PAUSE_SECONDS
        log.warning("publisher.paced_locally", error=str(error))


@dataclass(frozen=True)
class Limit:
    """The limit of one token: goes into `SiteClient` as `before` and `after`.

    Attributes:
        key: of its count in Redis.
        rate: requests a minute.
    """

    pace: Pace
    key: str
    rate: int

    def before(self) -> None:
        """Wait until the next request may be sent.

        Raises:
            PlatformError: not within a reasonable time.
        """
        kept = 0 if _takes_off.get() else max(1, int(self.rate * KEPT))
        self.pace.wait(self.key, max(1, self.rate - kept))

    def after(self, answer: SiteAnswer) -> None:
        """Take note of an answer that asks for a pause: it holds for all with this token."""
        if answer.status == TOO_MANY and answer.is_json:
            self.pace.pause(self.key, seconds_asked(answer) or SECONDS_TO_WAIT)


class SiteLimits:
    """Limits of integrations, by their option `rate_per_minute`.

    Args:
        pace: counts requests.
        credentials_of: returns the credentials of a stored integration; raises `UnreadableSecret`.
    """

    def __init__(
        self, pace: Pace, credentials_of: Callable[[Mapping[str, Any]], Mapping[str, str]]
    ) -> None:
        self._pace = pace
        self._credentials_of = credentials_of

    def __call__(self, integration: Mapping[str, Any], options: Mapping[str, Any]) -> Limit | None:
        """Return the limit of an integration; None where it has none, or nothing can be sent."""
        rate = options.get("rate_per_minute")
        if not rate:
            return None
        try:
            credentials = self._credentials_of(integration)
        except UnreadableSecret:
            return None
        secrets = [f"{name}={value}" for name, value in sorted(credentials.items())]
        return self._pace.limit("\n".join([integration["base_url"], *secrets]), int(rate))
