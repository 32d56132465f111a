"""A gate before a server on loopback, which lets connections through as a test wants."""

import socket
import struct
import threading
from contextlib import suppress
from enum import Enum, auto
from types import TracebackType


class Gate(Enum):
    """What happens to connections and to what they carry."""

    OPEN = auto()
    HANG = auto()
    """They are taken, and nothing comes through."""
    RESET = auto()
    """They break: those there are, and new ones as soon as they say something."""


class TCPGate:
    """Carries connections to a port of loopback.

    Args:
        port: of the server.

    Attributes:
        accepted: connections so far.
        passed: bytes so far, in both directions.
    """

    def __init__(self, port: int) -> None:
        self._server = port
        self._state = Gate.OPEN
        self._changed = threading.Condition()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._limit: int | None = None
        self.accepted = 0
        self.passed = 0

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        with self._changed:
            return len(self._pairs)

    def turn(self, state: Gate) -> None:
        """Treat connections so from now on."""
        with self._changed:
            self._state, self._limit = state, None
            pairs = list(self._pairs)
            self._changed.notify_all()
        if state is Gate.RESET:
            for pair in pairs:
                _reset(pair[0])

    def cut_after(self, count: int) -> None:
        """Break all connections as soon as `count` more bytes have passed."""
        with self._changed:
            self._limit = self.passed + count

    def wait_for_connections(self, count: int, timeout: float = 60.0) -> None:
        """Wait until exactly `count` connections are open.

        Raises:
            AssertionError: there is another number after `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._pairs) == count, timeout):
                raise AssertionError(f"{len(self._pairs)} connections are open, not {count}")

    def close(self) -> None:
        """Listen no more, and cut every connection. May be called again."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.turn(Gate.RESET)

    def __enter__(self) -> "TCPGate":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._server)) as server:
            pair = (client, server)
            with self._changed:
                self.accepted += 1
                self._pairs.add(pair)
                self._changed.notify_all()
            back = threading.Thread(target=self._pass, args=(server, client), daemon=True)
            back.start()
            self._pass(client, server)
            back.join()
            with self._changed:
                self._pairs.discard(pair)
                self._changed.notify_all()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        """Carry one direction until it ends; then neither goes on."""
        with suppress(OSError):
            while data := source.recv(1 << 16):
                with self._changed:
                    self._changed.wait_for(lambda: self._state is not Gate.HANG)
                    room = len(data) if self._limit is None else self._limit - self.passed
                    data = data[: max(room, 0)] if self._state is not Gate.RESET else b""
                    self.passed += len(data)
                    is_cut = room <= len(data) and self._limit is not None
                target.sendall(data)
                if is_cut:
                    self.turn(Gate.RESET)
                if not data:
                    break
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _reset(connection: socket.socket) -> None:
    """End a connection with a reset."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
