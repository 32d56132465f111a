"""Sending one mail over SMTP."""

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from apps.core.errors import PermanentFailure, TemporaryFailure
from apps.core.sockets import BoundedSocket, BoundedTLSSocket, Deadline

CODE = 11000
NAME, TEXT = "PublishEmailError", "Email publish error"
PERMANENT = range(500, 600)

ANSWERS = 10
"""Time-outs of one answer that a whole mail may take, to all its addresses."""
GOODBYE_SECONDS = 1.0
"""Time to take leave of a server that has the mail."""


@dataclass(frozen=True)
class Mail:
    """One mail.

    Attributes:
        key: stays the same when the mail is sent again, so that a repeat can be recognised.
        to: addresses that have not got it yet.
        subject: line breaks are taken out.
        text: plain text.
    """

    key: str
    to: tuple[str, ...]
    subject: str
    text: str


class Connection(smtplib.SMTP):
    """A conversation with a mail server that is over by a deadline, however slowly it speaks.

    Args:
        own_name: what it calls itself.
        timeout: seconds to wait for the next byte.
        deadline: of the attempt that it serves.
    """

    def __init__(
        self, host: str, port: int, own_name: str, *, timeout: float, deadline: Deadline
    ) -> None:
        self._deadline = deadline
        super().__init__(host, port, own_name, timeout)

    def limit(self) -> None:
        """Limit the socket to the time of the attempt; TLS makes a new one."""
        if isinstance(self.sock, BoundedSocket):
            self.sock.limit(self._deadline, self.timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> BoundedSocket:
        plain = super()._get_socket(host, port, timeout)  # type: ignore[misc]  # as smtplib has it
        sock = BoundedSocket(plain.family, plain.type, plain.proto, plain.detach())
        sock.limit(self._deadline, timeout)
        return sock


class Mailer:
    """Sends mails through the server that the settings name.

    Args:
        settings: MAIL_SERVER, MAIL_PORT, MAIL_USERNAME, MAIL_PASSWORD, MAIL_USE_TLS, ADMINS,
            EMAIL_TIMEOUT, URN_DOMAIN.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._server = settings["MAIL_SERVER"]
        self._port = int(settings["MAIL_PORT"])
        self._user = settings["MAIL_USERNAME"]
        self._password = settings["MAIL_PASSWORD"]
        self._use_tls = settings["MAIL_USE_TLS"]
        self._timeout = float(settings["EMAIL_TIMEOUT"])
        self._deadline = Deadline()
        self._domain = settings["URN_DOMAIN"]
        admins = settings["ADMINS"]
        self._sender = str(admins[0]) if admins else f"noreply@{self._domain}"

    @property
    def is_configured(self) -> bool:
        """Whether there is a server to send through."""
        return bool(self._server)

    @property
    def longest(self) -> float:
        """Seconds after which the attempt at a mail is over, whatever the server does."""
        return self._timeout * ANSWERS

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Send `mail` to all its addresses.

        Returns:
            The addresses that the server refused although it took the mail for others.

        Raises:
            TemporaryFailure: nobody got it; worth repeating.
            PermanentFailure: the server refuses the mail for good.
        """
        message = self._message(mail)
        self._deadline.start(self.longest)
        try:
            connection = self._connect()
            try:
                self._introduce(connection)
                refused = connection.send_message(message, self._sender, list(mail.to))
                self._take_leave(connection)
            finally:
                connection.close()
        except smtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients) from error
        except smtplib.SMTPResponseException as error:
            raise _failure(error.smtp_code, str(error)) from error
        except OSError as error:
            raise TemporaryFailure(CODE, NAME, TEXT, str(error) or repr(error)) from error
        return tuple(refused)

    def _connect(self) -> "Connection":
        # Names itself: asking the resolver for a name may take longer than the mail.
        return Connection(
            self._server, self._port, self._domain, timeout=self._timeout, deadline=self._deadline
        )

    def _introduce(self, connection: "Connection") -> None:
        if self._use_tls:
            context = ssl.create_default_context()
            context.sslsocket_class = BoundedTLSSocket
            connection.starttls(context=context)
            connection.limit()
        if self._user:
            connection.login(self._user, self._password or "")

    def _take_leave(self, connection: "Connection") -> None:
        """Let the server end the conversation. It has the mail: what it says is no failure."""
        self._deadline.shorten(GOODBYE_SECONDS)
        with suppress(OSError):
            connection.quit()

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        # Subscribers do not learn who else there is.
        message["To"] = mail.to[0] if len(mail.to) == 1 else "undisclosed-recipients:;"
        message["Subject"] = " ".join(mail.subject.split())
        message["Message-ID"] = f"<{mail.key}@{self._domain}>"
        message.set_content(mail.text)
        return message


def _refusal(refused: Mapping[str, tuple[int, bytes]]) -> TemporaryFailure | PermanentFailure:
    """Return the failure of a mail that every address was refused for."""
    said = [f"{address}: {code} {reply!r}" for address, (code, reply) in sorted(refused.items())]
    return _failure(_mildest([code for code, _ in refused.values()]), "; ".join(said))


def _mildest(codes: Sequence[int]) -> int:
    return min(codes, default=0)


def _failure(code: int, cause: str) -> TemporaryFailure | PermanentFailure:
    kind = PermanentFailure if code in PERMANENT else TemporaryFailure
    return kind(CODE, NAME, TEXT, cause)
