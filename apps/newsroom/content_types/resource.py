"""`content_types`: content profiles (resources contract 14)."""

from typing import Any

from apps.core.schemas import open_object, relation

CONTENT_TYPE_SCHEMA: dict[str, Any] = {
    "_id": {"type": "string", "iunique": True, "one_form": True},
    "type": {"type": "string", "nullable": True, "content_type_single_item_type": True},
    "label": {"type": "string", "iunique": True},
    # Rules and editor's settings by field; null for one that the profile does not have.
    **{
        part: {"type": "dict", "valuesrules": open_object(nullable=True)}
        for part in ("schema", "editor")
    },
    "widgets_config": {
        "type": "list",
        "schema": {
            "type": "dict",
            "schema": {
                "widget_id": {"type": "string"},
                "is_displayed": {"type": "boolean"},
            },
        },
    },
    "priority": {"type": "integer", "default": 0},
    "enabled": {"type": "boolean", "default": False},
    "is_used": {"type": "boolean", "default": False},
    "embeddable": {"type": "boolean", "default": False},
    "icon": {"type": "string", "nullable": True},
    "description": {"type": "string", "nullable": True},
    "output_name": {"type": "string", "nullable": True},
    "created_by": relation("users", nullable=True),
    "updated_by": relation("users", nullable=True),
    "init_version": {"type": "integer"},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "content_types": {
        "schema": CONTENT_TYPE_SCHEMA,
        "datasource": {"default_sort": [("priority", -1)]},
        "item_url": r'regex("[\w,.:-]+")',
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": {
            "POST": "content_type",
            "PATCH": "content_type",
            "DELETE": "content_type",
        },
    },
}
