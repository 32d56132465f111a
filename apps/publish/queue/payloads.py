"""Formatted bodies: stored once per item version and format, shared by their rows."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from pymongo.database import Database

from apps.core.service import Document

KEPT = 500


@dataclass(frozen=True)
class Body:
    """What is sent.

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

    def __init__(self, db: Database[Document], collection: str = "publish_payloads") -> None:
        self._stored = db[collection]
        self._kept: OrderedDict[str, Body] = OrderedDict()
        self._lock = Lock()

    def load(self, rows: Iterable[Mapping[str, Any]]) -> dict[Any, Body]:
        """Return the bodies of `rows` by row id; at most one command.

        Rows that others wrote hold their text themselves. A row without any has no body.
        """
        rows = list(rows)
        with self._lock:
            wanted = {row["payload_id"] for row in rows if row.get("payload_id")} - set(self._kept)
        if wanted:
            found = self._stored.find({"_id": {"$in": sorted(wanted)}})
            read = {document["_id"]: _stored_body(document) for document in found}
        else:
            read = {}
        with self._lock:
            bodies = {row["_id"]: body for row in rows if (body := self._body(row, read))}
            self._kept.update(read)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return bodies

    def _body(self, row: Mapping[str, Any], read: Mapping[str, Body]) -> Body | None:
        text = row.get("formatted_item")
        if text:
            return _own_body(row, text)
        key = str(row.get("payload_id"))
        return read.get(key) or self._kept.get(key)


def _stored_body(document: Mapping[str, Any]) -> Body:
    body = document["body"]
    if isinstance(body, str):
        text, data = body, body.encode(document.get("encoding") or "utf-8", errors="replace")
    else:
        text, data = "", bytes(body)
    return Body(data, text, document["media_type"], document["file_extension"])


EXTENSIONS = (("NITF", "ntf"), ("XML", "xml"), ("NINJS", "json"))


def _own_body(row: Mapping[str, Any], text: str) -> Body:
    """Return the body of a row that holds its text (delivery contract 5, file names)."""
    name = str((row.get("destination") or {}).get("format") or "").upper()
    extension = next((e for part, e in EXTENSIONS if part in name), "txt")
    is_json = text.lstrip()[:1] in ("{", "[")
    data = text.encode(row.get("item_encoding") or "utf-8", errors="replace")
    return Body(data, text, "application/json" if is_json else "text/plain", extension)
