"""HTTP for delivery types: pooled connections, bounded time and size, no redirects, no retries."""

import socket
import ssl
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
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

KEPT_BYTES = 20_000
"""Bytes of a response body that are kept, unless more are asked for."""
DRAINED_BYTES = 1 << 20
"""A response body longer than this costs the connection."""
DRAIN_SECONDS = 5.0
"""Time for a response body, whose status is known by then."""
DOWNLOADED = 200
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


class HTTPClient:
    """Send requests; any number of threads may share one client.

    Connections stay open between requests, at most `http_connections_per_host` to each host.
    Create it after a fork: processes must not share its sockets.

    Args:
        settings: time-outs, limits and allowed addresses.
        tls: certificates to trust; the system's unless given.
        resolve: looks up addresses.
    """

    def __init__(
        self,
        settings: TransmitSettings,
        *,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        self._total = settings.http_total_timeout
        self._timeout = Timeout(
            connect=settings.http_connect_timeout, read=settings.http_read_timeout
        )
        self._deadline = Deadline()
        dialler = Dialler(
            AddressGuard.of(settings),
            self._deadline,
            connect_timeout=settings.http_connect_timeout,
            read_timeout=settings.http_read_timeout,
            resolve=resolve,
        )
        self._pools = PoolManager(
            num_pools=HOSTS, maxsize=settings.http_connections_per_host, block=True
        )
        self._pools.pool_classes_by_scheme = {
            "http": partial(DialledPool, dialler=dialler),  # type: ignore[dict-item]
            "https": partial(DialledTLSPool, dialler=dialler, tls=tls),  # type: ignore[dict-item]
        }

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None = None,
        keep_bytes: int = KEPT_BYTES,
    ) -> Answer:
        """Send one request and return what was answered, whatever its status.

        A user name and password in `url` are sent as basic authentication.

        Args:
            body: as parts, its length has to be among the headers.
            keep_bytes: of the response body; who asks for more than the start of it waits for it
                as long as the attempt may take.

        Raises:
            NoAnswer: no response within the time, or none at all.
        """
        response = self._opened(method, url, headers, body)
        text, broken = self._read(response, keep_bytes)
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
        """Close every connection that is not in use."""
        self._pools.clear()

    def _read(self, response: BaseHTTPResponse, keep_bytes: int) -> tuple[str, str]:
        """Return the start of the body, and why it broke off.

        The connection is kept only if the rest is small and quick.
        """
        if keep_bytes <= KEPT_BYTES:
            self._deadline.shorten(DRAIN_SECONDS)
        kept, size, broken = bytearray(), 0, ""
        try:
            while chunk := response.read1(1 << 16, decode_content=False):
                kept += chunk[: keep_bytes - len(kept)]
                size += len(chunk)
                if size > max(DRAINED_BYTES, keep_bytes):
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
