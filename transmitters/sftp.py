"""Delivery type `sftp`: items and media as files on a server that is reached by SSH."""

import errno
import io
import logging
import socket
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from threading import Timer
from typing import Any, ClassVar

from paramiko import (
    AuthenticationException,
    ECDSAKey,
    Ed25519Key,
    PKey,
    RSAKey,
    SFTPClient,
    SFTPError,
    SSHException,
    Transport,
)
from paramiko.ssh_exception import IncompatiblePeer

from apps.core.registry import Field
from apps.core.sockets import Deadline
from transmitters.connections import reason_of
from transmitters.uploads import (
    FIELDS,
    LONGEST_SHOWN,
    PATHS,
    ConnectionLost,
    Target,
    UploadError,
    UploadSession,
    UploadTransmitter,
    host_of,
    line_of,
    path_of,
    port_of,
)

KEY_TYPES = (Ed25519Key, ECDSAKey, RSAKey)
HOST_KEY_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
"""Names in the talk with a server, where they are not that of the type of the key."""
MAX_SAID = 1 << 20
"""Bytes that a server may say in an attempt, besides as many as it is sent."""
CHUNK = 1 << 15
"""Bytes of a request: all servers take as many."""
LOG = "wiredesk.paramiko"
# What goes wrong is told by the failure of the delivery.
logging.getLogger(LOG).setLevel(logging.CRITICAL + 1)


class SFTPTransmitter(UploadTransmitter):
    """Upload to a server by SFTP (delivery contract 5.2)."""

    type = "sftp"
    name = "SFTP"
    fields = (
        Field("host", "Name or address of the server.", required=True),
        Field("port", "Port of the server.", default=22),
        Field("username", "Who logs in.", required=True),
        Field("password", "Password of the user.", secret=True),
        Field("private_key", "Private key of the user (OpenSSH or PEM).", secret=True),
        Field("passphrase", "What the private key is encrypted with.", secret=True),
        Field(
            "host_key",
            "Public key of the server, as `ssh-keyscan` prints it; several, one a line, while it "
            "changes. Nothing is sent to a server with another one.",
        ),
        Field("path", "Directory of the files: absolute, or from where the user is after login."),
        *FIELDS,
    )
    errors: ClassVar[dict[int, str]] = {10001: "SFTP publish error"}
    code = 10001
    error_name = "PublishSFTPError"
    default_port = 22

    @classmethod
    def directories(cls, config: Mapping[str, Any]) -> tuple[str, str]:
        """Return the directories of items and of media, absolute or from the login."""
        directory = _directory(path_of(config, "path"))
        return directory, _directory(path_of(config, "associated_path")) or directory

    def connect(self, target: Target) -> "SFTPSession":
        config = self.destination.config
        username = line_of(config, "username").strip()
        if not username:
            raise UploadError("username is missing", permanent=True)
        password, key = line_of(config, "password"), private_key_of(config)
        if not password and key is None:
            raise UploadError("password and private_key are missing", permanent=True)
        pinned = host_keys_of(config)
        sock = self.dialler.dial(target.host, target.port)
        session = SFTPSession(
            BoundedVolume(fileno=sock.detach()),
            target.place,
            self.deadline,
            self.settings.ftp_reply_timeout,
        )
        try:
            session.meet(pinned)
            session.log_in(username, password, key)
        except BaseException:
            session.close()
            raise
        return session


def _directory(path: str) -> str:
    return path.rstrip("/") or path[:1]


def host_keys_of(config: Mapping[str, Any]) -> dict[str, list[bytes]]:
    """Return the keys that the server may have, by their type.

    Raises:
        UploadError: there is something else.
    """
    text = config.get("host_key")
    found: dict[str, list[bytes]] = {}
    if text is None or text == "":
        return found
    try:
        for line in text.splitlines():
            words = line.partition("#")[0].split()
            # Before the type of the key there is the host, where the line is one of known hosts.
            for kind, encoded in pairwise(words):
                if kind.startswith(("ssh-", "ecdsa-")):
                    key = PKey.from_type_string(kind, b64decode(encoded))
                    found.setdefault(kind, []).append(key.asbytes())
    except Exception:  # noqa: BLE001 - whatever the packages make of what is no key
        found = {}
    if not found:
        raise UploadError("host_key is not a public key as ssh-keyscan prints it", permanent=True)
    return found


def private_key_of(config: Mapping[str, Any]) -> PKey | None:
    """Return the key of the user, None where there is none.

    Raises:
        UploadError: it cannot be read.
    """
    text = config.get("private_key")
    if text is None or text == "":
        return None
    for cls in KEY_TYPES:
        # Whatever the packages make of what is no key of the type.
        with suppress(Exception):
            passphrase = line_of(config, "passphrase") or None
            return cls.from_private_key(io.StringIO(text), passphrase)
    text = "private_key is not a private key, or passphrase is not the one that it needs"
    raise UploadError(text, permanent=True)


SFTPTransmitter.checks = {
    "host": host_of,
    "port": port_of,
    "host_key": host_keys_of,
    **PATHS,
}


class BoundedVolume(socket.socket):
    """A socket that ends where the peer says much more than it is told.

    `paramiko` keeps what it reads until it is whole, and believes any length that is announced.
    """

    left = MAX_SAID
    """Bytes that the peer may still say."""

    def send(self, *args: Any) -> int:
        count = super().send(*args)
        self.left += count
        return count

    def recv(self, *args: Any) -> bytes:
        data = super().recv(*args)
        self.left -= len(data)
        if self.left < 0:
            self.close()
            raise EOFError
        return data


class SFTPSession(UploadSession):
    """A connection to a server by SSH.

    `paramiko` reads in a thread of its own and waits in many ways; what bounds an attempt is a
    timer that breaks the connection.

    Args:
        sock: connected.
        place: host and port, for people.
        deadline: of the attempt.
        reply_timeout: seconds to log in, and to wait for each reply.
    """

    _client: SFTPClient

    def __init__(
        self, sock: BoundedVolume, place: str, deadline: Deadline, reply_timeout: float
    ) -> None:
        self._sock = sock
        self._place = place
        self._deadline = deadline
        self._reply_timeout = reply_timeout
        self._directory = ""
        self._timer: Timer | None = None
        self._transport: Transport | None = None

    def meet(self, pinned: Mapping[str, list[bytes]]) -> None:
        """Agree on keys with the server, and make sure that it is the right one.

        Args:
            pinned: the keys that it may have, by type.

        Raises:
            UploadError: it is not, or nobody knows.
        """
        self._watch(self._reply_timeout)
        with self._step("agree on a connection"):
            transport = self._transport = Transport(self._sock)
            transport.set_log_channel(LOG)
            transport.banner_timeout = transport.handshake_timeout = self._reply_timeout
            transport.auth_timeout = self._reply_timeout
            if pinned:
                names = [name for kind in pinned for name in HOST_KEY_ALGORITHMS.get(kind, (kind,))]
                transport.get_security_options().key_types = names
            transport.start_client(timeout=self._deadline.left(self._reply_timeout))
            key = transport.get_remote_server_key()
        shown = f"{key.get_name()} {key.get_base64()}"
        if not pinned:
            text = f"host_key is missing. Ask who runs {self._place} whether it is {shown}"
            raise UploadError(text, permanent=True)
        if key.asbytes() not in pinned.get(key.get_name(), ()):
            text = f"the host key of {self._place} is not host_key but {shown}. Ask who runs it"
            raise UploadError(text, permanent=True)

    def log_in(self, username: str, password: str, key: PKey | None) -> None:
        """Log in with the key, and with the password where that is wanted as well or instead.

        Raises:
            UploadError: the server refuses.
        """
        transport = self._transport
        assert transport is not None
        with self._step("accept the login: check username, password and private_key"):
            if key is None or not _accepted(transport, username, key, has_password=bool(password)):
                transport.auth_password(username, password)
        with self._step("offer SFTP"):
            channel = transport.open_session(timeout=self._deadline.left(self._reply_timeout))
            channel.settimeout(self._reply_timeout)
            channel.invoke_subsystem("sftp")
            self._client = SFTPClient(channel)
        self._watch(self._deadline.left())

    def resume(self) -> None:
        self._sock.left = MAX_SAID
        with self._step("go on"):
            self._watch(self._deadline.left())
            self._client.stat(".")

    def rest(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def enter(self, directory: str) -> None:
        if directory == self._directory:
            return
        with self._step(f"change to directory {directory[:LONGEST_SHOWN]}"):
            try:
                self._client.stat(directory or ".")
            except OSError as error:
                if error.errno != errno.ENOENT:
                    raise
                self._make(directory)
        self._directory = directory

    def _make(self, directory: str) -> None:
        """Make a directory and those above it that are missing."""
        made = "/" if directory.startswith("/") else ""
        for name in filter(None, directory.split("/")):
            made += name
            # It may be there, or somebody else may be making it at the same time.
            with suppress(OSError):
                self._client.mkdir(made)
            made += "/"
        self._client.stat(directory)

    def size(self, name: str) -> int | None:
        with self._step(f"tell the size of {name}"):
            return self._size(name)

    def _size(self, name: str) -> int | None:
        try:
            return self._client.stat(self._path(name)).st_size
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return None

    def store(self, name: str, data: bytes) -> None:
        # Exclusively: nobody else writes into the file.
        with self._step(f"store {name}"), self._client.open(self._path(name), "wx") as file:
            for start in range(0, len(data), CHUNK):
                # The last one waits for the replies to all.
                file.set_pipelined(start + CHUNK < len(data))
                file.write(data[start : start + CHUNK])

    def rename(self, name: str, wanted: str) -> None:
        old, new = self._path(name), self._path(wanted)
        with self._step(f"rename {name}, which files are called until they are whole"):
            try:
                self._client.posix_rename(old, new)
            except OSError as error:
                if isinstance(error, TimeoutError):
                    raise
                # Without that extension servers rename to no name that is taken.
                if self._size(wanted) is not None:
                    self._client.remove(new)
                self._client.rename(old, new)

    def remove(self, name: str) -> None:
        with self._step(f"remove {name}"):
            try:
                self._client.remove(self._path(name))
            except OSError:
                if not self._is_alive():
                    raise

    def hang_up(self) -> None:
        self.rest()
        if self._transport is not None:
            # Ends the thread that waits for that to be over.
            self._transport.packetizer.complete_handshake()
            self._transport.close()
        self._sock.close()

    def _path(self, name: str) -> str:
        return f"{self._directory.rstrip('/')}/{name}" if self._directory else name

    def _is_alive(self) -> bool:
        return self._transport is not None and self._transport.is_active()

    def _watch(self, seconds: float) -> None:
        """Break the connection in so many seconds unless it rests by then."""
        self.rest()
        self._timer = Timer(seconds, self._break)
        self._timer.daemon = True
        self._timer.start()

    def _break(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        """Say what the server did not do, and why."""
        try:
            yield
        except IncompatiblePeer as error:
            text = f"{self._place} did not {what}: {error}. Its host key may have changed"
            raise UploadError(text, permanent=True) from None
        except AuthenticationException as error:
            raise UploadError(f"{self._place} did not {what}: {error}") from None
        except (EOFError, SSHException, SFTPError) as error:
            reason = str(error) or "it ended the connection"
            raise ConnectionLost(f"{self._place} did not {what}: {reason}") from None
        except TimeoutError:
            raise ConnectionLost(f"{self._place} did not {what}: timed out") from None
        except (OSError, ValueError) as error:
            text = f"{self._place} did not {what}: {reason_of(error)}"
            kind = UploadError if self._is_alive() else ConnectionLost
            raise kind(text) from None


def _accepted(transport: Transport, username: str, key: PKey, *, has_password: bool) -> bool:
    """Log in with a key; whether that was enough.

    Raises:
        AuthenticationException: it was refused, and there is no password to try.
    """
    try:
        return not transport.auth_publickey(username, key)
    except AuthenticationException:
        if not has_password:
            raise
        return False
