"""`vocabularies` (resources contract 15)."""

from typing import Any

from apps.core.schemas import code, open_object, text

CODE: dict[str, Any] = code(nullable=True)

ITEM: dict[str, Any] = open_object(
    schema={"name": text(), "qcode": CODE, "parent": CODE, "scheme": text()}
)

VOCABULARY_SCHEMA: dict[str, Any] = {
    "_id": {"type": "string", "required": True, "unique": True, "regex": "^[a-zA-Z0-9-_]+$"},
    "display_name": {"type": "string", "required": True},
    "description": text(),
    "helper_text": text(maxlength=120),
    "tags": {
        "type": "list",
        "schema": {"type": "dict", "schema": {"text": {"type": "string"}}},
    },
    "popup_width": {"type": "integer", "nullable": True},
    "type": {"type": "string", "required": True, "allowed": ["manageable", "unmanageable"]},
    "items": {"type": "list", "required": True, "schema": ITEM},
    "unique_field": text(),
    "schema": {"type": "dict", "valuesrules": open_object(nullable=True)},
    "schema_field": text(),
    "field_type": text(),
    "field_options": open_object(),
    "selection_type": text(allowed=["single selection", "multi selection", "do not show"]),
    "service": {"type": "dict", "valuesrules": {"type": "integer"}},
    "translations": open_object(),
    "read_only": {"type": "boolean", "nullable": True},
    "dependent": {"type": "boolean"},
    "priority": {"type": "integer"},
    "init_version": {"type": "integer"},
    "preffered_items": {"type": "boolean"},
    "disable_entire_category_selection": {"type": "boolean", "default": False},
    "date_shortcuts": {"type": "list", "nullable": True, "schema": open_object()},
    "custom_field_type": text(),
    "custom_field_config": open_object(nullable=True),
}

RESOURCES: dict[str, dict[str, Any]] = {
    "vocabularies": {
        "schema": VOCABULARY_SCHEMA,
        "datasource": {"default_sort": [("_id", 1)]},
        "item_url": r'regex("[-_\w]+")',
        "item_methods": ["GET", "PATCH", "DELETE"],
        "soft_delete": True,
        "privileges": {
            "POST": "vocabularies",
            "PATCH": "vocabularies",
            "DELETE": "vocabularies",
        },
    },
}
