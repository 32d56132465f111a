"""Lists of items that are only read: locked by a user, of one story, as they came in."""

from pymongo.database import Database

from apps.archive.visibility import (
    HiddenItems,
    check_found,
    check_may_read,
    check_may_see_id,
    visible,
)
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Forbidden, NotFound
from apps.core.privileges import NO_PRIVILEGE
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import State

OUTSIDE_FAMILY = (State.DRAFT, State.SPIKED, State.CORRECTION, State.BEING_CORRECTED)
"""States that the lists of families leave out: what is out belongs to the family as well."""


class WorkqueueService(ResourceService):
    """`workqueue`: items that are not spiked.

    Clients look in it for what a user has locked.
    """

    resource = "archive"
    document_type = "archive"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        return visible({"state": {"$ne": State.SPIKED}, **lookup}, caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)


class RelatedService(ResourceService):
    """`archive/<id>/related`: the other items of the same family."""

    resource = "archive"
    document_type = "archive"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        fields = {"family_id": 1, "task": 1}
        item = self.collection.find_one({"_id": str(lookup["target_id"])}, fields)
        if item is None or not item.get("family_id"):
            raise NotFound(f"Failed to find item with guid: {lookup['target_id']}")
        check_may_read(item, caller)
        family = {
            "family_id": str(item["family_id"]),
            "_id": {"$ne": item["_id"]},
            "state": {"$nin": list(OUTSIDE_FAMILY)},
        }
        return visible(family, caller)


class ItemRowsService(ResourceService):
    """Rows that belong to items, each with its `item_id`; for those who see the item."""

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        super().__init__(db, clock)
        self._hidden = HiddenItems(db)

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        return self._hidden.without_unseen(lookup, "item_id", caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        # The client may have asked for other fields.
        whole = document if "item_id" in document else self.find(document["_id"])
        check_may_see_id(self.db, whole.get("item_id"), caller)


class HistoryService(ItemRowsService):
    """`archive_history`: what was done to items."""

    resource = "archive_history"


class MediaReferencesService(ItemRowsService):
    """`media_references`: which binaries belong to items."""

    resource = "media_references"


class IngestService(ResourceService):
    """Ingested items. Others store them; nothing is written here but their removal."""

    resource = "ingest"
    document_type = "ingest"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        self._check_may_read(caller)
        return lookup

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        self._check_may_read(caller)

    def _check_may_read(self, caller: Caller) -> None:
        if not caller.may("use_global_saved_searches"):
            raise Forbidden(NO_PRIVILEGE)
