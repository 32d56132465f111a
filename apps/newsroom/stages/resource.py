"""`stages` and the order they stand in (resources contract 8)."""

from typing import Any

from apps.core.schemas import minutes, relation

STAGE_SCHEMA: dict[str, Any] = {
    "name": {"type": "string", "required": True, "minlength": 1, "iunique_per_parent": "desk"},
    "description": {"type": "string"},
    "desk": relation("desks", required=True),
    "working_stage": {"type": "boolean", "default": False},
    "default_incoming": {"type": "boolean", "default": False},
    "desk_order": {"type": "integer", "readonly": True},
    "content_expiry": minutes(),
    "task_status": {"type": "string", "allowed": ["todo", "in_progress", "done"]},
    "is_visible": {"type": "boolean", "default": True},
    "local_readonly": {"type": "boolean", "default": False},
    "incoming_macro": {"type": "string", "nullable": True},
    "outgoing_macro": {"type": "string", "nullable": True},
    "onstage_macro": {"type": "string", "nullable": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "stages": {
        "schema": STAGE_SCHEMA,
        "datasource": {"default_sort": [("desk", 1), ("desk_order", 1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": {"POST": "desks", "PATCH": "desks", "DELETE": "desks"},
    },
    "stages_order": {
        "schema": {
            "desk": relation("desks", required=True),
            "stages": {"type": "list", "required": True, "schema": relation("stages")},
        },
        "resource_methods": ["POST"],
        "item_methods": [],
        "bulk_enabled": False,
        "privileges": {"POST": "desks"},
    },
}
