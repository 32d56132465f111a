"""What delivery types have in common that upload files to a server (delivery contract 5.2)."""

import re
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote
from uuid import uuid4

from apps.core.caller import Caller
from apps.core.documents import text_of
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.media_files import media_file_name
from apps.core.registry import Field
from apps.core.sockets import Deadline
from transmitters.base import (
    Delivery,
    Destination,
    Mode,
    Preview,
    Receipt,
    TransmitSettings,
    Transmitter,
    unusable,
)
from transmitters.connections import (
    SLOTS,
    Dialler,
    KeptConnection,
    NotConnected,
    Resolver,
    Slot,
)
from transmitters.file_names import file_name, fitting, safe_name
from transmitters.media_references import parsed, renditions_in
from transmitters.networks import AddressGuard

LONGEST_CAUSE = 1000
"""Characters of an error text."""
INTERNAL_RENDITIONS = frozenset({"thumbnail", "viewImage", "baseImage"})
"""Renditions for the screens of a newsroom; the original and its crops are sent."""
CONTROLS = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""What no command to a server may hold."""
TRIED = b"test"
"""What is written to try a server out."""
LONGEST_HOST = 253
LONGEST_STEP = 255
"""Bytes of the name of a directory; no file system takes more."""
LONGEST_SHOWN = 200
"""Characters of a directory in an error text: the reason behind it has to find room, too."""
OFF = frozenset({"false", "no", "off", "0"})

FIELDS = (
    Field("file_extension", "Extension of the files; the format's own when empty."),
    Field(
        "push_associated", "Upload pictures, other media and attachments as well.", default=False
    ),
    Field("associated_path", "Directory of the media; that of the items when empty."),
)
"""Of every delivery type that uploads files."""


class UploadError(Exception):
    """A file was not uploaded.

    Args:
        text: what happened, for people.
        permanent: repeating cannot help.
        is_ours: it failed for what this installation lacks.
    """

    def __init__(self, text: str, *, permanent: bool = False, is_ours: bool = False) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.is_ours = is_ours


class ConnectionLost(UploadError):
    """Nothing is known of what the server has done."""


class UploadSession(ABC):
    """A connection to a server that takes files, logged in. Names are of the current directory.

    Every method but `close` raises `UploadError`.

    Attributes:
        slot: the place that it takes among the connections to its server.
    """

    slot: Slot | None = None

    @abstractmethod
    def enter(self, directory: str) -> None:
        """Make a directory the current one, and make it where it is missing."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the bytes of a file, None where there is none."""

    @abstractmethod
    def store(self, name: str, data: bytes) -> None:
        """Write a file; it may be there in part if that fails."""

    @abstractmethod
    def rename(self, name: str, wanted: str) -> None:
        """Rename a file, and replace one that has the wanted name."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; one that is missing, or must not be removed, is no error."""

    def resume(self) -> None:  # noqa: B027 - most have nothing to do
        """Begin an attempt on a connection that was kept."""

    def rest(self) -> None:  # noqa: B027 - most have nothing to do
        """End an attempt; the connection is kept for the next."""

    @abstractmethod
    def hang_up(self) -> None:
        """Let go of the connection, whatever state it is in."""

    def close(self) -> None:
        """Let go of the connection, and of its place."""
        try:
            self.hang_up()
        finally:
            if self.slot is not None:
                self.slot.release()


@dataclass(frozen=True)
class Target:
    """Where the files of a destination go.

    Attributes:
        directory, media_directory: as `UploadSession.enter` takes them.
    """

    host: str
    port: int
    directory: str
    media_directory: str

    @property
    def place(self) -> str:
        """Host and port, for people."""
        return f"{self.host}:{self.port}"


class UploadTransmitter(Transmitter):
    """Upload each item as a file that appears whole or not at all, after its media.

    A file is written under a temporary name, measured and renamed. A connection is kept for the
    next delivery, but not for long; one instance may be used by several threads. An attempt is
    bounded by `ftp_total_timeout` of the settings.

    Args:
        resolve: looks up addresses.

    Attributes:
        code, error_name: of every failure.
        default_port: of the protocol.
        checks: functions that raise `UploadError` where a value of the config cannot be used.
    """

    mode = Mode.APPEND
    code: ClassVar[int]
    error_name: ClassVar[str]
    default_port: ClassVar[int]
    checks: ClassVar[Mapping[str, Callable[[Mapping[str, Any]], Any]]]

    def __init__(
        self,
        destination: Destination,
        settings: TransmitSettings,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        super().__init__(destination, settings)
        self.deadline = Deadline()
        self.dialler = Dialler(
            AddressGuard.of(settings),
            self.deadline,
            connect_timeout=settings.ftp_reply_timeout,
            read_timeout=settings.ftp_reply_timeout,
            resolve=resolve,
        )
        self._kept = KeptConnection[UploadSession]()

    @abstractmethod
    def connect(self, target: Target) -> UploadSession:
        """Return a connection, logged in.

        Raises:
            UploadError: there is none.
        """

    @classmethod
    @abstractmethod
    def directories(cls, config: Mapping[str, Any]) -> tuple[str, str]:
        """Return the directories of items and of media.

        Raises:
            UploadError: a path is not one.
        """

    def send(self, delivery: Delivery) -> Receipt:
        """Upload the media that the server lacks, then the item; a repeat replaces the file.

        Raises:
            TemporaryFailure: no connection, or the server refuses; that may change.
            PermanentFailure: the destination is set up wrongly, or the server cannot do it.
        """
        self.deadline.start(self.settings.ftp_total_timeout)
        name = self._name(delivery)
        with self._failures(), self._session() as (session, target):
            for rendition in self._media(delivery):
                session.enter(target.media_directory)
                self._upload_media(session, rendition, delivery)
            session.enter(target.directory)
            upload(session, name, delivery.body)
        return Receipt(message=name)

    def test_connection(self) -> str:
        """Write a file under a temporary name to each directory, and remove it.

        Directories that are missing are made, as they are for a delivery.
        """
        self.deadline.start(self.settings.ftp_total_timeout)
        name = temporary(f"test-{uuid4().hex}")
        with self._failures(), self._session() as (session, target):
            wanted = [target.directory]
            if self.flag("push_associated", False):
                wanted.append(target.media_directory)
            for directory in dict.fromkeys(wanted):
                session.enter(directory)
                try_out(session, name)
            return f"files can be written at {target.place}"

    def preview(self, delivery: Delivery) -> Preview:
        with self._failures():
            target = self.target()
        directory = quote(target.directory.removeprefix("/"))
        return Preview(
            delivery.body,
            delivery.media_type,
            f"{self.type}://{target.place}/{directory}",
            file_name=self._name(delivery),
            media=tuple(rendition["media"] for rendition in self._media(delivery)),
        )

    def clean_up(self, deliveries: Iterable[Delivery]) -> None:
        """Remove the temporary files of `deliveries`.

        Raises:
            DeliveryError: the server cannot be reached.
        """
        self.deadline.start(self.settings.ftp_total_timeout)
        with self._failures(), self._session() as (session, target):
            for delivery in deliveries:
                for rendition in self._media(delivery):
                    session.enter(target.media_directory)
                    session.remove(temporary(media_name(rendition)))
                session.enter(target.directory)
                session.remove(temporary(self._name(delivery)))

    @classmethod
    def config_issues(cls, config: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        return unusable(config, cls.checks, UploadError)

    @classmethod
    def hosts(cls, config: Mapping[str, Any]) -> Mapping[str, Iterable[str]]:
        host = text_of(config, "host")
        return {"host": [host]} if host else {}

    def target(self) -> Target:
        """Return where the files go.

        Raises:
            UploadError: host, port or a path is missing or not one.
        """
        config = self.destination.config
        directory, media_directory = self.directories(config)
        port = port_of(config) or self.default_port
        return Target(host_of(config), port, directory, media_directory)

    def close(self) -> None:
        self._kept.close()

    def flag(self, name: str, default: bool) -> bool:
        """Return a switch of the config; those who write `"false"` are understood."""
        value = self.destination.config.get(name)
        if value is None or value == "":
            return default
        return str(value).strip().lower() not in OFF

    @contextmanager
    def _session(self) -> Iterator[tuple[UploadSession, Target]]:
        """Yield a connection that works; it is kept only if all goes well."""
        target = self.target()
        session = self._reused(target) or self._opened(target)
        try:
            yield session, target
            session.rest()
        except BaseException:
            session.close()
            raise
        self._kept.keep(session, target.place)

    def _opened(self, target: Target) -> UploadSession:
        seconds = self.deadline.left(self.settings.ftp_reply_timeout)
        slot = SLOTS.take(target.place, self.settings.connections_per_host, seconds)
        try:
            session = self.connect(target)
        except BaseException:
            slot.release()
            raise
        session.slot = slot
        return session

    def _reused(self, target: Target) -> UploadSession | None:
        """Return the connection of the last delivery, unless it has broken meanwhile."""
        session = self._kept.take()
        if session is None:
            return None
        try:
            session.resume()
            session.enter(target.directory)
        except UploadError:
            session.close()
            return None
        return session

    def _name(self, delivery: Delivery) -> str:
        return file_name(delivery, self.destination.config.get("file_extension"))

    def _media(self, delivery: Delivery) -> list[Mapping[str, Any]]:
        """Return the media to be sent: those of the item as formatted, else as published."""
        if not self.flag("push_associated", False):
            return []
        document = parsed(delivery.body)
        item = document if isinstance(document, Mapping) else delivery.open_item()
        return renditions_in(item, INTERNAL_RENDITIONS)

    def _upload_media(
        self, session: UploadSession, rendition: Mapping[str, Any], delivery: Delivery
    ) -> None:
        """Upload a file unless it is there: what a media id stands for does not change."""
        name = media_name(rendition)
        if session.size(name):
            return
        media = delivery.open_media(rendition["media"])
        if media is None:
            text = f"media file {rendition['media']} is not stored here"
            raise UploadError(text, permanent=True, is_ours=True)
        upload(session, name, media.data)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what goes wrong into failures of deliveries, without a cause that shows secrets."""
        try:
            yield
        except (UploadError, NotConnected) as error:
            kind = PermanentFailure if error.permanent else TemporaryFailure
            is_ours = isinstance(error, UploadError) and error.is_ours
            raise self._failure(kind, str(error), is_ours=is_ours) from None
        except TimeoutError:
            raise self._failure(TemporaryFailure, "the attempt took too long") from None

    def _failure(
        self, kind: Callable[..., DeliveryError], cause: str, *, is_ours: bool = False
    ) -> DeliveryError:
        shown = self.redact(cause)[:LONGEST_CAUSE]
        return kind(self.code, self.error_name, self.errors[self.code], shown, is_ours=is_ours)


def upload(session: UploadSession, name: str, data: bytes) -> None:
    """Upload a file so that it is never seen in part under its name.

    Raises:
        UploadError: it is not there; the temporary file is removed where the server can be told.
    """
    part = temporary(name)
    # What an earlier attempt has left, and may still be writing, must not be written into.
    session.remove(part)
    try:
        session.store(part, data)
        size = session.size(part)
        if size != len(data):
            raise UploadError(f"{size or 0} of {len(data)} bytes of {name} have arrived")
        session.rename(part, name)
    except ConnectionLost:
        raise
    except UploadError:
        with suppress(UploadError):
            session.remove(part)
        raise


def try_out(session: UploadSession, name: str) -> None:
    """Write a file and remove it again.

    Raises:
        UploadError: the server lets nobody do so.
    """
    try:
        session.store(name, TRIED)
        if session.size(name) != len(TRIED):
            raise UploadError("a file has not arrived whole")
    finally:
        with suppress(UploadError):
            session.remove(name)
    if session.size(name) is not None:
        text = f"the file {name} was written and cannot be removed: let the user remove files"
        raise UploadError(text, permanent=True)


def temporary(name: str) -> str:
    """Return the name of a file until it is whole."""
    return f".{name}.part"


def media_name(rendition: Mapping[str, Any]) -> str:
    """Return the name of the file of a rendition, as the format `ftp ninjs` refers to it."""
    return fitting(safe_name(media_file_name(rendition)))


def line_of(config: Mapping[str, Any], name: str) -> str:
    """Return a value as a line of text, `""` where there is none.

    Raises:
        UploadError: it is not one, or cannot be sent.
    """
    value = config.get(name)
    if value is None:
        return ""
    if isinstance(value, str | int) and not CONTROLS.search(text := str(value)):
        return text
    raise UploadError(f"{name} is not a line of text", permanent=True)


def path_of(config: Mapping[str, Any], name: str) -> str:
    """Return a directory of a config, `""` where there is none.

    Raises:
        UploadError: no server has such a directory.
    """
    path = line_of(config, name).strip()
    if any(len(step.encode()) > LONGEST_STEP for step in path.split("/")):
        text = f"{name} has a directory whose name is longer than {LONGEST_STEP} bytes"
        raise UploadError(text, permanent=True)
    return path


PATHS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    name: partial(path_of, name=name) for name in ("path", "associated_path")
}
"""Of every delivery type that uploads files: what checks its directories."""


def host_of(config: Mapping[str, Any]) -> str:
    """Return the host of a config.

    Raises:
        UploadError: there is none.
    """
    host = line_of(config, "host").strip().strip("[]")
    is_name = bool(host) and len(host) <= LONGEST_HOST and set(host).isdisjoint(" /@\\")
    if not is_name or not isinstance(config["host"], str):
        raise UploadError("host is missing or not a host name", permanent=True)
    if host.count(":") == 1:
        raise UploadError("host holds a port, which belongs into port", permanent=True)
    return host


def port_of(config: Mapping[str, Any]) -> int | None:
    """Return the port of a config, None where it has none.

    Raises:
        UploadError: it is not one.
    """
    text = line_of(config, "port").strip()
    if not text:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < 65536:
        return int(text)
    raise UploadError("port is not a number from 1 to 65535", permanent=True)
