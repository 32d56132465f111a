"""`export`: many items in one format, as an archive to download or in the answer."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from io import BytesIO
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from bson import ObjectId
from pymongo.database import Database

from apps.archive.visibility import may_see
from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, WiredeskError
from apps.core.service import Document, ResourceService
from apps.media.storage import MediaStorage, StoredFile, delete_files
from apps.output.formats.preview import ItemPreview
from apps.output.formats.service import ACT
from apps.store.collections import ARCHIVE, FS_FILES
from apps.validate.validate import ValidateService
from formatters.base import Formatted, Formatter

ZIP = "application/zip"
EXPORT = "export"
"""`resource` of the files that are archives, so that nothing else is taken for one."""

PREFIX = "export_"
"""How file names of archives begin, by which the index of files finds them."""
KEPT = timedelta(days=1)
"""Time that an archive can be downloaded for."""

_NOT_IN_NAMES = re.compile(r'[\\/*?:"<>|\x00-\x1f]')
NAME_LENGTH = 150


class ExportService(ResourceService):
    """Writes items of the archive in a format (formats contract 1.4).

    Args:
        preview: formats items.
        validator: the publish validation.
        media: keeps the archives.
        settings: PUBLIC_URL.
    """

    resource = "export"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        preview: ItemPreview,
        validator: ValidateService,
        media: MediaStorage,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._preview = preview
        self._validator = validator
        self._media = media
        self._public_url = settings["PUBLIC_URL"]

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            formatter = self._preview.by_class(document["format_type"])
            if formatter is None:
                raise BadRequest("Formatter not found for requested format type.")
            done, failures = self._formatted(document, formatter, caller)
            document["failures"] = failures
            if done and document.get("inline"):
                document["export"] = {item["_id"]: _shown(each) for item, each in done}
            elif done:
                document["url"] = self._stored(done, caller)
        return [ObjectId() for _ in documents]

    def _formatted(
        self, wanted: Document, formatter: type[Formatter], caller: Caller
    ) -> tuple[list[tuple[Document, Formatted]], int]:
        """Return the items that could be written, and how many could not.

        Items that are not there are passed over; those that the caller may not see count as
        failures, and nothing of them is written. Reads do not grow with the number of items.
        """
        ids = list(dict.fromkeys(wanted["item_ids"]))
        by_id = {item["_id"]: item for item in self.db[ARCHIVE].find({"_id": {"$in": ids}})}
        found = [by_id[id_] for id_ in ids if id_ in by_id]
        items = [item for item in found if may_see(item, caller)]
        references = self._preview.references(items)
        validator = self._validator.with_rules_for(items, {ACT})
        done, failures = [], len(found) - len(items)
        for item in items:
            try:
                if wanted.get("validate"):
                    validator.check(item, act=ACT, type=item.get("type"))
                done.append((item, self._preview.format(item, formatter, references)))
            except WiredeskError:
                failures += 1
        return done, failures

    def _stored(self, done: list[tuple[Document, Formatted]], caller: Caller) -> str:
        """Store an archive of the items, for the caller alone, and return its address."""
        content = BytesIO()
        with ZipFile(content, "w", ZIP_DEFLATED) as archive:
            names: set[str] = set()
            for item, formatted in done:
                name = _file_name(item)
                if name in names:
                    name = f"{len(names)}_{name}"
                names.add(name)
                archive.writestr(name, formatted.data)
        name = f"{PREFIX}{self.clock.now():%Y%m%d%H%M%S}.zip"
        metadata = {"resource": EXPORT, "user": str(caller.user_id or "")}
        stored = self._media.put(content.getvalue(), name, ZIP, metadata)
        return f"{self._public_url}/download/{stored}"


def forget_exports(db: Database[Document], now: datetime) -> None:
    """Remove the archives that have been kept for long enough."""
    query = {
        "filename": {"$regex": f"^{PREFIX}"},
        "uploadDate": {"$lt": now - KEPT},
        "metadata.resource": json.dumps(EXPORT).decode(),
    }
    delete_files(db, [file["_id"] for file in db[FS_FILES].find(query, {"_id": 1})])


def is_export(file: StoredFile, caller: Caller) -> bool:
    """Whether a stored file is an archive that the caller has made."""
    return file.metadata == {"resource": EXPORT, "user": str(caller.user_id or "")}


def _shown(formatted: Formatted) -> Any:
    """Return what the answer holds: JSON as it is, other formats as text."""
    text = formatted.data.decode("utf-8", errors="replace")
    try:
        return json.loads(text)
    except ValueError:
        return text


def _file_name(item: Mapping[str, Any]) -> str:
    slugline = _NOT_IN_NAMES.sub("", str(item.get("slugline") or ""))[:NAME_LENGTH]
    return f"{slugline}_{item.get('unique_id')}.txt"
