"""Autosaved content: what an editor has typed and not saved (resources contract 10.2)."""

from collections.abc import Mapping
from typing import Any

from apps.archive.places import LOCKED_BY_OTHER, is_locked_by_other
from apps.archive.schema import AUDIT, IDENTITY, ITEM_SCHEMA, SERVER_FIELDS, WORK
from apps.archive.visibility import FIELDS, check_may_see, check_may_see_id, hidden_stages, may_see
from apps.core.caller import Caller
from apps.core.errors import BadRequest, Forbidden, NotFound
from apps.core.service import Document, ResourceService, new_etag
from apps.store.collections import ARCHIVE

NOT_SAVED = (
    (frozenset(IDENTITY) | frozenset(AUDIT) | frozenset(WORK)) - {"unique_name"}
    | SERVER_FIELDS
    | {"type", "state", "operation", "pubstatus"}
)
"""Fields of an autosave that an editor does not write."""


def saved_changes(autosave: Mapping[str, Any], item: Mapping[str, Any]) -> Document:
    """Return what a save of `autosave` changes in `item`."""
    return {
        name: value
        for name, value in autosave.items()
        if name in ITEM_SCHEMA and name not in NOT_SAVED and value != item.get(name)
    }


class AutosaveService(ResourceService):
    """`archive_autosave`: one document per item, under the item's id; the item stays untouched."""

    resource = "archive_autosave"
    document_type = "archive"

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            if not document.get("_id"):
                raise BadRequest("Request for Auto-save must have _id")
            item = self._item(document["_id"], caller)
            now, sent = self.clock.now(), dict(document)
            document.update({**item, **sent, "_created": now, "_updated": now})

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            document["_etag"] = new_etag()
            self.collection.replace_one({"_id": document["_id"]}, document, upsert=True)
        return [document["_id"] for document in documents]

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        self._item(original["_id"], caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        """Refuse content of an item that the caller may not see where it stands.

        It may have moved since. Its place is looked up only where that can make a difference.
        """
        is_whole = all(field in document for field in FIELDS)
        if not is_whole or hidden_stages(caller) or not may_see(document, caller):
            check_may_see_id(self.db, document["_id"], caller)

    def _item(self, item_id: str, caller: Caller) -> Document:
        item = self.db[ARCHIVE].find_one({"_id": item_id})
        if item is None:
            raise NotFound("Invalid item identifier")
        check_may_see(item, caller)
        if is_locked_by_other(item, caller):
            raise Forbidden(LOCKED_BY_OTHER)
        item.pop("journal", None)
        return item
