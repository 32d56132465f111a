"""What an empty installation starts with: validators, vocabularies, templates, as JSON files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymongo import UpdateOne
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.errors import ConfigurationError
from apps.core.ids import object_id
from apps.core.service import Document, new_etag

SHIPPED = Path(__file__).parent
RESOURCES = ("roles", "vocabularies", "validators", "content_templates", "content_types")
"""Resources that can be initialised, in the order in which they refer to each other."""

WITH_OBJECT_IDS = frozenset({"roles", "content_templates"})
"""Resources whose ids are texts in JSON only."""


def load(
    db: Database[Document], clock: Clock, resources: Sequence[str] = RESOURCES, path: Path = SHIPPED
) -> dict[str, int]:
    """Add the documents of `<path>/<resource>.json` that are not there; return how many.

    What exists is left as it is: editors may have changed it. Safe to repeat.

    Raises:
        ConfigurationError: a file is no JSON list of documents with an `_id`.
    """
    return {name: _load_one(db, clock, name, path / f"{name}.json") for name in resources}


def _load_one(db: Database[Document], clock: Clock, name: str, file: Path) -> int:
    if not file.exists():
        return 0
    now = clock.now()
    stamped = {"_created": now, "_updated": now}
    documents = _read(file)
    if name in WITH_OBJECT_IDS:
        documents = [{**document, "_id": object_id(document["_id"])} for document in documents]
    writes = [
        UpdateOne(
            {"_id": document["_id"]},
            {"$setOnInsert": {**document, **stamped, "_etag": new_etag()}},
            upsert=True,
        )
        for document in documents
    ]
    return db[name].bulk_write(writes, ordered=False).upserted_count if writes else 0


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        documents = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{file} cannot be read: {error}") from error
    if not isinstance(documents, list) or any("_id" not in d for d in documents):
        raise ConfigurationError(f"{file} must be a list of documents with an _id")
    return documents
