"""A proxy between the code under test and a peer: counts requests, loses and spoils answers.

Addresses inside answers name the peer itself, not the proxy.
"""

import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

UPSTREAM_SECONDS = 300.0
HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class Fault(Enum):
    """What happens to a request or its answer."""

    LOSE_REQUEST = auto()
    """Nothing reaches the peer, and the connection breaks."""
    LOSE_ANSWER = auto()
    """The peer does the work; the connection breaks instead of its answer."""
    CUT_ANSWER = auto()
    """The peer does the work; half the body arrives, then the connection breaks."""
    HOLD_ANSWER = auto()
    """The peer does the work; the answer comes when `release` is called, or never."""
    REPEAT_REQUEST = auto()
    """The peer gets the request twice; its first answer arrives."""


@dataclass(frozen=True)
class Reply:
    """An answer of the proxy's own.

    Attributes:
        work_done: the request reaches the peer all the same.
    """

    status: int
    body: bytes = b"<html><body><h1>Bad gateway</h1></body></html>"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "text/html"})
    work_done: bool = False


@dataclass
class Rule:
    """When something happens.

    Attributes:
        method: of the requests it is about, or any.
        target: a regular expression that is found in path and query, percent-decoded.
        every: the first of so many of them is spared until the last: 1 for each of them.
        times: how often at most.
        happened: how often it has.
    """

    what: Fault | Reply
    method: str | None = None
    target: str = ""
    every: int = 1
    times: int | None = None
    happened: int = 0
    seen: int = 0

    def applies(self, method: str, target: str) -> bool:
        """Count a request, and tell whether it is hit."""
        if self.method not in (None, method) or not re.search(self.target, target):
            return False
        if self.times is not None and self.happened >= self.times:
            return False
        self.seen += 1
        if self.seen % self.every:
            return False
        self.happened += 1
        return True


@dataclass(frozen=True)
class Forwarded:
    """A request that came in.

    Attributes:
        target: path and query, percent-decoded.
        status: what the peer answered; None where it was not asked.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    status: int | None


class Proxy:
    """Forward requests from a free loopback port to a peer.

        with Proxy(peer.url) as proxy:
            proxy.rule(Fault.LOSE_ANSWER, method="POST", target="/posts$", times=1)
            publish(proxy.url)
            assert proxy.count("POST", "/posts$") == 1

    Args:
        peer: address of the peer.
        add: headers that every request gets on its way.
        drop: names of headers that get lost on the way.
    """

    def __init__(
        self, peer: str, *, add: Mapping[str, str] | None = None, drop: tuple[str, ...] = ()
    ) -> None:
        self._peer = urlsplit(peer).netloc
        self._add = dict(add or {})
        self._drop = {name.lower() for name in drop}
        self._rules: list[Rule] = []
        self._requests: list[Forwarded] = []
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = self._listen(0)
        self.port = int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Address of the proxy, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    # Control.

    def rule(self, what: Fault | Reply, **when: Any) -> Rule:
        """Add a rule; the first that applies to a request is followed. `when`: see `Rule`."""
        rule = Rule(what, **when)
        with self._lock:
            self._rules.append(rule)
        return rule

    def clear(self) -> None:
        """Forget all rules and requests."""
        with self._lock:
            self._rules.clear()
            self._requests.clear()

    def release(self) -> None:
        """Let the answers arrive that are held."""
        self._released.set()

    @contextmanager
    def down(self) -> Iterator[None]:
        """Refuse connections for the length of a block."""
        self._close()
        try:
            yield
        finally:
            self._server = self._listen(self.port)

    # Evidence.

    @property
    def requests(self) -> list[Forwarded]:
        """All requests so far; each is there before it is answered."""
        with self._lock:
            return list(self._requests)

    def count(self, method: str | None = None, target: str = "") -> int:
        """Return how many requests came in, by method and a regular expression of their target."""
        return sum(
            method in (None, request.method) and bool(re.search(target, request.target))
            for request in self.requests
        )

    @property
    def signed(self) -> int:
        """How many requests came in with credentials."""
        return sum("authorization" in request.headers for request in self.requests)

    @property
    def writes(self) -> int:
        """How many requests came in that change something."""
        return sum(request.method not in ("GET", "HEAD") for request in self.requests)

    # Work.

    def __enter__(self) -> "Proxy":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        self._close()

    def _listen(self, port: int) -> "_Server":
        server = _Server(("127.0.0.1", port), _Handler)
        server.proxy = self
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._server.break_connections()

    def _fate(self, method: str, target: str) -> Fault | Reply | None:
        with self._lock:
            for rule in self._rules:
                if rule.applies(method, target):
                    return rule.what
        return None

    def _note(self, handler: "_Handler", target: str, status: int | None) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self._lock:
            self._requests.append(Forwarded(handler.command, target, headers, status))

    def serve(self, handler: "_Handler") -> None:
        """Serve one request."""
        target = unquote(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        fate = self._fate(handler.command, target)
        if fate is Fault.LOSE_REQUEST or (isinstance(fate, Reply) and not fate.work_done):
            self._note(handler, target, None)
            if isinstance(fate, Reply):
                handler.answer(fate.status, fate.headers, fate.body)
            else:
                handler.reset()
            return
        status, headers, answer = self._forward(handler, body)
        self._note(handler, target, status)
        match fate:
            case Reply():
                handler.answer(fate.status, fate.headers, fate.body)
            case Fault.LOSE_ANSWER:
                handler.reset()
            case Fault.CUT_ANSWER:
                handler.answer(status, headers, answer, sent=len(answer) // 2)
                handler.close_connection = True
            case Fault.HOLD_ANSWER:
                self._released.wait()
                with suppress(OSError):
                    handler.answer(status, headers, answer)
            case Fault.REPEAT_REQUEST:
                self._note(handler, target, self._forward(handler, body)[0])
                handler.answer(status, headers, answer)
            case _:
                handler.answer(status, headers, answer)

    def _forward(self, handler: "_Handler", body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in HOP_BY_HOP | self._drop | {"host"}
        }
        connection = HTTPConnection(self._peer, timeout=UPSTREAM_SECONDS)
        try:
            connection.request(handler.command, handler.path, body or None, headers | self._add)
            answer = connection.getresponse()
            found = {
                name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP
            }
            return answer.status, found, answer.read()
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 128
    proxy: Proxy

    def __init__(self, *args: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def break_connections(self) -> None:
        """Break what clients keep open between their requests."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes; the second is not to wait until the first is acknowledged.
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        with suppress(ConnectionError):
            super().handle_one_request()

    def answer(
        self, status: int, headers: Mapping[str, str], body: bytes, sent: int | None = None
    ) -> None:
        """Send an answer, its body in part only if `sent` says so."""
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:sent])

    def reset(self) -> None:
        """Break the connection."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def _serve(self) -> None:
        assert isinstance(self.server, _Server)
        self.server.proxy.serve(self)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
