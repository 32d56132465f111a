"""Take a scheduled item back to work (lifecycle contract 5.4).

The save of the item is conditional on its etag, and the release of an item that is due is
conditional on its state: of the two exactly one happens.
"""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.associations import NOT_TAKEN, OWN, version_after
from apps.archive.journal.follow_ups import change, deletion
from apps.core.service import Document
from apps.core.vocabulary import Operation, State
from apps.store.collections import PUBLISH_QUEUE, PUBLISHED

DESCHEDULED = {
    "state": State.IN_PROGRESS,
    "operation": Operation.DESCHEDULE,
    "firstpublished": None,
}


def releases_schedule(updates: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Whether a save takes a scheduled item back: it names `publish_schedule`."""
    return original.get("state") == State.SCHEDULED and "publish_schedule" in updates


def keep_schedule(updates: Document, original: Mapping[str, Any]) -> None:
    """Leave the old schedule on the item; what is published automatically loses it."""
    for field in ("publish_schedule", "schedule_settings"):
        updates.pop(field, None)
    if original.get("auto_publish") and updates.get("auto_publish"):
        updates.update({"publish_schedule": None, "schedule_settings": {}})


def unscheduled(item: Mapping[str, Any], held: Mapping[str, Any]) -> Document:
    """Return an association whose item has been taken back; what the holder wrote for it stays."""
    shown = {name: value for name, value in item.items() if name not in NOT_TAKEN}
    own = {name: held[name] for name in OWN if held.get(name) is not None}
    own["_current_version"] = version_after(held, item)
    return {**held, **shown, **own, "publish_schedule": None, "schedule_settings": {}}


def what_was_scheduled(db: Database[Document], item_id: str) -> list[Document]:
    """Return the follow-ups that remove what waited for the item's hour.

    What went out under earlier versions stays on record.
    """
    writes = [deletion(PUBLISHED, {"item_id": item_id, "state": State.SCHEDULED})]
    out = {"item_id": item_id, "state": {"$ne": State.SCHEDULED}}
    last = db[PUBLISHED].find_one(out, {"_id": 1}, sort=[("publish_sequence_no", -1)])
    if last is None:
        return [*writes, deletion(PUBLISH_QUEUE, {"item_id": item_id})]
    return [*writes, change(PUBLISHED, {"_id": last["_id"]}, {"last_published_version": True})]
