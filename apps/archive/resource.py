"""`archive`: items as editors work on them (resources contract 9)."""

from typing import Any

from apps.archive.schema import FIXED_FIELDS, ITEM_SCHEMA, REQUEST_ONLY, SERVER_FIELDS
from apps.core.schemas import ID, open_object, text

PROTECTED: dict[str, Any] = {"server_fields": SERVER_FIELDS, "fixed_fields": FIXED_FIELDS}
"""What clients cannot write: part of the definition of resources that take fields of items."""

ITEM_URL = r'regex("[\w,.:_-]+")'
"""Item ids as they stand in URLs: URNs and tags need no escaping."""


def item_operation(verb: str, privilege: str | None = None) -> dict[str, Any]:
    """Return the resource PATCH `/archive/<verb>/<item id>`.

    Args:
        privilege: what it needs; that of the verb's name unless given.
    """
    return {
        "url": f"archive/{verb}",
        # Eve reads the fields of the schema only, and services need the stored version.
        "schema": {**ITEM_SCHEMA, "_current_version": {"type": "integer", "readonly": True}},
        "datasource": {"source": "archive"},
        "item_url": ITEM_URL,
        "resource_methods": [],
        "item_methods": ["PATCH"],
        # Versions are part of the journalled write.
        "versioning": False,
        "etag_ignore_fields": ["broadcast"],
        **PROTECTED,
        "privileges": {"PATCH": privilege or verb},
    }


RESOURCES: dict[str, dict[str, Any]] = {
    "archive": {
        "schema": {**ITEM_SCHEMA, **REQUEST_ONLY},
        "datasource": {"source": "archive", "default_sort": [("_updated", -1)]},
        "item_url": ITEM_URL,
        "item_methods": ["GET", "PATCH", "PUT"],
        "versioning": True,
        "etag_ignore_fields": ["broadcast"],
        **PROTECTED,
        "privileges": {"POST": "archive", "PATCH": "archive", "PUT": "archive"},
    },
    "archive_rewrite": {
        "url": f"archive/<{ITEM_URL}:original_id>/rewrite",
        "schema": {
            "_id": {"type": "string"},
            "original_id": {"type": "string"},
            "desk_id": {"type": ID, "nullable": True},
            "update": open_object(nullable=True, schema={"_id": text(), "guid": text()}),
        },
        "datasource": {"source": "archive"},
        # Answers are items, not what the schema of the request lists.
        "projection": False,
        "resource_methods": ["POST", "DELETE"],
        "item_methods": [],
        "bulk_enabled": False,
        "privileges": {"POST": "rewrite", "DELETE": "rewrite"},
    },
    "archive_history": {
        "schema": {
            "item_id": {"type": "string"},
            "user_id": {"type": ID, "nullable": True},
            "operation": {"type": "string"},
            "update": {"type": "dict", "nullable": True, "allow_unknown": True},
            "version": {"type": "integer"},
            "original_item_id": {"type": "string"},
        },
        "resource_methods": ["GET"],
        "item_methods": ["GET"],
    },
}
