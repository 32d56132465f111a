"""`publisher_taxonomy_map` (cms contract 3.5)."""

from typing import Any

from apps.core.schemas import ID, text
from apps.publisher.schema import MADE_ID, READ_ADMIN, MapMode, MapState, kept, one_of

MAP_SCHEMA: dict[str, Any] = {
    "_id": MADE_ID,
    "account": kept("string"),
    "integration": {"type": ID, "required": True},
    "scheme": {"type": "string", "required": True, "minlength": 1, "maxlength": 200},
    "qcode": {"type": "string", "required": True, "minlength": 1, "maxlength": 400},
    "taxonomy": text(maxlength=200),
    "remote_id": text(maxlength=255),
    "remote_slug": kept("string"),
    "remote_name": kept("string"),
    "mode": one_of(MapMode, default=MapMode.MANUAL.value),
    "state": {**one_of(MapState), "readonly": True},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "publisher_taxonomy_map": {
        "url": "v1/publisher/taxonomy-map",
        "schema": MAP_SCHEMA,
        "datasource": {"default_sort": [("scheme", 1), ("qcode", 1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": READ_ADMIN,
    },
}
