"""Connections of delivery types: bounded in time, and to allowed addresses only."""

import socket
import ssl
from collections.abc import Callable
from functools import cache
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from typing import Any

from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline
from transmitters.networks import AddressGuard

Resolver = Callable[..., list[Any]]
"""A function like `socket.getaddrinfo`."""


class NotConnected(Exception):
    """No connection came about.

    Args:
        text: what happened, for people.
        permanent: repeating cannot help.
    """

    def __init__(self, text: str, *, permanent: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent


class Dialler:
    """Open connections, to allowed addresses only.

    Args:
        guard: which addresses are allowed.
        deadline: of the attempt.
        connect_timeout: seconds to connect to an address.
        read_timeout: seconds to wait for the next byte.
        resolve: looks up addresses.
    """

    def __init__(
        self,
        guard: AddressGuard,
        deadline: Deadline,
        *,
        connect_timeout: float,
        read_timeout: float,
        resolve: Resolver,
    ) -> None:
        self._guard = guard
        self._deadline = deadline
        self._connect_timeout = connect_timeout
        self._read_timeout = read_timeout
        self._resolve = resolve

    def dial(self, host: str, port: int) -> BoundedSocket:
        """Connect to the first address of `host` that answers.

        The address that was checked is the one connected to: a second look-up could differ.

        Raises:
            NotConnected: unknown host, no address allowed, or nobody answers.
        """
        problem = NotConnected(f"{host} has no address")
        for family, kind, protocol, _, address in self._addresses(host, port):
            if not self._guard.allows(address[0]):
                problem = NotConnected(f"address of {host} is not allowed", permanent=True)
                continue
            try:
                return self._connect(BoundedSocket(family, kind, protocol), address)
            except OSError as error:
                problem = NotConnected(f"cannot connect to {host}:{port}: {reason_of(error)}")
        raise problem

    def bound(self, connection: Any) -> None:
        """Bind the time of the connection's socket to the attempts it will serve."""
        connection.limit(self._deadline, self._read_timeout)

    def _addresses(self, host: str, port: int) -> list[Any]:
        try:
            return self._resolve(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise NotConnected(f"{host!r} is no host name", permanent=True) from error
        except OSError as error:
            raise NotConnected(f"cannot resolve {host}: {reason_of(error)}") from error

    def _connect(self, sock: BoundedSocket, address: Any) -> BoundedSocket:
        self.bound(sock)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(self._deadline.left(self._connect_timeout))
            sock.connect(address)
        except OSError:
            sock.close()
            raise
        return sock


@cache
def system_certificates() -> ssl.SSLContext:
    """Return the system's certificates: a megabyte, hence one for all clients of the process."""
    return bounded(ssl.create_default_context())


def bounded(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let the sockets of a context be bounded, and return it."""
    context.sslsocket_class = BoundedTLSSocket
    return context


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
