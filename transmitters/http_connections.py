"""Connections whose every step is bounded by one deadline and goes to allowed addresses only.

urllib3 bounds each read, not the whole: a peer that sends a byte a second would keep it for ever.
"""

import socket
import ssl
from collections.abc import Callable
from functools import cache
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline
from transmitters.base import TransmitSettings
from transmitters.networks import AddressGuard

Resolver = Callable[..., list[Any]]
"""A function like `socket.getaddrinfo`."""


class NoAnswer(HTTPError):
    """No HTTP response came.

    Args:
        text: what happened, for people; names host and port, never a path or a query.
        permanent: repeating cannot help.
        may_have_arrived: the receiver may have got the request.
    """

    def __init__(
        self, text: str, *, permanent: bool = False, may_have_arrived: bool = False
    ) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.may_have_arrived = may_have_arrived


class Dialler:
    """Open connections, to allowed addresses only.

    Args:
        guard: which addresses are allowed.
        settings: time-outs.
        deadline: of the attempt.
        resolve: looks up addresses.
    """

    def __init__(
        self,
        guard: AddressGuard,
        settings: TransmitSettings,
        deadline: Deadline,
        resolve: Resolver,
    ) -> None:
        self._guard = guard
        self._connect_timeout = settings.http_connect_timeout
        self._read_timeout = settings.http_read_timeout
        self._deadline = deadline
        self._resolve = resolve

    def dial(self, host: str, port: int) -> socket.socket:
        """Connect to the first address of `host` that answers.

        The address that was checked is the one connected to: a second look-up could differ.

        Raises:
            NoAnswer: unknown host, no address allowed, or nobody answers.
        """
        problem = NoAnswer(f"{host} has no address")
        for family, kind, protocol, _, address in self._addresses(host, port):
            if not self._guard.allows(address[0]):
                problem = NoAnswer(f"address of {host} is not allowed", permanent=True)
                continue
            try:
                return self._connect(BoundedSocket(family, kind, protocol), address)
            except OSError as error:
                problem = NoAnswer(f"cannot connect to {host}:{port}: {reason_of(error)}")
        raise problem

    def bound(self, connection: Any) -> None:
        """Bind the time of the connection's socket to the attempts it will serve."""
        connection.limit(self._deadline, self._read_timeout)

    def _addresses(self, host: str, port: int) -> list[Any]:
        try:
            return self._resolve(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise NoAnswer(f"{host!r} is no host name", permanent=True) from error
        except OSError as error:
            raise NoAnswer(f"cannot resolve {host}: {reason_of(error)}") from error

    def _connect(self, sock: BoundedSocket, address: Any) -> socket.socket:
        self.bound(sock)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(self._deadline.left(self._connect_timeout))
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock


class DialledConnection(HTTPConnection):
    """A connection that is opened by a `Dialler`."""

    def __init__(self, *args: Any, dialler: Dialler, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dialler = dialler

    def _new_conn(self) -> socket.socket:
        return self._dialler.dial(self._dns_host, self.port)

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        """Return the response once its headers are there.

        Raises:
            ConnectionError: they broke off, which the standard library takes for their end.
        """
        sock = self.sock
        response = super().getresponse()
        if isinstance(sock, BoundedSocket) and sock.ended:
            raise ConnectionError("the answer broke off inside its headers")
        return response


class DialledTLSConnection(DialledConnection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self._dialler.bound(self.sock)  # wrapping in TLS has made a new socket


class DialledPool(HTTPConnectionPool):
    ConnectionCls = DialledConnection


class DialledTLSPool(HTTPSConnectionPool):
    ConnectionCls = DialledTLSConnection

    def __init__(self, *args: Any, tls: ssl.SSLContext | None, **options: Any) -> None:
        super().__init__(*args, **{**options, "ssl_context": tls or _system_certificates()})
        self.conn_kw["ssl_context"].sslsocket_class = BoundedTLSSocket


@cache
def _system_certificates() -> ssl.SSLContext:
    """Return the system's certificates: a megabyte, hence one for all clients of the process."""
    return ssl.create_default_context()


def reason_of(cause: object) -> str:
    """Return the shortest true description of a low-level error."""
    match cause:
        case RemoteDisconnected():
            return "closed without an answer"
        case IncompleteRead():
            return "cut short"
        case BadStatusLine():
            return "the answer is not HTTP"
        case TimeoutError():
            return "timed out"
        case ssl.SSLError(reason=str(word)):
            return word.replace("_", " ").lower()
        case OSError(strerror=str(text)):
            return text
    return str(cause)
