"""Output formats: those that destinations may name, and items in them (formats contract 1.4)."""

from typing import Any

PRIVILEGE = "archive"

RESOURCES: dict[str, dict[str, Any]] = {
    "output_formats": {
        "schema": {"type": {"type": "string"}, "name": {"type": "string"}},
        "resource_methods": ["GET"],
        "item_lookup": False,
    },
    "formatters": {
        "schema": {
            "article_id": {"type": "string", "required": True},
            "formatter_name": {"type": "string", "required": True},
            # The rows of the list.
            "name": {"type": "string", "readonly": True},
            # The answer to a POST.
            "formatted_doc": {"type": "string", "readonly": True},
        },
        "resource_methods": ["GET", "POST"],
        "item_lookup": False,
        "bulk_enabled": False,
        "privileges": {"POST": PRIVILEGE},
    },
    "export": {
        "schema": {
            "item_ids": {"type": "list", "required": True, "schema": {"type": "string"}},
            "format_type": {"type": "string", "required": True},
            "validate": {"type": "boolean", "default": False},
            "inline": {"type": "boolean", "default": False},
            # The answer.
            "failures": {"type": "integer", "readonly": True},
            "url": {"type": "string", "readonly": True},
            "export": {"type": "dict", "readonly": True},
        },
        "resource_methods": ["POST"],
        "item_lookup": False,
        "bulk_enabled": False,
        "privileges": {"POST": PRIVILEGE},
    },
}
