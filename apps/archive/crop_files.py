"""Files of the crops that writes ask for by their coordinates (resources contract 20.4)."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import structlog
from bson import ObjectId
from pymongo.database import Database

from apps.archive.crops import box_of, crop_sizes, whole_number, with_points
from apps.core.documents import object_of
from apps.core.errors import NotFound
from apps.core.service import Document
from apps.media.cropping import Box, CroppedPicture, CroppingError, crop
from apps.media.signatures import extension_of
from apps.media.storage import MediaStorage
from apps.store.collections import ARCHIVE

log = structlog.get_logger(__name__)


class CropFiles:
    """Cuts crops out of the stored originals of pictures.

    A file's id follows from its content, so that a repeated write finds it there. Where the
    original is not in the store, or cannot be read, a crop stays what it is: coordinates.

    Only sizes of the vocabulary `crop_sizes` are cut; one with both sides gets exactly these.

    Args:
        db: the database.
        media: where the files are.
        settings: MEDIA_PREFIX.
    """

    def __init__(
        self, db: Database[Document], media: MediaStorage, settings: Mapping[str, Any]
    ) -> None:
        self._db = db
        self._media = media
        self._prefix = settings["MEDIA_PREFIX"]

    def make(self, updates: Document, original: Mapping[str, Any]) -> None:
        """Give the crops in `updates`, of the item and of what it holds, their files, in place.

        Coordinates without a file ask for one. No command where there are none. The renditions of
        the item also show its point of interest.

        Args:
            updates: a write whose crops have been checked.
            original: the item as stored; empty for a new one.
        """
        sent, known = _renditions(updates), _renditions(original)
        if sent and "original" in known and "original" not in sent:
            # A part of them: the others stay, and null takes one away.
            merged = {**known, **sent}
            updates["renditions"] = {name: r for name, r in merged.items() if r is not None}
        if _without_files(updates):
            updates["renditions"] = self._with_files(updates, original)
        point = updates["poi"] if "poi" in updates else original.get("poi")
        if "poi" in updates or (sent and point):
            shown = _renditions(updates) or known
            if shown:
                updates["renditions"] = with_points(shown, point)
        held, before = updates.get("associations"), object_of(original, "associations")
        cropped = {
            key: {
                **media,
                "renditions": self._with_files(media, self._shown(media, before.get(key))),
            }
            for key, media in (held.items() if isinstance(held, Mapping) else ())
            if isinstance(media, Mapping) and _without_files(media)
        }
        if cropped:
            updates["associations"] = {**updates["associations"], **cropped}

    def _shown(self, media: Mapping[str, Any], stored: Any) -> Mapping[str, Any]:
        """Return the picture that an association crops: as its item has it, or as it is itself."""
        is_same = isinstance(stored, Mapping) and stored.get("_id") == media.get("_id")
        if is_same and _original(_renditions(stored)):
            return dict(stored)
        found = self._db[ARCHIVE].find_one({"_id": media.get("_id")}, {"renditions": 1})
        return found or {}

    def _with_files(self, picture: Mapping[str, Any], stored: Mapping[str, Any]) -> Document:
        """Return the renditions of a picture, those that are stored among them."""
        known = _renditions(stored)
        renditions = {**known, **picture["renditions"]}
        sizes = crop_sizes(self._db)
        content = None
        for name, box in _without_files(picture).items():
            if name.lower() not in sizes:
                continue
            if _original(known) == _original(renditions) and box_of(known.get(name)) == box:
                # Sent back as it was shown, without its file.
                renditions[name] = {**known[name], **renditions[name]}
                continue
            content = content or self._original(renditions)
            if content is not None:
                made = self._made(renditions, content, box, sizes[name.lower()])
                renditions[name] = {**renditions[name], **made}
        return renditions

    def _original(self, renditions: Mapping[str, Any]) -> bytes | None:
        media = _original(renditions)
        try:
            return self._media.get(media).read() if media else None
        except NotFound:
            log.warning("picture.not_cropped", media=str(media), error="not in the store")
            return None

    def _made(
        self,
        renditions: Mapping[str, Any],
        content: bytes,
        box: Box,
        size: Mapping[str, Any],
    ) -> Document:
        """Return what a crop's rendition says of its file; nothing where none can be made."""
        width, height = (whole_number(size.get(side)) for side in ("width", "height"))
        media = _original(renditions)
        try:
            return self._stored(crop(content, box, width, height), media)
        except CroppingError as error:
            log.warning("picture.not_cropped", media=str(media), error=str(error))
            return {}

    def _stored(self, part: CroppedPicture, original: Any) -> Document:
        id = ObjectId(sha256(part.content).digest()[:12])
        extension = extension_of(part.media_type)
        self._media.put(part.content, f"{id}{extension}", part.media_type, id=id)
        return {
            "href": f"{self._prefix}/{id}{extension}",
            # As the original's: some clients keep ids as texts.
            "media": str(id) if isinstance(original, str) else id,
            "mimetype": part.media_type,
            "width": part.width,
            "height": part.height,
        }


def _without_files(picture: Mapping[str, Any]) -> dict[str, Box]:
    """Return name to box of the crops that ask for a file."""
    boxes = {
        name: box_of(rendition)
        for name, rendition in _renditions(picture).items()
        if isinstance(rendition, Mapping)
        and not rendition.get("media")
        and not rendition.get("href")
    }
    return {name: box for name, box in boxes.items() if box}


def _renditions(picture: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the renditions of what should be a picture; it may have been stored by others."""
    renditions = picture.get("renditions")
    return renditions if isinstance(renditions, Mapping) else {}


def _original(renditions: Mapping[str, Any]) -> Any:
    original = renditions.get("original")
    return original.get("media") if isinstance(original, Mapping) else None
