"""A network that breaks after a number of bytes."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from typing import Any


class Cut(Enum):
    """How connections end."""

    RESET = auto()
    CLOSE = auto()
    """As if both sides had said all."""


class CuttingNetwork:
    """Carries connections to servers on loopback until `limit` bytes have passed.

    `resolve` stands in for `socket.getaddrinfo`: every connection to an address that it returns
    goes through the network, those for data as well.

    Args:
        limit: bytes that pass, in both directions; None for all.
        how: how connections end then; new ones are refused.
        only: the number of the connection that is counted and ends, from 0; None for all.
    """

    def __init__(
        self, limit: int | None = None, how: Cut = Cut.RESET, only: int | None = None
    ) -> None:
        self.passed = 0
        self._limit = limit
        self._how = how
        self._only = only
        self._lock = threading.Lock()
        self._opened = 0
        self._sockets: list[tuple[int, socket.socket]] = []
        self._threads: list[threading.Thread] = []
        self._is_cut = False

    def resolve(self, host: str, port: int, **_: Any) -> list[Any]:
        """Return the address of a door to the server, which takes one connection."""
        door = socket.create_server(("127.0.0.1", 0), backlog=1)
        address = door.getsockname()
        with self._lock:
            number = self._opened
            self._opened += 1
        self._run(self._carry, door, (host, port), number)
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", address)]

    def close(self) -> None:
        """Break what is still open, and wait for the threads."""
        self._only = None
        self._break()
        for thread in self._threads:
            thread.join(10)

    def _run(self, target: Any, *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _carry(self, door: socket.socket, server: tuple[str, int], number: int) -> None:
        with door, suppress(OSError):
            if self._is_over(number):
                return
            door.settimeout(5)
            client = door.accept()[0]
            try:
                upstream = socket.create_connection(server)
            except OSError:
                client.close()
                return
            with self._lock:
                self._sockets += [(number, client), (number, upstream)]
            if self._is_over(number):
                self._break()
                return
            self._run(self._pump, client, upstream, number)
            self._run(self._pump, upstream, client, number)

    def _pump(self, source: socket.socket, target: socket.socket, number: int) -> None:
        with suppress(OSError):
            while chunk := source.recv(1 << 16):
                if self._counts(number):
                    with self._lock:
                        if self._limit is not None:
                            chunk = chunk[: max(self._limit - self.passed, 0)]
                        self.passed += len(chunk)
                target.sendall(chunk)
                if self._counts(number) and self.passed == self._limit:
                    self._break()
                    return
            target.shutdown(socket.SHUT_WR)

    def _counts(self, number: int) -> bool:
        return self._only in (None, number)

    def _is_over(self, number: int) -> bool:
        with self._lock:
            return self._is_cut and self._counts(number)

    def _break(self) -> None:
        with self._lock:
            self._is_cut = True
            ended = [end for number, end in self._sockets if self._counts(number)]
            self._sockets = [(n, end) for n, end in self._sockets if not self._counts(n)]
        for end in ended:
            with suppress(OSError):
                if self._how is Cut.RESET:
                    linger = struct.pack("ii", 1, 0)
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    # Wakes who reads from it; until then the connection would stay.
                    end.shutdown(socket.SHUT_RD)
                else:
                    end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def network(
    limit: int | None = None, how: Cut = Cut.RESET, only: int | None = None
) -> Iterator[CuttingNetwork]:
    """Provide a network for the length of a block."""
    cutting = CuttingNetwork(limit, how, only)
    try:
        yield cutting
    finally:
        cutting.close()
