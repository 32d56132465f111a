"""Rules of vocabularies."""

from collections.abc import Collection, Mapping
from typing import Any

from pymongo.database import Database

from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.documents import objects_of
from apps.core.errors import BadRequest
from apps.core.notifier import Notifier
from apps.core.schemas import fill_defaults
from apps.core.service import Document, ResourceService
from apps.newsroom.vocabularies.items import (
    DEFAULT_UNIQUE_FIELD,
    check_links,
    check_required,
    check_unique,
    is_active,
)
from apps.newsroom.vocabularies.resource import VOCABULARY_SCHEMA
from apps.store.collections import CONTENT_TYPES

CROP_SIZES = "crop_sizes"
MANAGEABLE = {"type": "manageable"}
"""`where` of the list that vocabularies are managed by: it shows inactive items too."""


class VocabulariesService(ResourceService):
    """Controlled vocabularies and custom fields. Deleted ones stay stored, marked `_deleted`.

    Args:
        notifier: tells clients.
        item_fields: standard fields of items, which no custom field may be named like.
    """

    resource = "vocabularies"

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        notifier: Notifier,
        item_fields: Collection[str],
    ) -> None:
        super().__init__(db, clock)
        self._notifier = notifier
        self._item_fields = frozenset(item_fields)

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        fill_defaults(documents, VOCABULARY_SCHEMA)
        for document in documents:
            document.setdefault("items", [])
            if document.get("field_type") and document["_id"] in self._item_fields:
                raise BadRequest("", {"_id": {"conflict": 1}})
            if self.collection.find_one({"_id": document["_id"], "_deleted": True}, {"_id": 1}):
                raise BadRequest("", {"_id": {"deleted": 1}})
            self._check_items(document, document)

    def on_created(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            self._tell("vocabularies:created", document, caller)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        if "items" not in updates and "schema" not in updates:
            return
        vocabulary = {**original, **updates}
        self._check_items(updates, vocabulary)
        unique_field = updates.get("unique_field", vocabulary.get("unique_field"))
        if unique_field and "items" in updates:
            check_unique(updates["items"] or (), unique_field)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        self._tell("vocabularies:updated", {**original, **updates}, caller)

    def on_delete(self, document: Document, caller: Caller) -> None:
        if not document.get("field_type"):
            raise BadRequest("Default vocabularies cannot be deleted")
        users = list(
            self.db[CONTENT_TYPES].find({f"schema.{document['_id']}": {"$ne": None}}, {"label": 1})
        )
        if users:
            name = document.get("display_name")
            raise BadRequest(
                f"Vocabulary {name} is used in {len(users)} content type(s)",
                {"content_types": [linked(content_type) for content_type in users]},
            )

    def delete(self, document: Document, caller: Caller) -> None:
        gone = {"_deleted": True, "_updated": self.clock.now()}
        self.collection.update_one({"_id": document["_id"]}, {"$set": gone})

    def on_fetched(self, documents: list[Document], caller: Caller) -> None:
        """Leave out inactive items, unless this is the list that vocabularies are managed by."""
        shows_all = is_for_managing(caller.arguments.get("where"))
        for document in documents:
            items = objects_of(document, "items")
            if document["_id"] == CROP_SIZES:
                items = [with_whole_sizes(item) for item in items]
            if not shows_all:
                items = [
                    {key: value for key, value in item.items() if key != "is_active"}
                    for item in items
                    if is_active(item)
                ]
            document["items"] = items

    def _check_items(self, changes: Document, vocabulary: Document) -> None:
        """Complete `changes` and check the items among them by what the vocabulary asks for."""
        has_code = DEFAULT_UNIQUE_FIELD in (vocabulary.get("schema") or {})
        if has_code and not vocabulary.get("unique_field"):
            changes["unique_field"] = vocabulary["unique_field"] = DEFAULT_UNIQUE_FIELD
        if "items" in changes:
            check_required(vocabulary)
            check_links(vocabulary, self._values)

    def _values(self, vocabulary_id: str, field: str) -> frozenset[Any]:
        vocabulary = self.collection.find_one({"_id": vocabulary_id}, {"items": 1}) or {}
        return frozenset(item.get(field) for item in vocabulary.get("items") or ())

    def _tell(self, event: str, vocabulary: Mapping[str, Any], caller: Caller) -> None:
        self._notifier.push(
            event,
            vocabulary=vocabulary.get("display_name"),
            vocabulary_id=vocabulary["_id"],
            user=str(caller.user_id or ""),
        )


def linked(content_type: Mapping[str, Any]) -> Document:
    """Return what an answer says about a content type."""
    href = f"content_types/{content_type['_id']}"
    return {
        "_id": content_type["_id"],
        "label": content_type.get("label"),
        "_links": {"self": {"title": "Content_type", "href": href}},
    }


def is_for_managing(where: str | None) -> bool:
    """Whether the `where` argument of a request asks for the vocabularies people may manage."""
    try:
        return where is not None and bool(json.loads(where) == MANAGEABLE)
    except ValueError:
        return False


def with_whole_sizes(item: Mapping[str, Any]) -> Document:
    """Return a crop size with width and height as integers."""
    sizes = {
        side: int(item[side]) for side in ("width", "height") if str(item.get(side) or "").isdigit()
    }
    return {**item, **sizes}
