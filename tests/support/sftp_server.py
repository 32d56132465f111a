"""An SFTP server on loopback (paramiko) that behaves as told."""

import os
import socket
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import paramiko
from paramiko import SFTPAttributes, SFTPHandle, SFTPServer, SFTPServerInterface

USERNAME, PASSWORD = "desk", "s3cret-of-desk"
HOST_KEY = paramiko.ECDSAKey.generate()
OTHER_HOST_KEY = paramiko.ECDSAKey.generate()


def line_of(key: paramiko.PKey) -> str:
    """Return a public key as `ssh-keyscan` prints it."""
    return f"127.0.0.1 {key.get_name()} {key.get_base64()}"


class _Login(paramiko.ServerInterface):
    def __init__(self, receiver: "SFTPReceiver") -> None:
        self._receiver = receiver

    def check_auth_password(self, username: str, password: str) -> int:
        if (username, password) == (USERNAME, PASSWORD):
            return paramiko.AUTH_SUCCESSFUL
        return paramiko.AUTH_FAILED

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        if username != USERNAME or key not in self._receiver.user_keys:
            return paramiko.AUTH_FAILED
        return (
            paramiko.AUTH_PARTIALLY_SUCCESSFUL
            if self._receiver.wants_both
            else paramiko.AUTH_SUCCESSFUL
        )

    def get_allowed_auths(self, username: str) -> str:
        return "publickey,password"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED


class _Server(SFTPServer):
    """Answers with a status and a text of its own where it is told to."""

    def _process(self, t: int, request_number: int, msg: Any) -> None:
        owner: SFTPReceiver = self.server.owner
        name = paramiko.sftp.CMD_NAMES.get(t, str(t))
        owner.requests.append(name)
        wanted = owner.behaviour.get(name)
        if wanted is None:
            super()._process(t, request_number, msg)
        elif wanted is SFTPReceiver.RESET:
            owner.break_connections()
        elif wanted is not SFTPReceiver.HANG:
            status, text = wanted
            self._send_status(request_number, status, text)


class _Files(SFTPServerInterface):
    """The files of a directory, which is also where users are after login."""

    def __init__(self, server: _Login, owner: "SFTPReceiver") -> None:
        self.owner = owner

    def _real(self, path: str) -> Path:
        return Path(f"{self.owner.root}{self.canonicalize(path)}")

    def canonicalize(self, path: str) -> str:
        home = self.owner.home
        return os.path.normpath(path if path.startswith("/") else f"/{home}/{path}")

    def _status(self, act: Any, *args: Any) -> int:
        try:
            act(*args)
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)
        return paramiko.SFTP_OK

    def open(self, path: str, flags: int, attr: SFTPAttributes) -> SFTPHandle | int:
        try:
            file = os.fdopen(os.open(self._real(path), flags, 0o644), "r+b")
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)
        handle = SFTPHandle(flags)
        handle.readfile = handle.writefile = file
        return handle

    def stat(self, path: str) -> SFTPAttributes | int:
        try:
            return SFTPAttributes.from_stat(os.stat(self._real(path)))
        except OSError as error:
            return SFTPServer.convert_errno(error.errno or 0)

    lstat = stat

    def remove(self, path: str) -> int:
        return self._status(os.remove, self._real(path))

    def rename(self, oldpath: str, newpath: str) -> int:
        if self._real(newpath).exists():
            return paramiko.SFTP_FAILURE
        return self._status(os.rename, self._real(oldpath), self._real(newpath))

    def posix_rename(self, oldpath: str, newpath: str) -> int:
        return self._status(os.replace, self._real(oldpath), self._real(newpath))

    def mkdir(self, path: str, attr: SFTPAttributes) -> int:
        return self._status(os.mkdir, self._real(path))


class SFTPReceiver:
    """A server with one user and one directory, on a free loopback port.

    Attributes:
        behaviour: by the name of a request (`open`, `write`, `rename` ...), a status and a text,
            or `HANG` or `RESET`; `connect` may hang.
        host_key: of the server, for new connections.
        user_keys: with which the user may log in.
        wants_both: a key and the password.
        home: where the user is after login.
        requests: names of those that came.
        logins: connections so far.
    """

    HANG, RESET = object(), object()

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = ""
        self.behaviour: dict[str, Any] = {}
        self.host_key: paramiko.PKey = HOST_KEY
        self.user_keys: list[paramiko.PKey] = []
        self.wants_both = False
        self.requests: list[str] = []
        self.logins = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, daemon=True)

    @property
    def config(self) -> dict[str, Any]:
        """The `config` of a destination."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "username": USERNAME,
            "password": PASSWORD,
            "host_key": line_of(HOST_KEY),
        }

    def break_connections(self) -> None:
        """Break all connections at once."""
        for connection in list(self._open):
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                connection.shutdown(socket.SHUT_RD)
                connection.close()

    def assert_no_connections(self) -> None:
        """Assert that everybody has hung up, or is about to."""
        deadline = time.monotonic() + 10
        while self._open:
            assert time.monotonic() < deadline, "a connection is left open"
            time.sleep(0.01)

    def stop(self) -> None:
        """Be down."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.break_connections()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection = self._listener.accept()[0]
                self._open.add(connection)
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        self.logins += 1
        if self.behaviour.get("connect") is self.HANG:
            with suppress(OSError):
                while connection.recv(1000):
                    pass
            self._open.discard(connection)
            connection.close()
            return
        transport = paramiko.Transport(connection)
        transport.set_log_channel("wiredesk.paramiko")
        transport.add_server_key(self.host_key)
        transport.set_subsystem_handler("sftp", _Server, _Files, self)
        with suppress(paramiko.SSHException, EOFError, OSError):
            transport.start_server(server=_Login(self))
        transport.join()
        transport.close()
        self._open.discard(connection)
        connection.close()

    def __enter__(self) -> "SFTPReceiver":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._thread.join(10)
