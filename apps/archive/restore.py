"""PUT of an item: an earlier version comes back, or a document takes its place.

Lifecycle contract 5.13; resources contract 9.3.
"""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.packages import default_groups, is_package
from apps.archive.schema import (
    AUDIT,
    IDENTITY,
    ITEM_SCHEMA,
    KIND,
    NOT_VERSIONED,
    RESTORE,
    SERVER_FIELDS,
    STAMPS,
    WORK,
)
from apps.core.errors import BadRequest, NotFound, PreconditionFailed, SchemaIssues
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.store.collections import ARCHIVE_VERSIONS

KEPT = (
    NOT_VERSIONED
    | {"_id", "guid", "unique_id", "unique_name", "family_id", "state", "task"}
    | (SERVER_FIELDS - {*STAMPS, "refs"})
)
"""Fields that stay as they are: what the item is, where it stands and what it is tied to."""

KEPT_UNLESS_SENT = (
    frozenset(IDENTITY)
    | frozenset(KIND)
    | frozenset(AUDIT)
    | frozenset(WORK)
    | SERVER_FIELDS
    | {"source", "renditions", "filemeta", "filemeta_json", "mimetype", "media_file"}
)
"""Fields that a document leaves alone when it does not name them."""

NOT_REPLACED = frozenset({"type", "state", "pubstatus"})
"""Fields that a document cannot replace: the type is for ever, the others follow the workflow."""

NOT_CONTENT = frozenset({"_id", "force_unlock"})

NOTHING_SENT = "The document has no field of an item. Send its fields, or the version to restore."


def restored_fields(
    db: Database[Document], request: Mapping[str, Any], original: Mapping[str, Any]
) -> Document:
    """Return what brings the item back to version `old_version` of the request.

    Raises:
        NotFound: no such version.
        PreconditionFailed: `last_version` of the request is not the item's version.
    """
    wanted, last = request["old_version"], request.get("last_version")
    query = {"_id_document": original["_id"], "_current_version": wanted}
    old = db[ARCHIVE_VERSIONS].find_one(query)
    if old is None:
        raise NotFound(f"Invalid version {wanted}")
    if last != original.get("_current_version"):
        raise PreconditionFailed(f"Invalid last version {last}")
    names = [name for name in ITEM_SCHEMA if name not in KEPT]
    fields = {n: old.get(n) for n in names if n in old or original.get(n) is not None}
    return {
        **fields,
        "operation": Operation.RESTORE,
        "_current_version": original["_current_version"] + 1,
    }


def is_restoration(document: Mapping[str, Any]) -> bool:
    """Whether a PUT asks for an earlier version.

    Raises:
        SchemaIssues: it names one of both versions only.
    """
    missing = [name for name in RESTORE if document.get(name) is None]
    if len(missing) == 1:
        raise SchemaIssues({missing[0]: {"required": 1}})
    return not missing


def replacement(document: Mapping[str, Any], original: Mapping[str, Any]) -> Document:
    """Return the updates that put `document` in the place of an item: what it lacks goes.

    Raises:
        BadRequest: it holds nothing of an item.
    """
    taken = {name: value for name, value in document.items() if name not in NOT_REPLACED}
    # The schema fills in defaults where the client has sent nothing.
    defaults = {n: rules["default"] for n, rules in ITEM_SCHEMA.items() if "default" in rules}
    sent = {
        name
        for name in taken.keys() & ITEM_SCHEMA.keys()
        if name not in NOT_CONTENT and taken[name] != defaults.get(name)
    }
    if not sent:
        raise BadRequest(NOTHING_SENT)
    gone = {
        name: None
        for name in ITEM_SCHEMA
        if name not in KEPT_UNLESS_SENT and name not in taken and original.get(name) is not None
    }
    if is_package(original) and not taken.get("groups"):
        taken["groups"] = default_groups()
    return {**gone, **taken}
