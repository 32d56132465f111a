"""Reads the content API for subscribers and for users (routing contract 9, read side)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.content_api.answers import Links, for_subscriber, for_user, members_of
from apps.content_api.copies import ITEM_ID, STAGE, associated_of, readers_of
from apps.content_api.parameters import (
    LIST_ARGUMENTS,
    SEARCH_ARGUMENTS,
    Arguments,
    Selection,
    bad_value,
    item_values,
    projection_of,
    selection_of,
    single_values,
)
from apps.core.clock import Clock
from apps.core.errors import NotFound
from apps.core.service import Document
from apps.core.vocabulary import ItemType, PubStatus
from apps.store.collections import API_AUDIT, ITEMS, ITEMS_VERSIONS

AGGREGATIONS = {
    "type": "type",
    "category": "service.name",
    "subject": "subject.name",
    "genre": "genre.name",
    "source": "source",
    "urgency": "urgency",
    "priority": "priority",
}
"""What users may have counted: name to field."""
BUCKETS = 50
ALL_VERSIONS = "all"


@dataclass(frozen=True)
class Reader:
    """Who reads: a subscriber, or a user of the newsroom where `subscriber` is None.

    Attributes:
        address: network address, for the audit.
        hidden_stages: ids of the stages that are hidden from the user.
    """

    subscriber: Any
    address: str | None
    hidden_stages: Sequence[Any] = ()

    @property
    def key(self) -> str:
        return str(self.subscriber)

    @property
    def is_user(self) -> bool:
        return self.subscriber is None


@dataclass(frozen=True)
class Page:
    """Part of a list.

    Attributes:
        items: as the reader sees them.
        total: how many the list has.
        aggregations: counts by name, None where none were asked for.
    """

    items: list[Document]
    total: int
    selection: Selection
    aggregations: Document | None = None


class ContentApi:
    """The stored items, to those who may read them.

    Args:
        db: the database of the content API.
        main: the database of the newsroom, which knows what items refer to.
        clock: source of time.
        settings: CONTENTAPI_URL, PAGINATION_DEFAULT, PAGINATION_LIMIT.
    """

    def __init__(
        self,
        db: Database[Document],
        main: Database[Document],
        clock: Clock,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._main = main
        self._clock = clock
        self._links = Links(settings["CONTENTAPI_URL"])
        self._limits = (int(settings["PAGINATION_DEFAULT"]), int(settings["PAGINATION_LIMIT"]))

    def page(self, kind: str, reader: Reader, arguments: Arguments) -> Page:
        """Return a page of `items` or `packages`.

        Raises:
            BadRequest: an argument makes no sense.
        """
        values = single_values(arguments, LIST_ARGUMENTS)
        return self._found(values, reader, _of_kind(kind))

    def search(self, reader: Reader, arguments: Arguments) -> Page:
        """Return what users search for, of every type and for whichever subscribers.

        Raises:
            BadRequest: an argument makes no sense.
        """
        values = single_values(arguments, SEARCH_ARGUMENTS)
        wanted = [name.strip() for name in values.get("subscribers", "").split(",")]
        ids = [name for name in wanted if name]
        query: Document = {"subscribers": {"$in": ids}} if ids else {}
        is_counted = values.get("aggregations", "0").lower() in ("1", "true")
        return self._found(values, reader, query, is_counted=is_counted)

    def _found(
        self,
        values: Mapping[str, str],
        reader: Reader,
        limit: Document,
        *,
        is_counted: bool = False,
    ) -> Page:
        now = self._clock.now()
        selection = selection_of(values, now, self._limits, is_internal=reader.is_user)
        query = _both(selection.query, {**limit, **_visible_to(reader)})
        found = self._db[ITEMS].find(query).sort(selection.sort)
        skipped = (selection.page - 1) * selection.max_results
        stored = list(found.skip(skipped).limit(selection.max_results))
        total = self._db[ITEMS].count_documents(query)
        items = self._shaped(stored, reader)
        return Page(
            [selection.projection.of(item) for item in items],
            total,
            selection,
            self._aggregations(query) if is_counted else None,
        )

    def _aggregations(self, query: Document) -> Document:
        """Count the items of a list by the values of some fields."""
        found = {}
        for name, path in AGGREGATIONS.items():
            root = path.partition(".")[0]
            counted = self._db[ITEMS].aggregate(
                [
                    {"$match": query},
                    {"$unwind": f"${root}"},
                    {"$group": {"_id": f"${path}", "count": {"$sum": 1}}},
                    {"$sort": {"count": -1, "_id": 1}},
                    {"$limit": BUCKETS},
                ]
            )
            buckets = [{"key": c["_id"], "doc_count": c["count"]} for c in counted]
            found[name] = {"buckets": [b for b in buckets if b["key"] is not None]}
        return found

    def item(self, kind: str | None, id: str, reader: Reader, arguments: Arguments) -> Document:
        """Return an item, or a version of it; `version=all` lists every version.

        Args:
            kind: `items` or `packages`; None for either.

        Raises:
            NotFound: there is none, or the reader may not know of it.
            BadRequest: an argument makes no sense.
        """
        values = item_values(arguments)
        projection = projection_of(values)
        wanted = values.get("version")
        query = _both({"_id": id}, {**_of_kind(kind), **_visible_to(reader)})
        stored = self._db[ITEMS].find_one(query)
        if stored is None:
            raise NotFound
        versions = [stored] if wanted is None else self._versions(stored, wanted, reader)
        shaped = [projection.of(item) for item in self._shaped(versions, reader)]
        return {"_items": shaped} if wanted == ALL_VERSIONS else shaped[0]

    def _versions(self, item: Document, wanted: str, reader: Reader) -> list[Document]:
        """Return the versions that are asked for; not canceled ones, nor what others received."""
        query: Document = {
            "_id_document": item["_id"],
            "pubstatus": {"$ne": PubStatus.CANCELED},
            **_visible_to(reader),
        }
        if wanted != ALL_VERSIONS:
            if not wanted.isdecimal() or len(wanted) > 9:
                raise bad_value("version parameter must be a number or all")
            query["_current_version"] = int(wanted)
        found = self._db[ITEMS_VERSIONS].find(query).sort("_current_version", 1)
        versions = [_as_item(version) for version in found]
        if not versions:
            raise NotFound
        return versions

    def take_asset(self, media: str, reader: Reader) -> None:
        """Check that a binary may be served, and note that a subscriber has got it.

        What items are known to refer to is for those who may read one of them.

        Raises:
            NotFound: the reader may not know of it.
        """
        if reader.is_user:
            return
        references = list(self._main["media_references"].find({"media_id": media}))
        if references and not self._shows(references, reader):
            raise NotFound
        self._audit([{"type": "asset", "_id": media, "uri": self._links.asset(media)}], reader)

    def _shows(self, references: Iterable[Mapping[str, Any]], reader: Reader) -> bool:
        """Whether one of the published items that refer to a binary shows it to a subscriber."""
        published = [row for row in references if row.get("published")]
        ids = {"$in": [row["item_id"] for row in published]}
        query = {"$or": [{"_id": ids}, {ITEM_ID: ids}], **_visible_to(reader)}
        for item in self._db[ITEMS].find(query, {"associations": 1, ITEM_ID: 1}):
            seen = {a.get("_id") for a in associated_of(item) if reader.key in readers_of(a)}
            own = (row for row in published if row["item_id"] in (item["_id"], item.get(ITEM_ID)))
            if any(row.get("associated_id") in {None, *seen} for row in own):
                return True
        return False

    def _shaped(self, stored: Iterable[Document], reader: Reader) -> list[Document]:
        """Return items as the reader sees them, and note that a subscriber has got them."""
        documents = list(stored)
        if reader.is_user:
            return [for_user(document, self._links) for document in documents]
        readable = self._readable_members(documents, reader)
        shaped = [
            for_subscriber(document, reader.key, self._links, readable.__contains__)
            for document in documents
        ]
        self._audit(shaped, reader)
        return shaped

    def _readable_members(self, documents: Iterable[Document], reader: Reader) -> set[str]:
        """Return the members of packages that a subscriber may read; one command, or none."""
        members = {id_ for document in documents for id_ in members_of(document)}
        if not members:
            return set()
        query = {"_id": {"$in": sorted(members)}, **_visible_to(reader)}
        return {str(item["_id"]) for item in self._db[ITEMS].find(query, {"_id": 1})}

    def _audit(self, served: Iterable[Mapping[str, Any]], reader: Reader) -> None:
        now = self._clock.now()
        rows = [
            {
                "type": item.get("type", ""),
                "subscriber": reader.key,
                "uri": item.get("uri"),
                "items_id": item["_id"],
                "version": item.get("version", ""),
                "remote_addr": reader.address,
                "_created": now,
                "_updated": now,
            }
            for item in served
        ]
        if rows:
            self._db[API_AUDIT].insert_many(rows)


def _of_kind(kind: str | None) -> Document:
    if kind is None:
        return {}
    is_package = kind == "packages"
    return {"type": ItemType.COMPOSITE if is_package else {"$ne": ItemType.COMPOSITE}}


def _visible_to(reader: Reader) -> Document:
    if not reader.is_user:
        return {"subscribers": reader.key}
    return {STAGE: {"$nin": list(reader.hidden_stages)}} if reader.hidden_stages else {}


def _both(first: Document, second: Document) -> Document:
    """Return the query of documents that both queries find; none may overwrite the other."""
    return {"$and": [first, second]} if first and second else first or second


def _as_item(version: Mapping[str, Any]) -> Document:
    document = {key: value for key, value in version.items() if key != "_id_document"}
    return {**document, "_id": version["_id_document"]}
