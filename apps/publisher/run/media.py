"""Files of stories at sites: each is uploaded once, and found again after a lost answer.

The ledger `publisher_media` knows files by the digest of their stored bytes. Whoever uploads one
holds a lease on its row; everybody else comes back when it is there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, auto
from functools import partial
from hashlib import md5, sha256
from io import BufferedReader, BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from gridfs.errors import GridFSError
from PIL import Image, ImageOps, UnidentifiedImageError
from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from apps.core.clock import Clock
from apps.core.errors import NotFound
from apps.core.service import Document
from apps.media.cropping import READ
from apps.media.signatures import extension_of, media_type_of
from apps.media.storage import PIECE, Digests, MediaStorage
from apps.publisher.identity import INSTALLATION, SEEN_JUST_NOW, installation_of
from apps.publisher.run.results import SECOND_LOOK, NotNow, Task, Wait
from apps.publisher.run.story import FEATURE, WantedMedia
from apps.publisher.schema import MediaState
from apps.store.collections import PUBLISHER_MEDIA
from transmitters.cms.base import (
    ErrorClass,
    MediaLimits,
    MediaUpload,
    PlatformError,
    RemoteMedia,
    StoryMedia,
)
from transmitters.http_connections import NoAnswer

UPLOAD_LEASE = timedelta(seconds=330)
"""Longer than an upload may take."""
BUSY = timedelta(seconds=5)
"""Until somebody else's upload is looked at again."""
CHECK_EVERY = timedelta(days=1)
QUALITY = 85
SHRINK = 0.8
SMALLEST = 64
"""Pixels of the shorter side below which a picture is not made smaller."""
WAITED_FOR = 3
"""Tries after which a story that may go without a file goes without one that cannot be had."""
KNOWN_PICTURES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/tiff"})
"""Types whose files are looked into before they are sent."""
UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    ValueError,
    SyntaxError,
)
"""What Pillow raises for pictures that it cannot read."""
OF_FILES = frozenset({ErrorClass.MEDIA, ErrorClass.VALIDATION, ErrorClass.UNSUPPORTED})
"""Classes of errors of an upload that lie in the file."""


@dataclass(frozen=True)
class _File:
    """A file that a site may get; nothing of its content need be held in memory."""

    content_type: str
    length: int
    digests: Callable[[], Digests]
    open: Callable[[], AbstractContextManager[IO[bytes]]]


class _Removal(Enum):
    """What has become of a file that a story has shown.

    NONE: it was not to be removed. CERTAIN: the site says that it is gone. DOUBTFUL: so it says,
    but an earlier request to remove or to bring it may still be on its way. REFUSED: it stays
    though nobody shows it.
    """

    NONE = auto()
    CERTAIN = auto()
    DOUBTFUL = auto()
    REFUSED = auto()


class _KeepsAddress(Exception):
    """The body is to go on naming a file by its own address."""


class MediaLedger:
    """Bring files to sites, and take them away.

    Args:
        db: the database.
        clock: source of the current time.
        storage: where the binaries are.
        owner: name of the process, by which its uploads are told from those of others.
        max_pixels: of a picture that is made smaller.
        fetch: writes what other hosts have at an address into a file; returns its media type.
            Raises `NoAnswer`, or `ValueError` for what is not to be had.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        storage: MediaStorage,
        owner: str,
        max_pixels: int,
        fetch: Callable[[str, IO[bytes]], str],
    ) -> None:
        self._fetch = fetch
        self._rows = db[PUBLISHER_MEDIA]
        self._clock = clock
        self._storage = storage
        self._owner = owner
        self._max_pixels = max_pixels

    def transfer(
        self, task: Task, wanted: Iterable[WantedMedia], *, distrust: bool = False
    ) -> dict[str, StoryMedia]:
        """Return the files of a story as they are at the site; those that are not there are sent.

        Args:
            distrust: ask the site whether it has what the ledger knows.

        Raises:
            PlatformError: a file cannot be shown, and the story must not go without it.
            Wait: somebody else is uploading one of them.
        """
        media: dict[str, StoryMedia] = {}
        used: list[Document] = []
        for one in wanted:
            try:
                if one.problem is not None:
                    raise one.problem
                row = self._at_site(task, one, distrust=distrust)
            except _KeepsAddress:
                continue
            except PlatformError as error:
                if error.error_class not in OF_FILES:
                    raise
                if not _may_be_left_out(task, one, error):
                    raise _of_media(error, one.key) from error
                task.warn(f"media_omitted:{one.key}")
                media[one.key] = _shown(one, None)
                continue
            remote = _remote(row)
            media[one.key] = _shown(one, remote)
            used.append({
                "role": "feature" if one.key == FEATURE else "body",
                "association": one.key,
                "hash": row["sha256"],
                "remote_id": remote.id,
                "remote_url": remote.url,
            })  # fmt: skip
        task.written["media"] = used
        return media

    def release(self, task: Task, *, removes: bool) -> None:
        """Take a record off the files that it used; those that nobody else uses are deleted.

        Args:
            removes: delete them; without it they stay at the site.
        """
        left: list[Document] = []
        for row in list(self._rows.find({"used_by": task.claim.id})):
            removal = self._remove(task, row) if removes else _Removal.NONE
            if removal is _Removal.REFUSED:
                task.warn("media_left_public")
                left.append(row)
            self._rows.update_one({"_id": row["_id"]}, {"$pull": {"used_by": task.claim.id}})
            if removal is _Removal.CERTAIN:
                self._free(row)
        if left:
            task.written["media"] = _with_those_left(task.record.get("media") or (), left)

    def _remove(self, task: Task, row: Mapping[str, Any]) -> _Removal:
        """Delete a file that nobody else uses."""
        if not task.platform.can_delete_media:
            # It stays in the ledger as well: the next story that shows it does not bring it again.
            is_shown = row.get("used_by") != [task.claim.id] or not row.get("remote_id")
            return _Removal.NONE if is_shown else _Removal.REFUSED
        if not self._withdraw(row, task.claim.id):
            return _Removal.NONE
        return self._delete(task, row)

    def _withdraw(self, row: Mapping[str, Any], user: Any) -> bool:
        """Mark a row as deleted if nobody else uses it; whether that is so."""
        gone = {"state": MediaState.DELETED, "lease_until": self._clock.precise() + SECOND_LOOK}
        alone = {"_id": row["_id"], "used_by": [user]}
        return self._rows.update_one(alone, {"$set": gone}).matched_count > 0

    def _delete(self, task: Task, row: Mapping[str, Any]) -> _Removal:
        if not row.get("remote_id"):
            return _Removal.DOUBTFUL
        is_ready, checked = _is_ready(task, row), row.get("checked_at")
        is_sure = is_ready and bool(checked and self._clock.precise() - checked < SEEN_JUST_NOW)
        try:
            is_gone = task.platform.delete_media(_remote(row), is_sure=is_sure)
        except PlatformError as error:
            if error.error_class != ErrorClass.AMBIGUOUS:
                raise
            # Whatever came of it, to delete the file again does no harm; to start with the post
            # again would have the next answer lost in the same place.
            is_gone, is_ready = task.platform.delete_media(_remote(row)), False
        if not is_gone:
            return _Removal.REFUSED
        return _Removal.CERTAIN if is_ready else _Removal.DOUBTFUL

    def _free(self, row: Mapping[str, Any]) -> None:
        """Let a file be brought again at once: no request that removes it is on its way."""
        removed = {"_id": row["_id"], "state": MediaState.DELETED, "lease_owner": None}
        self._rows.update_one(removed, {"$set": {"lease_until": None}})

    # One file.

    def _at_site(self, task: Task, wanted: WantedMedia, *, distrust: bool) -> Mapping[str, Any]:
        """Return the ledger's row of a file that is at the site.

        Raises:
            _KeepsAddress: it is not ours, and none that is to be brought there.
        """
        if wanted.content is not None:
            return self._brought(task, wanted, [_held(wanted.content)], distrust=distrust)
        known = [file for id_ in wanted.candidates if (file := self._stored(id_)) is not None]
        if known or not wanted.is_of_others:
            return self._brought(task, wanted, known, distrust=distrust)
        if not wanted.url:
            raise _KeepsAddress
        return self._rehosted(task, wanted, distrust=distrust)

    def _rehosted(self, task: Task, wanted: WantedMedia, *, distrust: bool) -> Mapping[str, Any]:
        """Return the row of a picture of another host; it is fetched once for each site."""
        known = {**_here(task), "source_url": wanted.url}
        there = self._rows.find_one({**known, "state": MediaState.READY})
        if there is not None and self._is_usable(task, there, distrust=distrust):
            return there
        with NamedTemporaryFile() as target:
            try:
                mime = self._fetch(wanted.url, target)
                target.flush()
            except (NoAnswer, ValueError) as error:
                may_come = isinstance(error, NoAnswer) and not error.permanent
                kind = NotNow if may_come else PlatformError
                message = f"It cannot be fetched: {error}"
                raise kind(ErrorClass.MEDIA, "media_not_fetched", message) from error
            if not mime.startswith("image/"):
                raise _KeepsAddress
            path = Path(target.name)
            found = Digests(*_digests(path))
            file = _File(mime, path.stat().st_size, lambda: found, partial(_open_path, path))
            row = self._brought(task, wanted, [file], distrust=distrust)
        self._rows.update_one({"_id": row["_id"]}, {"$set": {"source_url": wanted.url}})
        return row

    def _brought(
        self, task: Task, wanted: WantedMedia, files: Sequence[_File], *, distrust: bool
    ) -> Mapping[str, Any]:
        """Return the row of the first of some files that fits; it is uploaded if it is not there.

        Raises:
            PlatformError: there is none, or none that could be made to fit.
            Wait: somebody else is uploading it.
        """
        limits = task.platform.media_limits
        file, fits = _choose(wanted, files, limits)
        try:
            digests = file.digests()
        except GridFSError as error:
            raise _error("media_unreadable", "The stored file cannot be read") from error
        variant = "" if fits else f"jpeg-{limits.max_bytes.get('image', 0)}"
        key = {
            "integration": task.integration["_id"],
            "sha256": digests.sha256,
            "variant": variant,
        }
        row = self._rows.find_one(key)
        if (
            row is not None
            and _is_ready(task, row)
            and (self._is_usable(task, row, distrust=distrust))
        ):
            return row
        if fits:
            _check_picture(file)
        claimed = self._claim(task, key)
        if claimed is None:
            raise Wait(self._clock.precise() + BUSY)
        upload = partial(MediaUpload, alt=wanted.alt, caption=wanted.caption, title=wanted.title)
        if fits:
            as_is = upload(
                sha256=digests.sha256,
                md5=digests.md5,
                length=file.length,
                mime=file.content_type,
                extension=extension_of(file.content_type).lstrip("."),
                open=file.open,
            )
            return self._send(task, claimed, as_is)
        with self._smaller(file, limits.max_bytes.get("image", 0)) as path:
            length, found = path.stat().st_size, _digests(path)
            smaller = upload(
                sha256=found[0],
                md5=found[1],
                length=length,
                mime="image/jpeg",
                extension="jpg",
                open=partial(_open_path, path),
            )
            return self._send(task, claimed, smaller)

    def _is_usable(self, task: Task, row: Mapping[str, Any], *, distrust: bool) -> bool:
        """Note that a story uses a file; False when the site has it no more."""
        return self._is_there(task, row, distrust=distrust) and self._use(row, task.claim.id)

    def _stored(self, id_: str) -> _File | None:
        try:
            file = self._storage.get(id_)
        except NotFound:
            return None
        return _File(
            content_type=file.content_type,
            length=file.length,
            digests=partial(self._storage.digests, file),
            open=partial(self._open, file.id),
        )

    @contextmanager
    def _open(self, id_: Any) -> Iterator[IO[bytes]]:
        yield self._storage.get(id_).stream

    def _is_there(self, task: Task, row: Mapping[str, Any], *, distrust: bool) -> bool:
        """Whether the site has a file that was uploaded once; it is asked once a day."""
        now = self._clock.precise()
        checked: datetime | None = row.get("checked_at")
        if not distrust and checked is not None and now - checked < CHECK_EVERY:
            return True
        same = {"_id": row["_id"], "state": MediaState.READY, "remote_id": row["remote_id"]}
        if task.platform.has_media(_remote(row)):
            self._rows.update_one(same, {"$set": {"checked_at": now}})
            return True
        gone = {"state": MediaState.DELETED, "lease_until": None}
        self._rows.update_one(same, {"$set": gone})
        return False

    def _use(self, row: Mapping[str, Any], user: Any) -> bool:
        """Note who uses a file; False when it has just been withdrawn."""
        if user in (row.get("used_by") or ()):
            return True
        ready = {"_id": row["_id"], "state": MediaState.READY}
        update = {"$addToSet": {"used_by": user}}
        return self._rows.update_one(ready, update).matched_count > 0

    def _claim(self, task: Task, key: Mapping[str, Any]) -> Document | None:
        """Take the row of a file that is not at the site; None while another is uploading it.

        A file that was at the site as it was before may be another one there by its id.
        """
        now = self._clock.precise()
        free: list[Document] = [{"lease_until": None}, {"lease_until": {"$lte": now}}]
        if task.holds_lane:
            # Whoever served the lane before is gone. Without an owner it waits for its time.
            free.append({"lease_owner": {"$nin": [self._owner, None]}})
        here = installation_of(task.integration)
        missing = [{"state": {"$ne": MediaState.READY}}, {INSTALLATION: {"$ne": here}}]
        mine = {
            "state": MediaState.UPLOADING,
            INSTALLATION: here,
            "lease_owner": self._owner,
            "lease_until": now + UPLOAD_LEASE,
        }
        row = self._rows.find_one_and_update(
            {**key, "$and": [{"$or": free}, {"$or": missing}]},
            {"$set": mine, "$inc": {"claim_token": 1}},
            return_document=ReturnDocument.AFTER,
        )
        if row is not None:
            return row
        new: Document = {**key, **mine, "claim_token": 1, "used_by": []}
        try:
            self._rows.insert_one(new)
        except DuplicateKeyError:
            return None
        return new

    def _send(self, task: Task, row: Document, upload: MediaUpload) -> Mapping[str, Any]:
        """Upload a file unless an earlier upload has arrived; return its row."""
        now = self._clock.precise
        try:
            remote = task.platform.find_media(upload) or task.platform.upload(upload)
        except PlatformError as error:
            if error.error_class == ErrorClass.AMBIGUOUS:
                until = now() + SECOND_LOOK
                self._put(row, {"lease_owner": None, "lease_until": until})
                raise Wait(until, error) from error
            is_refused = error.error_class in OF_FILES
            state = MediaState.FAILED if is_refused else MediaState.UPLOADING
            self._put(row, {"state": state, "lease_owner": None, "lease_until": None})
            raise
        except GridFSError as error:
            self._put(row, {"state": MediaState.FAILED, "lease_owner": None, "lease_until": None})
            raise _error("media_unreadable", "The stored file cannot be read") from error
        done = {
            "state": MediaState.READY,
            "lease_owner": None,
            "lease_until": None,
            "remote_id": remote.id,
            "remote_url": remote.url,
            "mime": remote.mime or upload.mime,
            "bytes": upload.length,
            "width": remote.width,
            "height": remote.height,
            "filename": upload.filename,
            "alt": upload.alt,
            "uploaded_at": now(),
            "checked_at": now(),
        }
        if not self._put(row, done, user=task.claim.id):
            raise Wait(now() + BUSY)
        return {**row, **done}

    def _put(self, row: Mapping[str, Any], changes: Document, user: Any = None) -> bool:
        update: Document = {"$set": changes}
        if user is not None:
            update["$addToSet"] = {"used_by": user}
        same = {"_id": row["_id"], "claim_token": row["claim_token"]}
        return self._rows.update_one(same, update).matched_count > 0

    # Files that are too large.

    @contextmanager
    def _smaller(self, file: _File, max_bytes: int) -> Iterator[Path]:
        """Yield a JPEG of a picture that is as large as the site takes it.

        Raises:
            PlatformError: it cannot be read, or is too large to be decoded.
        """
        try:
            with file.open() as stream, Image.open(stream, formats=READ) as whole:
                if whole.width * whole.height > self._max_pixels:
                    message = f"The picture has more than {self._max_pixels} pixels"
                    raise _error("media_too_large", message)
                picture = ImageOps.exif_transpose(whole).convert("RGB")
        except UNREADABLE as error:
            raise _error("media_unreadable", "The picture cannot be read") from error
        with NamedTemporaryFile(suffix=".jpg") as target:
            while True:
                target.seek(0)
                target.truncate()
                picture.save(target, "JPEG", quality=QUALITY)
                target.flush()
                if not max_bytes or target.tell() <= max_bytes:
                    break
                size = (int(picture.width * SHRINK), int(picture.height * SHRINK))
                if min(size) < SMALLEST:
                    raise _error("media_too_large", "The picture cannot be made small enough")
                picture = picture.resize(size)
            del picture
            yield Path(target.name)


def _may_be_left_out(task: Task, wanted: WantedMedia, error: PlatformError) -> bool:
    """Whether a story goes without a file that cannot be shown."""
    if wanted.is_optional:
        return True
    tries = int(task.record.get("retry_attempt") or 0)
    is_over = not isinstance(error, NotNow) or tries >= WAITED_FOR
    return is_over and task.options.get("on_media_failure", "fail") == "omit"


def _open_path(path: Path) -> AbstractContextManager[BufferedReader]:
    return path.open("rb")


def _digests(path: Path) -> tuple[str, str]:
    hashes = sha256(), md5(usedforsecurity=False)
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            for each in hashes:
                each.update(piece)
    return hashes[0].hexdigest(), hashes[1].hexdigest()


def _choose(wanted: WantedMedia, files: Sequence[_File], limits: MediaLimits) -> tuple[_File, bool]:
    """Return the file to send, and whether it can go as it is.

    Raises:
        PlatformError: there is none, or none that could be made to fit.
    """
    if not files:
        raise _error("media_missing", f"There is no file of the media {wanted.key}")
    for file in files:
        if _fits(file, limits):
            return file, True
    picture = next((file for file in files if _is_picture(file)), None)
    if picture is None:
        kinds = ", ".join(sorted({file.content_type for file in files}))
        raise _error("media_type", f"The site does not take the media {wanted.key}: {kinds}")
    return picture, False


def _check_picture(file: _File) -> None:
    """Refuse a picture that nobody could look at: sites take such files without a word.

    Raises:
        PlatformError: it has the first bytes of a picture, and nothing that follows them.
    """
    if file.content_type not in KNOWN_PICTURES:
        return
    try:
        with file.open() as stream, Image.open(stream, formats=READ):
            return
    except Image.DecompressionBombError:
        # It is large, not broken; the site says whether that is too much.
        return
    except GridFSError as error:
        raise _error("media_unreadable", "The stored file cannot be read") from error
    except UNREADABLE as error:
        raise _error("media_unreadable", "The picture cannot be read") from error


def _held(content: bytes) -> _File:
    """Return a file that is held in memory."""
    digests = Digests(sha256(content).hexdigest(), md5(content, usedforsecurity=False).hexdigest())
    return _File(media_type_of(content), len(content), lambda: digests, partial(BytesIO, content))


def _fits(file: _File, limits: MediaLimits) -> bool:
    if limits.mimes and file.content_type not in limits.mimes:
        return False
    most = limits.max_bytes.get(file.content_type.partition("/")[0])
    return most is None or file.length <= most


def _is_picture(file: _File) -> bool:
    return file.content_type.startswith("image/")


def _here(task: Task) -> Document:
    """Return the query of what is at the site as it is now."""
    integration = task.integration
    return {"integration": integration["_id"], INSTALLATION: installation_of(integration)}


def _is_ready(task: Task, row: Mapping[str, Any]) -> bool:
    """Whether a row names a file at the site as it is now."""
    is_here = row.get(INSTALLATION) == installation_of(task.integration)
    return is_here and bool(row["state"] == MediaState.READY)


def _with_those_left(shown: Iterable[Document], left: Iterable[Document]) -> list[Document]:
    """Return the `media` of a record with the files that its earlier versions have shown."""
    known = list(shown)
    addresses = {each.get("remote_url") for each in known}
    return [
        *known,
        *(
            {
                "role": "earlier",
                "association": None,
                "hash": row["sha256"],
                "remote_id": str(row["remote_id"]),
                "remote_url": row.get("remote_url"),
            }
            for row in left
            if row.get("remote_url") not in addresses
        ),
    ]


def _remote(row: Mapping[str, Any]) -> RemoteMedia:
    return RemoteMedia(
        id=str(row["remote_id"]),
        url=str(row.get("remote_url") or ""),
        mime=str(row.get("mime") or ""),
        width=row.get("width"),
        height=row.get("height"),
    )


def _shown(wanted: WantedMedia, remote: RemoteMedia | None) -> StoryMedia:
    shown = StoryMedia(
        key=wanted.key,
        remote=remote,
        alt=wanted.alt,
        caption=wanted.caption,
        credit=wanted.credit,
        source_urls=wanted.source_urls,
    )
    return replace(shown, width=remote.width, height=remote.height) if remote else shown


def _error(code: str, message: str) -> PlatformError:
    return PlatformError(ErrorClass.MEDIA, code, message)


def _of_media(error: PlatformError, key: str) -> PlatformError:
    """Return the error of a file as one of the story that shows it."""
    if error.code == "media_not_usable":
        return error
    kind = NotNow if isinstance(error, NotNow) else PlatformError
    return kind(
        ErrorClass.MEDIA,
        error.code,
        f"The media {key} was not taken: {error.message}",
        status=error.status,
        field=key,
        help=error.help,
    )
