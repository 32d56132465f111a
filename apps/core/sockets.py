"""Sockets whose every step is bounded by one deadline.

The time-outs of sockets are per call: a peer that sends a byte a second would keep a client for
ever.
"""

import socket
import ssl
import threading
import time
from typing import Any


class Deadline(threading.local):
    """When the attempt of the current thread must be over."""

    ends = 0.0

    def start(self, seconds: float) -> None:
        """Begin an attempt of `seconds`."""
        self.ends = time.monotonic() + seconds

    def shorten(self, seconds: float) -> None:
        """End the attempt in `seconds` unless it ends before."""
        self.ends = min(self.ends, time.monotonic() + seconds)

    def left(self, at_most: float | None = None) -> float:
        """Return the seconds left, or `at_most` when that is less.

        Raises:
            TimeoutError: none.
        """
        left = self.ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the attempt took too long")
        return left if at_most is None else min(left, at_most)


class BoundedSocket(socket.socket):
    """A socket that never blocks beyond the attempt it serves."""

    deadline: Deadline
    patience: float
    """Seconds to wait for the next byte."""

    ended = False
    """The peer has closed and its last byte was read."""

    def limit(self, deadline: Deadline, patience: float) -> None:
        """Say which attempts the socket serves; before its first use.

        Args:
            deadline: when an attempt must be over.
            patience: seconds to wait for the next byte.
        """
        self.deadline, self.patience = deadline, patience

    def recv_into(self, *args: Any) -> int:
        self.settimeout(self.deadline.left(self.patience))
        count = super().recv_into(*args)
        self.ended = not count
        return count

    def send(self, *args: Any) -> int:
        self.settimeout(self.deadline.left())
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        self.settimeout(self.deadline.left())
        super().sendall(*args)


class BoundedTLSSocket(BoundedSocket, ssl.SSLSocket):
    """The same over TLS."""
