"""Counts failed log-ins by name and by address, for all web processes together (in Redis)."""

import ipaddress
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

PAUSE_SECONDS = 5.0
"""How long nothing is counted after Redis failed, so that not every log-in waits for it."""

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

    While Redis is away nothing is counted, and everybody may try.

    Args:
        redis: client with short timeouts.
        prefix: first part of all keys, one for each installation.
        settings: LOGIN_FAILURES_PER_NAME, LOGIN_FAILURES_PER_ADDRESS, LOGIN_FAILURES_MINUTES.
        pause: seconds between attempts to reach a Redis that failed.
        monotonic: seconds that never run backwards, for the pause.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        settings: Mapping[str, Any],
        *,
        pause: float = PAUSE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._prefix = prefix
        self._per_name = max(0, int(settings["LOGIN_FAILURES_PER_NAME"]))
        self._per_address = max(0, int(settings["LOGIN_FAILURES_PER_ADDRESS"]))
        self._window = max(1, int(settings["LOGIN_FAILURES_MINUTES"] * 60))
        self._pause = pause
        self._monotonic = monotonic
        self._next_attempt = float("-inf")

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
        if self._per_name:
            self._ask(lambda redis: redis.delete(*self._keys("name", name)), None)

    def fail(self, address: str) -> int:
        """Count a failed attempt; return the seconds to wait, 0 within the limit."""
        wait, _ = self._count("address", network_of(address), self._per_address)
        return wait

    def is_beyond(self, address: str) -> bool:
        """Whether the address has failed more often than its limit."""
        if not self._per_address:
            return False
        counter, _ = self._keys("address", network_of(address))
        failures: int = self._ask(lambda redis: int(redis.get(counter) or 0), 0)
        return failures >= self._per_address

    def _count(self, kind: str, whom: str, limit: int) -> tuple[int, int]:
        if not limit or not whom:
            return 0, 0
        keys = self._keys(kind, whom)
        found = self._ask(lambda redis: redis.eval(COUNT, 2, *keys, limit, self._window), (0, 0))
        return int(found[0]), int(found[1])

    def _keys(self, kind: str, whom: str) -> tuple[str, str]:
        """Return the names of counter and wait. Whoever reads Redis learns no names from them."""
        digest = sha256(whom.encode("utf-8", errors="surrogatepass")).hexdigest()
        counter = f"{self._prefix}:login:{kind}:{digest}"
        return counter, f"{counter}:wait"

    def _ask(self, command: Callable[[Redis], Any], otherwise: Any) -> Any:
        if self._monotonic() < self._next_attempt:
            return otherwise
        try:
            return command(self._redis)
        except (RedisError, OSError, ValueError) as error:
            self._next_attempt = self._monotonic() + self._pause
            log.warning("login.not_counted", error=str(error))
            return otherwise


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
