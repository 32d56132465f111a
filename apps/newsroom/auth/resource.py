"""`auth_db` and `auth`: log in, look at and end one's own session."""

from typing import Any

from apps.core.privileges import INTRINSIC
from apps.core.schemas import ID

SESSION_SCHEMA: dict[str, Any] = {
    "username": {"type": "string", "required": True},
    "password": {"type": "string", "required": True},
    "token": {"type": "string", "readonly": True},
    "user": {"type": ID, "readonly": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "auth_db": {
        "schema": SESSION_SCHEMA,
        "datasource": {"source": "auth", "projection": {"password": 0}},
        "resource_methods": ["POST"],
        "item_methods": ["GET", "DELETE"],
        "public_methods": ["POST"],
        "bulk_enabled": False,
        "extra_response_fields": ["user", "token", "username"],
        "privileges": {"DELETE": INTRINSIC},
    },
    "auth": {
        "schema": SESSION_SCHEMA,
        "datasource": {"source": "auth", "projection": {"password": 0, "token": 0}},
        "resource_methods": [],
        "item_methods": ["GET", "DELETE"],
        "privileges": {"DELETE": INTRINSIC},
    },
}
