"""Sending mails over SMTP: conversations that end, and what servers say to each address."""

import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from enum import StrEnum
from typing import BinaryIO, NoReturn

from apps.core.errors import PermanentFailure, TemporaryFailure
from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline

CODE = 11000
NAME, TEXT = "PublishEmailError", "Email publish error"

ANSWERS = 10
"""Time-outs of one answer that a whole mail may take, to all its addresses."""
GOODBYE_SECONDS = 1.0
"""Time to take leave of a server that has the mail."""
MAX_SAID = 1 << 20
"""Bytes that a server may say in one conversation."""
SHOWN = 200
"""Characters of an answer that are kept."""
NO_SUCH_ADDRESSES = 553
"""What stands for the answer of a server that cannot be asked for an address (RFC 6531)."""
OK = 250
UNICODE_ADDRESSES = "smtputf8"


class Security(StrEnum):
    """How a conversation with a mail server is protected."""

    NONE = "none"
    STARTTLS = "starttls"
    """Turned to TLS before anything is said; a server that does not offer it gets no mail."""
    TLS = "tls"
    """TLS from the first byte."""


@dataclass(frozen=True)
class MailServer:
    """A server that mails are sent through.

    Attributes:
        own_name: what the client calls itself. Asking the resolver may take longer than the mail.
        timeout: seconds to wait for an answer.
    """

    host: str
    port: int = 25
    security: Security = Security.NONE
    username: str = ""
    password: str = field(default="", repr=False)
    own_name: str = "localhost"
    timeout: float = 10.0

    @property
    def longest(self) -> float:
        """Seconds after which a conversation is over, whatever the server does."""
        return self.timeout * ANSWERS


@dataclass(frozen=True)
class Refusal:
    """What a server says to an address that it does not take a mail for.

    Attributes:
        code: from 500 on it is for good.
    """

    code: int
    text: str

    @property
    def is_permanent(self) -> bool:
        return self.code >= 500

    def __str__(self) -> str:
        return f"{self.code} {self.text}".strip()


Dial = Callable[[str, int], BoundedSocket]
"""Connects to a host and a port."""


class MailClient:
    """Sends mails through one server; several threads may use one client.

    Args:
        dial: opens connections; to any address unless given.
        tls: certificates to trust; the system's unless given.
        deadline: of the conversations, for those who dial within it.
    """

    def __init__(
        self,
        server: MailServer,
        dial: Dial | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._server = server
        self._dial = dial or self._dial_any
        self._tls = tls
        self._deadline = deadline or Deadline()

    @contextmanager
    def session(self) -> Iterator["MailSession"]:
        """Open a conversation for any number of mails; take leave at its end.

        Whatever goes wrong before a mail is offered says nothing of the mail.

        Raises:
            TemporaryFailure: the server cannot be reached, or lets nobody in.
            PermanentFailure: its certificate is not valid.
            Exception: what `dial` raises besides OSError.
        """
        self._deadline.start(self._server.longest)
        conversation = self._opened()
        try:
            yield MailSession(conversation)
            self._take_leave(conversation)
        finally:
            conversation.close()

    def _opened(self) -> "_Conversation":
        try:
            conversation = _Conversation(self._server, self._dial, self._context, self._deadline)
        except (OSError, ValueError) as error:
            _fail(error)
        try:
            self._introduce(conversation)
        except (OSError, ValueError) as error:
            conversation.close()
            _fail(error)
        except BaseException:
            conversation.close()
            raise
        return conversation

    def _introduce(self, conversation: "_Conversation") -> None:
        if self._server.security is Security.STARTTLS:
            conversation.starttls(context=self._context())
            conversation.limit()
        conversation.ehlo_or_helo_if_needed()
        if self._server.username:
            conversation.login(self._server.username, self._server.password)

    def _context(self) -> ssl.SSLContext:
        context = self._tls or ssl.create_default_context()
        context.sslsocket_class = BoundedTLSSocket
        return context

    def _take_leave(self, conversation: "_Conversation") -> None:
        """Let the server end the conversation. It has the mail: what it says is no failure."""
        self._deadline.shorten(GOODBYE_SECONDS)
        with suppress(OSError):
            conversation.quit()

    def _dial_any(self, host: str, port: int) -> BoundedSocket:
        left = self._deadline.left(self._server.timeout)
        plain = socket.create_connection((host, port), left)
        return BoundedSocket(plain.family, plain.type, plain.proto, plain.detach())


class MailSession:
    """A conversation that mails are sent in."""

    def __init__(self, conversation: "_Conversation") -> None:
        self._conversation = conversation

    def check(self) -> None:
        """Ask whether the server is there, and nothing else.

        Raises:
            TemporaryFailure: it is not, or says no.
        """
        try:
            code, said = self._conversation.noop()
        except OSError as error:
            _fail(error)
        if code != OK:
            refusal = _refusal(code, said)
            raise TemporaryFailure(CODE, NAME, TEXT, str(refusal), response_status=code)

    def send(
        self, message: EmailMessage, sender: str, addresses: Sequence[str]
    ) -> dict[str, Refusal]:
        """Send a mail; return the addresses that did not get it, each with what the server said.

        Addresses with other characters than ASCII need a server that takes such.

        Raises:
            TemporaryFailure: the conversation broke; who has got the mail is not known.
        """
        conversation = self._conversation
        refused: dict[str, Refusal] = {}
        if not conversation.has_extn(UNICODE_ADDRESSES):
            said = Refusal(NO_SUCH_ADDRESSES, "the server takes plain ASCII addresses only")
            refused = {address: said for address in addresses if not address.isascii()}
        asked = [address for address in addresses if address not in refused]
        if asked:
            refused.update(_offered(conversation, message, sender, asked))
        return refused


class _Conversation(smtplib.SMTP):
    """A conversation with a mail server that is over by a deadline, however slowly it speaks."""

    def __init__(
        self,
        server: MailServer,
        dial: Dial,
        context: Callable[[], ssl.SSLContext],
        deadline: Deadline,
    ) -> None:
        self._server = server
        self._dial = dial
        self._context = context
        self._deadline = deadline
        super().__init__(server.host, server.port, server.own_name, server.timeout)

    def limit(self) -> None:
        """Limit the socket to the time of the attempt; TLS makes a new one."""
        if isinstance(self.sock, BoundedSocket):
            self.sock.limit(self._deadline, self._server.timeout)

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            self.file = _Answers(self.sock.makefile("rb"))
        return super().getreply()

    def _get_socket(self, host: str, port: int, timeout: float) -> BoundedSocket:
        sock = self._dial(host, port)
        sock.limit(self._deadline, self._server.timeout)
        if self._server.security is not Security.TLS:
            return sock
        try:
            sock.settimeout(self._deadline.left(self._server.timeout))
            secured = self._context().wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise
        assert isinstance(secured, BoundedTLSSocket)
        secured.limit(self._deadline, self._server.timeout)
        return secured


class _Answers:
    """Reads the answers of a server, up to a number of bytes: one that talks on is hung up on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = MAX_SAID

    def readline(self, limit: int = -1) -> bytes:
        line = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise OSError("the server says too much")
        return line

    def close(self) -> None:
        self._file.close()


def _offered(
    conversation: _Conversation, message: EmailMessage, sender: str, addresses: Sequence[str]
) -> dict[str, Refusal]:
    """Offer a mail; return who did not get it."""
    try:
        refused = conversation.send_message(message, sender, addresses)
    except smtplib.SMTPRecipientsRefused as error:
        return _none_taken(error.recipients, addresses)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as error:
        return dict.fromkeys(addresses, _refusal(error.smtp_code, error.smtp_error))
    except OSError as error:
        _fail(error)
    return {address: _refusal(code, said) for address, (code, said) in refused.items()}


def _none_taken(
    refused: Mapping[str, tuple[int, bytes]], addresses: Sequence[str]
) -> dict[str, Refusal]:
    """Return what a mail came to that nobody got.

    A server that hangs up while it is asked for addresses has taken none for good.
    """
    told = {address: _refusal(code, said) for address, (code, said) in refused.items()}
    rest = Refusal(421, "the server has closed the conversation")
    return {address: told.get(address, rest) for address in addresses}


def _refusal(code: int, said: bytes | str) -> Refusal:
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return Refusal(code, " ".join(text.split())[:SHOWN])


def _fail(error: OSError | ValueError) -> NoReturn:
    """Raise what an error of a conversation means."""
    match error:
        case ssl.SSLCertVerificationError():
            cause = f"the certificate of the mail server is not valid: {error.verify_message}"
            raise PermanentFailure(CODE, NAME, TEXT, cause) from error
        case smtplib.SMTPResponseException():
            cause = str(_refusal(error.smtp_code, error.smtp_error))
            status = error.smtp_code if error.smtp_code > 0 else None
            raise TemporaryFailure(CODE, NAME, TEXT, cause, response_status=status) from error
    raise TemporaryFailure(CODE, NAME, TEXT, str(error) or repr(error)) from error
