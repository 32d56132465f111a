"""`validate`: ask whether an item could be published (lifecycle contract 3.11)."""

from typing import Any

from apps.core.privileges import INTRINSIC

RESOURCES: dict[str, dict[str, Any]] = {
    "validate": {
        "schema": {
            "act": {"type": "string", "required": True},
            "type": {"type": "string", "required": True},
            "embedded": {"type": "boolean"},
            "validate": {"type": "dict", "required": True, "allow_unknown": True, "schema": {}},
            "errors": {"type": "list", "readonly": True},
        },
        "resource_methods": ["POST"],
        "item_methods": [],
        "privileges": {"POST": INTRINSIC},
    },
}
