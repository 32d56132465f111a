"""Restore an earlier version of an item (lifecycle contract 5.13)."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.archive.schema import ITEM_SCHEMA, NOT_VERSIONED
from apps.core.errors import NotFound, PreconditionFailed
from apps.core.service import Document
from apps.core.vocabulary import Operation

KEPT = (
    NOT_VERSIONED
    | {"_id", "guid", "unique_id", "unique_name", "family_id", "state", "task"}
    | {
        "linked_in_packages",
        "original_creator",
        "lock_action",
    }
)
"""Fields that stay as they are: what the item is and where it stands."""


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
    old = db["archive_versions"].find_one(query)
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
