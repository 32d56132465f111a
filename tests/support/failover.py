"""A replica set that fails over between two commands, or in the middle of one.

Stands between the services and their MongoDB as a proxy that reads the wire protocol (OP_MSG). Once
armed it counts commands, and lets one of them fail in the ways in which a driver sees a failover.
"""

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import bson
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri

OP_MSG = 2013
HEADER = struct.Struct("<iiii")
FLAGS = struct.Struct("<I")
MORE_TO_COME = 2

WRITES = {"insert": "documents", "update": "updates", "delete": "deletes"}
"""Commands that write, and what holds their statements."""
COUNTED = frozenset({*WRITES, "findAndModify", "find", "aggregate", "distinct", "getMore"})
"""Commands that may fail; not those by which the driver looks after its connections."""


class Fault(Enum):
    """What happens to a command."""

    REFUSED = "NotWritablePrimary"
    """The server is no primary; nothing was done."""
    STEPPED_DOWN = "PrimarySteppedDown"
    """It was done, but the answer is that the primary has stepped down."""
    UNSENT = "the connection breaks before the command arrives"
    UNANSWERED = "the connection breaks after the command was done"
    HALF = "the connection breaks when half of the statements of a write are done"
    UNCONFIRMED = "WriteConcernTimeout"
    """It was done, and too few members have acknowledged it in time."""
    AWAY = "no command is answered any more"
    """Until it is disarmed, there is no primary."""


ERRORS: Mapping[Fault, Mapping[str, Any]] = {
    Fault.REFUSED: {"code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"},
    Fault.AWAY: {"code": 10107, "codeName": "NotWritablePrimary", "errmsg": "not primary"},
    Fault.STEPPED_DOWN: {
        "code": 189,
        "codeName": "PrimarySteppedDown",
        "errmsg": "Primary stepped down while waiting for replication",
    },
}
UNCONFIRMED = {
    "code": 64,
    "codeName": "WriteConcernTimeout",
    "errmsg": "waiting for replication timed out",
    "errInfo": {"wtimeout": True},
}


@dataclass
class Armed:
    """A fault to come.

    Attributes:
        at: number of the next command that fails, from 1.
        every: after how many more commands the next one fails; 0 for none.
        commands: names of the commands so far.
        hit: the command that failed last, None while none has.
        hits: how many have failed.
        is_retried: the driver tries it again: it is no write of many documents by one statement.
    """

    fault: Fault
    at: int
    every: int = 0
    commands: list[str] = field(default_factory=list)
    hit: str | None = None
    hits: int = 0
    is_retried: bool = True


class Broken(Exception):
    """The connection ends here."""


class FailoverProxy:
    """A server in front of the MongoDB at `uri`; a context manager.

    Args:
        uri: of one server.
        options: of the address that clients get, besides those of a single try for each command.
    """

    def __init__(self, uri: str, options: str = "retryWrites=false&retryReads=false") -> None:
        (self._target,) = parse_uri(uri)["nodelist"]
        with MongoClient[dict[str, Any]](uri) as client:
            hello = client.admin.command("hello")
        # Tells the driver that it knows of the failover already: it need not wait for a primary.
        self._known = {n: hello[n] for n in ("topologyVersion",) if n in hello}
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._armed: Armed | None = None
        port = self._listener.getsockname()[1]
        self.uri = f"mongodb://127.0.0.1:{port}/?directConnection=true&{options}"

    def __enter__(self) -> "FailoverProxy":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *details: object) -> None:
        # Wakes the thread that waits for clients.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            _end(connection)

    @contextmanager
    def failing(self, fault: Fault, at: int, every: int = 0) -> Iterator[Armed]:
        """Let the command number `at` of those in the body of the `with` fail.

        Args:
            every: after it, each so many commands another one; 0 for none.
        """
        armed = Armed(fault, at, every)
        with self._lock:
            self._armed = armed
        try:
            yield armed
        finally:
            with self._lock:
                self._armed = None

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), socket.create_connection(self._target) as server, client:
            for connection in (client, server):
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open |= {client, server}
            try:
                while request := _read(client):
                    self._answer(request, client, server)
            except Broken:
                pass
            finally:
                self._open -= {client, server}

    def _answer(self, request: bytes, client: socket.socket, server: socket.socket) -> None:
        fault = self._fault_of(request)
        if fault is Fault.UNSENT:
            raise Broken
        if fault in (Fault.REFUSED, Fault.AWAY):
            client.sendall(_reply_to(request, self._error(fault)))
            return
        server.sendall(_half(request) if fault is Fault.HALF else request)
        if _flags(request) & MORE_TO_COME:
            return
        reply = _read(server)
        if fault in (Fault.UNANSWERED, Fault.HALF) or not reply:
            raise Broken
        if fault is Fault.STEPPED_DOWN:
            reply = _reply_to(request, self._error(fault))
        if fault is Fault.UNCONFIRMED:
            reply = _reply_to(request, {**_body(reply), "writeConcernError": UNCONFIRMED})
        client.sendall(reply)
        # Replies that come without a further request, as those of the driver's monitoring.
        while _is_message(reply) and _flags(reply) & MORE_TO_COME:
            reply = _read(server)
            if not reply:
                raise Broken
            client.sendall(reply)

    def _error(self, fault: Fault) -> dict[str, Any]:
        return {"ok": 0.0, **ERRORS[fault], **self._known, "errorLabels": ["RetryableWriteError"]}

    def _fault_of(self, request: bytes) -> Fault | None:
        """Count a command; return what is to happen to it."""
        with self._lock:
            armed = self._armed
            if armed is None or not _is_message(request):
                return None
            name, count = next(iter(_body(request))), len(_statements(request))
            if name not in COUNTED:
                return None
            armed.commands.append(name)
            if armed.fault is Fault.AWAY and armed.hit:
                return armed.fault
            if (armed.hit and not armed.every) or len(armed.commands) < armed.at:
                return None
            # The next command that this can happen to.
            if armed.fault is Fault.HALF and count < 2:
                return None
            if armed.fault is Fault.UNCONFIRMED and name not in {*WRITES, "findAndModify"}:
                return None
            armed.hit = name
            armed.hits += 1
            armed.at = len(armed.commands) + armed.every
            armed.is_retried = not any(map(_is_for_many, _statements(request)))
            return armed.fault


def _read(connection: socket.socket) -> bytes:
    """Return the next message; nothing at the end."""
    start = _exactly(connection, HEADER.size)
    if not start:
        return b""
    length: int = HEADER.unpack(start)[0]
    return start + _exactly(connection, length - HEADER.size)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = connection.recv(count)
        if not part:
            return b""
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _is_message(message: bytes) -> bool:
    return bool(HEADER.unpack_from(message)[3] == OP_MSG)


def _flags(message: bytes) -> int:
    return int(FLAGS.unpack_from(message, HEADER.size)[0]) if _is_message(message) else 0


def _sections(message: bytes) -> Iterator[tuple[bytes, list[bytes]]]:
    """Yield the sections of a message: the name of the sequence, empty for the body; documents."""
    at = HEADER.size + FLAGS.size
    while at < len(message):
        kind, at = message[at], at + 1
        (length,) = struct.unpack_from("<i", message, at)
        end = at + length
        if kind == 0:
            yield b"", [message[at:end]]
        else:
            name_end = message.index(b"\0", at + 4)
            yield message[at + 4 : name_end], list(_documents(message[name_end + 1 : end]))
        at = end


def _documents(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<i", data, at)
        yield data[at : at + length]
        at += length


def _body(message: bytes) -> dict[str, Any]:
    return next(bson.decode(docs[0]) for name, docs in _sections(message) if not name)


def _statements(message: bytes) -> list[Mapping[str, Any]]:
    """Return the statements of a write, nothing of another command."""
    body = _body(message)
    sequences = [bson.decode(d) for name, docs in _sections(message) if name for d in docs]
    return sequences or list(body.get(WRITES.get(next(iter(body)), ""), ()))


def _is_for_many(statement: Mapping[str, Any]) -> bool:
    return bool(statement.get("multi")) or statement.get("limit") == 0


def _half(message: bytes) -> bytes:
    """Return a write with the first half of its statements."""
    content = FLAGS.pack(_flags(message) & ~1)
    for name, documents in _sections(message):
        if not name:
            content += b"\0" + documents[0]
            continue
        kept = b"".join(documents[: len(documents) // 2])
        content += b"\x01" + struct.pack("<i", 4 + len(name) + 1 + len(kept)) + name + b"\0" + kept
    request_id, answered, code = HEADER.unpack_from(message)[1:]
    return HEADER.pack(HEADER.size + len(content), request_id, answered, code) + content


def _reply_to(request: bytes, body: Mapping[str, Any]) -> bytes:
    request_id = HEADER.unpack_from(request)[1]
    content = FLAGS.pack(0) + b"\0" + bson.encode(body)
    return HEADER.pack(HEADER.size + len(content), 0, request_id, OP_MSG) + content
