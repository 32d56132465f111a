"""`publisher_integrations` (cms contract 3.2)."""

from typing import Any

from apps.core.schemas import open_object
from apps.publisher.integrations.credentials import CREDENTIALS
from apps.publisher.schema import (
    ACCOUNT,
    ERROR,
    MADE_ID,
    READ_ADMIN,
    SITE_ID,
    IntegrationState,
    kept,
    one_of,
)

KEPT: dict[str, Any] = {
    "state": {**one_of(IntegrationState), "readonly": True},
    "state_message": kept("string"),
    "state_at": kept("datetime"),
    "paused_until": kept("datetime"),
    "last_ok_at": kept("datetime"),
    "synced_at": kept("datetime"),
    "sync_requested_at": kept("datetime"),
    "sync_error": ERROR,
    "remote": kept("dict", allow_unknown=True),
    "target": kept("string"),
}
"""Fields that the server alone writes."""

INTEGRATION_SCHEMA: dict[str, Any] = {
    "_id": MADE_ID,
    "account": ACCOUNT,
    "site": SITE_ID,
    "destination": {"type": "string", "required": True},
    "name": {"type": "string", "required": True, "minlength": 1, "maxlength": 200},
    "base_url": {"type": "string"},
    # Checked by its service, which knows the keys of each platform; null removes them all.
    CREDENTIALS: open_object(nullable=True),
    "active": {"type": "boolean", "default": True},
    "options": open_object(nullable=True),
    **KEPT,
}

RESOURCES: dict[str, dict[str, Any]] = {
    "publisher_integrations": {
        "url": "v1/publisher/integrations",
        "schema": INTEGRATION_SCHEMA,
        "datasource": {"default_sort": [("name", 1)]},
        # A search for a secret would give it away.
        "allowed_filters": [
            *(field for field in INTEGRATION_SCHEMA if field != CREDENTIALS),
            *("_id", "_etag", "_created", "_updated"),
        ],
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": READ_ADMIN,
    },
}
