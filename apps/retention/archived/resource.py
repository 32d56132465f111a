"""`archived` at the REST edge (lifecycle contract 3.10)."""

from typing import Any

from apps.archive.resource import ITEM_URL
from apps.publish.resource import PUBLISHED_SCHEMA

RESOURCES: dict[str, dict[str, Any]] = {
    "archived": {
        "schema": {**PUBLISHED_SCHEMA, "archived_id": {"type": "string"}},
        "datasource": {"default_sort": [("_updated", -1)]},
        "resource_methods": ["GET"],
        "item_methods": ["GET", "PATCH", "DELETE"],
        "additional_lookup": {"url": ITEM_URL, "field": "archived_id"},
        "etag_ignore_fields": ["_id", "highlights", "item_id", "moved_to_legal"],
        "privileges": {"PATCH": "archived", "DELETE": "archived"},
    },
}
