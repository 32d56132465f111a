"""Counts of deliveries, and what processes do (delivery contract 14.2, 14.3)."""

from typing import Any

COUNTED: dict[str, Any] = {"type": "dict", "allow_unknown": True}
"""`steps`: how many, by the upper end of the step; `sum` of all."""

RESOURCES: dict[str, dict[str, Any]] = {
    "delivery_counters": {
        "schema": {
            "_id": {"type": "string"},
            "lane": {"type": "string"},
            "subscriber_id": {"type": ["objectid", "string"]},
            "destination_id": {"type": "string"},
            "type": {"type": "string"},
            "hour": {"type": "datetime"},
            **{name: {"type": "integer"} for name in ("attempts", "delivered", "failed")},
            **dict.fromkeys(("outcomes", "ms", "seconds"), COUNTED),
        },
        "datasource": {"default_sort": [("hour", -1), ("_id", 1)]},
        "resource_methods": ["GET"],
        "item_methods": [],
    },
    "processes": {
        "schema": {
            "_id": {"type": "objectid"},
            **{name: {"type": "string"} for name in ("name", "host")},
            "pid": {"type": "integer"},
            **{name: {"type": "datetime"} for name in ("started_at", "beat_at", "claimed_at")},
            "tasks": {
                "type": "list",
                "schema": {
                    "type": "dict",
                    "schema": {
                        "name": {"type": "string"},
                        **{name: {"type": "datetime"} for name in ("started_at", "ended_at")},
                        **{name: {"type": "boolean"} for name in ("is_running", "has_failed")},
                    },
                },
            },
        },
        "datasource": {"default_sort": [("started_at", 1)]},
        "resource_methods": ["GET"],
        "item_methods": ["GET"],
    },
}
