"""Rules of stages."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING, UpdateOne
from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Forbidden, PreconditionFailed
from apps.core.ids import same_id
from apps.core.notifier import Notifier
from apps.core.schemas import as_stored, fill_defaults
from apps.core.service import Document, ResourceService
from apps.newsroom.stages.resource import STAGE_SCHEMA
from apps.newsroom.stages.visibility import StageVisibility
from apps.store.collections import ARCHIVE, ARCHIVE_VERSIONS, DESKS, STAGES

WORKING, INCOMING = "working_stage", "default_incoming"

DESK_FIELDS = {WORKING: "working_stage", INCOMING: "incoming_stage"}
"""Flag of a stage to the field of its desk that names the stage; one stage has each flag."""

ONE_NEEDED = {
    WORKING: "Must have one working stage in a desk",
    INCOMING: "Must have one incoming stage in a desk",
}
NOT_TO_DELETE = {
    WORKING: "Cannot delete a Working Stage.",
    INCOMING: "Cannot delete a Incoming Stage.",
}
HAS_ITEMS = "Cannot delete stage as it has article(s) or referenced by versions of the article(s)."


class StagesService(ResourceService):
    """Stages of desks.

    Args:
        notifier: tells clients.
        visibility: keeps what users may see.
    """

    resource = "stages"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        notifier: Notifier,
        visibility: StageVisibility,
    ) -> None:
        super().__init__(db, clock)
        self._notifier = notifier
        self._visibility = visibility

    # Create and change.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        fill_defaults(documents, STAGE_SCHEMA)
        last: dict[Any, int] = {}
        for document in documents:
            desk = document["desk"]
            last[desk] = last.get(desk, self._last_order(desk)) + 1
            document["desk_order"] = last[desk]
            expire_never(document)

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        if not all(document["is_visible"] for document in documents):
            self._visibility.recompute()
        for document in documents:
            self._keep_one_of_each(document, document["_id"], document["desk"])
            self._notifier.push(
                "stage",
                created=1,
                is_visible=document["is_visible"],
                **ids_of(document),
            )

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        expire_never(updates)
        for flag, message in ONE_NEEDED.items():
            if original.get(flag) and updates.get(flag) is False:
                raise Forbidden(message)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        stage = {**original, **updates}
        self._keep_one_of_each(updates, stage["_id"], stage.get("desk"))
        ids = ids_of(stage)
        if stage.get("is_visible", True) == original.get("is_visible", True):
            if not same_id(stage.get("desk"), original.get("desk")) and not stage.get(
                "is_visible", True
            ):
                self._visibility.recompute()
            self._notifier.push("stage", updated=1, **ids)
            return
        self._visibility.recompute()
        visible = stage["is_visible"]
        self._notifier.push("stage_visibility_updated", updated=1, is_visible=visible, **ids)

    def _last_order(self, desk_id: Any) -> int:
        last = self.collection.find_one(
            {"desk": as_stored(desk_id)}, sort=[("desk_order", DESCENDING)]
        )
        return int((last or {}).get("desk_order") or 0)

    def _keep_one_of_each(self, changes: Mapping[str, Any], stage_id: Any, desk_id: Any) -> None:
        """Take the flags that `changes` set from the other stages, and tell the desk."""
        for flag, field in DESK_FIELDS.items():
            if changes.get(flag):
                others = {"desk": as_stored(desk_id), flag: True, "_id": {"$ne": stage_id}}
                self.collection.update_many(others, {"$set": {flag: False}})
                self.db[DESKS].update_one({"_id": as_stored(desk_id)}, {"$set": {field: stage_id}})

    # Delete.

    def on_delete(self, document: Document, caller: Caller) -> None:
        if self.db[DESKS].find_one({"_id": as_stored(document.get("desk"))}, {"_id": 1}):
            for flag, message in NOT_TO_DELETE.items():
                if document.get(flag):
                    raise PreconditionFailed(message)
        if self._is_in_use(document["_id"]):
            raise PreconditionFailed(HAS_ITEMS)
        schemes = self._routing_schemes(document["_id"])
        if schemes:
            names = ", ".join(schemes)
            raise PreconditionFailed(f"Stage is referred by Ingest Routing Schemes : {names}")
        destinations = self._internal_destinations(document["_id"])
        if destinations:
            names = ", ".join(destinations)
            raise PreconditionFailed(f"Stage is referred by Internal Destinations : {names}")

    def on_deleted(self, document: Document, caller: Caller) -> None:
        self._notifier.push("stage", deleted=1, **ids_of(document))
        if not document.get("is_visible", True):
            self._visibility.recompute()

    def _is_in_use(self, stage_id: Any) -> bool:
        condition = {"task.stage": as_stored(stage_id)}
        collections = (self.db[ARCHIVE], self.db[ARCHIVE_VERSIONS])
        return any(collection.find_one(condition, {"_id": 1}) for collection in collections)

    def _routing_schemes(self, stage_id: Any) -> list[str]:
        fields = ("rules.actions.fetch.stage", "rules.actions.publish.stage")
        condition = {"$or": [{field: as_stored(stage_id)} for field in fields]}
        return self._names("routing_schemes", condition)

    def _internal_destinations(self, stage_id: Any) -> list[str]:
        return self._names("internal_destinations", {"stage": as_stored(stage_id)})

    def _names(self, collection: str, condition: Document) -> list[str]:
        found = self.db[collection].find(condition, {"name": 1})
        return [str(document.get("name")) for document in found]


class StagesOrderService(ResourceService):
    """Sets the order of a desk's stages. Nothing of its own is stored."""

    resource = "stages_order"

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            document["_id"] = ObjectId()
            changes = [
                UpdateOne(
                    {"_id": stage_id, "desk": as_stored(document["desk"])},
                    {"$set": {"desk_order": order}},
                )
                for order, stage_id in enumerate(document["stages"], start=1)
            ]
            if changes:
                self.db[STAGES].bulk_write(changes)
        return [document["_id"] for document in documents]


def ids_of(stage: Mapping[str, Any]) -> Document:
    """Return how notifications name a stage."""
    return {"stage_id": str(stage["_id"]), "desk_id": str(stage.get("desk"))}


def expire_never(document: Document) -> None:
    """Store an expiry of 0 minutes as none: the desk's rule applies."""
    if document.get("content_expiry") == 0:
        document["content_expiry"] = None
