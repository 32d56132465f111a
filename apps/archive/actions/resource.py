"""REST resources of the editor's actions (resources contract 10, 11, 12)."""

from collections.abc import Collection, Mapping
from typing import Any

from apps.archive.resource import ITEM_URL, PROTECTED, item_operation
from apps.archive.schema import ITEM_SCHEMA, SERVER_FIELDS
from apps.core.privileges import INTRINSIC
from apps.core.schemas import reference

Schema = dict[str, Any]

STORED_RULES = ("unique", "default", "readonly", "minlength")
VERSION: Schema = {"_current_version": {"type": "integer"}}


def without_stored_rules(schema: Mapping[str, Any]) -> Schema:
    """Return `schema` for requests that carry fields of a stored item, whole or in part."""
    return {
        name: {key: value for key, value in rules.items() if key not in STORED_RULES}
        for name, rules in schema.items()
    }


ITEM_FIELDS = without_stored_rules(ITEM_SCHEMA)


def _command(
    verb: str,
    privilege: str,
    schema: Schema,
    source: str = "archive",
    server_fields: Collection[str] = (),
) -> Schema:
    """Return the resource POST `/archive/<item id>/<verb>`."""
    return {
        "url": f"{source}/<{ITEM_URL}:target_id>/{verb}",
        "schema": {**schema, "_id": {"type": "string"}, "target_id": {"type": "string"}},
        # The answer is an item, not what was sent.
        "projection": False,
        "resource_methods": ["POST"],
        "item_methods": [],
        "bulk_enabled": False,
        "server_fields": server_fields,
        "privileges": {"POST": privilege},
    }


def _view(url: str) -> Schema:
    """Return a list of items that is only read."""
    return {
        "url": url,
        "schema": {**ITEM_SCHEMA, **VERSION},
        "datasource": {"source": "archive", "default_sort": [("_updated", -1)]},
        "resource_methods": ["GET"],
        "item_methods": [],
    }


MOVE_SCHEMA: Schema = {
    # Without it the item goes to the personal space of the caller.
    "task": {
        "type": "dict",
        "allow_unknown": True,
        "schema": {
            "desk": reference("desks", required=True),
            "stage": reference("stages", required=True),
        },
    },
    "allPackageItems": {"type": "boolean", "nullable": True},
}
DUPLICATE_SCHEMA: Schema = {
    "desk": reference("desks", required=True, nullable=True),
    "stage": reference("stages", nullable=True),
    # Clients send the collection that they show the item from; only `archived` has its own copy.
    "type": {"type": "string", "required": True},
    "item_id": {"type": "string", "nullable": True},
}
TRANSLATE_SCHEMA: Schema = {
    "guid": {"type": "string", "required": True},
    "language": {"type": "string", "required": True},
    "desk": reference("desks", nullable=True),
}
BROADCAST_SCHEMA: Schema = {
    **ITEM_FIELDS,
    "desk": reference("desks", nullable=True),
}
FETCH_SCHEMA: Schema = {
    **ITEM_FIELDS,
    "desk": reference("desks", required=True),
    "stage": reference("stages", nullable=True),
    "macro": {"type": "string", "nullable": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    # The request says what the item is locked for.
    "archive_lock": _command(
        "lock", "archive", ITEM_FIELDS, server_fields=SERVER_FIELDS - {"lock_action"}
    ),
    "archive_unlock": _command("unlock", INTRINSIC, ITEM_FIELDS, server_fields=SERVER_FIELDS),
    "move": _command("move", "archive", MOVE_SCHEMA),
    "duplicate": _command("duplicate", "duplicate", DUPLICATE_SCHEMA),
    "copy": _command("copy", INTRINSIC, {}),
    "archive_broadcast": _command(
        "broadcast", "archive_broadcast", BROADCAST_SCHEMA, server_fields=SERVER_FIELDS
    ),
    "fetch": _command("fetch", "fetch", FETCH_SCHEMA, "ingest", SERVER_FIELDS),
    "translate": {
        **_command("translate", "translate", TRANSLATE_SCHEMA),
        "url": "archive/translate",
    },
    "archive_spike": item_operation("spike"),
    "archive_unspike": item_operation("unspike"),
    "archive_autosave": {
        "schema": {**ITEM_FIELDS, **VERSION},
        "item_url": ITEM_URL,
        "resource_methods": ["POST"],
        "item_methods": ["GET", "PUT", "PATCH", "DELETE"],
        **PROTECTED,
        "privileges": dict.fromkeys(("POST", "PUT", "PATCH", "DELETE"), "archive"),
    },
    "ingest": {
        "schema": {
            **ITEM_SCHEMA,
            **VERSION,
            "archived": {"type": "datetime", "nullable": True},
        },
        "datasource": {"default_sort": [("_updated", -1)]},
        "item_url": ITEM_URL,
        "resource_methods": ["GET"],
        "item_methods": ["GET", "DELETE"],
        "privileges": {"DELETE": "fetch"},
    },
    "workqueue": {**_view("workqueue"), "item_url": ITEM_URL, "item_methods": ["GET"]},
    "archive_related": _view(f"archive/<{ITEM_URL}:target_id>/related"),
}
