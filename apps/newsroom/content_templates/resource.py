"""`content_templates` and their use on an item (resources contract 17)."""

from typing import Any

from apps.core.privileges import INTRINSIC
from apps.core.schemas import relation

TYPES = ("kill", "create", "highlights")
KILL = "kill"
CREATE = "create"

TEMPLATE_SCHEMA: dict[str, Any] = {
    "template_name": {"type": "string", "required": True, "minlength": 1, "maxlength": 400},
    "template_type": {
        "type": "string",
        "required": True,
        "allowed": list(TYPES),
        "default": CREATE,
    },
    "data": {"type": "dict", "allow_unknown": True, "schema": {}},
    "is_public": {"type": "boolean", "default": False},
    "user": relation("users", nullable=True),
    "template_desks": {"type": "list", "nullable": True, "schema": relation("desks")},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "content_templates": {
        "schema": TEMPLATE_SCHEMA,
        "datasource": {"default_sort": [("template_name", 1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "additional_lookup": {"url": r'regex("[\w]+")', "field": "template_name"},
        "merge_nested_documents": True,
        # Whose template it is decides; the service checks it.
        "privileges": dict.fromkeys(("POST", "PATCH", "DELETE"), INTRINSIC),
    },
    "content_templates_apply": {
        "schema": {
            "_id": {"type": "string", "nullable": True},
            "template_name": {"type": "string", "required": True},
            "item": {"type": "dict", "required": True, "allow_unknown": True, "schema": {}},
        },
        "projection": False,
        "resource_methods": ["POST"],
        "item_methods": [],
        "bulk_enabled": False,
        "privileges": {"POST": "archive"},
    },
}
