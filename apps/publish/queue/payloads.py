"""Formatted bodies: stored once per item version and format, shared by their rows.

A body may have 15 MB. So rows say how large theirs is (`payload_size`), and bodies are read ahead
and kept at hand by their bytes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any

from bson import ObjectId
from cachetools import LRUCache
from pymongo.database import Database

from apps.core.documents import number_of, object_of, text_of
from apps.core.errors import TooLarge
from apps.core.service import Document
from apps.publish.queue.rows import encoded
from apps.store.batches import MEGABYTE, MOST_BYTES, batches
from apps.store.collections import PUBLISH_PAYLOADS

KEPT = 500
KEPT_BYTES = 16 * MEGABYTE
"""Number and bytes of the bodies that are kept at hand: any single one has room."""
LARGE = MEGABYTE
"""Bytes of a body from which on a process reads such bodies one after the other."""
UNKNOWN = MEGABYTE
"""Taken for the size of a body whose row does not tell it: an earlier release made it."""


MOST_SHOWN = 48 * MEGABYTE
"""Bytes of bodies that one answer shows."""
TOO_MUCH_SHOWN = (
    "The deliveries of this page hold {} bytes, more than the {} of an answer. Ask for fewer with "
    "max_results, or for other fields than formatted_item with projection"
)


@dataclass(frozen=True)
class Body:
    """A formatted body.

    Attributes:
        data: the bytes.
        media_type: MIME type.
        file_extension: extension of file names.
        written: the text, where it is not what `data` says in UTF-8; empty for binary formats.
    """

    data: bytes
    media_type: str
    file_extension: str
    written: str | None = None

    @property
    def text(self) -> str:
        """The same as text; empty for binary formats."""
        return self.data.decode(errors="replace") if self.written is None else self.written


class Payloads:
    """Bodies of rows, with those used last kept at hand.

    Args:
        db: the database.
        collection: where the bodies are.
    """

    def __init__(self, db: Database[Document], collection: str = PUBLISH_PAYLOADS) -> None:
        self._stored = db[collection]
        self._kept = LRUCache[Any, Body](
            KEPT_BYTES, getsizeof=lambda body: max(len(body.data), KEPT_BYTES // KEPT)
        )
        self._lock = Lock()
        self._reading_large = Lock()

    def load(self, rows: Iterable[Mapping[str, Any]]) -> dict[Any, Body]:
        """Return the bodies of `rows` by row id; at most one command.

        Rows that others wrote hold their text themselves. A row without any has no body, nor has
        one whose text cannot be written in its encoding.
        """
        rows = list(rows)
        keys = {key for row in rows if (key := _key(row)) is not None}
        known = self._at_hand(keys)
        if keys <= known.keys():
            return _bodies(rows, known)
        if sum(map(size_of_body, rows)) < LARGE:
            return _bodies(rows, known | self._read(keys - known.keys()))
        # Lanes of one story ask for the same body at once: the first of them reads it.
        with self._reading_large:
            known = self._at_hand(keys)
            return _bodies(rows, known | self._read(keys - known.keys()))

    def texts(self, rows: Iterable[Mapping[str, Any]]) -> dict[Any, str]:
        """Return by row id what was sent for rows that do not hold it, as one answer shows it.

        At most one command. Empty for binary formats.

        Raises:
            TooLarge: it is more than an answer may hold.
        """
        named = [row for row in rows if row.get("formatted_item") is None]
        size = sum(max(number_of(row, "payload_size"), 0) for row in named)
        if size > MOST_SHOWN:
            raise TooLarge(TOO_MUCH_SHOWN.format(size, MOST_SHOWN))
        return {id_: body.text for id_, body in self.load(named).items()}

    def _at_hand(self, keys: set[Any]) -> dict[Any, Body]:
        with self._lock:
            return {key: self._kept[key] for key in keys if key in self._kept}

    def _read(self, wanted: set[Any]) -> dict[Any, Body]:
        """Return bodies by payload id; those that were asked for by the id of a binary by that.

        At most one command.
        """
        if not wanted:
            return {}
        binaries = [key for key in wanted if isinstance(key, ObjectId)]
        ids = sorted(key for key in wanted if isinstance(key, str))
        query: Document = {"_id": {"$in": ids}}
        if binaries:
            query = {"$or": [query, {"encoded_item_id": {"$in": binaries}}]}
        read: dict[Any, Body] = {}
        for document in self._stored.find(query):
            body = _stored_body(document)
            for key in (document["_id"], document.get("encoded_item_id")):
                if key in wanted:
                    read[key] = body
        with self._lock:
            self._kept.update((k, body) for k, body in read.items() if len(body.data) <= KEPT_BYTES)
        return read


class BodiesAhead:
    """The bodies of rows that are about to be sent, read ahead within bounds.

    Of what is not large, all are read by one command. Threads may share it.

    Args:
        payloads: where they come from.
        rows: in the order in which they are sent.
    """

    def __init__(self, payloads: Payloads, rows: Sequence[Mapping[str, Any]]) -> None:
        self._payloads = payloads
        self._unread = {row["_id"]: row for row in rows}
        self._held: dict[Any, Body] = {}
        self._lock = Lock()

    def take(self, row: Mapping[str, Any]) -> Body | None:
        """Return the body of a row, None where it has none; it is held no longer."""
        with self._lock:
            if row["_id"] in self._unread:
                self._read_from(row)
            return self._held.pop(row["_id"], None)

    def _read_from(self, row: Mapping[str, Any]) -> None:
        """Read the body of a row, and those of rows behind it as far as there is room for them."""
        first = self._unread.pop(row["_id"])
        room = MOST_BYTES - sum(len(body.data) for body in self._held.values())
        ahead = [first, *self._unread.values()]
        batch = next(batches(ahead, size_of_body, len(ahead), room))
        self._held |= self._payloads.load(batch)
        for each in batch[1:]:
            del self._unread[each["_id"]]


def size_of_body(row: Mapping[str, Any]) -> int:
    """Return the bytes that the body of a row takes once it is read; 0 where the row holds it."""
    if row.get("formatted_item") or _key(row) is None:
        return 0
    return max(number_of(row, "payload_size", UNKNOWN), 0)


def _bodies(rows: Iterable[Mapping[str, Any]], known: Mapping[Any, Body]) -> dict[Any, Body]:
    return {row["_id"]: body for row in rows if (body := _body(row, known))}


def _key(row: Mapping[str, Any]) -> Any:
    """Return what names the body of a row: its payload, else the binary that a client names."""
    key = row.get("payload_id") or row.get("encoded_item_id")
    # Code that others stored is a text that has no hash.
    return key if type(key) in (str, ObjectId) else None


def _body(row: Mapping[str, Any], known: Mapping[Any, Body]) -> Body | None:
    text = row.get("formatted_item")
    if not text:
        return known.get(_key(row))
    return _own_body(row, text) if isinstance(text, str) else None


def _stored_body(document: Mapping[str, Any]) -> Body:
    body, form = document["body"], (document["media_type"], document["file_extension"])
    if isinstance(body, str):
        encoding = document.get("encoding") or "utf-8"
        return _text_body(body, body.encode(encoding, errors="replace"), *form)
    return Body(bytes(body), *form, written="")


def _text_body(text: str, data: bytes, media_type: str, file_extension: str) -> Body:
    """Return the body of a text, which is not held twice where its bytes say it."""
    is_utf_8 = data == text.encode(errors="replace")
    return Body(data, media_type, file_extension, None if is_utf_8 else text)


EXTENSIONS = (("NITF", "ntf"), ("XML", "xml"), ("NINJS", "json"))


def _own_body(row: Mapping[str, Any], text: str) -> Body | None:
    """Return the body of a row that holds its text (delivery contract 5, file names)."""
    name = text_of(object_of(row, "destination"), "format").upper()
    extension = next((e for part, e in EXTENSIONS if part in name), "txt")
    is_json = text.lstrip()[:1] in ("{", "[")
    data = encoded(text, text_of(row, "item_encoding"))
    if data is None:
        return None
    media_type = "application/json" if is_json else "text/plain"
    return _text_body(text, data, media_type, extension)
