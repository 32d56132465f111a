"""POST `/archive/<item id>/resend` (routing contract 11), and what became of such requests."""

from typing import Any

from apps.archive.resource import ITEM_URL

RESOURCES: dict[str, dict[str, Any]] = {
    "archive_resend": {
        "url": f"archive/<{ITEM_URL}:original_id>/resend",
        "schema": {
            "_id": {"type": "string"},
            "original_id": {"type": "string"},
            # Neither required nor checked here: the service checks them in their turn.
            "subscribers": {"nullable": True},
            "version": {"nullable": True},
        },
        "datasource": {"source": "archive", "projection": {}},
        "resource_methods": ["POST"],
        "item_methods": [],
        "bulk_enabled": False,
        "privileges": {"POST": "resend"},
    },
    # Requests that are not carried out yet, and those that could not be.
    "resends": {
        "schema": {
            "_id": {"type": "objectid"},
            "item_id": {"type": "string"},
            "subscribers": {"type": "list"},
            "state": {"type": "string"},
            "attempts": {"type": "integer"},
            "due_at": {"type": "datetime"},
            "error_message": {"type": "string", "nullable": True},
        },
        "datasource": {"default_sort": [("_id", -1)]},
        "resource_methods": ["GET"],
        "item_methods": ["GET"],
        "privileges": {"GET": "resend"},
    },
}
