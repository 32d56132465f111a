"""`privileges`: what can be granted (resources contract 6)."""

from typing import Any

RESOURCES: dict[str, dict[str, Any]] = {
    "privileges": {
        "schema": {
            field: {"type": "string"} for field in ("name", "label", "description", "category")
        },
        "resource_methods": ["GET"],
        "item_methods": [],
    },
}
