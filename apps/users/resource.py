"""`users`: the people of the newsroom (resources contract, 5)."""

from typing import Any

from apps.core.privileges import INTRINSIC
from apps.core.vocabulary import UserType

USER_SCHEMA: dict[str, Any] = {
    "username": {"type": "string", "required": True, "unique": True, "minlength": 1},
    "password": {"type": "string", "minlength": 5},
    "first_name": {"type": "string"},
    "last_name": {"type": "string"},
    "display_name": {"type": "string"},
    "email": {"type": "email", "unique": True, "required": True},
    "privileges": {"type": "dict", "allow_unknown": True},
    "role": {"type": "objectid", "nullable": True},
    "user_type": {"type": "string", "allowed": [t.value for t in UserType], "default": "user"},
    "is_active": {"type": "boolean", "default": True},
    "is_enabled": {"type": "boolean", "default": True},
    "sign_off": {"type": "string", "nullable": True, "regex": "^[a-zA-Z0-9]+$"},
    "byline": {"type": "string", "nullable": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "users": {
        "schema": USER_SCHEMA,
        "datasource": {
            "default_sort": [("username", 1)],
            "projection": {"password": 0, "session_preferences": 0},
        },
        "item_methods": ["GET", "PATCH", "DELETE"],
        "additional_lookup": {"url": r'regex("[\w]+")', "field": "username"},
        "etag_ignore_fields": ["session_preferences", "invisible_stages", "last_activity_at"],
        "privileges": {"POST": "users", "DELETE": "users", "PATCH": INTRINSIC},
    },
}
