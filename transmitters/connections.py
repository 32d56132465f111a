"""Connections of delivery types: bounded in time, and to allowed addresses only."""

import socket
import ssl
from collections.abc import Callable
from functools import cache
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from threading import Lock, Timer
from typing import Any, Generic, Protocol, TypeVar

from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline
from transmitters.networks import AddressGuard

Resolver = Callable[..., list[Any]]
"""A function like `socket.getaddrinfo`."""
IDLE_SECONDS = 15.0
"""A connection is kept so long for the next delivery: servers count them."""


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

    def check(self, host: str) -> None:
        """Look a host up for a library that connects by itself, to whichever address it likes.

        Raises:
            NotConnected: unknown host, or not all of its addresses are allowed.
        """
        for *_, address in self._addresses(host, 0):
            if not self._guard.allows(address[0]):
                raise NotConnected(f"address of {host} is not allowed", permanent=True)

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


class Closable(Protocol):
    """What can be let go of, whatever state it is in."""

    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class KeptConnection(Generic[C]):
    """At most one connection that waits for the next delivery, for `IDLE_SECONDS`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: C | None = None
        self._timer: Timer | None = None

    def take(self) -> C | None:
        """Return the connection, which is kept no more."""
        with self._lock:
            connection, self._connection = self._connection, None
            if self._timer is not None:
                self._timer.cancel()
        return connection

    def keep(self, connection: C) -> None:
        """Keep a connection in place of the one that was kept."""
        previous = self.take()
        with self._lock:
            surplus, self._connection = self._connection, connection
            self._timer = Timer(IDLE_SECONDS, self._close, [connection])
            self._timer.daemon = True
            self._timer.start()
        for unused in filter(None, (previous, surplus)):
            unused.close()

    def close(self) -> None:
        """Close the connection, if one is kept."""
        connection = self.take()
        if connection is not None:
            connection.close()

    def _close(self, idle: C) -> None:
        """Close a connection that has waited long enough."""
        with self._lock:
            if self._connection is not idle:
                return
            self._connection = None
        idle.close()


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
