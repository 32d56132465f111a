"""Receivers on loopback: real servers that record what they get and answer as told."""

import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from http.client import responses
from io import BufferedReader
from types import TracebackType
from typing import Any

import orjson


@dataclass(frozen=True)
class Received:
    """One request as it came in; header names are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    """Monotonic time at which the last byte was read."""

    def json(self) -> Any:
        return orjson.loads(self.body)


class Fault(Enum):
    """Ways to answer badly."""

    HANG = auto()
    """Read the request, answer nothing until the receiver closes."""
    CLOSE = auto()
    """Read the request, close without a byte."""
    RESET = auto()
    """Read the request, reset the connection."""
    CLOSE_MID_HEADERS = auto()
    SLOW_HEADERS = auto()
    """A good answer at 20 bytes a second."""
    RESET_MID_BODY = auto()
    SLOW_BODY = auto()
    """Good headers, then a body at 20 bytes a second."""
    ENDLESS_BODY = auto()
    """Good headers, then bytes until the other side closes."""
    INVALID_CHUNK = auto()
    NOT_HTTP = auto()


Reply = int | tuple[int, Mapping[str, str], bytes] | Fault
"""A status, or status, headers and body, or a fault."""

Answers = Iterable[Reply] | Callable[[Received], Reply]


class HTTPReceiver:
    """A threaded HTTP/1.1 server with keep-alive on a free loopback port.

        with HTTPReceiver(answers=[500, 200]) as receiver:
            send_to(receiver.url)
            first, second = receiver.wait_for(2)

    Args:
        answers: replies in order of arrival, then 200; or a function of the request.
        tls: serve HTTPS with this context.
    """

    def __init__(self, answers: Answers = (), *, tls: ssl.SSLContext | None = None) -> None:
        self._answer: Callable[[Received], Reply] = self.next_reply
        self._replies: deque[Reply] = deque()
        self._tls = tls
        self._requests: list[Received] = []
        self._changed = threading.Condition()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.answer(answers)

    # Control.

    @property
    def url(self) -> str:
        """Address of the receiver, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def answer(self, answers: Answers) -> None:
        """Answer from now on with `answers`; replies not given yet are dropped."""
        with self._changed:
            if callable(answers):
                self._answer = answers
            else:
                self._replies = deque(answers)
                self._answer = self.next_reply

    def next_reply(self, request: Received) -> Reply:
        """Return the next of the replies in a row, 200 after the last."""
        with self._changed:
            return self._replies.popleft() if self._replies else 200

    # Evidence.

    @property
    def requests(self) -> list[Received]:
        """All requests so far; each is there before it is answered."""
        with self._changed:
            return list(self._requests)

    @property
    def accepted(self) -> int:
        """Connections accepted so far."""
        with self._changed:
            return self._accepted

    @property
    def connections(self) -> int:
        """Connections open now."""
        with self._changed:
            return len(self._open)

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Received]:
        """Return the requests as soon as there are `count`.

        Raises:
            AssertionError: there are fewer after `timeout` seconds.
        """
        self._wait(lambda: len(self._requests) >= count, timeout, f"{count} requests")
        return self.requests

    def wait_for_connections(self, count: int, timeout: float = 10.0) -> None:
        """Wait until exactly `count` connections are open.

        Raises:
            AssertionError: there is another number after `timeout` seconds.
        """
        self._wait(lambda: len(self._open) == count, timeout, f"{count} open connections")

    def _wait(self, condition: Callable[[], bool], timeout: float, wanted: str) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, timeout):
                seen = [f"{r.method} {r.path}" for r in self._requests[-20:]]
                raise AssertionError(
                    f"no {wanted} within {timeout} s: {len(self._open)} connections open, "
                    f"{len(self._requests)} requests, the last of them {seen}"
                )

    # Life.

    def __enter__(self) -> "HTTPReceiver":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and cut every connection. May be called again."""
        if self._closing.is_set():
            return
        self._closing.set()
        with suppress(OSError):  # wakes `accept`
            socket.create_connection(self._listener.getsockname(), timeout=1).close()
        self._thread.join(timeout=5)
        self._listener.close()
        with self._changed:
            still_open = list(self._open)
        for connection in still_open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.wait_for_connections(0, timeout=5)

    # Connections.

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._closing.is_set():
                connection.close()
                return
            with self._changed:
                self._accepted += 1
                self._open.add(connection)
                self._changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        current = connection
        try:
            # A peer that breaks off is part of what is tested.
            with suppress(OSError, ValueError):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    current = self._wrapped(connection, self._tls)
                    current.do_handshake()
                self._converse(current)
        finally:
            with self._changed:
                current.close()
                self._open.discard(current)
                self._changed.notify_all()

    def _wrapped(self, connection: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        """Take `connection` over into TLS, where `close` still finds it."""
        wrapped = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        with self._changed:
            self._open.remove(connection)
            self._open.add(wrapped)
        return wrapped

    def _converse(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as stream:
            while request := _read_request(stream):
                with self._changed:
                    self._requests.append(request)
                    self._changed.notify_all()
                reply = self._answer(request)
                if isinstance(reply, Fault):
                    _misbehave(connection, reply, self._closing)
                    return
                connection.sendall(_response(reply))
                if request.headers.get("connection", "").lower() == "close":
                    return


def slowly(seconds: float) -> Callable[[Received], Reply]:
    """Return answers of a receiver that takes its time for each."""

    def answer(request: Received) -> Reply:
        time.sleep(seconds)
        return 200

    return answer


def _read_request(stream: BufferedReader) -> Received | None:
    """Return the next request, or None when the peer has closed.

    Raises:
        ValueError: not HTTP, or cut short.
    """
    start = stream.readline(65536)
    if not start:
        return None
    method, path, _ = start.decode("latin-1").split(" ", 2)
    headers: dict[str, str] = {}
    while (line := stream.readline(65536)) not in (b"\r\n", b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise ValueError("cut short")
        headers[name.strip().lower()] = value.strip()
    body = _read_body(stream, headers)
    return Received(method, path, headers, body, time.monotonic())


def _read_body(stream: BufferedReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        chunks = []
        while size := int(stream.readline(65536), 16):
            chunks.append(stream.read(size))
            stream.readline(65536)
        stream.readline(65536)
        return b"".join(chunks)
    size = int(headers.get("content-length") or 0)
    body = stream.read(size)
    if len(body) < size:
        raise ValueError("cut short")
    return body


def _response(reply: int | tuple[int, Mapping[str, str], bytes]) -> bytes:
    status, headers, body = (reply, {}, b"{}") if isinstance(reply, int) else reply
    if status in (204, 304):
        body = b""
    reason = responses.get(status, "Unknown")
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{n}: {v}" for n, v in headers.items())]
    named = {name.lower() for name in headers}
    if "content-length" not in named and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    if "content-type" not in named:
        lines.append("Content-Type: application/json")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


_PART = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n"
_HEAD = _PART + b"\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_FIRST_BYTES = {
    Fault.CLOSE_MID_HEADERS: _PART + b"X-Cut: sho",
    Fault.RESET_MID_BODY: _HEAD + b"x" * 10,
    Fault.INVALID_CHUNK: _CHUNKED + b"not a size\r\n",
    Fault.NOT_HTTP: b"220 mail.example.com ESMTP\r\n",
}


def _misbehave(connection: socket.socket, fault: Fault, closing: threading.Event) -> None:
    connection.sendall(_FIRST_BYTES.get(fault, b""))
    match fault:
        case Fault.HANG:
            closing.wait()
        case Fault.RESET | Fault.RESET_MID_BODY:
            _reset(connection)
        case Fault.SLOW_HEADERS:
            _drip(connection, _PART + b"X-Slow: " + b"x" * 2000 + b"\r\n\r\n", closing)
        case Fault.SLOW_BODY:
            connection.sendall(_HEAD)
            _drip(connection, b"x" * 1000, closing)
        case Fault.ENDLESS_BODY:
            connection.sendall(_CHUNKED)
            while not closing.is_set():
                connection.sendall(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")


def _drip(connection: socket.socket, data: bytes, closing: threading.Event) -> None:
    for position in range(len(data)):
        if closing.wait(0.05):
            return
        connection.sendall(data[position : position + 1])


def _reset(connection: socket.socket) -> None:
    """Make closing send a reset instead of an orderly end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
