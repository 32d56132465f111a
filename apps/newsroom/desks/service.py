"""Rules of desks."""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import objects_of
from apps.core.errors import BadRequest, PreconditionFailed
from apps.core.ids import id_forms, id_key
from apps.core.notifier import Notifier
from apps.core.schemas import as_stored, fill_defaults
from apps.core.service import Document, ResourceService
from apps.newsroom.desks.resource import DESK_SCHEMA
from apps.newsroom.stages.service import DESK_FIELDS, INCOMING, WORKING, StagesService
from apps.newsroom.stages.visibility import StageVisibility
from apps.store.by_id import find_all_by_id, find_by_id
from apps.store.collections import (
    ARCHIVE,
    ARCHIVE_VERSIONS,
    DESKS,
    INTERNAL_DESTINATIONS,
    ROUTING_SCHEMES,
    STAGES,
    USERS,
)

IDS = (ObjectId, str, int)
"""Types of ids."""

STAGE_NAMES = {WORKING: "Working Stage", INCOMING: "Incoming Stage"}
"""Stages that a new desk gets, in their order."""

DESK_TYPE_IN_USE = "Cannot update Desk Type as there are article(s) referenced by the Desk."
IS_DEFAULT = "Cannot delete desk as it is assigned as default desk to user(s)."
HAS_ROUTING = "Cannot delete desk as routing scheme(s) are associated with the desk"
HAS_DESTINATIONS = "Cannot delete desk as internal destination(s) are associated with the desk"
HAS_ITEMS = "Cannot delete desk as it has article(s) or referenced by versions of the article(s)."

LAST_DESKS = ("task.last_authoring_desk", "task.last_production_desk")
ROUTING_FIELDS = ("rules.actions.fetch.desk", "rules.actions.publish.desk")


class DesksService(ResourceService):
    """Desks and their members.

    Args:
        stages: every desk has at least two.
        visibility: keeps what users may see.
        notifier: tells clients.
        settings: CONTENT_EXPIRY_MINUTES.
    """

    resource = "desks"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        stages: StagesService,
        visibility: StageVisibility,
        notifier: Notifier,
        settings: Mapping[str, Any],
    ) -> None:
        super().__init__(db, clock)
        self._stages = stages
        self._visibility = visibility
        self._notifier = notifier
        self._settings = settings

    # Create and change.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        fill_defaults(documents, DESK_SCHEMA)
        for document in documents:
            document.setdefault("_id", ObjectId())
            document["members"] = without_repeats(document.get("members"))
            if document.get("content_expiry") == 0:
                document["content_expiry"] = self._settings["CONTENT_EXPIRY_MINUTES"] or None
            self._add_stages(document)

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        members = set().union(*(keys_of(document) for document in documents))
        if members:
            self._visibility.recompute(members)
        for document in documents:
            self._notifier.push("desk", created=1, desk_id=str(document["_id"]))

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        if updates.get("content_expiry") == 0:
            updates["content_expiry"] = None
        if "members" in updates:
            updates["members"] = without_repeats(updates["members"])
        desk_type = updates.get("desk_type", original.get("desk_type"))
        if desk_type != original.get("desk_type") and self._is_named(LAST_DESKS, original["_id"]):
            raise BadRequest(DESK_TYPE_IN_USE)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        desk_id = str(original["_id"])
        if "members" not in updates:
            self._notifier.push("desk", updated=1, desk_id=desk_id)
            return
        before, after = keys_of(original), keys_of(updates)
        if before != after:
            self._visibility.recompute(before ^ after)
        if before - after:
            self._notifier.push(
                "desk_membership_revoked", updated=1, user_ids=[*(before - after)], desk_id=desk_id
            )

    def _add_stages(self, desk: Document) -> None:
        """Create the stages that `desk` does not bring along.

        They come before the desk: one without stages could not take items, stages without a desk
        harm nobody.
        """
        missing = [flag for flag in STAGE_NAMES if not desk.get(DESK_FIELDS[flag])]
        if not missing:
            return
        stages = [
            {"name": STAGE_NAMES[flag], "desk": desk["_id"], flag: True, "task_status": "todo"}
            for flag in missing
        ]
        for flag, stage_id in zip(missing, self._stages.post(stages), strict=True):
            desk[DESK_FIELDS[flag]] = stage_id

    # Delete.

    def on_delete(self, document: Document, caller: Caller) -> None:
        desk_id = document["_id"]
        if self.db[USERS].find_one({"desk": as_stored(desk_id)}, {"_id": 1}):
            raise PreconditionFailed(IS_DEFAULT)
        routing = {"$or": [{field: as_stored(desk_id)} for field in ROUTING_FIELDS]}
        if self.db[ROUTING_SCHEMES].find_one(routing, {"_id": 1}):
            raise PreconditionFailed(HAS_ROUTING)
        if self.db[INTERNAL_DESTINATIONS].find_one({"desk": as_stored(desk_id)}, {"_id": 1}):
            raise PreconditionFailed(HAS_DESTINATIONS)
        if self.db[ARCHIVE].find_one({"task.desk": as_stored(desk_id)}, {"_id": 1}):
            raise PreconditionFailed(HAS_ITEMS)
        if self._is_named(("task.desk", *LAST_DESKS), desk_id):
            raise PreconditionFailed(HAS_ITEMS)

    def delete(self, document: Document, caller: Caller) -> None:
        for stage in list(self.db[STAGES].find({"desk": as_stored(document["_id"])})):
            self._stages.delete(stage, caller)
            self._stages.on_deleted(stage, caller)
        super().delete(document, caller)

    def on_deleted(self, document: Document, caller: Caller) -> None:
        users = [str(user_id) for user_id in member_ids(document)]
        self._notifier.push("desk", deleted=1, user_ids=users, desk_id=str(document["_id"]))

    def _is_named(self, fields: Iterable[str], desk_id: Any) -> bool:
        """Whether a version of an item names the desk in one of `fields`."""
        condition = {"$or": [{field: as_stored(desk_id)} for field in fields]}
        return self.db[ARCHIVE_VERSIONS].find_one(condition, {"_id": 1}) is not None

    # Read.

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        sort_members(self.db, documents)


class UserDesksService(ResourceService):
    """`/users/{id}/desks`: the desks that a user is a member of."""

    resource = "desks"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        return {"members.user": as_stored(lookup["user_id"])}

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        sort_members(self.db, documents)


class DeskUsersService(ResourceService):
    """`/desks/{id}/users`: the members of a desk."""

    resource = "users"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        desk = find_by_id(self.db[DESKS], lookup["desk_id"], {"members": 1})
        return {"_id": {"$in": [f for id_ in member_ids(desk or {}) for f in id_forms(id_)]}}


def sort_members(db: Database[Document], desks: list[Document]) -> None:
    """Sort members by the name that people see; leave out users who do not exist."""
    wanted = [id_ for desk in desks for id_ in member_ids(desk)]
    if not wanted:
        return
    users = find_all_by_id(db[USERS], wanted, {"display_name": 1})
    for desk in desks:
        named = [(member, users.get(member["user"])) for member in members_of(desk)]
        known = [(str(user.get("display_name") or "").lower(), m) for m, user in named if user]
        desk["members"] = [member for _, member in sorted(known, key=itemgetter(0))]


def member_ids(desk: Mapping[str, Any]) -> set[Any]:
    """Return the ids of the desk's members, as it names them."""
    return {member["user"] for member in members_of(desk)}


def keys_of(desk: Mapping[str, Any]) -> set[str]:
    """Return the members of the desk by the texts of their ids, whatever form these have."""
    return set(map(id_key, member_ids(desk)))


def members_of(desk: Mapping[str, Any]) -> list[Document]:
    """Return the members of a stored desk that name a user."""
    return [m for m in objects_of(desk, "members") if isinstance(m.get("user"), IDS)]


def without_repeats(members: Iterable[Document] | None) -> list[Document]:
    """Return `members` with each user once, in their order."""
    return list({id_key(member.get("user")): member for member in members or ()}.values())
