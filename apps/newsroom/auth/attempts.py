"""Counts failed log-ins by name and by address, for all web processes together (in Redis)."""

import ipaddress
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from threading import Lock
from typing import Any, Self, TypeVar

import structlog
from cachetools import TTLCache
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

log = structlog.get_logger(__name__)

T = TypeVar("T")

TIMEOUT_SECONDS = 2.0
"""Most seconds that a log-in waits for Redis: more than a busy machine takes to read an answer."""

PAUSE_SECONDS = 5.0
"""How long Redis is left alone after it failed, so that not every log-in waits for it."""

LOCAL_COUNTS = 10_000
"""Names and addresses that a process counts while Redis is away."""

NETWORK_BITS = 64
"""What one user has of IPv6: counting single addresses would count nothing."""

COUNT = """
local count = redis.call('INCR', KEYS[1])
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
if count <= limit then
    if count == 1 then redis.call('EXPIRE', KEYS[1], window) end
    return {0, 0}
end
local wait = math.min(2 ^ math.min(count - limit - 1, 30), window)
local waits = redis.call('EXISTS', KEYS[2])
redis.call('EXPIRE', KEYS[1], window)
redis.call('SET', KEYS[2], 1, 'EX', wait)
return {wait, waits}
"""
"""Counts one attempt; all keys expire. One script, so that attempts at the same time are counted
one after the other.

Returns the seconds to wait beyond the limit, which double with each attempt, and whether the wait
that the attempt before was told of is not over yet.
"""


class LoginAttempts:
    """Who has failed too often (resources contract 4.4).

    While Redis is away the process counts for itself, from the beginning.

    Args:
        redis: client with timeouts; see `connect`.
        settings: LOGIN_FAILURES_PER_NAME, LOGIN_FAILURES_PER_ADDRESS, LOGIN_FAILURES_MINUTES;
            NOTIFICATION_CHANNEL begins all keys, for it is one for each installation.
        pause: seconds between attempts to reach a Redis that failed.
        monotonic: seconds that never run backwards, for the pause.
    """

    def __init__(
        self,
        redis: Redis,
        settings: Mapping[str, Any],
        *,
        pause: float = PAUSE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._prefix = settings["NOTIFICATION_CHANNEL"]
        self._per_name = max(0, int(settings["LOGIN_FAILURES_PER_NAME"]))
        self._per_address = max(0, int(settings["LOGIN_FAILURES_PER_ADDRESS"]))
        self._window = max(1, int(settings["LOGIN_FAILURES_MINUTES"] * 60))
        self._local = LocalCounts(self._window, monotonic)
        self._pause = pause
        self._monotonic = monotonic
        self._next_attempt = float("-inf")

    @classmethod
    def connect(cls, url: str, settings: Mapping[str, Any]) -> Self:
        """Return the counts in the Redis at `url`. Lazy."""
        redis = Redis.from_url(
            url,
            socket_connect_timeout=TIMEOUT_SECONDS,
            socket_timeout=TIMEOUT_SECONDS,
            # A repeat could count an attempt twice.
            retry=Retry(NoBackoff(), 0),
        )
        return cls(redis, settings)

    def begin(self, name: str) -> tuple[int, bool]:
        """Count an attempt, before it is checked: many at once cannot pass the limit.

        Returns:
            Seconds to wait should it fail, 0 within the limit; and whether it may not be checked,
            because the wait that was told before is not over.
        """
        wait, is_early = self._count("name", name, self._per_name)
        return wait, bool(is_early)

    def forget(self, name: str) -> None:
        """Count from the beginning: somebody knew the password."""
        if not self._per_name:
            return
        keys = self._keys("name", name)
        self._local.forget(keys[0])
        self._ask(lambda redis: redis.delete(*keys), lambda: None)

    def fail(self, address: str) -> int:
        """Count a failed attempt; return the seconds to wait, 0 within the limit."""
        wait, _ = self._count("address", network_of(address), self._per_address)
        return wait

    def is_beyond(self, address: str) -> bool:
        """Whether the address has failed more often than its limit."""
        if not self._per_address:
            return False
        counter, _ = self._keys("address", network_of(address))
        failures = self._ask(
            lambda redis: int(redis.get(counter) or 0), lambda: self._local.failures(counter)
        )
        return failures >= self._per_address

    def _count(self, kind: str, whom: str, limit: int) -> tuple[int, int]:
        if not limit or not whom:
            return 0, 0
        keys = self._keys(kind, whom)
        wait, is_early = self._ask(
            lambda redis: redis.eval(COUNT, 2, *keys, limit, self._window),
            lambda: self._local.count(keys[0], limit),
        )
        return int(wait), int(is_early)

    def _keys(self, kind: str, whom: str) -> tuple[str, str]:
        """Return the names of counter and wait. Whoever reads Redis learns no names from them."""
        digest = sha256(whom.encode("utf-8", errors="surrogatepass")).hexdigest()
        counter = f"{self._prefix}:login:{kind}:{digest}"
        return counter, f"{counter}:wait"

    def _ask(self, command: Callable[[Redis], T], otherwise: Callable[[], T]) -> T:
        if self._monotonic() < self._next_attempt:
            return otherwise()
        try:
            return command(self._redis)
        except (RedisError, OSError, ValueError) as error:
            self._next_attempt = self._monotonic() + self._pause
            log.warning("login.counted_locally", error=str(error))
            return otherwise()


class LocalCounts:
    """Counts of one process, with a limit. Threads share it.

    Args:
        window: seconds after its last attempt that a name or address is forgotten.
        monotonic: seconds that never run backwards.
    """

    def __init__(self, window: int, monotonic: Callable[[], float]) -> None:
        self._window = window
        self._monotonic = monotonic
        self._counts: TTLCache[str, tuple[int, float]] = TTLCache(LOCAL_COUNTS, window, monotonic)
        self._lock = Lock()

    def count(self, counter: str, limit: int) -> tuple[int, int]:
        """Do what `COUNT` does."""
        with self._lock:
            count, over_at = self._counts.get(counter, (0, 0.0))
            count, now = count + 1, self._monotonic()
            excess = count - limit
            wait = min(2 ** min(excess - 1, 30), self._window) if excess > 0 else 0
            self._counts[counter] = (count, now + wait)
            return wait, int(excess > 0 and now < over_at)

    def failures(self, counter: str) -> int:
        with self._lock:
            return self._counts.get(counter, (0, 0.0))[0]

    def forget(self, counter: str) -> None:
        with self._lock:
            self._counts.pop(counter, None)


def network_of(address: str) -> str:
    """Return what stands for whoever is at `address`: itself, of IPv6 the network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(parsed), NETWORK_BITS), strict=False))
