"""`publisher_sites` (cms contract 3.1)."""

from typing import Any

from apps.core.schemas import open_object, relation, text
from apps.publisher.schema import ACCOUNT, MADE_ID, READ_ADMIN

LANGUAGE = "^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$"
"""Form of a language tag."""

AUTO_PUBLISH: dict[str, Any] = {
    "type": "dict",
    "nullable": True,
    "schema": {
        "desks": {"type": "list", "nullable": True, "schema": relation("desks")},
        "content_types": {"type": "list", "nullable": True, "schema": relation("content_types")},
        "filter": relation("content_filters", nullable=True),
    },
}
"""What is published without a request: items of these desks and profiles that match the filter.
Null publishes nothing by itself."""

SITE_SCHEMA: dict[str, Any] = {
    "_id": MADE_ID,
    "account": ACCOUNT,
    "name": {"type": "string", "required": True, "minlength": 1, "maxlength": 200},
    "slug": {"type": "string", "required": True, "regex": "^[a-z0-9][a-z0-9-]{0,62}$"},
    "url": {"type": "string", "required": True, "maxlength": 2048},
    "description": text(maxlength=2000),
    "logo": text(maxlength=2048),
    "language": text(regex=LANGUAGE),
    "languages": {
        "type": "list",
        "nullable": True,
        "schema": {"type": "string", "regex": LANGUAGE},
    },
    "timezone": {"type": "string", "default": "UTC"},
    "public": {"type": "boolean", "default": False},
    "content_types": {"type": "list", "nullable": True, "schema": relation("content_types")},
    "schemes": {"type": "list", "nullable": True, "schema": relation("vocabularies")},
    "url_structure": {"type": "dict", "nullable": True, "valuesrules": {"type": "string"}},
    "defaults": open_object(nullable=True),
    "auto_publish": AUTO_PUBLISH,
}

RESOURCES: dict[str, dict[str, Any]] = {
    "publisher_sites": {
        "url": "v1/publisher/sites",
        "schema": SITE_SCHEMA,
        "datasource": {"default_sort": [("name", 1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": READ_ADMIN,
    },
}
