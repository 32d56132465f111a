"""The store of binaries: GridFS in the main database (resources contract 20.1)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import md5, sha256
from typing import IO, Any, NamedTuple

import gridfs
from bson import ObjectId
from bson.errors import InvalidId
from gridfs.errors import FileExists, NoFile
from pymongo.database import Database

from apps.core import json
from apps.core.errors import NotFound
from apps.core.service import Document
from apps.media.signatures import media_type_of
from apps.store.collections import FS_CHUNKS, FS_FILES

CONTENT_TYPE = "contentType"
HEAD = 100
"""Bytes that show what a file is."""

PIECE = 1 << 18
"""Bytes that are read at a time where a whole file is not held."""

NOT_STORED = "File not found on media storage."


class Digests(NamedTuple):
    """What tells whether two files are the same, as hex digits."""

    sha256: str
    md5: str


class StoredFile:
    """A file that can be read; nothing of its content is loaded before.

    Attributes:
        id: what it is found by.
        filename: name for whoever downloads it, or None.
        content_type: its media type.
        length: bytes.
        stored_at: when it was stored.
        stream: its content, seekable.
    """

    def __init__(self, file: gridfs.GridOut) -> None:
        self.id: ObjectId = file._id
        self.filename: str | None = file.filename
        self.length: int = file.length
        self.stored_at: datetime = file.upload_date
        self.stream: IO[bytes] = file
        self._metadata: Mapping[str, str] = file.metadata or {}
        self.content_type: str = self._metadata.get(CONTENT_TYPE) or self._shown_type()

    def _shown_type(self) -> str:
        """Return the type of a file that others have stored."""
        head = self.stream.read(HEAD)
        self.stream.seek(0)
        return media_type_of(head)

    def read(self) -> bytes:
        """Return the whole content."""
        self.stream.seek(0)
        return self.stream.read()

    @property
    def metadata(self) -> Document:
        """The metadata that was stored with the file."""
        return {n: json.loads(value) for n, value in self._metadata.items() if n != CONTENT_TYPE}


def delete_files(db: Database[Document], ids: Sequence[ObjectId]) -> None:
    """Remove files; two commands for any number of them. Safe to repeat."""
    if ids:
        db[FS_FILES].delete_many({"_id": {"$in": list(ids)}})
        db[FS_CHUNKS].delete_many({"files_id": {"$in": list(ids)}})


class MediaStorage:
    """Stores binaries under ids; none is ever changed.

    A file is there from the moment `put` returns: its chunks are written before its entry. A
    process that dies in between leaves chunks that nobody refers to.

    Args:
        db: the database.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._db = db

    @cached_property
    def _files(self) -> gridfs.GridFS:
        return gridfs.GridFS(self._db)

    def put(
        self,
        content: bytes,
        filename: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        id: ObjectId | None = None,
    ) -> ObjectId:
        """Store a file and return its id.

        Args:
            filename: name for whoever downloads it.
            content_type: media type, for contents that do not show it themselves.
            metadata: kept with the file; values may be anything that JSON holds.
            id: the id to use. A file that is there under it already stays: writes that may come
                again draw their id first.
        """
        known = {name: json.dumps(value).decode() for name, value in (metadata or {}).items()}
        known[CONTENT_TYPE] = media_type_of(content, content_type)
        file: Document = {"_id": id or ObjectId(), "filename": filename, "metadata": known}
        try:
            self._files.put(content, **file)
        except FileExists:
            if not self.exists(file["_id"]):
                # Chunks of a process that died before it wrote the entry.
                self._files.delete(file["_id"])
                self._files.put(content, **file)
        return ObjectId(file["_id"])

    def get(self, id: Any) -> StoredFile:
        """Return the file.

        Args:
            id: an ObjectId, or its text.

        Raises:
            NotFound: there is none.
        """
        try:
            return StoredFile(self._files.get(ObjectId(str(id))))
        except (NoFile, InvalidId) as error:
            raise NotFound(NOT_STORED) from error

    def exists(self, id: Any) -> bool:
        """Whether there is a file of this id."""
        return ObjectId.is_valid(str(id)) and bool(self._files.exists(ObjectId(str(id))))

    def lengths(self, ids: Iterable[str]) -> dict[str, int]:
        """Return how many bytes those of `ids` have that have a file; one command, or none."""
        wanted = [ObjectId(id_) for id_ in sorted(ids) if ObjectId.is_valid(id_)]
        if not wanted:
            return {}
        found = self._db[FS_FILES].find({"_id": {"$in": wanted}}, {"length": 1})
        return {str(file["_id"]): file["length"] for file in found}

    def digests(self, file: StoredFile) -> Digests:
        """Return the digests of a file; it is read once in its life, piece by piece."""
        known = self._db[FS_FILES].find_one({"_id": file.id}, {"sha256": 1, "md5": 1}) or {}
        if known.get("sha256") and known.get("md5"):
            return Digests(known["sha256"], known["md5"])
        hashes = sha256(), md5(usedforsecurity=False)
        file.stream.seek(0)
        while piece := file.stream.read(PIECE):
            for each in hashes:
                each.update(piece)
        file.stream.seek(0)
        found = Digests(hashes[0].hexdigest(), hashes[1].hexdigest())
        self._db[FS_FILES].update_one({"_id": file.id}, {"$set": found._asdict()})
        return found

    def delete(self, id: Any) -> None:
        """Remove the file; one that is not there is no error."""
        if ObjectId.is_valid(str(id)):
            self._files.delete(ObjectId(str(id)))
