"""Import of ninjs documents into the newsroom."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from bson import ObjectId

from apps.archive.service import ArchiveService
from apps.core import json
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.core.vocabulary import State
from apps.importing.ninjs import item_from_ninjs

ID_IN_URL = re.compile(r"[\w,.:_-]+")
"""Ids that stand in URLs without escaping."""


@dataclass(frozen=True)
class Imported:
    """The result of importing one file.

    Attributes:
        item_id: id of the item, also when it was there already.
        is_new: false when an item of that id was there.
        item: the item, as created.
    """

    item_id: str
    is_new: bool
    item: Document


class Importer:
    """Turns ninjs files into items on a desk.

    Args:
        archive: creates the items.
        task: desk and stage of the items; empty for personal ones.
    """

    def __init__(self, archive: ArchiveService, task: Mapping[str, ObjectId]) -> None:
        self._archive = archive
        self._task = task

    def add(self, file: Path) -> Imported:
        """Import one file; importing it again changes nothing.

        Raises:
            BadRequest: the file holds no ninjs document.
        """
        item = read_ninjs(file)
        item["_id"] = item_id_for(item["guid"])
        known = self._archive.collection.find_one({"_id": item["_id"]})
        if known:
            return Imported(item["_id"], False, known)
        item.update({"state": State.FETCHED, "task": dict(self._task)})
        self._archive.post([item])
        return Imported(item["_id"], True, item)


def read_ninjs(file: Path) -> Document:
    """Return the item that a ninjs file stands for.

    Raises:
        BadRequest: the file holds no ninjs document.
    """
    try:
        return item_from_ninjs(json.loads(file.read_bytes()))
    except ValueError as error:
        raise BadRequest(f"{file}: {error}") from error


def item_id_for(guid: str) -> str:
    """Return an id for the item with `guid`: the same where it can stand in a URL."""
    if ID_IN_URL.fullmatch(guid):
        return guid
    return f"urn:ninjs:{sha256(guid.encode()).hexdigest()[:32]}"
