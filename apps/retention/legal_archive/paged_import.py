"""Shared by both imports into the long-term archive: they take what is missing in pages."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.store.batches import first_batch
from apps.store.indexes import LEGAL_INDEXES, LateIndexes

FIRST_TEXT, FIRST_OBJECT_ID = "", ObjectId("0" * 24)
"""The least ids of their forms. Numbers come before them."""


class PagedImport(ABC):
    """Copies rows of one collection into the long-term archive; safe to repeat and to kill.

    Args:
        db: the main database, which holds them.
        legal_db: the database of the long-term archive.
        is_on: whether there is a long-term archive; without one `run` does nothing.

    Attributes:
        collection: holds the rows.
        not_moved: the query that finds those which the long-term archive lacks.
        page_size: rows taken at once; fewer where they are large.
    """

    collection: str
    not_moved: Document
    page_size: int

    def __init__(
        self, db: Database[Document], legal_db: Database[Document], *, is_on: bool
    ) -> None:
        self._db = db
        self._legal_db = legal_db
        self._indexes = LateIndexes(legal_db, LEGAL_INDEXES)
        self._is_on = is_on

    def run(self, page_size: int | None = None) -> int:
        """Import everything that is missing; return how many rows were.

        Raises:
            ConnectionFailure: one of the databases is away.
        """
        if not self._is_on:
            return 0
        count, limit = 0, page_size or self.page_size
        rows = self._page({}, limit)
        while rows and not ASKED.is_set():
            count += self._import_rows(rows)
            rows = self._next(rows[-1]["_id"], limit)
        return count

    def _next(self, last: Any, limit: int) -> list[Document]:
        """Return the page after an id. A comparison finds ids of one form only."""
        for bound in (last, *_later_forms(last)):
            if rows := self._page({"_id": {"$gt": bound}}, limit):
                return rows
        return []

    def _page(self, after: Document, limit: int) -> list[Document]:
        query = {**self.not_moved, **after}
        return first_batch(self._db[self.collection].find(query).sort("_id", 1), limit)

    def _mark_moved(self, ids: Sequence[Any]) -> None:
        """Note on rows that they are imported. Their etags stay: for clients they are the same."""
        found = {"_id": {"$in": list(ids)}}
        self._db[self.collection].update_many(found, {"$set": {"moved_to_legal": True}})

    @abstractmethod
    def _import_rows(self, rows: Sequence[Document]) -> int:
        """Import a page; return how many of its rows were imported."""


def _later_forms(id: Any) -> tuple[Any, ...]:
    """Return the least ids of the forms that come after that of an id."""
    if isinstance(id, ObjectId):
        return ()
    return (FIRST_TEXT, FIRST_OBJECT_ID) if isinstance(id, int | float) else (FIRST_OBJECT_ID,)
