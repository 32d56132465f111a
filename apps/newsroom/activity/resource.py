"""`activity` at the REST edge (resources contract 22.1)."""

from typing import Any

from apps.core.privileges import INTRINSIC
from apps.core.schemas import relation

RESOURCES: dict[str, dict[str, Any]] = {
    "activity": {
        "schema": {
            "name": {"type": "string"},
            "message": {"type": "string"},
            "data": {"type": "dict", "nullable": True, "allow_unknown": True},
            "recipients": {
                "type": "list",
                "schema": {
                    "type": "dict",
                    "schema": {
                        "user_id": relation("users", nullable=True),
                        "read": {"type": "boolean", "default": False},
                        "desk_id": relation("desks", nullable=True),
                    },
                },
            },
            "item": {"type": "string", "nullable": True},
            "item_slugline": {"type": "string", "nullable": True},
            "desk": relation("desks", nullable=True),
            "resource": {"type": "string", "nullable": True},
            "user": relation("users", nullable=True),
            "user_name": {"type": "string", "nullable": True},
        },
        "datasource": {"default_sort": [("_created", -1)]},
        "resource_methods": ["GET"],
        "item_methods": ["GET", "PATCH"],
        "privileges": {"PATCH": INTRINSIC},
    },
}
