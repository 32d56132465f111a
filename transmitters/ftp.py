"""Delivery type `ftp`: items and media as files on an FTP server, with TLS where asked for."""

import ftplib
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, ClassVar

from apps.core.registry import Field
from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline
from transmitters.connections import (
    Dialler,
    NotConnected,
    bounded,
    reason_of,
    system_certificates,
)
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

UNKNOWN_COMMAND = frozenset({"500", "501", "502", "503", "504"})
"""Replies of a server that cannot do what it was asked for."""
NO_TLS = frozenset({"521", "530", "533", "534", "536", *UNKNOWN_COMMAND})
"""Replies of a server without TLS."""
BLOCK = 1 << 16
"""Bytes that are sent at once."""
LONGEST_REPLY = 1 << 16
"""Characters of a reply, however many lines it has."""
GOODBYE_SECONDS = 1.0
HOME = ""
"""The directory of a user who has just logged in."""


def certificates_of(config: Mapping[str, Any]) -> ssl.SSLContext:
    """Return whom to trust: the certificate of the config, else those of the system.

    Raises:
        UploadError: the certificate cannot be read.
    """
    pem = config.get("certificate")
    if pem is None or pem == "":
        return system_certificates()
    try:
        context = ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError):
        text = "certificate is not a certificate in PEM"
        raise UploadError(text, permanent=True) from None
    # A certificate of a server is trusted by itself, whoever has signed it.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return bounded(context)


class FTPTransmitter(UploadTransmitter):
    """Upload to an FTP server (delivery contract 5.2)."""

    type = "ftp"
    name = "FTP"
    fields = (
        Field("host", "Name or address of the server.", required=True),
        Field("port", "Port of the server.", default=21),
        Field("username", "Who logs in; anonymous when empty."),
        Field("password", "Password of the user.", secret=True),
        Field("path", "Directory of the files, from where the user is after login."),
        Field("passive", "Connections for data are opened to the server, not by it.", default=True),
        Field("use_ftps", "Encrypt commands and data with TLS (AUTH TLS).", default=False),
        Field(
            "certificate",
            "Certificate (PEM) to trust, of a server or an authority that is not publicly known.",
        ),
        *FIELDS,
    )
    errors: ClassVar[dict[int, str]] = {10000: "FTP publish error"}
    code = 10000
    error_name = "PublishFtpError"
    default_port = ftplib.FTP_PORT
    checks: ClassVar[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
        **PATHS,
        "host": host_of,
        "port": port_of,
        "certificate": certificates_of,
    }

    @classmethod
    def directories(cls, config: Mapping[str, Any]) -> tuple[str, str]:
        """Return the directory of items, from the login, and that of media, from the root."""
        directory = path_of(config, "path").strip("/")
        media = path_of(config, "associated_path").strip("/")
        return directory, f"/{media}" if media else directory

    def connect(self, target: Target) -> "FTPSession":
        config = self.destination.config
        username, password = line_of(config, "username"), line_of(config, "password")
        trusted = certificates_of(config) if self.flag("use_ftps", False) else None
        client = FTPClient(self.dialler, self.deadline, self.settings.ftp_reply_timeout, trusted)
        client.set_pasv(self.flag("passive", True))
        session = FTPSession(client, target.place)
        try:
            session.log_in(target, username, password)
        except BaseException:
            session.close()
            raise
        return session


class FTPClient(ftplib.FTP):
    """`ftplib` with bounded connections to allowed addresses; data share the TLS session.

    Connections for data go to, and are taken from, the address of the server: what a reply to
    PASV says is ignored.

    Args:
        dialler: opens connections.
        deadline: of the attempt.
        reply_timeout: seconds to wait for a reply.
        tls: whom to trust; None for no TLS.
    """

    sock: Any
    file: Any

    def __init__(
        self,
        dialler: Dialler,
        deadline: Deadline,
        reply_timeout: float,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(timeout=reply_timeout)
        self._dialler = dialler
        self._deadline = deadline
        self._reply_timeout = reply_timeout
        self._tls = tls
        self._data_in_tls = False

    # Connections.

    @property
    def in_tls(self) -> bool:
        """Whether all is to be encrypted."""
        return self._tls is not None

    def hang_up(self) -> None:
        """Say goodbye, wait for nothing, and close."""
        ends = self._deadline.ends
        self._deadline.start(GOODBYE_SECONDS)
        with suppress(OSError, AttributeError):
            self.putcmd("QUIT")
        self._deadline.ends = ends
        self.close()

    def dial(self, host: str, port: int) -> None:
        """Connect, and read the greeting."""
        self.host, self.port = host, port
        self.sock = self._dialler.dial(host, port)
        self.af = self.sock.family
        self._read_replies()
        self.welcome = self.getresp()

    def secure(self) -> None:
        """Go on in TLS, before anything is said that is secret."""
        self.voidcmd("AUTH TLS")
        self.sock = self._wrapped(self.sock)
        # With what has come before in clear text, which is not to be trusted.
        self.file.close()
        self._read_replies()

    def secure_data(self) -> None:
        """Let data be sent in TLS, too."""
        self.voidcmd("PBSZ 0")
        self.voidcmd("PROT P")
        self._data_in_tls = True

    def _read_replies(self) -> None:
        # Servers write names and texts in whatever encoding they have.
        self.file = self.sock.makefile("r", encoding=self.encoding, errors="surrogateescape")

    def _wrapped(
        self, sock: socket.socket, session: ssl.SSLSession | None = None
    ) -> BoundedTLSSocket:
        assert self._tls is not None
        sock.settimeout(self._deadline.left(self._reply_timeout))
        try:
            wrapped = self._tls.wrap_socket(sock, server_hostname=self.host, session=session)
        except BaseException:
            sock.close()
            raise
        assert isinstance(wrapped, BoundedTLSSocket)
        self._dialler.bound(wrapped)
        return wrapped

    # Replies.

    def getmultiline(self) -> str:
        """Return a reply.

        Raises:
            EOFError: the connection has ended.
            ftplib.Error: it is too long.
        """
        lines = [self.getline()]
        size = 0
        code = lines[0][:3]
        while lines[0][3:4] == "-" and (len(lines) == 1 or not _ends(lines[-1], code)):
            lines.append(self.getline())
            size += len(lines[-1])
            if size > LONGEST_REPLY:
                raise ftplib.error_proto("the reply does not end")
        return "\n".join(lines)

    # Data.

    def upload(self, name: str, data: bytes) -> None:
        """Store `data` under `name`, as the bytes that they are."""
        connection, _ = self.ntransfercmd(f"STOR {name}")
        try:
            if self._data_in_tls:
                # Servers want the session of the commands, so that nobody else brings the data.
                connection = self._wrapped(connection, self.sock.session)
            self._send(connection, data)
            _end(connection, self._deadline)
        except TimeoutError:
            connection.close()
            raise
        except OSError:
            connection.close()
            # The server may say why.
            self.voidresp()
            raise
        # Closed after the reply only: until then a reset could overtake the data.
        with connection:
            self.voidresp()

    def ntransfercmd(self, cmd: str, rest: Any = None) -> tuple[BoundedSocket, None]:
        return self._passive(cmd) if self.passiveserver else self._active(cmd), None

    def _passive(self, cmd: str) -> BoundedSocket:
        host, port = self.makepasv()
        if not 0 < port < 65536:
            raise ftplib.error_proto(f"port {port} for data is not a port")
        connection = self._dialler.dial(host, port)
        try:
            self._begin(cmd)
        except BaseException:
            connection.close()
            raise
        return connection

    def _active(self, cmd: str) -> BoundedSocket:
        here, server = self.sock.getsockname()[0], self.sock.getpeername()[0]
        with socket.create_server((here, 0), family=self.af, backlog=1) as listener:
            port = listener.getsockname()[1]
            if self.af == socket.AF_INET:
                self.sendport(here, port)
            else:
                self.sendeprt(here, port)
            self._begin(cmd)
            while True:
                listener.settimeout(self._deadline.left(self._reply_timeout))
                accepted, (address, *_) = listener.accept()
                if address == server:
                    connection = BoundedSocket(fileno=accepted.detach())
                    self._dialler.bound(connection)
                    return connection
                accepted.close()

    def _begin(self, cmd: str) -> None:
        """Send the command of a transfer; some servers say 200 before they begin."""
        reply = self.sendcmd(cmd)
        if reply[:1] == "2":
            reply = self.getresp()
        if reply[:1] != "1":
            raise ftplib.error_reply(reply)

    def _send(self, connection: BoundedSocket, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            _wait_until_writable(connection, self._deadline.left(self._reply_timeout))
            rest = rest[connection.send(rest[:BLOCK]) :]


def _ends(line: str, code: str) -> bool:
    return line[:3] == code and line[3:4] != "-"


def _wait_until_writable(sock: socket.socket, seconds: float) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    if not poll.poll(seconds * 1000):
        raise TimeoutError("the server takes no more")


def _end(connection: BoundedSocket, deadline: Deadline) -> None:
    """Say that all has been sent; in TLS, too, so that a cut is told from the end."""
    if isinstance(connection, BoundedTLSSocket):
        connection.settimeout(0)
        while True:
            try:
                connection.unwrap()
            except ssl.SSLWantWriteError:
                _wait_until_writable(connection, deadline.left())
                continue
            except (OSError, ValueError):
                # Nobody waits for the answer of the server: its reply says what has arrived.
                pass
            break
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


class FTPSession(UploadSession):
    """A connection to an FTP server.

    Args:
        client: not connected yet.
        place: host and port, for people.
    """

    def __init__(self, client: FTPClient, place: str) -> None:
        self._client = client
        self._place = place
        self._home = ""
        self._directory: str | None = HOME

    def log_in(self, target: Target, username: str, password: str) -> None:
        """Connect and log in.

        Raises:
            UploadError: the server cannot be reached, is not trusted or refuses.
        """
        with self._step("greet"):
            self._client.dial(target.host, target.port)
        if self._client.in_tls:
            with self._step("use TLS: switch use_ftps off, or have it set up there", NO_TLS):
                self._client.secure()
        with self._step("accept the login: check username and password"):
            self._client.login(username, password)
        if self._client.in_tls:
            with self._step("use TLS for data: have it set up there", NO_TLS):
                self._client.secure_data()
        with self._step("take bytes as they are"):
            self._client.voidcmd("TYPE I")
        with self._step("tell its directory"), suppress(ftplib.error_perm):
            self._home = self._client.pwd()

    def resume(self) -> None:
        with self._step("go on"):
            self._client.voidcmd("NOOP")

    def enter(self, directory: str) -> None:
        if directory == self._directory:
            return
        with self._step(f"change to directory {(directory or self._home)[:LONGEST_SHOWN]}"):
            if self._directory != HOME:
                self._directory = None
                self._client.cwd(self._home or "/")
            if directory:
                self._enter(directory)
        self._directory = directory

    def _enter(self, directory: str) -> None:
        with suppress(ftplib.error_perm):
            self._client.cwd(directory)
            return
        if directory.startswith("/"):
            self._client.cwd("/")
        for name in filter(None, directory.split("/")):
            try:
                self._client.cwd(name)
            except ftplib.error_perm:
                # Somebody else may be making it at the same time.
                with suppress(ftplib.error_perm):
                    self._client.mkd(name)
                self._client.cwd(name)

    def size(self, name: str) -> int | None:
        with self._step(f"tell the size of {name}"):
            try:
                return self._client.size(name)
            except ftplib.error_perm as error:
                if _code(error) in UNKNOWN_COMMAND:
                    return self._listed_size(name)
                return None

    def _listed_size(self, name: str) -> int | None:
        """Return the size from the facts of a file, for servers that do not know SIZE."""
        try:
            reply = self._client.sendcmd(f"MLST {name}")
        except ftplib.error_perm as error:
            if _code(error) in UNKNOWN_COMMAND:
                raise
            return None
        for fact in reply.replace("\n", ";").split(";"):
            key, _, value = fact.strip().partition("=")
            if key.lower() == "size" and value.isdecimal():
                return int(value)
        return None

    def store(self, name: str, data: bytes) -> None:
        with self._step(f"store {name}"):
            self._client.upload(name, data)

    def rename(self, name: str, wanted: str) -> None:
        with self._step(f"rename {name}, which files are called until they are whole"):
            try:
                self._client.rename(name, wanted)
            except ftplib.error_perm as error:
                # Some servers rename to no name that is taken.
                if _code(error) in UNKNOWN_COMMAND or self.size(wanted) is None:
                    raise
                self._client.delete(wanted)
                self._client.rename(name, wanted)

    def remove(self, name: str) -> None:
        with self._step(f"remove {name}"), suppress(ftplib.error_perm, ftplib.error_temp):
            self._client.delete(name)

    def hang_up(self) -> None:
        self._client.hang_up()

    @contextmanager
    def _step(self, what: str, hopeless: frozenset[str] = UNKNOWN_COMMAND) -> Iterator[None]:
        """Say what the server did not do, and why.

        Args:
            hopeless: replies after which repeating cannot help.
        """
        try:
            yield
        except (ftplib.error_perm, ftplib.error_temp) as error:
            reply = _shown(error)
            text = f"{self._place} did not {what}: {reply}"
            raise UploadError(text, permanent=_code(error) in hopeless) from None
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message or "not trusted"
            text = f"the certificate of {self._place} is not valid: {reason}"
            raise UploadError(text, permanent=True) from None
        except ftplib.Error as error:
            text = f"{self._place} did not {what}: {_shown(error) or 'no FTP'}"
            raise ConnectionLost(text) from None
        except EOFError:
            raise ConnectionLost(f"{self._place} did not {what}: it ended the connection") from None
        except NotConnected as error:
            if error.permanent:
                raise UploadError(str(error), permanent=True) from None
            raise ConnectionLost(str(error)) from None
        except (OSError, ValueError) as error:
            raise ConnectionLost(f"{self._place} did not {what}: {reason_of(error)}") from None


def _code(error: Exception) -> str:
    return str(error)[:3]


def _shown(error: Exception) -> str:
    return str(error).encode(errors="replace").decode()
