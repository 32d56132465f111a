"""`validators` (resources contract 16): no privilege exists, so HTTP may not write them."""

from typing import Any

RESOURCES: dict[str, dict[str, Any]] = {
    "validators": {
        "schema": {
            "_id": {"type": "string", "required": True, "unique": True},
            "act": {"type": "string", "required": True},
            "type": {"type": "string", "required": True},
            "embedded": {"type": "boolean"},
            "schema": {"type": "dict", "allow_unknown": True},
            "init_version": {"type": "integer"},
        },
        "resource_methods": ["POST"],
        "item_methods": [],
    },
}
