"""The long-term archive at the REST edge: read only, with the privilege `legal_archive`."""

from typing import Any

from apps.archive.resource import ITEM_URL
from apps.archive.schema import ITEM_SCHEMA
from apps.core.schemas import ID
from apps.publish.resource import QUEUE_SCHEMA

Definition = dict[str, Any]
READ_ONLY: Definition = {
    "resource_methods": ["GET"],
    "item_methods": ["GET"],
    "privileges": dict.fromkeys(("GET", "HEAD"), "legal_archive"),
}
NAME: Definition = {"type": "string", "nullable": True}

LEGAL_ITEM_SCHEMA: Definition = {
    **ITEM_SCHEMA,
    "_current_version": {"type": "integer"},
    # Names, where items have ids.
    "task": {"type": "dict", "nullable": True, "allow_unknown": True},
}

ONLY_WITH = "LEGAL_ARCHIVE"
"""Setting without which there are no such resources."""

RESOURCES: dict[str, Definition] = {
    "legal_archive": {
        **READ_ONLY,
        "schema": {k: v for k, v in LEGAL_ITEM_SCHEMA.items() if k != "_current_version"},
        "datasource": {"default_sort": [("versioncreated", -1)]},
        "item_url": ITEM_URL,
        "versioning": True,
    },
    # Eve keeps the name `legal_archive_versions` for the versions of the resource above.
    "legal_versions": {
        **READ_ONLY,
        "url": "legal_archive_versions",
        "schema": {
            **LEGAL_ITEM_SCHEMA,
            "_id": {"type": "objectid"},
            "_id_document": {"type": "string"},
        },
        "datasource": {
            "source": "legal_archive_versions",
            "default_sort": [("_id_document", 1), ("_current_version", 1)],
        },
        "item_url": ITEM_URL,
    },
    "legal_archive_history": {
        **READ_ONLY,
        "schema": {
            "item_id": {"type": "string"},
            "user_id": NAME,
            "operation": {"type": "string"},
            "update": {"type": "dict", "nullable": True, "allow_unknown": True},
            "version": {"type": "integer"},
            "original_item_id": {"type": "string"},
        },
    },
    "legal_publish_queue": {
        **READ_ONLY,
        "schema": {
            **{k: v for k, v in QUEUE_SCHEMA.items() if k != "moved_to_legal"},
            "subscriber_id": NAME,
            "_subscriber_id": {"type": ID, "nullable": True},
        },
        "datasource": {"default_sort": [("_updated", -1)]},
    },
}
