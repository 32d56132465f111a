"""Delivery type `email`: items as mails."""

import re
import socket
import ssl
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from email.message import EmailMessage
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any, ClassVar

from apps.core.caller import Caller
from apps.core.clock import Clock, SystemClock
from apps.core.documents import object_of, text_of
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.registry import Field
from apps.core.smtp import (
    CODE,
    NAME,
    TEXT,
    MailClient,
    MailServer,
    MailSession,
    Refusal,
    Security,
)
from apps.core.sockets import Deadline
from transmitters.base import (
    Delivery,
    Destination,
    Mode,
    Preview,
    Receipt,
    TransmitSettings,
    Transmitter,
)
from transmitters.connections import Dialler, NotConnected, Resolver, system_certificates
from transmitters.email_message import (
    Attachment,
    Content,
    Recipient,
    compose,
    content_of,
    in_ascii,
    mail_parts,
    message_id,
    parts_of,
    recipient_of,
)
from transmitters.networks import AddressGuard
from transmitters.pictures import PictureError, as_jpeg

NO_RECIPIENT = 11001
PORTS = {Security.NONE: 25, Security.STARTTLS: 587, Security.TLS: 465}
AT_ONCE = 100
"""Addresses that one mail goes to; every server takes as many (RFC 5321, 4.5.3.1.8)."""
MOST_RECIPIENTS = 500
"""As many as a row has room for who has got the mail."""
TOO_MANY = 452
"""What a server answers that takes no more addresses for one mail, among other things."""
HANGING_UP = 421
LONGEST_CAUSE = 1000
"""Characters of an error text."""
DIGEST = 8
"""Characters of what stands for an address."""
HOST = re.compile(r"[\w.:-]{1,253}")
WRONG_ADDRESS = Refusal(553, "this is no address")
RENDITION = "viewImage"


@dataclass
class Progress:
    """Who has got a mail, and who will not, over all attempts.

    They are kept as digests: a row has little room.
    """

    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Progress":
        """Return what an earlier attempt has left."""
        return cls(*(_digests(text_of(kept, name)) for name in ("accepted", "refused")))

    def kept(self, *, is_final: bool) -> dict[str, str]:
        """Return what is left for the next attempt to know.

        Args:
            is_final: there is a next one only if somebody asks for it, and then those who have
                been refused are asked again.
        """
        kept = {"accepted": self.accepted, "refused": set() if is_final else self.refused}
        return {name: "".join(sorted(digests)) for name, digests in kept.items() if digests}


def _digest(address: str) -> str:
    return urlsafe_b64encode(sha256(address.encode()).digest())[:DIGEST].decode()


def _digests(text: str) -> set[str]:
    return {text[start : start + DIGEST] for start in range(0, len(text), DIGEST)}


@dataclass
class Outcome:
    """What an attempt came to.

    Attributes:
        progress: over all attempts.
        refused: who did not get the mail in this one, and why.
        earlier: addresses that were refused for good before.
        was_asked: the server has answered.
    """

    progress: Progress
    refused: dict[str, Refusal] = field(default_factory=dict)
    earlier: list[str] = field(default_factory=list)
    was_asked: bool = False

    def add(self, asked: Iterable[Recipient], refused: Mapping[str, Refusal]) -> None:
        """Take down what a server has said of one mail."""
        self.was_asked = True
        for recipient in asked:
            refusal = refused.get(recipient.address)
            if refusal is None:
                self.progress.accepted.add(_digest(recipient.address))
            else:
                self.refused[recipient.address] = refusal
                if refusal.is_permanent:
                    self.progress.refused.add(_digest(recipient.address))

    @property
    def is_final(self) -> bool:
        return all(refusal.is_permanent for refusal in self.refused.values())

    @property
    def cause(self) -> str:
        said = [f"{address}: {refusal}" for address, refusal in self.refused.items()]
        said += [f"{address}: refused before" for address in self.earlier]
        return "not taken for " + "; ".join(said)

    @property
    def is_server_up(self) -> bool:
        """Whether the server works, and it is single addresses that it does not take."""
        hangs_up = any(refusal.code == HANGING_UP for refusal in self.refused.values())
        return self.was_asked and bool(self.progress.accepted) and not hangs_up

    @property
    def code(self) -> int | None:
        """What the server said first; None where it was not asked."""
        said = (refusal.code for refusal in self.refused.values() if refusal is not WRONG_ADDRESS)
        return next(said, None)


@dataclass(frozen=True)
class Mail:
    """A message, and whom it goes to in this attempt."""

    message: EmailMessage
    recipients: Sequence[Recipient]


class EmailTransmitter(Transmitter):
    """Send each item as a mail to the addresses of the destination.

    Keeps nothing between deliveries, so one instance may be used by several threads.
    Delivery contract 5.3.

    Args:
        clock: date of mails of which nobody knows when they were queued.
        tls: certificates to trust; the system's unless given.
        resolve: looks up addresses of mail servers.
    """

    type = "email"
    name = "Email"
    fields = (
        Field("recipients", "Addresses that the mail is to, separated by semicolons."),
        Field("recipients_bcc", "Addresses that get it without being shown."),
        Field("attach_media", "Attach the feature media (format `email`).", default=False),
        Field("media_rendition", "The rendition to attach.", default=RENDITION),
        Field("media_cid", "Content-ID of the attachment: templates show it as `cid:<this>`."),
        Field("watermark", "Lay WATERMARK_IMAGE over the attachment.", default=False),
        Field("host", "Mail server; that of the settings (MAIL_SERVER) when empty."),
        Field("port", "Its port; 25, 587 or 465 by its security when empty."),
        Field("security", "none, starttls or tls.", default=Security.STARTTLS.value),
        Field("username", "User to log in as at `host`."),
        Field("password", "Password of that user.", secret=True),
        Field("sender", "Who mails are from; the first of ADMINS when empty."),
    )
    mode = Mode.APPEND
    errors: ClassVar[dict[int, str]] = {
        CODE: TEXT,
        NO_RECIPIENT: "Recipient could not be found for destination",
    }

    def __init__(
        self,
        destination: Destination,
        settings: TransmitSettings,
        *,
        clock: Clock | None = None,
        tls: ssl.SSLContext | None = None,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        super().__init__(destination, settings)
        self._clock = clock or SystemClock()
        self._tls = tls
        self._resolve = resolve

    def send(self, delivery: Delivery) -> Receipt:
        """Send the mail to all who have not got it yet.

        A repeat carries the same Message-ID: receivers can tell it from another mail.

        Raises:
            TemporaryFailure: some may get it later; `progress` says who has it.
            PermanentFailure: it is refused for good, or the destination is set up wrongly.
        """
        to, bcc, wrong = self._recipients()
        sender = self._sender()
        outcome = Outcome(Progress.of(delivery.progress), dict.fromkeys(wrong, WRONG_ADDRESS))
        known = outcome.progress
        left = []
        for recipient in {r.address: r for r in (*to, *bcc)}.values():
            digest = _digest(recipient.address)
            if digest in known.refused:
                outcome.earlier.append(recipient.address)
            elif digest not in known.accepted:
                left.append(recipient)
        if left:
            client = self._client()
            self._offer(client, self._mails(delivery, sender, to, left), sender, outcome)
        return self._receipt(outcome)

    def test_connection(self) -> str:
        """Log in at the mail server; no mail is offered."""
        to, bcc, wrong = self._recipients()
        if wrong:
            raise self._failure(PermanentFailure, f"no address: {', '.join(wrong)}")
        self._sender()
        with self._failures(Outcome(Progress())), self._client().session() as session:
            session.check()
        return f"the mail server lets us in, for {len(to) + len(bcc)} recipients"

    def preview(self, delivery: Delivery) -> Preview:
        """Return headers and text of the mail; the picture is not opened."""
        to, bcc, _wrong = self._recipients()
        sender, parts = self._sender(), mail_parts(delivery)
        content = content_of(delivery, parts)
        message = self._composed(delivery, content, sender, to)
        text = content.text if isinstance(content.text, bytes) else content.text.encode()
        files = [attachment.name for attachment in content.attachments]
        picture = self._picture_id(parts) if parts else ""
        return Preview(
            text,
            "text/plain",
            "; ".join(recipient.address for recipient in (*to, *bcc)),
            {name: str(value) for name, value in message.items()},
            file_name=", ".join(files),
            media=(picture,) if picture else (),
        )

    @classmethod
    def missing_fields(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        missing = super().missing_fields(config)
        if not parts_of(config.get("recipients")) and not parts_of(config.get("recipients_bcc")):
            missing["recipients"] = {"required": 1}
        return missing

    @classmethod
    def config_issues(cls, config: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        issues: dict[str, Any] = {}
        entries = {name: parts_of(config.get(name)) for name in ("recipients", "recipients_bcc")}
        if sum(map(len, entries.values())) > MOST_RECIPIENTS:
            issues["recipients"] = f"at most {MOST_RECIPIENTS} addresses"
        entries["sender"] = list(filter(None, [text_of(config, "sender").strip()]))
        for name, own in entries.items():
            if not isinstance(config.get(name), str | None):
                issues[name] = "must be of string type"
            elif wrong := [entry for entry in own if recipient_of(entry) is None]:
                issues[name] = f"no address: {', '.join(wrong)}"
        if config.get("host"):
            try:
                server_of(config, MailServer(""))
            except ValueError as error:
                issues["host"] = str(error)
        return issues

    @classmethod
    def hosts(cls, config: Mapping[str, Any]) -> Mapping[str, Iterable[str]]:
        host = text_of(config, "host")
        return {"host": [host]} if host else {}

    def secrets(self) -> Iterator[str]:
        yield from super().secrets()
        if self.settings.mail_server and self.settings.mail_server.password:
            yield self.settings.mail_server.password

    # Whom, from whom, by which server.

    def _recipients(self) -> tuple[list[Recipient], list[Recipient], list[str]]:
        """Return who sees each other, who sees nobody, and what is no address."""
        config = self.destination.config
        shown, hidden = (parts_of(config.get(name)) for name in ("recipients", "recipients_bcc"))
        if not shown and not hidden:
            raise self._failure(PermanentFailure, self.errors[NO_RECIPIENT])
        if len(shown) + len(hidden) > MOST_RECIPIENTS:
            raise self._failure(PermanentFailure, f"more than {MOST_RECIPIENTS} recipients")
        found = {entry: recipient_of(entry) for entry in (*shown, *hidden)}
        to, bcc = ([r for e in entries if (r := found[e])] for entries in (shown, hidden))
        return to, bcc, [entry for entry, recipient in found.items() if recipient is None]

    def _sender(self) -> Recipient:
        wanted = self.destination.config.get("sender") or self.settings.mail_sender
        sender = recipient_of(wanted) if isinstance(wanted, str) else None
        if sender is None:
            raise self._failure(PermanentFailure, f"the sender {wanted} is no address")
        return sender

    def _client(self) -> MailClient:
        """Return a client for the destination's own server, else for that of the settings."""
        tls = self._tls or system_certificates()
        common, config = self.settings.mail_server, self.destination.config
        if not config.get("host"):
            if common is None:
                raise self._failure(TemporaryFailure, "no mail server is set up (MAIL_SERVER)")
            return MailClient(common, tls=tls)
        base = MailServer(
            "", own_name=self.settings.mail_domain, timeout=self.settings.mail_timeout
        )
        try:
            server = server_of(config, base)
        except ValueError as error:
            raise self._failure(PermanentFailure, str(error)) from None
        deadline = Deadline()
        dialler = Dialler(
            AddressGuard.of(self.settings),
            deadline,
            connect_timeout=server.timeout,
            read_timeout=server.timeout,
            resolve=self._resolve,
        )
        return MailClient(server, dialler.dial, tls=tls, deadline=deadline)

    # What.

    def _content(self, delivery: Delivery) -> Content:
        parts = mail_parts(delivery)
        content = content_of(delivery, parts)
        picture = self._picture(delivery, parts) if parts else None
        return replace(content, attachments=(picture,)) if picture else content

    def _mails(
        self,
        delivery: Delivery,
        sender: Recipient,
        to: Sequence[Recipient],
        left: Sequence[Recipient],
    ) -> list[Mail]:
        """Return the mail for plain addresses, and that for those which not every server takes.

        The former shows plain addresses only: a header with others makes the whole mail one that
        not every server takes.
        """
        content = self._content(delivery)
        plain, plain_to = in_ascii(left), in_ascii(to)
        others = [recipient for recipient in left if not recipient.address.isascii()]
        return [
            Mail(self._composed(delivery, content, sender, shown), recipients)
            for recipients, shown in ((plain, plain_to), (others, to))
            if recipients
        ]

    def _composed(
        self, delivery: Delivery, content: Content, sender: Recipient, to: Sequence[Recipient]
    ) -> EmailMessage:
        queued_at = delivery.queued_at
        return compose(
            content,
            id=message_id(delivery.key, self.settings.mail_domain),
            sender=sender,
            to=to,
            # Rows that others wrote may say anything.
            sent_at=queued_at if isinstance(queued_at, datetime) else self._clock.now(),
        )

    def _picture(self, delivery: Delivery, parts: Mapping[str, Any]) -> Attachment | None:
        """Return the rendition that the destination wants; None where the item has none."""
        config = self.destination.config
        media_id = self._picture_id(parts)
        if not media_id:
            return None
        media = delivery.open_media(media_id)
        if media is None:
            cause = f"the picture {media_id} is not stored here"
            raise self._failure(PermanentFailure, cause, is_ours=True)
        content_id = text_of(config, "media_cid")
        watermark = self._watermark() if config.get("watermark") else None
        try:
            data = as_jpeg(media.data, watermark)
        except PictureError as error:
            if watermark is None:
                kind = media.content_type or "application/octet-stream"
                return Attachment(media.name, kind, media.data, content_id)
            cause = f"the picture {media_id} cannot be marked: {error}"
            raise self._failure(PermanentFailure, cause, is_ours=True) from error
        return Attachment(_jpeg_name(media.name), "image/jpeg", data, content_id)

    def _picture_id(self, parts: Mapping[str, Any]) -> str:
        """Return the media id of that rendition, empty where there is none."""
        config = self.destination.config
        name = text_of(config, "media_rendition") or RENDITION
        media_id = text_of(object_of(object_of(parts, "renditions"), name), "media")
        return media_id if config.get("attach_media") else ""

    def _watermark(self) -> bytes:
        path = self.settings.watermark_image
        if not path:
            cause = "there is no watermark (WATERMARK_IMAGE)"
            raise self._failure(TemporaryFailure, cause, is_ours=True)
        try:
            return Path(path).read_bytes()
        except OSError as error:
            cause = f"the watermark (WATERMARK_IMAGE) cannot be read: {error.strerror}"
            raise self._failure(TemporaryFailure, cause, is_ours=True) from error

    # Sending.

    def _offer(
        self,
        client: MailClient,
        mails: Iterable[Mail],
        sender: Recipient,
        outcome: Outcome,
    ) -> None:
        """Offer mails in one conversation; what comes of it is in `outcome`, also on failure."""
        with self._failures(outcome), client.session() as session:
            for mail in mails:
                _offer_to_all(session, mail, sender, outcome)

    @contextmanager
    def _failures(self, outcome: Outcome) -> Iterator[None]:
        """Turn what ends a conversation into failures that say who has got the mail."""
        try:
            yield
        except NotConnected as error:
            kind = PermanentFailure if error.permanent else TemporaryFailure
            raise self._failure(kind, str(error)) from None
        except DeliveryError as error:
            raise self._failure(
                type(error),
                error.cause,
                response_status=error.response_status,
                progress=outcome.progress.kept(is_final=False) or None,
            ) from None

    def _receipt(self, outcome: Outcome) -> Receipt:
        progress = outcome.progress
        if not outcome.refused and not outcome.earlier:
            return Receipt(status=250, message=f"taken for {len(progress.accepted)}")
        kind = PermanentFailure if outcome.is_final else TemporaryFailure
        raise self._failure(
            kind,
            outcome.cause,
            response_status=outcome.code,
            progress=progress.kept(is_final=outcome.is_final),
            is_receiver_up=outcome.is_server_up,
            # One full mailbox keeps no correction from the others, and gets that instead.
            is_replaceable=bool(progress.accepted),
        )

    def _failure(
        self, kind: Callable[..., DeliveryError], cause: str, **details: Any
    ) -> DeliveryError:
        return kind(CODE, NAME, TEXT, self.redact(cause)[:LONGEST_CAUSE], **details)


def _offer_to_all(session: MailSession, mail: Mail, sender: Recipient, outcome: Outcome) -> None:
    """Offer a mail to everybody, to no more at once than a server takes."""
    waiting = list(mail.recipients)
    while waiting:
        asked, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        addresses = [recipient.address for recipient in asked]
        refused = session.send(mail.message, sender.address, addresses)
        if len(refused) < len(asked):
            too_many = [a for a, refusal in refused.items() if refusal.code == TOO_MANY]
            waiting = [r for r in asked if r.address in too_many] + waiting
            asked = [r for r in asked if r.address not in too_many]
        outcome.add(asked, refused)


def server_of(config: Mapping[str, Any], base: MailServer) -> MailServer:
    """Return the mail server that the config of a destination names.

    Args:
        base: what it does not say of it.

    Raises:
        ValueError: it cannot be used.
    """
    host = config.get("host")
    if not isinstance(host, str) or not HOST.fullmatch(host.strip()):
        raise ValueError("host is no name of a server")
    try:
        security = Security(config.get("security") or Security.STARTTLS)
    except ValueError:
        known = ", ".join(Security)
        raise ValueError(f"security {config['security']} is unknown; known: {known}") from None
    port = str(config.get("port") or PORTS[security]).strip()
    if not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 1 << 16):
        raise ValueError("port is no number of a port")
    return replace(
        base,
        host=host.strip(),
        port=int(port),
        security=security,
        username=text_of(config, "username"),
        password=text_of(config, "password"),
    )


def _jpeg_name(name: str) -> str:
    """Return the name of a picture once it is JPEG."""
    is_jpeg = PurePath(name).suffix.lower() in (".jpg", ".jpeg")
    return name if is_jpeg else f"{PurePath(name).stem or 'picture'}.jpg"
