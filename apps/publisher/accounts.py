"""Accounts: everybody sees and writes what is of the own account, and nothing else is there."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.collection import Collection

from apps.archive.visibility import both
from apps.core.caller import Caller
from apps.core.errors import NotFound, PlainError
from apps.core.ids import id_forms
from apps.core.service import Document, ResourceService
from apps.store.by_id import find_all_by_id


class AccountService(ResourceService):
    """A resource whose documents belong to accounts."""

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        """Put documents into the account of the caller; those of the system bring theirs."""
        for document in documents:
            if caller.user is not None or not document.get("account"):
                document["account"] = caller.account

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        return lookup if caller.user is None else both(lookup, {"account": caller.account})

    def on_found(self, document: Document, caller: Caller) -> None:
        if not is_of_caller(document, caller):
            raise NotFound()

    def one(self, id: Any, caller: Caller) -> Document:
        """Return a document that the caller may know of, for requests other than of Eve.

        Raises:
            PlainError: 404, there is none.
        """
        document = found_by_id(self.collection, id)
        try:
            if document is None:
                raise NotFound()
            self.on_found(document, caller)
        except NotFound:
            raise PlainError(404, f"There is no {self.resource} {id}") from None
        return document


def is_of_caller(document: Mapping[str, Any], caller: Caller) -> bool:
    """Whether a document belongs to the account of the caller; to the system all do."""
    return caller.user is None or document.get("account") == caller.account


def found_by_id(collection: Collection[Document], id: Any) -> Document | None:
    """Return the document of an id in any form."""
    return find_all_by_id(collection, [id]).get(id)


def missing_value(value: Any, resource: str, field: str = "_id") -> str:
    """Return the issue of a value that names nothing, or nothing that the caller may know of."""
    return f"value '{value}' must exist in resource '{resource}', field '{field}'."


def of_account(
    collection: Collection[Document], ids: Iterable[Any], caller: Caller
) -> dict[str, Document]:
    """Return the documents of ids that belong to the account of the caller, by the ids as given."""
    wanted = list(ids)
    found = find_all_by_id(collection, wanted)
    named = ((id_, found.get(id_)) for id_ in wanted)
    return {
        str(id_): document
        for id_, document in named
        if document is not None and is_of_caller(document, caller)
    }


def forms(id: Any) -> Document:
    """Return the condition that a field names a document of an id, in any form of it."""
    return {"$in": id_forms(id)}
