"""`internal_destinations` at the REST edge (lifecycle contract 5.1 step 25)."""

from typing import Any

from apps.core.schemas import relation
from apps.routing.filters.resource import NAME_RULES

PRIVILEGE = "internal_destinations"

DESTINATION_SCHEMA: dict[str, Any] = {
    "name": NAME_RULES,
    "is_active": {"type": "boolean", "default": True},
    "desk": relation("desks", required=True),
    # The desk's incoming stage unless given.
    "stage": relation("stages", nullable=True),
    # Every item unless given.
    "filter": relation("content_filters", nullable=True),
    # A scheduled item is copied when it comes out, not when it is scheduled.
    "send_after_schedule": {"type": "boolean", "default": False},
    "macro": {"type": "string", "nullable": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "internal_destinations": {
        "schema": DESTINATION_SCHEMA,
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": dict.fromkeys(("POST", "PATCH", "DELETE"), PRIVILEGE),
    },
}
