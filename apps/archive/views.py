"""Lists of items that are only read: locked by a user, of one story, as they came in."""

import re
from collections.abc import Iterator, Mapping
from types import NoneType
from typing import Any

from pymongo.database import Database

from apps.archive.service import LISTED_STATES
from apps.archive.visibility import (
    HiddenItems,
    check_found,
    check_may_read,
    check_may_see_id,
    visible,
)
from apps.core import json
from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, Forbidden, NotFound
from apps.core.ids import object_id
from apps.core.privileges import NO_PRIVILEGE
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import State


class WorkqueueService(ResourceService):
    """`workqueue`: items that are not spiked.

    Clients narrow it down with `source={"filter": {"term": {"lock_user": <id>}}}`.
    """

    resource = "archive"
    document_type = "archive"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        terms = dict(_terms(parsed_source(caller.arguments.get("source"))))
        wanted = {name: object_id(value) for name, value in terms.items()}
        return visible({"state": {"$ne": State.SPIKED}, **wanted, **lookup}, caller)

    def on_found(self, document: Document, caller: Caller) -> None:
        check_found(self.db, document, caller)


LONGEST_ID = 100
"""Characters of what may look like an ObjectId or a date. Patterns are limited in length."""


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
        own = str(item["family_id"])
        # A pattern, because Eve takes the text of an id for an ObjectId, and this is text.
        family = {
            "family_id": re.compile(f"^{re.escape(own)}$") if len(own) <= LONGEST_ID else own,
            "_id": {"$ne": item["_id"]},
            "state": {"$in": list(LISTED_STATES)},
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


def parsed_source(text: str | None) -> Mapping[str, Any]:
    """Return the query of the `source` argument; empty where there is none.

    Raises:
        BadRequest: not a JSON object.
    """
    try:
        source = json.loads(text) if text else {}
    except ValueError as error:
        raise BadRequest("source is not valid JSON") from error
    if not isinstance(source, Mapping):
        raise BadRequest("source is not a JSON object")
    return source


def _terms(source: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield field and value of the `term` in the filter of a search."""
    condition = source.get("filter")
    if condition is None:
        return
    term = condition.get("term") if isinstance(condition, Mapping) else None
    if not isinstance(term, Mapping) or list(term) != ["lock_user"]:
        raise BadRequest("source must filter by the term lock_user")
    if not isinstance(term["lock_user"], (str, NoneType)):
        raise BadRequest("lock_user has to be an id")
    yield from term.items()
