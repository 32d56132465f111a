"""`products` and `products/test` (routing contract 3)."""

from typing import Any

from apps.core.schemas import relation
from apps.routing.filters.resource import NAME_RULES
from apps.routing.products.matching import FilterType, ProductType

PRODUCT_SCHEMA: dict[str, Any] = {
    "name": NAME_RULES,
    "description": {"type": "string"},
    "codes": {"type": "string"},
    "content_filter": {
        "type": "dict",
        "nullable": True,
        "schema": {
            "filter_id": relation("content_filters", nullable=True),
            "filter_type": {
                "type": "string",
                "allowed": [kind.value for kind in FilterType],
                "default": FilterType.BLOCKING.value,
            },
        },
    },
    "geo_restrictions": {"type": "string", "nullable": True},
    "product_type": {
        "type": "string",
        "allowed": [kind.value for kind in ProductType],
        "default": ProductType.BOTH.value,
    },
    "init_version": {"type": "integer"},
}

RESOURCES: dict[str, dict[str, Any]] = {
    "products": {
        "schema": PRODUCT_SCHEMA,
        "item_methods": ["GET", "PATCH", "DELETE"],
        "privileges": {"POST": "products", "PATCH": "products", "DELETE": "products"},
    },
    "product_test": {
        "url": "products/test",
        "schema": {
            # The service answers a missing id in words of its own.
            "article_id": {"type": "string", "nullable": True},
            # The answer: one row for each product.
            "_items": {"type": "list", "readonly": True},
        },
        "resource_methods": ["POST"],
        "item_lookup": False,
        "bulk_enabled": False,
        "privileges": {"POST": "products"},
    },
}
