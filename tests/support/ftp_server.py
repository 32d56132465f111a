"""An FTP server on loopback (pyftpdlib) that behaves as told."""

import logging
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.filesystems import AbstractedFS
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.ioloop import IOLoop
from pyftpdlib.servers import FTPServer

USERNAME, PASSWORD = "desk", "s3cret-of-desk"

logging.getLogger("pyftpdlib").setLevel(logging.CRITICAL)

HANG = object()
"""Instead of a reply: nothing."""
RESET = object()
"""Instead of a reply: the connection breaks."""

Behaviour = str | object | Callable[[Any], None]


class _Handler(FTPHandler):
    owner: "FTPReceiver"
    use_gmt_times = True

    def handle(self) -> None:
        if not self.owner.acts(self, "CONNECT"):
            super().handle()

    def pre_process_command(self, line: str, cmd: str, arg: str) -> None:
        self.owner.commands.append((cmd, arg))
        super().pre_process_command(line, cmd, arg)

    def process_command(self, cmd: str, *args: Any, **kwargs: Any) -> None:
        if not self.owner.acts(self, cmd):
            super().process_command(cmd, *args, **kwargs)


class _Files(AbstractedFS):
    """The files of a server, which forgets to close those whose connections end at a bad moment."""

    opened: list[Any]

    def open(self, filename: str, mode: str) -> Any:
        file = super().open(filename, mode)
        self.opened.append(file)
        return file


class FTPReceiver:
    """A server with one user and one directory, on a free loopback port.

        with FTPReceiver(tmp_path) as receiver:
            receiver.behave(STOR="452 No space left.")

    Args:
        root: the directory of the user.
        masquerade: the address that replies to PASV name instead of the true one.
    """

    def __init__(self, root: Path, *, masquerade: str | None = None) -> None:
        self.root = root
        self.commands: list[tuple[str, str]] = []
        self._behaviour: dict[str, Behaviour] = {}
        self._stop = threading.Event()
        self._opened: list[Any] = []
        authorizer = DummyAuthorizer()
        authorizer.add_user(USERNAME, PASSWORD, str(root), perm="elradfmwMT")
        handler = type(
            "Handler",
            (_Handler,),
            {
                "authorizer": authorizer,
                "abstracted_fs": type("Files", (_Files,), {"opened": self._opened}),
                "owner": self,
                "masquerade_address": masquerade,
                "auth_failed_timeout": 0,
                "banner": "ready",
            },
        )
        self._server = FTPServer(("127.0.0.1", 0), handler, ioloop=IOLoop())
        self.port = int(self._server.address[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def config(self) -> dict[str, Any]:
        """The `config` of a destination."""
        return {
            "host": "127.0.0.1",
            "port": self.port,
            "username": USERNAME,
            "password": PASSWORD,
        }

    def behave(self, **behaviour: Behaviour) -> None:
        """Act so from now on: commands, or `CONNECT`, by a reply, or `HANG` or `RESET`."""
        self._behaviour = dict(behaviour)

    def files(self) -> Mapping[str, bytes]:
        """Return the files that are there, by their path."""
        return files_in(self.root)

    def names(self, command: str) -> list[str]:
        """Return the arguments of a command, each time that it came."""
        return [argument for name, argument in self.commands if name == command]

    def assert_no_connections(self) -> None:
        """Assert that everybody has hung up, or is about to."""
        deadline = time.monotonic() + 10
        while self._server.ip_map:
            assert time.monotonic() < deadline, "a connection is left open"
            time.sleep(0.01)

    def stop(self) -> None:
        """Be down."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)

    def acts(self, handler: FTPHandler, command: str) -> bool:
        """Do what was told for a command, if anything was."""
        wanted = self._behaviour.get(command)
        if wanted is None:
            return False
        if wanted is RESET:
            linger = struct.pack("ii", 1, 0)
            handler.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            handler.close()
        elif callable(wanted):
            wanted(handler)
        elif wanted is not HANG:
            handler.respond(str(wanted))
        return True

    def _serve(self) -> None:
        while not self._stop.is_set():
            self._server.ioloop.loop(timeout=0.02, blocking=False)
        self._server.close_all()
        for file in self._opened:
            file.close()

    def __enter__(self) -> "FTPReceiver":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def files_in(root: Path) -> dict[str, bytes]:
    """Return the files below a directory, by their path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
