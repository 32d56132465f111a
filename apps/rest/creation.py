"""Several documents in one POST: all or none, and if the store fails, which.

Eve compares each document with what is stored, not with those beside it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from bson import ObjectId, encode
from eve import Eve
from flask import current_app
from pymongo.errors import PyMongoError
from werkzeug.exceptions import HTTPException

from apps.core import json
from apps.core.errors import BadRequest, Conflict
from apps.core.service import Document, ResourceService
from apps.rest.errors import json_response, response_of, too_large_response
from apps.rest.validator import ONE_INSTANCE

DOCUMENT_BYTES = 15 * 2**20
"""The largest document of a request. The store takes 16 MiB, and adds what the server keeps."""

_IN_NO_ADDRESS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")

TAKEN: Mapping[str, int] = {"unique": 1}


def register_creation_checks(app: Eve) -> None:
    """Check the documents of each POST, also with each other, before any hook sees them."""
    app.on_insert += check_distinct
    app.on_insert += lambda resource, documents: check_storable(documents)


def check_distinct(resource: str, documents: Sequence[Mapping[str, Any]]) -> None:
    """Check that no document has the value of an earlier one in a field that has to be unique.

    Raises:
        HTTPException: with envelope P, as for a value that is stored already.
    """
    if len(documents) < 2:
        return
    schema = current_app.config["DOMAIN"][resource]["schema"]
    seen: set[Any] = set()
    issues: list[Document] = []
    for document in documents:
        found: Document = {}
        for key, field, issue in _unique_values(schema, document):
            if key in seen:
                found[field] = issue
            seen.add(key)
        issues.append(found)
    if any(issues):
        raise HTTPException(response=json_response(_refusal(issues), 400))


def _unique_values(
    schema: Mapping[str, Any], document: Mapping[str, Any]
) -> Iterator[tuple[Any, str, Any]]:
    """Yield what has to be unique in a document as something to compare, its field, the issue."""
    for field, rules in {"_id": {"unique": True}, **schema}.items():
        value = document.get(field)
        if value is None:
            continue
        if rules.get("unique"):
            yield (field, repr(value)), field, TAKEN
        if isinstance(value, str) and (rules.get("iunique") or "iunique_per_parent" in rules):
            parent = repr(document.get(rules.get("iunique_per_parent", "")))
            yield (field, parent, value.strip().lower()), field, TAKEN
        if rules.get("content_type_single_item_type") and value != "text":
            yield (field, value), field, ONE_INSTANCE


def _refusal(issues: Sequence[Document]) -> Document:
    """Return what Eve answers to a list of which some have issues, with those of the first."""
    failures = sum(map(bool, issues))
    return {
        "_status": "ERR",
        "_issues": next(filter(None, issues)),
        "_items": [
            {"_status": "ERR", "_issues": found} if found else {"_status": "OK"} for found in issues
        ],
        "_error": {
            "code": 400,
            "message": f"Insertion failure: {failures} document(s) contain(s) error(s)",
        },
    }


def check_storable(documents: Sequence[Document]) -> None:
    """Check documents: as they came, and again as the hooks have completed them.

    Raises:
        BadRequest: an id that no address can hold.
        Conflict: two have the same id.
        HTTPException: a document is too large.
    """
    ids = [repr(document["_id"]) for document in documents if "_id" in document]
    if len(set(ids)) < len(ids):
        raise Conflict("Two documents have the same _id.")
    for document in documents:
        id_ = document.get("_id")
        if isinstance(id_, str) and (not id_ or _IN_NO_ADDRESS.search(id_)):
            raise BadRequest("_id is empty, or has a character that addresses do not hold")
        check_size(document)


def check_size(document: Mapping[str, Any]) -> None:
    """Check that a document is not larger than the store takes.

    Raises:
        HTTPException: with 413, it is.
    """
    if len(encode(document)) > DOCUMENT_BYTES:
        raise HTTPException(response=too_large_response())


def telling_which(
    store: Callable[[list[Document]], list[Any]], service: ResourceService
) -> Callable[[list[Document]], list[Any]]:
    """Return a write of several documents whose failure says which of them are stored."""

    def write(documents: list[Document]) -> list[Any]:
        if len(documents) < 2:
            return store(documents)
        for document in documents:
            document.setdefault("_id", ObjectId())
        ids = [document["_id"] for document in documents]
        try:
            return store(documents)
        except Exception as error:
            raise HTTPException(response=_with_outcomes(error, ids, service)) from error

    return write


def _with_outcomes(error: Exception, ids: Sequence[Any], service: ResourceService) -> Any:
    """Return the answer to `error`; its `_items` say in order which documents are stored."""
    response = response_of(error)
    try:
        found = service.collection.find({"_id": {"$in": list(ids)}}, {"_id": 1})
        stored = {document["_id"] for document in found}
    except PyMongoError:
        # Whoever asks again is told of each that is there.
        return response
    body = json.loads(response.get_data())
    body["_items"] = [
        {"_status": "OK", "_id": id_} if id_ in stored else {"_status": "ERR"} for id_ in ids
    ]
    answer = json_response(body, response.status_code)
    answer.headers.extend({k: v for k, v in response.headers.items() if k == "Retry-After"})
    return answer
