"""`filter_conditions` and `content_filters`, with their tests (routing contract 4, 5)."""

from typing import Any

from apps.core.schemas import reference, relation
from apps.routing.filters.conditions import Operator

NAME_URL = 'regex("[^/]+")'
"""Names as they stand in URLs: anything but a slash."""

NAME_RULES: dict[str, Any] = {
    "type": "string",
    "required": True,
    "empty": False,
    # The comparison with other names is a pattern, whose length stores limit.
    "maxlength": 255,
    "iunique": True,
}

CONDITION_SCHEMA: dict[str, Any] = {
    "name": NAME_RULES,
    # Which fields there are depends on the vocabularies; the service checks it.
    "field": {"type": "string", "required": True, "empty": False},
    "operator": {
        "type": "string",
        "required": True,
        "empty": False,
        "allowed": [operator.value for operator in Operator],
    },
    "value": {"type": "string", "required": True, "empty": False},
}

STATEMENT: dict[str, Any] = {
    "type": "dict",
    "schema": {
        "expression": {
            "type": "dict",
            "schema": {
                "fc": {"type": "list", "schema": relation("filter_conditions", nullable=True)},
                "pf": {"type": "list", "schema": relation("content_filters", nullable=True)},
            },
        }
    },
}

STATEMENTS: dict[str, Any] = {"type": "list", "schema": STATEMENT}

FILTER_SCHEMA: dict[str, Any] = {
    "name": NAME_RULES,
    "content_filter": STATEMENTS,
    "is_global": {"type": "boolean", "default": False},
    "is_archived_filter": {"type": "boolean", "default": False},
    "api_block": {"type": "boolean", "default": False},
}

WRITE = {"POST": "content_filters", "PATCH": "content_filters", "DELETE": "content_filters"}

RESOURCES: dict[str, dict[str, Any]] = {
    "filter_conditions": {
        "schema": CONDITION_SCHEMA,
        "item_methods": ["GET", "PATCH", "DELETE"],
        "additional_lookup": {"url": NAME_URL, "field": "name"},
        "privileges": WRITE,
    },
    "filter_condition_parameters": {
        "url": "filter_conditions/parameters",
        "schema": {
            "field": {"type": "string"},
            "label": {"type": "string"},
            "operators": {"type": "list"},
            "values": {"type": "list"},
            "value_field": {"type": "string"},
        },
        "resource_methods": ["GET"],
        "item_lookup": False,
    },
    "content_filters": {
        "schema": FILTER_SCHEMA,
        "item_methods": ["GET", "PATCH", "DELETE"],
        "additional_lookup": {"url": NAME_URL, "field": "name"},
        "privileges": WRITE,
    },
    "content_filter_test": {
        "url": "content_filters/test",
        "schema": {
            "filter_id": reference("content_filters", nullable=True),
            "filter": {
                "type": "dict",
                "nullable": True,
                "allow_unknown": True,
                "schema": {"content_filter": STATEMENTS},
            },
            "article_id": {"type": "string", "nullable": True},
            "return_matching": {"type": "boolean", "nullable": True},
            # The answer: whether the item matches, or the items that do.
            "match_results": {"readonly": True},
        },
        "resource_methods": ["POST"],
        "item_lookup": False,
        "bulk_enabled": False,
        "privileges": {"POST": "content_filters"},
    },
}
