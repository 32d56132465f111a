"""Addresses, contents and messages of the delivery type `email` (delivery contract 5.3)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256
from html import escape
from typing import Any

from apps.core.documents import text_of
from apps.core.text import strip_forbidden
from transmitters.base import Delivery
from transmitters.file_names import file_name, safe_name
from transmitters.media_references import parsed

SEPARATOR = ";"
LONGEST_SUBJECT = 500
"""Characters; what is longer is cut."""
UNDISCLOSED = "undisclosed-recipients:;"
SAFE_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}")
POLICY = SMTP.clone(cte_type="7bit")
"""Not every server takes other bytes than those of ASCII."""

_ADDRESS = re.compile(
    r"(?:(?P<name>[^<>@;\x00-\x1f\x7f]*)<)?(?P<local>[^\s<>()\[\],;:\\\"@\x00-\x1f\x7f]+)"
    r"@(?P<domain>[^\s<>()\[\],;:\\\"@\x00-\x1f\x7f]+)(?(name)>)"
)


@dataclass(frozen=True)
class Recipient:
    """Somebody who gets mails.

    Attributes:
        name: shown beside the address.
        address: its domain in ASCII.
    """

    name: str
    address: str

    @property
    def header(self) -> Address:
        local, _, domain = self.address.rpartition("@")
        return Address(self.name, local, domain)


def recipient_of(text: str) -> Recipient | None:
    """Return who `address` or `name <address>` names; None where it is no address."""
    found = _ADDRESS.fullmatch(text.strip())
    if not found:
        return None
    try:
        domain = found["domain"].encode("idna").decode("ascii").lower()
    except UnicodeError:
        return None
    local = strip_forbidden(found["local"])
    name = strip_forbidden(found["name"] or "").strip(' "')
    return Recipient(name, f"{local}@{domain}") if local else None


def parts_of(value: object) -> list[str]:
    """Return the entries of a list of addresses, without blank ones."""
    entries = value.split(SEPARATOR) if isinstance(value, str) else ()
    return [entry.strip() for entry in entries if entry.strip()]


@dataclass(frozen=True)
class Attachment:
    """A file in a mail.

    Attributes:
        content_id: what the HTML text calls it by, or empty.
    """

    name: str
    media_type: str
    data: bytes
    content_id: str = ""


@dataclass(frozen=True)
class Content:
    """What a mail says.

    Attributes:
        text: as bytes, they arrive as they are.
        html: None where there is no such text.
    """

    subject: str
    text: str | bytes
    html: str | None
    attachments: tuple[Attachment, ...] = ()


def mail_parts(delivery: Delivery) -> Mapping[str, Any]:
    """Return what the format `email` has made of an item; nothing for another format."""
    if not delivery.media_type.endswith("json"):
        return {}
    parts = parsed(delivery.body)
    return parts if isinstance(parts, Mapping) and "message_subject" in parts else {}


def content_of(delivery: Delivery, parts: Mapping[str, Any]) -> Content:
    """Return what the mail of an item says, apart from its picture.

    Args:
        parts: what `mail_parts` returns.
    """
    own_subject = one_line(f"Story: {delivery.item_id}")
    if parts:
        subject = one_line(text_of(parts, "message_subject")) or own_subject
        html = strip_forbidden(text_of(parts, "message_html")) or None
        return Content(subject, strip_forbidden(text_of(parts, "message_text")), html)
    if not _is_text(delivery.media_type):
        file = Attachment(file_name(delivery), delivery.media_type, delivery.body)
        return Content(own_subject, "", None, (file,))
    shown = strip_forbidden(delivery.body.decode(errors="replace"))
    is_html = delivery.media_type.partition(";")[0].strip() == "text/html"
    # Readers of mails show line ends and markup of what is no HTML as they are only like this.
    html = shown if is_html else f"<pre>{escape(shown, quote=False)}</pre>"
    return Content(own_subject, delivery.body, html)


def _is_text(media_type: str) -> bool:
    plain = media_type.partition(";")[0].strip().lower()
    return plain.startswith("text/") or plain.endswith(("json", "xml"))


def one_line(text: str) -> str:
    """Return the first line of a text, of characters that a header may have.

    Line ends would begin a header of their own.
    """
    first: str = next(iter(text.strip().splitlines()), "")
    return " ".join(strip_forbidden(first).split())


def message_id(key: str, domain: str) -> str:
    """Return the id of a mail, the same for each attempt at a delivery.

    Args:
        key: of the delivery; rows that clients write may have any.
    """
    name = key if SAFE_KEY.fullmatch(key) else sha256(key.encode(errors="replace")).hexdigest()
    return f"<{name}@{domain}>"


def compose(
    content: Content, *, id: str, sender: Recipient, to: Sequence[Recipient], sent_at: datetime
) -> EmailMessage:
    """Return a message.

    Args:
        id: see `message_id`.
        to: who everybody sees.
    """
    message = EmailMessage(policy=POLICY)
    message["From"] = sender.header
    message["To"] = [recipient.header for recipient in to] or UNDISCLOSED
    message["Subject"] = content.subject[:LONGEST_SUBJECT].strip()
    message["Date"] = format_datetime(sent_at)
    message["Message-ID"] = id
    if isinstance(content.text, bytes):
        charset = {"charset": "utf-8"}
        message.set_content(content.text, "text", "plain", cte="base64", params=charset)
    else:
        message.set_content(content.text)
    if content.html is not None:
        message.add_alternative(content.html, subtype="html")
    for attachment in content.attachments:
        _attach(message, attachment)
    return message


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    main, _, sub = one_line(attachment.media_type).partition(";")[0].strip().partition("/")
    known = re.fullmatch(r"[\w.+-]+/[\w.+-]+", f"{main}/{sub}", re.ASCII) and main not in (
        "multipart",
        "message",
    )
    content_id = re.sub(r"[^\x21-\x7e]|[<>]", "", attachment.content_id)
    message.add_attachment(
        attachment.data,
        *((main, sub) if known else ("application", "octet-stream")),
        filename=safe_name(attachment.name.strip()) or "attachment",
        cid=f"<{content_id}>" if content_id else None,
    )


def in_ascii(recipients: Iterable[Recipient]) -> list[Recipient]:
    """Return those whom every server knows how to write to."""
    return [recipient for recipient in recipients if recipient.address.isascii()]
