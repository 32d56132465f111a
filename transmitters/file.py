"""Delivery type `File`: items as files in a directory of this machine."""

import fcntl
import os
import re
import stat
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import structlog

from apps.core.errors import (
    DeliveryError,
    PermanentFailure,
    TemporaryFailure,
    TooManyRequests,
)
from apps.core.patience import Patience
from apps.core.registry import Field
from transmitters.base import (
    Delivery,
    Destination,
    Mode,
    Preview,
    Receipt,
    TransmitSettings,
    Transmitter,
)
from transmitters.file_names import file_name

PART = ".wiredesk.part"
"""End of the names of unfinished files."""
UNFINISHED = re.compile(rf"\..+\.[0-9a-f]{{32}}{re.escape(PART)}")

MOST_STUCK = 8
"""Attempts of one destination that are under way, or do not end."""

log = structlog.get_logger(__name__)


class FileTransmitter(Transmitter):
    """Write each item as a file that appears whole or not at all.

    Keeps nothing between deliveries, so one instance may be used by several threads.
    Delivery contract 5.4.
    """

    type = "File"
    name = "File"
    fields = (
        Field("file_path", "Directory that the files are written to; it must exist.", True),
        Field("file_extension", "Extension of the files; the format's own when empty."),
    )
    mode = Mode.APPEND
    errors: ClassVar[dict[int, str]] = {13000: "File publish error"}

    def __init__(self, destination: Destination, settings: TransmitSettings) -> None:
        super().__init__(destination, settings)
        self._patience = Patience(MOST_STUCK, {})

    def send(self, delivery: Delivery) -> Receipt:
        """Write the file, replacing one of the same name: a repeat changes nothing.

        Raises:
            TemporaryFailure: the system refused; a disk may be full or a share not mounted.
            PermanentFailure: no directory is set, or it is outside the allowed one.
        """
        directory = self._directory()
        name = file_name(delivery, self.destination.config.get("file_extension"))
        try:
            self._in_time(lambda: _write_whole(directory / name, delivery.body))
        except OSError as error:
            raise self._failure(TemporaryFailure, str(error)) from error
        return Receipt(message=name)

    def test_connection(self) -> str:
        """Write a file under a temporary name, and remove it."""
        directory = self._directory()
        part = directory / f".test.{uuid4().hex}{PART}"

        def try_out() -> None:
            try:
                _write(part, b"")
            finally:
                part.unlink(missing_ok=True)

        try:
            self._in_time(try_out)
        except OSError as error:
            raise self._failure(TemporaryFailure, str(error)) from error
        return f"files can be written to {directory}"

    def preview(self, delivery: Delivery) -> Preview:
        self._directory()
        name = file_name(delivery, self.destination.config.get("file_extension"))
        place = str(self.destination.config["file_path"]).strip()
        return Preview(delivery.body, delivery.media_type, place, file_name=name)

    def clean_up(self, deliveries: Iterable[Delivery] = ()) -> None:
        """Remove unfinished files of processes that died, whatever they were sending.

        Raises:
            PermanentFailure: no directory is set, or it is outside the allowed one.
            OSError: the directory cannot be read.
        """
        for name in os.listdir(directory := self._directory()):
            if UNFINISHED.fullmatch(name):
                with suppress(OSError):
                    _remove_leftover(directory / name)

    def _in_time(self, work: Callable[[], None]) -> None:
        """Do something that may never end where a share is gone; it is left behind then.

        A file that appears later all the same is whole, and the one that a repeat writes.

        Raises:
            OSError: the system refuses, or it takes too long.
        """
        try:
            self._patience.ask(work, self.settings.file_timeout)
        except TooManyRequests:
            text = f"{MOST_STUCK} attempts have not ended, though their time is over"
            raise TimeoutError(text) from None

    def _directory(self) -> Path:
        """Return the real directory, after symbolic links and `..`."""
        path = self.destination.config.get("file_path")
        if not isinstance(path, str) or not path.strip() or "\0" in path:
            raise self._failure(PermanentFailure, "file_path is missing or not a path")
        directory = Path(os.path.realpath(f"/{path.strip()}"))
        root = self.settings.file_root
        if root is not None and not directory.is_relative_to(os.path.realpath(root)):
            raise self._failure(PermanentFailure, f"{path} is outside the allowed directory")
        return directory

    def _failure(self, kind: Callable[..., DeliveryError], cause: str) -> DeliveryError:
        return kind(13000, "PublishFileError", self.errors[13000], cause)


def _write_whole(path: Path, data: bytes) -> None:
    """Write `path` so that it is never seen in part, not even after a power cut.

    Raises:
        OSError: nothing is left behind.
    """
    # A name of its own for each try: a worker that lost its lease may still be writing.
    part = path.with_name(f".{path.name}.{uuid4().hex}{PART}")
    try:
        # Within the lock, so that nobody takes the finished file for a leftover.
        _write(part, data, lambda: part.replace(path))
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    _sync_directory(path.parent)


def _write(part: Path, data: bytes, then: Callable[[], object] = lambda: None) -> None:
    """Write a new file, locked while it is written and until `then` has been called."""
    # Created with the process's umask, unlike `tempfile`: other programs pick the file up.
    with part.open("xb") as file:
        _lock(file.fileno())
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        then()


def _lock(descriptor: int) -> bool:
    """Lock an open file, which the end of this process frees; False where another one has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        # Some shares have no locks: their leftovers are not told from what is being written.
        return False
    return True


def _remove_leftover(part: Path) -> None:
    """Remove an unfinished file unless somebody is writing it."""
    descriptor = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor):
            part.unlink()
            log.info("file.leftover_removed", path=str(part))
    finally:
        os.close(descriptor)


def _sync_directory(directory: Path) -> None:
    """Make the new name itself durable, where the file system can."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Network shares may refuse this; the file is complete all the same.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
