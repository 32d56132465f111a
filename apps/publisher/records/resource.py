"""`publishing_records` (cms contract 3.3)."""

from typing import Any

from apps.core.schemas import ID
from apps.publisher.schema import (
    ACCOUNT,
    ADMIN,
    ERROR,
    MADE_ID,
    METADATA,
    PUBLISH,
    READ,
    Phase,
    RecordStatus,
    kept,
    one_of,
)

RECORD_SCHEMA: dict[str, Any] = {
    "_id": MADE_ID,
    "account": ACCOUNT,
    "site": {"type": ID},
    "integration": {"type": ID},
    "destination": {"type": "string"},
    "content": {"type": "string", "required": True, "minlength": 1},
    "external_id": {"type": "string", "nullable": True, "minlength": 1, "maxlength": 255},
    "external_url": {"type": "string", "nullable": True, "maxlength": 2048},
    "metadata": METADATA,
    "status": {**one_of(RecordStatus), "readonly": True},
    "phase": {**one_of(Phase), "readonly": True},
    "content_key": kept("string"),
    "content_version": kept("integer"),
    "published_version": kept("integer"),
    "published_at": kept("datetime"),
    "first_published_at": kept("datetime"),
    "retracted_at": kept("datetime"),
    "scheduled_at": kept("datetime"),
    "created_at": kept("datetime"),
    "desired": kept("dict", allow_unknown=True),
    "remote_state": kept("string"),
    "ref": kept("string"),
    "slug": kept("string"),
    "payload_hash": kept("string"),
    "payload_version": kept("integer"),
    "remote_modified": kept("string"),
    "drift": kept("dict", allow_unknown=True),
    "media": kept("list"),
    "terms": kept("list"),
    "warnings": kept("list"),
    "error": ERROR,
    "retry_attempt": kept("integer"),
    "next_attempt_at": kept("datetime"),
    "lease_owner": kept("string"),
    "lease_until": kept("datetime"),
    "claim_token": kept(),
    "history": kept("list"),
}

RESOURCES: dict[str, dict[str, Any]] = {
    "publishing_records": {
        "url": "v1/publisher/records",
        "schema": RECORD_SCHEMA,
        "datasource": {"default_sort": [("created_at", -1), ("_id", -1)]},
        "item_methods": ["GET", "PATCH", "DELETE"],
        "bulk_enabled": False,
        "privileges": {"GET": READ, "POST": PUBLISH, "PATCH": PUBLISH, "DELETE": ADMIN},
    },
}
