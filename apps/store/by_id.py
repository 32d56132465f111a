"""Documents by an id of any form: others refer to a document by the text of its id, and by more."""

from collections.abc import Hashable, Iterable
from typing import Any

from pymongo.collection import Collection

from apps.core.ids import ById, id_forms

Document = dict[str, Any]


def find_by_id(
    collection: Collection[Document], id: object, fields: Document | None = None
) -> Document | None:
    """Return the document of an id, whatever form it is stored with; one command.

    Of several, it is the one whose id has the given form.

    Args:
        fields: projection; None for whole documents.
    """
    return find_all_by_id(collection, [id], fields).get(id)


def find_all_by_id(
    collection: Collection[Document], ids: Iterable[object], fields: Document | None = None
) -> ById[Document]:
    """Return the documents of ids by any form of these; one command, none without ids.

    Args:
        fields: projection, with `_id`; None for whole documents.
    """
    # An object is no id, and could be taken for an operator.
    known = [id_ for id_ in ids if id_ is not None and isinstance(id_, Hashable)]
    forms = list(dict.fromkeys(form for id_ in known for form in id_forms(id_)))
    found = collection.find({"_id": {"$in": forms}}, fields) if forms else ()
    return ById((document["_id"], document) for document in found)
