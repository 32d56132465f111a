"""What the REST edge asks of the service behind a resource."""

from collections.abc import Mapping
from secrets import token_hex
from typing import Any

from bson import ObjectId
from pymongo.collection import Collection
from pymongo.database import Database

from apps.core.caller import SYSTEM, Caller
from apps.core.clock import Clock
from apps.core.errors import EtagMismatch, NotFound
from apps.core.notifier import Audience

Document = dict[str, Any]


def new_etag() -> str:
    """Return an etag for a write made by a service. Etags are opaque to clients."""
    return token_hex(20)


def unchanged(original: Mapping[str, Any]) -> Document:
    """Return the filter that matches `original` only as long as nobody has written it since."""
    if original.get("_etag"):
        return {"_id": original["_id"], "_etag": original["_etag"]}
    return {"_id": original["_id"], "_etag": {"$exists": False}}


class ResourceService:
    """Rules of one resource, above its collection.

    The REST edge calls the hooks (`on_*`) and the writes; tasks, commands and other services call
    `post`, `patch` and `remove`, which do the same without a request. Subclasses override hooks,
    rarely a write.

    Args:
        db: the database.
        clock: source of the current time.
    """

    resource: str
    """Name of the resource and of its collection."""
    document_type: str | None = None
    """What `_type` of its documents says in answers; None for those that have none."""

    def __init__(self, db: Database[Document], clock: Clock) -> None:
        self.db = db
        self.clock = clock

    @property
    def collection(self) -> Collection[Document]:
        return self.db[self.resource]

    # Hooks, in the order in which one write calls them.

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        """Complete and check documents before they are stored."""

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        """Act on documents that are stored."""

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        """Complete and check `updates` before they are stored."""

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        """Act on updates that are stored."""

    def on_replace(self, document: Document, original: Document, caller: Caller) -> None:
        """Complete and check a `document` that takes the place of `original`; as for updates."""
        self.on_update(document, original, caller)

    def on_delete(self, document: Document, caller: Caller) -> None:
        """Refuse a deletion by raising."""

    def on_deleted(self, document: Document, caller: Caller) -> None:
        """Act on a document that is gone."""

    def on_found(self, document: Document, caller: Caller) -> None:
        """Refuse that a caller gets at a document by its id, to read or to write it, by raising.

        `NotFound` hides that it is there.
        """

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Shape documents for the client, in place. Nothing here is stored."""

    def on_fetched_item(self, document: Document, caller: Caller) -> None:
        """Shape a document that was asked for by its id; as in a list unless overridden."""
        self.on_fetched([document], caller)

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        """Return who may be told that a document was written; everybody unless overridden.

        Args:
            document: the document, or what changed in it.
            original: as it was before; None for a new one and for one that is gone.
        """
        return ()

    # Lists.

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        """Return the query that lists are limited to.

        Args:
            lookup: values that the URL of the list holds, by name; empty for most resources.
            caller: who asks.
        """
        return lookup

    def where(self, query: Document) -> Document:
        """Return the query of documents as stored that a client's `where` means.

        It is another one where a field is shown otherwise than it is stored.
        """
        return query

    def item_filter(self, lookup: Document) -> Document:
        """Return the query that finds one document.

        Args:
            lookup: what the URL names it by: `_id`, or a field that more than one may share.
        """
        return lookup

    def substitute(self, lookup: Document) -> Document | None:
        """Return what stands for a document that is asked for and not there; None for nothing.

        Args:
            lookup: as `item_filter` returned it.
        """
        return None

    def computed(self, caller: Caller) -> list[Document] | None:
        """Return the rows of a resource that is not stored; None for all others."""
        return None

    # Writes.

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Store new documents and return their ids."""
        return list(self.collection.insert_many(documents).inserted_ids)

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Store `updates` unless somebody has written the document since `original` was read.

        Raises:
            EtagMismatch: somebody has.
        """
        if not self.collection.update_one(unchanged(original), {"$set": updates}).matched_count:
            raise EtagMismatch()

    def delete(self, document: Document, caller: Caller) -> None:
        """Remove the document."""
        self.collection.delete_one({"_id": document["_id"]})

    # The same from inside: for tasks, commands and other services.

    def find(self, id: Any) -> Document:
        """Return the document.

        Raises:
            NotFound: no such document.
        """
        document = self.collection.find_one({"_id": id})
        if document is None:
            raise NotFound(f"{self.resource} {id} not found")
        return document

    def post(self, documents: list[Document], caller: Caller = SYSTEM) -> list[Any]:
        """Create documents with all rules but schema validation; return their ids."""
        now = self.clock.now()
        for document in documents:
            document.setdefault("_created", now)
            document.setdefault("_updated", now)
        self.on_create(documents, caller)
        for document in documents:
            document.setdefault("_id", ObjectId())
            document.setdefault("_etag", new_etag())
        ids = self.create(documents, caller)
        self.on_created(documents, caller)
        return ids

    def patch(self, id: Any, updates: Document, caller: Caller = SYSTEM) -> Document:
        """Update one document with all rules but schema validation; return it as stored.

        Raises:
            NotFound: no such document.
        """
        original = self.find(id)
        updates.setdefault("_updated", self.clock.now())
        self.on_update(updates, original, caller)
        updates["_etag"] = new_etag()
        self.update(id, updates, original, caller)
        self.on_updated(updates, original, caller)
        return {**original, **updates}

    def remove(self, id: Any, caller: Caller = SYSTEM) -> None:
        """Delete one document with all rules.

        Raises:
            NotFound: no such document.
        """
        document = self.find(id)
        self.on_delete(document, caller)
        self.delete(document, caller)
        self.on_deleted(document, caller)
