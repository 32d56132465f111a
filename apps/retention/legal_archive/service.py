"""The long-term archive as clients read it (resources contract 19)."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.visibility import HiddenItems, check_may_read, hidden_stages, readable
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.service import Document, ResourceService
from apps.publish.queue.payloads import Payloads
from apps.retention.legal_archive.items import SEARCH_TERMS, STAGE, search_terms
from apps.store.collections import LEGAL_ARCHIVE, LEGAL_PUBLISH_PAYLOADS


class LegalArchiveService(ResourceService):
    """Items; `?query=words` finds those that have all of the words."""

    resource = "legal_archive"
    document_type = "legal_archive"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        words = search_terms(caller.arguments.get("query"))
        query = {**lookup, SEARCH_TERMS: {"$all": words}} if words else lookup
        return readable(query, caller, STAGE)

    def on_found(self, document: Document, caller: Caller) -> None:
        if hidden_stages(caller):
            # Clients do not read the field.
            check_stage(self.find(document["_id"]), caller)


class LegalVersionsService(ResourceService):
    """Versions of items, under the ids of the items."""

    resource = "legal_archive_versions"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        item_id = caller.arguments.get("_id")
        query = {**lookup, "_id_document": item_id} if item_id else lookup
        return readable(query, caller, STAGE)

    def on_found(self, document: Document, caller: Caller) -> None:
        if hidden_stages(caller):
            # Clients do not read the field.
            check_stage(self.find(document["_id"]), caller)

    def item_filter(self, lookup: Document) -> Document:
        """Of the versions of an item, one is shown."""
        if "_id" not in lookup:
            return lookup
        rest = {name: value for name, value in lookup.items() if name != "_id"}
        return {**rest, "_id_document": str(lookup["_id"])}

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            # The client may have asked for other fields.
            document["_id"] = document.get("_id_document", document["_id"])


class LegalRowsService(ResourceService):
    """Rows that belong to items, each with its `item_id`."""

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        hidden = HiddenItems(self.db, LEGAL_ARCHIVE, STAGE)
        return hidden.without_unreadable(lookup, "item_id", caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        if hidden_stages(caller):
            # The client may have asked for other fields.
            of_item = {"_id": self.find(document["_id"]).get("item_id")}
            check_stage(self.db[LEGAL_ARCHIVE].find_one(of_item, {STAGE: 1}) or {}, caller)


class LegalHistoryService(LegalRowsService):
    """Operations on items, and who made them."""

    resource = "legal_archive_history"


class LegalQueueService(LegalRowsService):
    """Deliveries with what was sent."""

    resource = "legal_publish_queue"

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        super().__init__(db, clock)
        self._payloads = Payloads(db, LEGAL_PUBLISH_PAYLOADS)

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Show the formatted item of deliveries that share theirs.

        Raises:
            TooLarge: what was sent for them is more than an answer may hold.
        """
        texts = self._payloads.texts(documents)
        for document in documents:
            if document["_id"] in texts:
                document["formatted_item"] = texts[document["_id"]]
            document.pop("payload_id", None)
            document.pop("payload_size", None)


def check_stage(document: Mapping[str, Any], caller: Caller) -> None:
    """Refuse what stands on a stage that is hidden from the caller.

    Raises:
        Forbidden: it does.
    """
    check_may_read({"task": {"stage": document.get(STAGE)}}, caller)


SERVICES: dict[str, type[ResourceService]] = {
    "legal_archive": LegalArchiveService,
    "legal_versions": LegalVersionsService,
    "legal_archive_history": LegalHistoryService,
    "legal_publish_queue": LegalQueueService,
}


def build_services(db: Database[Document], clock: Clock) -> dict[str, Any]:
    """Return the service behind each resource."""
    return {name: service(db, clock) for name, service in SERVICES.items()}
