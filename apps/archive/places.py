"""Where an item is, its desk and stage, and who may work on it there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.archive.visibility import OF_ANOTHER_USER, check_may_read, is_personal, users_of
from apps.core.caller import Caller
from apps.core.documents import object_of
from apps.core.errors import Forbidden, NotFound
from apps.core.ids import ById, id_forms, object_id, same_id
from apps.core.service import Document
from apps.store.by_id import find_by_id
from apps.store.collections import DESKS, STAGES

NOT_PERMITTED = "User does not have sufficient permissions."
NOT_A_MEMBER = "User is not a member of the desk."
LOCKED_BY_OTHER = "The item was locked by another user"

TASK_IDS = ("desk", "stage", "user", "last_desk", "last_authoring_desk", "last_production_desk")


@dataclass(frozen=True)
class Place:
    """Desk and stage of an item; both None for personal items."""

    desk: Mapping[str, Any] | None = None
    stage: Mapping[str, Any] | None = None

    @property
    def source(self) -> str | None:
        """Source that items of the desk carry."""
        return self.desk.get("source") if self.desk else None

    @property
    def language(self) -> str | None:
        """Language that items of the desk start with."""
        return self.desk.get("desk_language") if self.desk else None

    def task(self, task: Mapping[str, Any]) -> Document:
        """Return the task of an item that is here: with the ids of desk and stage as stored."""
        ids = {
            name: document["_id"]
            for name, document in (("desk", self.desk), ("stage", self.stage))
            if document and task.get(name)
        }
        return {**task, **ids}

    @property
    def is_read_only(self) -> bool:
        """Whether users may not write items here."""
        return bool(self.stage and self.stage.get("local_readonly"))


NOWHERE = Place()
"""The place of personal items."""


class Places:
    """Look up desks and stages.

    Args:
        db: the database.
    """

    def __init__(self, db: Database[Document]) -> None:
        self._db = db

    def of(self, task: Mapping[str, Any]) -> Place:
        """Return the place that an item's `task` names; one command, none for personal items.

        Raises:
            NotFound: the desk or the stage does not exist.
        """
        desk_id, stage_id = task.get("desk"), task.get("stage")
        if not desk_id:
            return Place(None, self._stage(stage_id) if stage_id else None)
        stages = {"from": STAGES, "localField": "_id", "foreignField": "desk", "as": "stages"}
        wanted = {"$match": {"_id": {"$in": id_forms(desk_id)}}}
        found = self._db[DESKS].aggregate([wanted, {"$lookup": stages}])
        desk = ById((each["_id"], each) for each in found).get(desk_id)
        if desk is None:
            raise NotFound(f"Invalid desk identifier {desk_id}")
        if not stage_id:
            return Place(desk)
        stage = ById((stage["_id"], stage) for stage in desk["stages"]).get(stage_id)
        # One whose desk is named in another form is not among them.
        return Place(desk, stage or self._stage(stage_id))

    def where(self, task: Mapping[str, Any]) -> Place:
        """Return the place of a stored item; what is gone is left out."""
        try:
            return self.of(task)
        except NotFound:
            return NOWHERE

    def _stage(self, stage_id: Any) -> Document:
        stage = find_by_id(self._db[STAGES], stage_id)
        if stage is None:
            raise NotFound(f"Invalid stage identifier {stage_id}")
        return stage


def is_member(db: Database[Document], desk_id: Any, caller: Caller) -> bool:
    """Whether the caller is a member of the desk; the system counts as one, nobody else does."""
    if caller.user is None:
        return True
    member = {"$in": id_forms(caller.user_id)}
    query = {"_id": {"$in": id_forms(desk_id)}, "members.user": member}
    return db[DESKS].find_one(query, {"_id": 1}) is not None


def check_may_edit(db: Database[Document], item: Mapping[str, Any], caller: Caller) -> None:
    """Refuse who may neither lock nor unlock the item (lifecycle contract 3.7, lock).

    Administrators hold every privilege, but are members of no desk unless they are named there.

    Raises:
        Forbidden: no privilege, the item is hidden, the caller is not on its desk, or it is
            somebody else's own item.
    """
    if not caller.may("archive"):
        raise Forbidden(NOT_PERMITTED)
    check_may_read(item, caller)
    task = object_of(item, "task")
    if task.get("desk"):
        if not is_member(db, task["desk"], caller):
            raise Forbidden(NOT_A_MEMBER)
    else:
        check_is_own(item, caller)


def check_is_own(item: Mapping[str, Any], caller: Caller) -> None:
    """Refuse an item without a desk that is somebody else's.

    Raises:
        Forbidden: it is.
    """
    if caller.user and not _is_own(item, caller):
        raise Forbidden(OF_ANOTHER_USER)


def _is_own(item: Mapping[str, Any], caller: Caller) -> bool:
    """Whether an item without a desk is the caller's: held, or held by nobody and written.

    One that others have stored may be locked without a holder in its task: by the lock alone.
    """
    holder = object_of(item, "task").get("user") or item.get("lock_user")
    if holder:
        return same_id(holder, caller.user_id)
    return not is_personal(item) or str(caller.user_id) in users_of(item)


def check_may_send_to(db: Database[Document], desk_id: Any, caller: Caller) -> None:
    """Refuse who may not put items on a desk.

    Raises:
        Forbidden: neither the privilege `move` nor member of the desk.
    """
    if not caller.may("move") and not is_member(db, desk_id, caller):
        raise Forbidden(f"User is not member of desk: {desk_id}")


def is_locked_by_other(item: Mapping[str, Any], caller: Caller) -> bool:
    """Whether a user other than the caller has locked the item."""
    holder = item.get("lock_user")
    return bool(holder and caller.user and not same_id(holder, caller.user_id))


def is_elsewhere(task: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two tasks name another desk or another stage."""
    pairs = [(task.get(name) or None, other.get(name) or None) for name in ("desk", "stage")]
    return any(one != before and not same_id(one, before) for one, before in pairs)


def task_with_ids(task: Mapping[str, Any] | None) -> Document:
    """Return `task` with its references as ids usually are; those that are texts of others stay."""
    return {
        name: object_id(value) if name in TASK_IDS else value
        for name, value in (task or {}).items()
    }


def source_of(document: Mapping[str, Any], place: Place, settings: Mapping[str, Any]) -> str | None:
    """Return the item's `source`: an ingested item keeps its own (lifecycle contract 1.7)."""
    if document.get("ingest_provider") or (document.get("ingest_id") and document.get("source")):
        return document.get("source")
    return place.source or settings["DEFAULT_SOURCE_VALUE_FOR_MANUAL_ARTICLES"]
