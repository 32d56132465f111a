"""`roles` (resources contract 6)."""

from typing import Any

ROLE_SCHEMA: dict[str, Any] = {
    "name": {"type": "string", "required": True, "iunique": True, "empty": False},
    "description": {"type": "string"},
    "privileges": {"type": "dict", "allow_unknown": True},
    "is_default": {"type": "boolean"},
    "author_role": {"type": "string", "nullable": True},
    "editor_role": {"type": "string", "nullable": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "roles": {
        "schema": ROLE_SCHEMA,
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": {"POST": "roles", "PATCH": "roles", "DELETE": "roles"},
    },
}
