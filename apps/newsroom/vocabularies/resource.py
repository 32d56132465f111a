"""`vocabularies` (resources contract 15)."""

from typing import Any


def _text(**rules: Any) -> dict[str, Any]:
    return {"type": "string", "nullable": True, **rules}


def _open(**rules: Any) -> dict[str, Any]:
    return {"type": "dict", "allow_unknown": True, **rules}


VOCABULARY_SCHEMA: dict[str, Any] = {
    "_id": {"type": "string", "required": True, "unique": True, "regex": "^[a-zA-Z0-9-_]+$"},
    "display_name": {"type": "string", "required": True},
    "description": _text(),
    "helper_text": _text(maxlength=120),
    "tags": {
        "type": "list",
        "schema": {"type": "dict", "schema": {"text": {"type": "string"}}},
    },
    "popup_width": {"type": "integer", "nullable": True},
    "type": {"type": "string", "required": True, "allowed": ["manageable", "unmanageable"]},
    "items": {"type": "list", "required": True, "schema": _open(schema={"name": _text()})},
    "unique_field": _text(),
    "schema": _open(),
    "schema_field": _text(),
    "field_type": _text(),
    "field_options": _open(),
    "selection_type": _text(allowed=["single selection", "multi selection", "do not show"]),
    "service": {"type": "dict", "valuesrules": {"type": "integer"}},
    "translations": _open(),
    "read_only": {"type": "boolean", "nullable": True},
    "dependent": {"type": "boolean"},
    "priority": {"type": "integer"},
    "init_version": {"type": "integer"},
    "preffered_items": {"type": "boolean"},
    "disable_entire_category_selection": {"type": "boolean", "default": False},
    "date_shortcuts": {"type": "list", "nullable": True, "schema": _open()},
    "custom_field_type": _text(),
    "custom_field_config": _open(nullable=True),
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
