"""Base of the resources of routing rules: names that nobody else has."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError

from apps.core.caller import Caller
from apps.core.errors import SchemaIssues
from apps.core.service import Document, ResourceService
from apps.routing.filters.content_filters import FilterSet, compile_filters
from apps.routing.filters.fields import fold
from apps.store.collections import CONTENT_FILTERS, FILTER_CONDITIONS, VOCABULARIES
from apps.store.mongo import raise_unless_duplicates

NAME_TAKEN: Mapping[str, Any] = {"name": {"unique": 1}}


class RuleService(ResourceService):
    """A resource whose documents have a unique `name`.

    The schema has compared the name with what is stored; here are the cases that it cannot see:
    two documents of one request, and two requests at once.
    """

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        names = [fold(str(document.get("name"))) for document in documents]
        if len(set(names)) < len(names):
            raise SchemaIssues(NAME_TAKEN)

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        """Store new documents.

        Raises:
            SchemaIssues: another request took a name meanwhile.
        """
        try:
            return super().create(documents, caller)
        except BulkWriteError as error:
            raise_unless_duplicates(error)
            raise SchemaIssues(NAME_TAKEN) from error

    def update(self, id: Any, updates: Document, original: Document, caller: Caller) -> None:
        """Store a change.

        Raises:
            SchemaIssues: another request took the name meanwhile.
            EtagMismatch: somebody has written the document since it was read.
        """
        try:
            super().update(id, updates, original, caller)
        except DuplicateKeyError as error:
            raise SchemaIssues(NAME_TAKEN) from error


def names_of(documents: Iterable[Mapping[str, Any]], separator: str) -> str:
    """Return the names of `documents` as refusals list them."""
    return separator.join(str(document.get("name", "")) for document in documents)


def load_filters(db: Database[Document], extra: Iterable[Document] = ()) -> FilterSet:
    """Return all content filters as they are now, compiled; three commands.

    Args:
        extra: filters that are not stored; they take the place of stored ones of the same `_id`.
    """
    stored = {document["_id"]: document for document in db[CONTENT_FILTERS].find()}
    stored.update({document["_id"]: document for document in extra})
    kinds = db[VOCABULARIES].find({}, {"type": 1, "field_type": 1, "_deleted": 1})
    return compile_filters(stored.values(), list(db[FILTER_CONDITIONS].find()), kinds)
