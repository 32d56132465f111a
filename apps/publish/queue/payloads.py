"""Formatted bodies: stored once per item version and format, shared by their rows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from bson import ObjectId
from cachetools import LRUCache
from pymongo.database import Database

from apps.core.documents import object_of, text_of
from apps.core.service import Document
from apps.publish.queue.rows import encoded
from apps.store.collections import PUBLISH_PAYLOADS

KEPT = 500


@dataclass(frozen=True)
class Body:
    """A formatted body.

    Attributes:
        data: the bytes.
        text: the same as text; empty for binary formats.
        media_type: MIME type.
        file_extension: extension of file names.
    """

    data: bytes
    text: str
    media_type: str
    file_extension: str


class Payloads:
    """Bodies of rows, with those used last kept at hand.

    Args:
        db: the database.
        collection: where the bodies are.
    """

    def __init__(self, db: Database[Document], collection: str = PUBLISH_PAYLOADS) -> None:
        self._stored = db[collection]
        self._kept = LRUCache[Any, Body](KEPT)
        self._lock = Lock()

    def load(self, rows: Iterable[Mapping[str, Any]]) -> dict[Any, Body]:
        """Return the bodies of `rows` by row id; at most one command.

        Rows that others wrote hold their text themselves. A row without any has no body, nor has
        one whose text cannot be written in its encoding.
        """
        rows = list(rows)
        keys = {key for row in rows if (key := _key(row)) is not None}
        with self._lock:
            known = {key: self._kept[key] for key in keys if key in self._kept}
        wanted = keys - known.keys()
        read = self._read(wanted) if wanted else {}
        with self._lock:
            self._kept.update(read)
        known.update(read)
        return {row["_id"]: body for row in rows if (body := _body(row, known))}

    def _read(self, wanted: set[Any]) -> dict[Any, Body]:
        """Return bodies by payload id; those that were asked for by the id of a binary by that."""
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
        return read


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
    body = document["body"]
    if isinstance(body, str):
        text, data = body, body.encode(document.get("encoding") or "utf-8", errors="replace")
    else:
        text, data = "", bytes(body)
    return Body(data, text, document["media_type"], document["file_extension"])


EXTENSIONS = (("NITF", "ntf"), ("XML", "xml"), ("NINJS", "json"))


def _own_body(row: Mapping[str, Any], text: str) -> Body | None:
    """Return the body of a row that holds its text (delivery contract 5, file names)."""
    name = text_of(object_of(row, "destination"), "format").upper()
    extension = next((e for part, e in EXTENSIONS if part in name), "txt")
    is_json = text.lstrip()[:1] in ("{", "[")
    data = encoded(text, text_of(row, "item_encoding"))
    if data is None:
        return None
    return Body(data, text, "application/json" if is_json else "text/plain", extension)
