"""Broadcast scripts: texts to be read out, each written for a story that is out, its master.

A script has the genre "Broadcast Script", and `broadcast` with `status` (what has become of the
master since it was written), `master_id` and `rewrite_id` (the update of the master). What becomes
of scripts with their masters: lifecycle contract 5.15.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.journal.follow_ups import change
from apps.core.documents import object_of, text_of
from apps.core.service import Document
from apps.core.vocabulary import BROADCAST_SCRIPT, PUBLISH_STATES, TEXT_TYPES, Operation
from apps.core.workflow import Action, is_allowed
from apps.store.collections import ARCHIVE, PUBLISHED

REWRITTEN = "Master Story Re-written"
STATUSES = {
    Operation.PUBLISH: "Master Story Published",
    Operation.CORRECT: "Master Story Corrected",
}


def is_broadcast_script(item: Mapping[str, Any]) -> bool:
    """Whether the item is written to be read out."""
    genres = item.get("genre")
    genres = genres if isinstance(genres, (list, tuple)) else [genres]
    codes = (
        genre.get(name)
        for genre in genres
        if isinstance(genre, Mapping)
        for name in ("qcode", "name")
    )
    return any(str(code).lower() == BROADCAST_SCRIPT.lower() for code in codes)


def is_out(script: Mapping[str, Any]) -> bool:
    """Whether somebody has the script, or will have it: it can be withdrawn."""
    return is_allowed(Action.KILL, script.get("state"))


def may_have_scripts(item: Mapping[str, Any]) -> bool:
    """Whether scripts may have been written for an item: one that has been out."""
    return (
        item.get("type") in TEXT_TYPES
        and bool(item.get("firstpublished") or item.get("state") in PUBLISH_STATES)
        and not is_broadcast_script(item)
    )


def master_of(script: Mapping[str, Any]) -> str:
    """Return the id of the story that a script was written for; empty for none."""
    return text_of(object_of(script, "broadcast"), "master_id")


def scripts_of(db: Database[Document], item: Mapping[str, Any]) -> list[Document]:
    """Return the scripts that were written for an item; no command for what can have none."""
    if not may_have_scripts(item):
        return []
    found = db[ARCHIVE].find({"broadcast.master_id": item["_id"]}).sort("_id", 1)
    return [s for s in found if is_broadcast_script(s) and master_of(s) == item["_id"]]


def told_scripts(
    scripts: Iterable[Mapping[str, Any]], status: str, rewrite_id: str | None = None
) -> list[Document]:
    """Return the follow-ups that tell scripts what has become of their master.

    Args:
        scripts: those that are told; see `open_scripts`.
        rewrite_id: the update of the master; only scripts without one take it.
    """
    writes = []
    for script in scripts:
        fields: Document = {"broadcast.status": status}
        if rewrite_id and not object_of(script, "broadcast").get("rewrite_id"):
            fields["broadcast.rewrite_id"] = rewrite_id
        writes += _changes(script, fields)
    return writes


def open_scripts(db: Database[Document], item: Mapping[str, Any]) -> list[Document]:
    """Return the scripts of an item that are told: what somebody works on is left alone."""
    return [script for script in scripts_of(db, item) if not script.get("lock_user")]


def scripts_without_rewrite(db: Database[Document], update: Mapping[str, Any]) -> list[Document]:
    """Return the follow-ups that take an update that goes from the scripts of its story."""
    story_id = text_of(update, "rewrite_of")
    if not story_id:
        return []
    named = {"broadcast.master_id": story_id, "broadcast.rewrite_id": update["_id"]}
    writes = []
    for script in db[ARCHIVE].find(named, {"state": 1, "broadcast": 1}):
        if master_of(script) != story_id:
            continue
        fields: Document = {"broadcast.rewrite_id": None}
        if text_of(object_of(script, "broadcast"), "status") == REWRITTEN:
            fields["broadcast.status"] = ""
        writes += _changes(script, fields)
    return writes


def reset_status(updates: Document, original: Mapping[str, Any]) -> list[Document]:
    """Empty the status of a script that is written, in place; return what follows elsewhere."""
    broadcast = object_of(original, "broadcast")
    if not broadcast.get("status"):
        return []
    updates["broadcast"] = {**broadcast, "status": ""}
    if original.get("state") not in PUBLISH_STATES:
        return []
    rows = {"item_id": original["_id"], "broadcast.status": {"$exists": True}}
    return [change(PUBLISHED, rows, {"broadcast.status": ""})]


def _changes(script: Mapping[str, Any], fields: Mapping[str, Any]) -> list[Document]:
    # Only where it is a script of this master still: a spike takes `broadcast` away.
    same = {"broadcast.master_id": master_of(script)}
    writes = [change(ARCHIVE, {"_id": script["_id"], **same}, fields)]
    if script.get("state") in PUBLISH_STATES:
        writes.append(change(PUBLISHED, {"item_id": script["_id"], **same}, fields))
    return writes
