"""Connections of delivery types: bounded in time, and to allowed addresses only."""

import socket
import ssl
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http.client import BadStatusLine, IncompleteRead, RemoteDisconnected
from ipaddress import ip_address
from threading import Condition, Lock, Timer
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from apps.core.errors import TooManyRequests
from apps.core.patience import Patience
from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline
from transmitters.networks import AddressGuard

Resolver = Callable[..., list[Any]]
"""A function like `socket.getaddrinfo`."""
IDLE_SECONDS = 15.0
"""A connection is kept so long for the next delivery: servers count them."""
MOST_LOOKUPS = 32
"""Look-ups of hosts of a process that are under way; those count that nobody waits for any more."""
_lookups = Patience(MOST_LOOKUPS, {})


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
        found = self._addresses(host, port, self._time_left(host))
        allowed = [entry for entry in found if self._guard.allows(entry[4][0])]
        if found and not allowed:
            raise _refused(host)
        for family, kind, protocol, _, address in allowed:
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
        for *_, address in self._addresses(host, 0, self._read_timeout):
            if not self._guard.allows(address[0]):
                raise _refused(host)

    def bound(self, connection: Any) -> None:
        """Bind the time of the connection's socket to the attempts it will serve."""
        connection.limit(self._deadline, self._read_timeout)

    def _time_left(self, host: str) -> float:
        try:
            return self._deadline.left(self._read_timeout)
        except TimeoutError as error:
            raise NotConnected(f"cannot resolve {host}: {error}") from error

    def _addresses(self, host: str, port: int, seconds: float) -> list[Any]:
        """Look a host up, for so many seconds: name services have time-outs of their own."""

        def look_up() -> list[Any]:
            return self._resolve(host, port, type=socket.SOCK_STREAM)

        try:
            return look_up() if _is_numeric(host) else _lookups.ask(look_up, seconds)
        except ValueError as error:
            raise NotConnected(f"{host!r} is no host name", permanent=True) from error
        except TimeoutError as error:
            raise NotConnected(f"cannot resolve {host}: timed out") from error
        except TooManyRequests as error:
            text = f"cannot resolve {host}: {MOST_LOOKUPS} other look-ups have not ended"
            raise NotConnected(text) from error
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


def _refused(host: str) -> NotConnected:
    text = (
        f"address of {host} is not allowed: it is not of the public internet. Name one that is, or "
        "have those who run this server allow its network"
    )
    return NotConnected(text, permanent=True)


def _is_numeric(host: str) -> bool:
    with suppress(ValueError):
        return bool(ip_address(host.partition("%")[0]))
    return False


class Closable(Protocol):
    """What can be let go of, whatever state it is in."""

    def close(self) -> None: ...


class Slot:
    """A place among the connections of the process to a server."""

    def __init__(self, give_back: Callable[[], None]) -> None:
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        """Let somebody else have it. May be called again."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Slots:
    """How many connections the process has to each server; idle ones make room for new ones."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._taken: Counter[str] = Counter()
        self._idle: dict[Closable, str] = {}

    def take(self, place: str, most: int, seconds: float) -> Slot:
        """Return a place for a connection, as soon as there is one.

        Args:
            place: host and port.
            most: connections at a time.
            seconds: to wait.

        Raises:
            NotConnected: there is none.
        """
        ends = monotonic() + seconds
        while True:
            with self._changed:
                if self._taken[place] < most:
                    self._taken[place] += 1
                    return Slot(lambda: self._release(place))
                idle = next((kept for kept, at in self._idle.items() if at == place), None)
                if idle is None and not self._changed.wait(max(0.0, ends - monotonic())):
                    raise NotConnected(f"all {most} connections to {place} are busy")
            if idle is not None:
                idle.close()

    def rest(self, kept: Closable, place: str) -> None:
        """Say that a connection is not in use; closing `kept` closes it."""
        with self._changed:
            self._idle[kept] = place
            self._changed.notify_all()

    def use(self, kept: Closable) -> None:
        """Say that it is in use, or there no more."""
        with self._changed:
            self._idle.pop(kept, None)

    def _release(self, place: str) -> None:
        with self._changed:
            self._taken[place] -= 1
            if not self._taken[place]:
                del self._taken[place]
            self._changed.notify_all()


SLOTS = Slots()
C = TypeVar("C", bound=Closable)


class KeptConnection(Generic[C]):
    """At most one connection that waits for the next delivery, for `IDLE_SECONDS`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._connection: C | None = None
        self._timer: Timer | None = None

    def take(self) -> C | None:
        """Return the connection, which is kept no more."""
        SLOTS.use(self)
        with self._lock:
            connection, self._connection = self._connection, None
            if self._timer is not None:
                self._timer.cancel()
        return connection

    def keep(self, connection: C, place: str = "") -> None:
        """Keep a connection in place of the one that was kept.

        Args:
            place: host and port, where connections are counted: others may need its place.
        """
        previous = self.take()
        with self._lock:
            surplus, self._connection = self._connection, connection
            self._timer = Timer(IDLE_SECONDS, self._close, [connection])
            self._timer.daemon = True
            self._timer.start()
        for unused in filter(None, (previous, surplus)):
            unused.close()
        if place:
            SLOTS.rest(self, place)

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
        SLOTS.use(self)
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
