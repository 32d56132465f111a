"""Sending one mail over SMTP."""

import smtplib
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from apps.core.errors import PermanentFailure, TemporaryFailure

CODE = 11000
NAME, TEXT = "PublishEmailError", "Email publish error"
PERMANENT = range(500, 600)


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
        self._domain = settings["URN_DOMAIN"]
        admins = settings["ADMINS"]
        self._sender = str(admins[0]) if admins else f"noreply@{self._domain}"

    @property
    def is_configured(self) -> bool:
        """Whether there is a server to send through."""
        return bool(self._server)

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Send `mail` to all its addresses.

        Returns:
            The addresses that the server refused although it took the mail for others.

        Raises:
            TemporaryFailure: nobody got it; worth repeating.
            PermanentFailure: the server refuses the mail for good.
        """
        message = self._message(mail)
        try:
            with self._connect() as connection:
                self._introduce(connection)
                refused = connection.send_message(message, self._sender, list(mail.to))
        except smtplib.SMTPRecipientsRefused as error:
            raise _refusal(error.recipients) from error
        except smtplib.SMTPResponseException as error:
            raise _failure(error.smtp_code, str(error)) from error
        except OSError as error:
            raise TemporaryFailure(CODE, NAME, TEXT, str(error) or repr(error)) from error
        return tuple(refused)

    def _connect(self) -> smtplib.SMTP:
        # Names itself: asking the resolver for a name may take longer than the mail.
        return smtplib.SMTP(self._server, self._port, self._domain, timeout=self._timeout)

    def _introduce(self, connection: smtplib.SMTP) -> None:
        if self._use_tls:
            connection.starttls(context=ssl.create_default_context())
        if self._user:
            connection.login(self._user, self._password or "")

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
