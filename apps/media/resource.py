"""`media_references` at the REST edge (resources contract 20.5)."""

from typing import Any

RESOURCES: dict[str, dict[str, Any]] = {
    "media_references": {
        "schema": {
            "item_id": {"type": "string", "required": True},
            "media_id": {"type": "string", "required": True},
            "associated_id": {"type": "string", "nullable": True},
            "published": {"type": "boolean", "default": False},
        },
        # Ids of binaries are kept as texts.
        "query_objectid_as_string": True,
        "resource_methods": ["GET"],
        "item_methods": ["GET"],
    },
}
