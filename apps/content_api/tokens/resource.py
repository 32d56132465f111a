"""`subscriber_token` (routing contract 9.1)."""

from typing import Any

from apps.core.schemas import relation

PRIVILEGE = "subscribers"

RESOURCES: dict[str, dict[str, Any]] = {
    "subscriber_token": {
        "schema": {
            "_id": {"type": "string"},
            "subscriber": relation("subscribers", required=True),
            "expiry_days": {"type": "integer", "nullable": True},
            "expiry": {"type": "datetime", "nullable": True},
            # The token as it is stored; answers have it as `_id`.
            "token": {"type": "string", "readonly": True},
            # Sent by older clients.
            "never_expire": {"type": "boolean", "nullable": True},
        },
        "datasource": {"default_sort": [("_created", 1)]},
        "allowed_filters": ["subscriber", "expiry", "_created", "_updated"],
        # Tokens hold slashes.
        "item_url": "path",
        "bulk_enabled": False,
        "resource_methods": ["GET", "POST"],
        "item_methods": ["GET", "DELETE"],
        # Who reads a token can read with it, so that reading needs the privilege too.
        "privileges": dict.fromkeys(("GET", "POST", "DELETE"), PRIVILEGE),
    },
}
