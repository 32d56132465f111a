"""`validate`, which tells whether an item could be published (lifecycle contract 3.11), and the
rules that it goes by, `validators`."""

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
    # No privilege exists for them, so HTTP may not write them (resources contract 16).
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
