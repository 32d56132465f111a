"""Custom fields of items, in `extra` (lifecycle contract 1.7)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pymongo.database import Database

from apps.core.service import Document
from apps.store.collections import CONTENT_TYPES


def parse_extra_dates(
    db: Database[Document], updates: Document, original: Mapping[str, Any] | None = None
) -> None:
    """Turn texts of date fields into times, in place, as the item's profile declares them.

    A text that is no date stays one: validation refuses it when the item is published. One command,
    none without texts in `extra`.

    Args:
        db: the database.
        updates: a write.
        original: the item as stored; None for a new one.
    """
    extra = updates.get("extra")
    profile = updates.get("profile") or (original or {}).get("profile")
    if not profile or not isinstance(extra, Mapping):
        return
    texts = {name: value for name, value in extra.items() if isinstance(value, str) and value}
    if not texts:
        return
    found = db[CONTENT_TYPES].find_one({"_id": profile}, {"schema": 1}) or {}
    schema = found.get("schema") or {}
    dates = {
        name: date
        for name, value in texts.items()
        if (schema.get(name) or {}).get("type") == "date" and (date := _date(value))
    }
    if dates:
        updates["extra"] = {**extra, **dates}


def _date(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).replace(microsecond=0)
