"""`highlights` and the marks of items (resources contract 23)."""

from typing import Any

from apps.core.schemas import reference, relation

HIGHLIGHT_SCHEMA: dict[str, Any] = {
    "name": {"type": "string", "required": True, "iunique": True, "empty": False},
    "desks": {"type": "list", "required": True, "schema": relation("desks")},
    "template": reference("content_templates", nullable=True),
    "groups": {"type": "list", "schema": {"type": "string"}},
    "auto_insert": {
        "type": "string",
        "regex": r"now(-([1-9]|1[0-9]|2[0-4])h|/d|/w)",
        "default": "now/d",
    },
}


def _mark(privilege: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": {
            **schema,
            "_id": {"type": "string", "nullable": True},
            "marked_item": {"type": "string", "required": True},
        },
        "bulk_enabled": False,
        "resource_methods": ["POST"],
        "item_methods": [],
        "privileges": {"POST": privilege},
    }


RESOURCES: dict[str, dict[str, Any]] = {
    "highlights": {
        "schema": HIGHLIGHT_SCHEMA,
        "datasource": {"default_sort": [("name", 1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": dict.fromkeys(("POST", "PATCH", "DELETE"), "highlights"),
    },
    "marked_for_highlights": _mark(
        "mark_for_highlights",
        {
            "highlights": {
                "type": "list",
                "required": True,
                "minlength": 1,
                "schema": relation("highlights"),
            }
        },
    ),
    "marked_for_desks": _mark("mark_for_desks", {"marked_desk": relation("desks", required=True)}),
}
