"""The base class of delivery types, what they are handed and what they return."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from apps.core.caller import Caller
from apps.core.registry import Field, missing_fields
from apps.core.smtp import MailServer
from apps.core.userinfo import split_userinfo

MASK = "****"
"""Stands in a text where a secret was."""


class Mode(StrEnum):
    """What a destination does with several versions of one item (delivery contract O0)."""

    REPLACE = "replace"
    """It keeps the newest by `guid`; a newer version may pass an older one waiting for a retry."""
    APPEND = "append"
    """Each version is a document of its own; versions wait for each other."""


@dataclass(frozen=True)
class MediaFile:
    """A stored binary that travels with an item."""

    name: str
    content_type: str | None
    data: bytes


@dataclass(frozen=True)
class TransmitSettings:
    """The settings that transmitters depend on; times in seconds."""

    http_connect_timeout: float = 5.0
    http_read_timeout: float = 30.0
    http_total_timeout: float = 60.0
    http_kept_bytes: int = 20_000
    """Of a response body, unless who asks for it wants more."""
    http_drained_bytes: int = 1 << 20
    """A response body longer than this costs the connection."""
    allow_private_addresses: bool = True
    """Of all delivery types."""
    allowed_networks: tuple[str, ...] = ()
    """In CIDR notation; allowed all the same."""
    connections_per_host: int = 8
    """Of the process to one port of a host."""
    ftp_reply_timeout: float = 30.0
    """Of FTP and SFTP: to connect, and to wait for a reply."""
    ftp_total_timeout: float = 300.0
    event_source: str = "http://localhost"
    """Address of this installation, by which receivers tell who sends."""
    mail_server: MailServer | None = None
    """Of destinations that name none; no mail is sent for these without it."""
    mail_sender: str = "noreply@localhost"
    mail_domain: str = "localhost"
    """What stands behind the `@` of a Message-ID, and what mail servers are told who we are."""
    mail_timeout: float = 10.0
    watermark_image: str | None = None
    """File that is laid over pictures where a destination wants that."""
    file_root: str | None = None
    """Directory outside which `File` destinations are refused; None allows every directory."""
    file_timeout: float = 60.0
    """Of a whole attempt to write a file."""
    odbc_publish: bool = False
    """Whether anything is sent by ODBC."""
    odbc_timeout: float = 60.0
    """Of a whole attempt by ODBC."""
    imatrics_url: str | None = None
    """Address of iMatrics; nothing is sent there without it and the credentials."""
    imatrics_user: str | None = None
    imatrics_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Destination:
    """One destination of a subscriber, with its secrets resolved.

    `repr` leaves `config` out, so that a log line never holds a password.
    """

    id: str
    name: str
    type: str
    format: str
    config: Mapping[str, Any] = field(repr=False)


def _no_media(media_id: str) -> MediaFile | None:
    return None


def _no_item() -> Mapping[str, Any] | None:
    return None


@dataclass(frozen=True)
class HandedOver:
    """Others carry the delivery out; its row stays open until they call it back.

    Then it is sent again, with this in `Delivery.handed_over`, for the outcome.

    Attributes:
        to: what they call it back by.
        mark: what the transmitter wants to know then.
        message: what it waits for, for people.
    """

    to: str
    mark: str = ""
    message: str = ""


@dataclass(frozen=True)
class Superseded:
    """Something newer of the item has made the delivery pointless."""

    message: str = ""


@dataclass(frozen=True)
class Delivery:
    """One formatted item for one destination.

    Attributes:
        key: the idempotency key, the same on every retry; receivers drop repeats by it.
        body: the bytes to send, exactly as formatted and stored.
        media_type: MIME type of `body`.
        file_extension: extension of the format, without a dot.
        sequence_number: `published_seq_num` of the row.
        inside_package: id of the package the item was published in, if any.
        attempt: 1 for the first try.
        queued_at: when it was queued, None where that is not known.
        is_resent: somebody has asked for it again.
        handed_over: what an earlier attempt has returned, once it is called back.
        progress: what the last attempt that failed with one has left to know (`DeliveryError`).
        open_media: returns the stored binary of a media id, or None when there is none.
        open_item: returns the version of the item that `body` was made of, or None when it is gone.
    """

    key: str
    item_id: str
    item_version: int
    content_type: str
    publishing_action: str
    headline: str | None
    body: bytes = field(repr=False)
    media_type: str = "application/json"
    file_extension: str = "txt"
    sequence_number: int = 0
    inside_package: str | None = None
    attempt: int = 1
    queued_at: datetime | None = None
    is_resent: bool = False
    handed_over: HandedOver | None = None
    progress: Mapping[str, Any] = field(default_factory=dict)
    open_media: Callable[[str], MediaFile | None] = field(default=_no_media, repr=False)
    open_item: Callable[[], Mapping[str, Any] | None] = field(default=_no_item, repr=False)


@dataclass(frozen=True)
class Receipt:
    """The answer of the other side when it accepted a delivery.

    Attributes:
        status: status code of the receiver, where its protocol has one.
        message: a short remark for the attempt log.
        external_id, external_url: what the receiver calls the item, where it says so.
    """

    status: int | None = None
    message: str = ""
    external_id: str | None = None
    external_url: str | None = None


def unusable(
    config: Mapping[str, Any],
    checks: Mapping[str, Callable[[Mapping[str, Any]], Any]],
    refusal: type[Exception] = ValueError,
) -> dict[str, str]:
    """Return why values of a config cannot be used, by key; one that is missing may come later.

    Args:
        checks: by key, functions that raise `refusal` where its value cannot be used.
    """
    issues = {}
    for name, check in checks.items():
        try:
            if config.get(name) not in (None, ""):
                check(config)
        except refusal as error:
            issues[name] = str(error)
    return issues


@dataclass(frozen=True)
class Preview:
    """What a delivery would put on the wire, without anything secret.

    Attributes:
        body: the bytes that would go out, or what people read of them.
        address: whom it would go to, as the protocol has it: an address, a directory, mailboxes.
        headers: what the protocol says beside the body.
        file_name: of the file that it would become.
        media: ids of the binaries that would go first where the receiver lacks them.
        message: what else there is to know.
    """

    body: bytes = field(repr=False)
    media_type: str
    address: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    file_name: str = ""
    media: tuple[str, ...] = ()
    message: str = ""


class Transmitter(ABC):
    """Deliver formatted items to one destination.

    An instance belongs to one destination and may keep its connection between deliveries; it is
    used by one thread at a time unless its class says otherwise.

    Attributes:
        type: value of `destination.delivery_type`.
        name: display name.
        fields: keys of `destination.config`; they check it, mask its secrets and document it.
        mode: what the receiver does with several versions of one item.
        errors: every error code the class may raise, with its text (`/io_errors`).
    """

    type: ClassVar[str]
    name: ClassVar[str]
    fields: ClassVar[tuple[Field, ...]]
    mode: ClassVar[Mode]
    errors: ClassVar[Mapping[int, str]]

    def __init__(self, destination: Destination, settings: TransmitSettings) -> None:
        self.destination = destination
        self.settings = settings

    @abstractmethod
    def send(self, delivery: Delivery) -> Receipt | HandedOver | Superseded:
        """Deliver once; return a receipt only when the other side has accepted.

        Callers repeat a delivery whose outcome is unknown, always with the same `delivery.key`.

        Raises:
            TemporaryFailure: worth repeating; `retry_after` may be set.
            PermanentFailure: repeating cannot help.
        """

    def preview(self, delivery: Delivery) -> Preview:
        """Return what `send` would put on the wire; nobody is asked for anything.

        The instance has a config in which secrets are masked (`MASK`): they have no other value.

        Raises:
            DeliveryError: it would not be sent, for what is wrong with the destination.
        """
        return Preview(delivery.body, delivery.media_type)

    def test_connection(self) -> str:
        """Return what a receiver says that deliveries could be made to, for people.

        Nothing that it is asked for stays there, or could be taken for an item. Types without such
        a test leave this as it is.

        Raises:
            DeliveryError: they could not; its cause says why.
        """
        raise NotImplementedError

    @classmethod
    def missing_fields(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the issues of keys that a destination needs and its config lacks, by key."""
        return missing_fields(cls.fields, config)

    @classmethod
    def config_issues(cls, config: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        """Return what is wrong with the values of a destination's config, by key.

        Args:
            caller: who saves the subscriber.
        """
        return {}

    @classmethod
    def hosts(cls, config: Mapping[str, Any]) -> Mapping[str, Iterable[str]]:
        """Return the hosts that a destination's config has connections made to, by key."""
        return {}

    @classmethod
    def take_back(cls, handed_over: HandedOver) -> bool:
        """Let what was handed over not be carried out; whether that could be done in time."""
        return False

    def clean_up(  # noqa: B027 - most types leave nothing behind
        self, deliveries: Iterable[Delivery]
    ) -> None:
        """Remove what a process left at the destination that died while it delivered.

        Called when somebody else goes on in its place, before the next delivery. Others may be
        delivering at the same time: what they are writing is left alone, and so is all that no
        transmitter of this type has written.

        Args:
            deliveries: what the process may have been sending; none of it is under way now.
        """

    def close(self) -> None:  # noqa: B027 - most types hold nothing to let go of
        """Let go of connections. The instance is not used afterwards."""

    def secrets(self) -> Iterator[str]:
        """Yield every text that must not appear in an error.

        These are the values of secret fields, and credentials inside addresses.
        """
        for declared in self.fields:
            if declared.secret:
                yield from str(self.destination.config.get(declared.name) or "").split()
        for value in self.destination.config.values():
            _address, userinfo = split_userinfo(value)
            if userinfo:
                yield userinfo
                yield from filter(None, [userinfo.partition(":")[2]])

    def redact(self, text: str) -> str:
        """Return `text`, say what a receiver answered, with the destination's secrets masked."""
        for secret in sorted(set(self.secrets()), key=len, reverse=True):
            text = text.replace(secret, MASK)
        return text
