"""HTTP for delivery types: pooled connections, bounded time and size, no redirects, no retries."""

import os
import socket
import ssl
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from threading import Lock
from typing import IO
from urllib.parse import unquote

from urllib3 import PoolManager, Timeout
from urllib3.exceptions import (
    EmptyPoolError,
    HTTPError,
    LocationValueError,
    ProtocolError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as PoolTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import parse_url

from apps.core.sockets import Deadline
from transmitters.base import TransmitSettings
from transmitters.connections import Dialler, Resolver, reason_of
from transmitters.http_connections import DialledPool, DialledTLSPool, NoAnswer
from transmitters.networks import AddressGuard

DRAIN_SECONDS = 5.0
"""Time for a response body, whose status is known by then."""
DOWNLOADED = 200
Origin = tuple[str, str, int]
"""Scheme, host and port."""
HOSTS = 200
"""Hosts with connections kept open; the one not used for longest is let go."""


@dataclass(frozen=True)
class Answer:
    """An HTTP response.

    Attributes:
        headers: names match in any case.
        text: the start of the body.
        broken: why the body broke off, if it did; one that is merely long or slow did not.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    broken: str = ""


class Connections:
    """Connections to hosts that stay open between requests, at most `connections_per_host` to each.

    Create it after a fork: processes must not share its sockets.

    Args:
        settings: time-outs, limits and allowed addresses.
        tls: certificates to trust; the system's unless given.
        resolve: looks up addresses.

    Attributes:
        deadline: of the attempt of the current thread.
    """

    def __init__(
        self,
        settings: TransmitSettings,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        self.deadline = Deadline()
        dialler = Dialler(
            AddressGuard.of(settings),
            self.deadline,
            connect_timeout=settings.http_connect_timeout,
            read_timeout=settings.http_read_timeout,
            resolve=resolve,
        )
        self.pools = PoolManager(num_pools=HOSTS, maxsize=settings.connections_per_host, block=True)
        self.pools.pool_classes_by_scheme = {
            "http": partial(DialledPool, dialler=dialler),  # type: ignore[dict-item]
            "https": partial(DialledTLSPool, dialler=dialler, tls=tls),  # type: ignore[dict-item]
        }
        self._users: Counter[Origin] = Counter()
        self._lock = Lock()

    def join(self, origin: Origin) -> None:
        """Say that there is another client that uses connections to a place."""
        with self._lock:
            self._users[origin] += 1

    def leave(self, origins: Iterable[Origin]) -> None:
        """Say that a client uses them no more; those that nobody uses are closed."""
        with self._lock:
            self._users.subtract(origins)
            unused = {origin for origin in origins if self._users[origin] <= 0}
            for key in self.pools.pools.keys():  # noqa: SIM118 - there is no other way
                if (key.key_scheme, key.key_host.strip("[]"), key.key_port) in unused:
                    del self.pools.pools[key]
            for origin in unused:
                del self._users[origin]


@cache
def _connections_of(process: int, settings: TransmitSettings) -> Connections:
    return Connections(settings)


class HTTPClient:
    """Send requests; any number of threads may share one client.

    Connections stay open between requests, at most `connections_per_host` to each host.

    Args:
        settings: time-outs, limits and allowed addresses.
        tls: certificates to trust; the system's unless given.
        resolve: looks up addresses.
        connections: shared with others; its own unless given.
    """

    def __init__(
        self,
        settings: TransmitSettings,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
        connections: Connections | None = None,
    ) -> None:
        self._total = settings.http_total_timeout
        self._kept_bytes = settings.http_kept_bytes
        self._drained_bytes = settings.http_drained_bytes
        self._timeout = Timeout(
            connect=settings.http_connect_timeout, read=settings.http_read_timeout
        )
        self._connections = connections or Connections(settings, tls, resolve)
        self._deadline = self._connections.deadline
        self._pools = self._connections.pools
        self._used: set[Origin] = set()
        self._used_lock = Lock()

    @classmethod
    def of_process(cls, settings: TransmitSettings) -> "HTTPClient":
        """Return a client that shares its connections with all others of the process.

        So there are at most `connections_per_host` to a host, however many destinations are there.
        """
        return cls(settings, connections=_connections_of(os.getpid(), settings))

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
        keep_bytes: int | None = None,
    ) -> Answer:
        """Send one request and return what was answered, whatever its status.

        A user name and password in `url` are sent as basic authentication.

        Args:
            body: as parts, its length has to be among the headers.
            keep_bytes: of the response body, `http_kept_bytes` unless given; who asks for more
                than that waits for it as long as the attempt may take.

        Raises:
            NoAnswer: no response within the time, or none at all.
        """
        response = self._opened(method, url, headers, body)
        wanted = self._kept_bytes if keep_bytes is None else keep_bytes
        text, broken = self._read(response, wanted)
        return Answer(response.status, response.headers, text, broken)

    def download(self, url: str, target: IO[bytes], max_bytes: int) -> Answer:
        """GET a file into `target`; the body of any other answer than 200 is not read.

        Raises:
            NoAnswer: no response within the time, or none at all.
            ValueError: the file is longer than `max_bytes`.
        """
        response = self._opened("GET", url, {"Accept": "*/*"}, None)
        broken = ""
        try:
            if response.status == DOWNLOADED:
                while chunk := response.read1(1 << 16, decode_content=True):
                    target.write(chunk)
                    if target.tell() > max_bytes:
                        raise ValueError(f"the file is longer than {max_bytes} bytes")
        except HTTPError as error:
            broken = reason_of(error.args[-1])
        finally:
            response.close()
            response.release_conn()
        return Answer(response.status, response.headers, "", broken)

    def _opened(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
    ) -> BaseHTTPResponse:
        """Send a request and return the response, its body unread."""
        self._deadline.start(self._total)
        try:
            self._note(url)
            return self._pools.urlopen(
                method,
                url,
                body=body,
                headers={**_authorization(url), **headers},
                timeout=self._timeout,
                pool_timeout=self._total,
                redirect=False,
                retries=False,
                preload_content=False,
            )
        except NoAnswer:
            raise
        except (HTTPError, ValueError) as error:
            raise _no_answer(error, url) from error

    def close(self) -> None:
        """Close every connection that is not in use, by this or another client."""
        with self._used_lock:
            used, self._used = self._used, set()
        self._connections.leave(used)

    def _note(self, url: str) -> None:
        """Keep in mind whereto there may be a connection.

        Raises:
            HTTPError, ValueError: not an address.
        """
        pool = self._pools.connection_from_url(url)
        origin = (pool.scheme or "", pool.host, pool.port or 0)
        with self._used_lock:
            if origin in self._used:
                return
            self._used.add(origin)
        self._connections.join(origin)

    def _read(self, response: BaseHTTPResponse, keep_bytes: int) -> tuple[str, str]:
        """Return the start of the body, and why it broke off.

        The connection is kept only if the rest is small and quick.
        """
        if keep_bytes <= self._kept_bytes:
            self._deadline.shorten(DRAIN_SECONDS)
        kept, size, broken = bytearray(), 0, ""
        try:
            while chunk := response.read1(1 << 16, decode_content=False):
                kept += chunk[: keep_bytes - len(kept)]
                size += len(chunk)
                if size > max(self._drained_bytes, keep_bytes):
                    response.close()
                    break
        except PoolTimeoutError:
            response.close()
        except HTTPError as error:
            broken = reason_of(error.args[-1])
            response.close()
        response.release_conn()
        return kept.decode(errors="replace"), broken


def _authorization(url: str) -> dict[str, str]:
    """Return the headers that the user name and password in `url` ask for.

    Raises:
        ValueError: not an http or https address.
    """
    target = parse_url(url)
    if target.scheme not in ("http", "https"):
        raise ValueError("not an http or https address")
    if not target.auth:
        return {}
    return {"Authorization": "Basic " + b64encode(unquote(target.auth).encode()).decode()}


def _no_answer(error: Exception, url: str) -> NoAnswer:
    """Return what happened in plain words, without the path and query that a URL may hide keys in.

    A certificate that is not valid will not become so by itself; nor will a broken address.
    """
    if isinstance(error, ValueError):
        return NoAnswer("the address or a header of the request is not valid", permanent=True)
    place = _place(url)
    cause = error.args[-1] if error.args else error
    match error:
        case SSLError() if isinstance(cause, ssl.SSLCertVerificationError):
            reason = cause.verify_message or "not trusted"
            return NoAnswer(f"certificate of {place} is not valid: {reason}", permanent=True)
        case SSLError():
            return NoAnswer(f"TLS with {place} failed: {reason_of(cause)}")
        case EmptyPoolError():
            return NoAnswer(f"all connections to {place} are busy")
        case PoolTimeoutError():
            return NoAnswer(f"{place} timed out", may_have_arrived=True)
        case ProtocolError():
            text = f"connection to {place} broke: {reason_of(cause)}"
            return NoAnswer(text, may_have_arrived=True)
    return NoAnswer(f"request to {place} failed: {type(error).__name__}", may_have_arrived=True)


def _place(url: str) -> str:
    with suppress(LocationValueError):
        return parse_url(url).netloc or "the receiver"
    return "the receiver"
