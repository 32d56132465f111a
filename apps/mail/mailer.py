"""Sending one mail of the application itself, and the mail server of the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any

from apps.core.errors import PermanentFailure, TemporaryFailure
from apps.core.smtp import CODE, NAME, TEXT, MailClient, MailServer, Refusal, Security


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


def mail_server(settings: Mapping[str, Any]) -> MailServer | None:
    """Return the server that mails go through; None where the settings name none.

    Args:
        settings: MAIL_SERVER, MAIL_PORT, MAIL_USERNAME, MAIL_PASSWORD, MAIL_USE_TLS, MAIL_USE_SSL,
            EMAIL_TIMEOUT, URN_DOMAIN.
    """
    if not settings["MAIL_SERVER"]:
        return None
    starttls = Security.STARTTLS if settings["MAIL_USE_TLS"] else Security.NONE
    return MailServer(
        host=settings["MAIL_SERVER"],
        port=int(settings["MAIL_PORT"]),
        security=Security.TLS if settings["MAIL_USE_SSL"] else starttls,
        username=settings["MAIL_USERNAME"] or "",
        password=settings["MAIL_PASSWORD"] or "",
        own_name=settings["URN_DOMAIN"],
        timeout=float(settings["EMAIL_TIMEOUT"]),
    )


def mail_sender(settings: Mapping[str, Any]) -> str:
    """Return who mails are from: the first of ADMINS, else nobody at URN_DOMAIN."""
    admins = settings["ADMINS"]
    return str(admins[0]) if admins else f"noreply@{settings['URN_DOMAIN']}"


class Mailer:
    """Sends mails through the server that the settings name.

    Args:
        settings: those of `mail_server`, and ADMINS.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._server = mail_server(settings)
        self._client = MailClient(self._server) if self._server else None
        self._domain = settings["URN_DOMAIN"]
        self._sender = mail_sender(settings)

    @property
    def is_configured(self) -> bool:
        """Whether there is a server to send through."""
        return self._client is not None

    @property
    def longest(self) -> float:
        """Seconds after which the attempt at a mail is over, whatever the server does."""
        return self._server.longest if self._server else 0.0

    def send(self, mail: Mail) -> tuple[str, ...]:
        """Send `mail` to all its addresses.

        Returns:
            The addresses that the server refused although it took the mail for others.

        Raises:
            TemporaryFailure: nobody got it; worth repeating.
            PermanentFailure: the server refuses the mail for good.
        """
        if self._client is None:
            raise TemporaryFailure(CODE, NAME, TEXT, "no mail server is set up")
        message = self._message(mail)
        with self._client.session() as session:
            refused = session.send(message, self._sender, mail.to)
        if mail.to and len(refused) == len(set(mail.to)):
            raise _refused_by_all(refused)
        return tuple(refused)

    def _message(self, mail: Mail) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        # Subscribers do not learn who else there is.
        message["To"] = mail.to[0] if len(mail.to) == 1 else "undisclosed-recipients:;"
        message["Subject"] = " ".join(mail.subject.split())
        message["Message-ID"] = f"<{mail.key}@{self._domain}>"
        message.set_content(mail.text)
        return message


def _refused_by_all(refused: Mapping[str, Refusal]) -> TemporaryFailure | PermanentFailure:
    """Return the failure of a mail that every address was refused for."""
    said = "; ".join(f"{address}: {refusal}" for address, refusal in sorted(refused.items()))
    is_final = all(refusal.is_permanent for refusal in refused.values())
    kind = PermanentFailure if is_final else TemporaryFailure
    return kind(CODE, NAME, TEXT, said)
