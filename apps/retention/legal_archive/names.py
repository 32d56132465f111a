"""Names in the place of ids (resources contract 19 step 2)."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.schema import LOCK_FIELDS
from apps.core.documents import object_of
from apps.core.ids import ById
from apps.core.service import Document
from apps.store.by_id import find_all_by_id
from apps.store.collections import DESKS, STAGES, USERS

CREATORS = ("original_creator", "version_creator")
NOT_KEPT = frozenset(LOCK_FIELDS) | {"_etag", "journal", "expiry_status", "force_unlock"}


class Names:
    """The names of users, desks and stages that some documents refer to; three commands.

    Args:
        db: the database.
        documents: items, versions of them, or rows of their history.
    """

    def __init__(self, db: Database[Document], documents: Iterable[Mapping[str, Any]]) -> None:
        users: set[Any] = set()
        desks: set[Any] = set()
        stages: set[Any] = set()
        for document in documents:
            for holder in (document, document.get("update") or {}):
                task = object_of(holder, "task")
                users.update((*(holder.get(name) for name in CREATORS), task.get("user")))
                desks.add(task.get("desk"))
                stages.add(task.get("stage"))
            users.update((document.get("user_id"), (document.get("update") or {}).get("lock_user")))
        self._users = _read(db, USERS, users, "display_name", "username")
        self._desks = _read(db, DESKS, desks, "name")
        self._stages = _read(db, STAGES, stages, "name")

    def user(self, id: Any) -> str:
        """Return the name of a user, empty for one that is not known."""
        return self._users.get(id) or ""

    def in_document(self, document: Mapping[str, Any]) -> Document:
        """Return an item, a version or the changes of one with names, without what is not kept."""
        kept = {name: value for name, value in document.items() if name not in NOT_KEPT}
        kept.update({name: self.user(kept[name]) for name in CREATORS if name in kept})
        if isinstance(kept.get("task"), Mapping):
            kept["task"] = self._task(kept["task"])
        return kept

    def in_history(self, row: Mapping[str, Any]) -> Document:
        """Return a row of the history with names; login sessions are not kept."""
        update = row.get("update") or {}
        named = self.in_document(update)
        named.update({n: update[n] for n in ("lock_time", "lock_action") if n in update})
        if "lock_user" in update:
            named["lock_user"] = self.user(update["lock_user"])
        kept = {name: value for name, value in row.items() if name != "_etag"}
        return {**kept, "user_id": self.user(row.get("user_id")), "update": named}

    def _task(self, task: Mapping[str, Any]) -> Document:
        named = dict(task)
        for field, known in (
            ("user", self._users),
            ("desk", self._desks),
            ("stage", self._stages),
        ):
            if field in named:
                named[field] = known.get(named[field]) or ""
        return named


def _read(db: Database[Document], collection: str, ids: Iterable[Any], *fields: str) -> ById[str]:
    """Return id to the first of `fields` that a document has."""
    wanted = [id_ for id_ in ids if id_ is not None and id_ != ""]
    found = find_all_by_id(db[collection], wanted, dict.fromkeys(fields, 1))
    return ById(
        (document["_id"], next((str(document[f]) for f in fields if document.get(f)), ""))
        for document in found.values()
    )
