"""The publish endpoints, the outbox `published` and the delivery queue `publish_queue`."""

from typing import Any

from apps.archive.resource import ITEM_URL, item_operation
from apps.archive.schema import ITEM_SCHEMA, LOCK_FIELDS, STAMPS
from apps.core.schemas import ID, open_object, text
from apps.core.vocabulary import PublishingAction, QueueState, RowState

PUBLISH_OPERATIONS = ("publish", "correct", "kill", "takedown", "unpublish")

PUBLISHED_SCHEMA: dict[str, Any] = {
    **ITEM_SCHEMA,
    # Of the row; clients that post one send the id of the item.
    "_id": {"type": ["objectid", "string"]},
    "item_id": {"type": "string"},
    "guid": {"type": "string"},
    "unique_id": {"type": "integer"},
    "unique_name": {"type": "string"},
    "_current_version": {"type": "integer"},
    "last_published_version": {"type": "boolean", "default": True},
    "queue_state": {
        "type": "string",
        "allowed": [s.value for s in QueueState],
        "default": QueueState.PENDING.value,
    },
    "error_message": {"type": "string", "nullable": True},
    "last_queue_event": {"type": "datetime", "nullable": True},
    "publish_sequence_no": {"type": "integer"},
    "published_in_package": {"type": "string", "nullable": True},
    "moved_to_legal": {"type": "boolean", "default": False},
}

ROW_FIELDS = frozenset(
    {
        *STAMPS,
        *LOCK_FIELDS,
        *("used", "used_count", "used_updated", "translations", "linked_in_packages", "refs"),
        *("publish_sequence_no", "error_message", "last_queue_event", "moved_to_legal"),
    }
)
"""Fields of a row of `published` that the server writes; the rest is what went out."""

QUEUE_SCHEMA: dict[str, Any] = {
    "item_id": {"type": "string", "required": True},
    "item_version": {"type": "integer"},
    "formatted_item": {"type": "string", "nullable": True},
    "item_encoding": {"type": "string", "nullable": True},
    "encoded_item_id": {"type": "objectid", "nullable": True},
    "subscriber_id": {"type": ID},
    "codes": {"type": "list", "nullable": True, "schema": {"type": "string"}},
    "destination": open_object(
        schema={
            **{name: text() for name in ("_id", "name", "format", "delivery_type")},
            "config": open_object(nullable=True),
        }
    ),
    "published_in_package": {"type": "string", "nullable": True},
    "published_seq_num": {"type": "integer", "nullable": True},
    "publish_schedule": {"type": "datetime", "nullable": True},
    "publishing_action": {"type": "string", "allowed": [a.value for a in PublishingAction]},
    "unique_name": {"type": "string", "nullable": True},
    "content_type": {"type": "string", "nullable": True},
    "headline": {"type": "string", "nullable": True},
    "transmit_started_at": {"type": "datetime", "nullable": True},
    "completed_at": {"type": "datetime", "nullable": True},
    "state": {"type": "string", "allowed": [s.value for s in RowState]},
    "error_message": {"type": "string", "nullable": True},
    "moved_to_legal": {"type": "boolean", "default": False},
    "retry_attempt": {"type": "integer", "default": 0},
    "next_retry_attempt_at": {"type": "datetime", "nullable": True},
    "ingest_provider": {"type": ID, "nullable": True},
    "associated_items": {"type": "list", "nullable": True, "schema": {"type": "string"}},
    "priority": {"type": "boolean", "nullable": True},
    "order_no": {"type": "integer", "nullable": True},
    "idempotency_key": {"type": "string", "nullable": True},
    "attempts": {"type": "list", "nullable": True},
    "superseded_by": {"type": "objectid", "nullable": True},
    "payload_id": {"type": "string", "nullable": True},
    "payload_size": {"type": "integer", "nullable": True},
    "fault": {"type": "string", "nullable": True},
    "held": {"type": "string", "nullable": True},
}

ACTIONS = "_actions"
"""Names what may be done with a row, in answers only."""

SERVER_WRITTEN = frozenset(
    {
        *("order_no", "idempotency_key", "attempts", "superseded_by", "payload_id"),
        *("payload_size", "moved_to_legal", "fault", "held", ACTIONS),
    }
)
"""Fields of a row of the delivery queue that clients see and do not write."""

INTERNAL_ROW = (
    *("lane", "lease_owner", "lease_until", "claim_token", "unknown_outcomes", "copy_key"),
    *("handed_over", "progress", "is_replaceable", "published_at", "trace_id", "request_id"),
)
"""Fields of rows of the delivery queue that clients never see."""

QUEUE_FILTERS = [
    *(field for field in QUEUE_SCHEMA if field != "destination"),
    *(f"destination.{key}" for key in ("_id", "name", "format", "delivery_type")),
    *("_id", "_etag", "_created", "_updated", "resend_id"),
]
"""Fields that lists may be searched by: rows that others wrote may hold secrets."""

RESOURCES: dict[str, dict[str, Any]] = {
    **{f"archive_{name}": item_operation(name) for name in PUBLISH_OPERATIONS},
    "archive_correction": item_operation("correction", privilege="correct"),
    "published_package_items": {
        "schema": {
            "package_id": {"type": "string", "required": True},
            "new_items": {
                "type": "list",
                "required": True,
                "schema": {
                    "type": "dict",
                    "schema": {
                        "group": {"type": "string", "required": True},
                        "item_id": {"type": "string", "required": True},
                    },
                },
            },
        },
        "bulk_enabled": False,
        "resource_methods": ["POST"],
        "item_methods": [],
        "privileges": {"POST": "archive"},
    },
    "published": {
        "schema": PUBLISHED_SCHEMA,
        "datasource": {"default_sort": [("_updated", -1)]},
        # Of a row, or of an item.
        "item_url": ITEM_URL,
        "item_methods": ["GET", "PATCH"],
        "server_fields": ROW_FIELDS,
        "etag_ignore_fields": [
            "_id",
            "highlights",
            "item_id",
            "last_published_version",
            "moved_to_legal",
        ],
        "privileges": {"POST": "publish_queue", "PATCH": "publish_queue"},
    },
    "publish_queue": {
        "schema": QUEUE_SCHEMA,
        "server_fields": SERVER_WRITTEN,
        "allowed_filters": QUEUE_FILTERS,
        "datasource": {
            "default_sort": [("_id", -1)],
            "projection": dict.fromkeys(INTERNAL_ROW, 0),
        },
        "item_methods": ["GET", "PATCH"],
        "additional_lookup": {"url": ITEM_URL, "field": "item_id"},
        "etag_ignore_fields": ["moved_to_legal"],
        "privileges": {"POST": "publish_queue", "PATCH": "publish_queue"},
    },
}
