"""`subscribers` (routing contract 1, 2)."""

from typing import Any

from apps.core.schemas import ID, relation
from apps.core.vocabulary import SubscriberType
from apps.routing.filters.resource import NAME_RULES

DESTINATION: dict[str, Any] = {
    "type": "dict",
    "schema": {
        "_id": {"type": "string"},
        "name": {"type": "string", "required": True, "empty": False},
        "format": {"type": "string", "required": True},
        "delivery_type": {"type": "string", "required": True},
        "preview_endpoint_url": {"type": "string"},
        "config": {"type": "dict", "allow_unknown": True},
    },
}

PRODUCTS: dict[str, Any] = {"type": "list", "schema": relation("products", nullable=True)}

SEQUENCE_NUMBER: dict[str, Any] = {"type": "integer", "max": 2**31 - 1}
"""Receivers take it for a plain integer."""

LEGACY_LIST: dict[str, Any] = {"type": "list", "readonly": True}
"""Filled in answers to a search by filter condition only."""

SUBSCRIBER_SCHEMA: dict[str, Any] = {
    "name": NAME_RULES,
    "media_type": {"type": "string"},
    "subscriber_type": {
        "type": "string",
        "required": True,
        "allowed": [kind.value for kind in SubscriberType],
    },
    "sequence_num_settings": {
        "type": "dict",
        "required": True,
        "schema": {"min": SEQUENCE_NUMBER, "max": SEQUENCE_NUMBER},
    },
    "email": {"type": "string", "required": True, "empty": False, "multiple_emails": True},
    "is_active": {"type": "boolean", "default": False},
    "is_targetable": {"type": "boolean", "default": True},
    "critical_errors": {
        "type": "dict",
        "keysrules": {"type": "string"},
        "valuesrules": {"type": "boolean"},
    },
    "last_closed": {
        "type": "dict",
        "schema": {
            "closed_at": {"type": "datetime", "nullable": True},
            "closed_by": {"type": ID, "nullable": True},
            "message": {"type": "string", "nullable": True},
        },
    },
    "destinations": {"type": "list", "schema": DESTINATION},
    "products": PRODUCTS,
    "api_products": PRODUCTS,
    "codes": {"type": "string"},
    "global_filters": {"type": "dict", "valuesrules": {"type": "boolean"}},
    "content_api_token": {"type": "string"},
    "async": {"type": "boolean", "nullable": True},
    "priority": {"type": "boolean", "nullable": True},
    "disable_failing": {"type": "boolean", "nullable": True},
    "filter_conditions": LEGACY_LIST,
    "content_filters": LEGACY_LIST,
    "selected_subscribers": LEGACY_LIST,
    "init_version": {"type": "integer"},
}

ALLOWED_FILTERS = [
    *(field for field in SUBSCRIBER_SCHEMA if field not in ("destinations", "content_api_token")),
    *(f"destinations.{key}" for key in ("_id", "name", "format", "delivery_type")),
    *("_id", "_etag", "_created", "_updated"),
]
"""Fields that lists may be searched by: a search for a secret would give it away."""

RESOURCES: dict[str, dict[str, Any]] = {
    "subscribers": {
        "schema": SUBSCRIBER_SCHEMA,
        "allowed_filters": ALLOWED_FILTERS,
        "item_methods": ["GET", "PATCH"],
        "privileges": {"POST": "subscribers", "PATCH": "subscribers"},
    },
}
