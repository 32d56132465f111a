"""Every index of every collection. A query on a hot path names the index it uses here."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database

ASC, DESC = ASCENDING, DESCENDING


def _index(*keys: Any, **options: Any) -> IndexModel:
    return IndexModel([(k, ASC) if isinstance(k, str) else k for k in keys], **options)


INDEXES: dict[str, list[IndexModel]] = {
    "archive": [
        _index(("_updated", DESC)),
        _index("uri"),
        _index("ingest_id"),
        _index("unique_id"),
        _index("unique_name"),
        _index("guid"),
        _index("family_id"),
        _index("processed_from"),
        _index("assignment_id"),
        _index("type"),
        _index("expiry", "state"),
        _index("expiry_status", sparse=True),
        _index("task.desk", "state"),
        _index("task.stage"),
        # Whether a content profile is used, before it is deleted.
        _index("profile", sparse=True),
        # The newest items, for filters that are tried out.
        _index(("versioncreated", DESC)),
        _index("groups.refs.residRef", sparse=True),
        # Who holds an associated item, before it expires.
        _index("refs._id", sparse=True),
        _index("schedule_settings.utc_publish_schedule", "state"),
        # Writes whose further documents may be missing (apps/archive/journal/journal.py).
        _index("journal.at", sparse=True),
        # Who else holds an attachment.
        _index("attachments.attachment", sparse=True),
        # Packages of highlights, and the end of one.
        _index("highlights", sparse=True),
        # Locks that a session leaves behind.
        _index("lock_user", sparse=True),
    ],
    "archive_versions": [
        _index("guid"),
        # Unique, so that completing an interrupted publication cannot write a version twice.
        _index("_id_document", "_current_version", unique=True),
        # Whether a desk or a stage was ever used, before it is deleted.
        _index("task.desk"),
        _index("task.last_authoring_desk", sparse=True),
        _index("task.last_production_desk", sparse=True),
        _index("task.stage"),
    ],
    "archive_history": [_index("item_id")],
    "published": [
        # Work of the enqueue task, in routing order.
        _index("queue_state", "publish_sequence_no"),
        # Scheduled items that are due, however many wait for their time.
        _index("queue_state", "state", "schedule_settings.utc_publish_schedule"),
        _index("item_id", "publish_sequence_no"),
        _index("item_id", "state"),
        _index("publish_sequence_no"),
        _index("guid"),
        _index("expiry", "_created", "state"),
        _index(("_updated", DESC)),
        # Import into the long-term archive.
        _index("moved_to_legal", "_id"),
        _index("attachments.attachment", sparse=True),
        # The end of a highlight.
        _index("highlights", sparse=True),
    ],
    "highlights": [_index("name", unique=True)],
    "content_templates": [_index("user", "template_name", "is_public", unique=True)],
    "publish_queue": [
        # One row per (item version, subscriber, destination, action, part, resend).
        _index(
            "idempotency_key",
            unique=True,
            partialFilterExpression={"idempotency_key": {"$type": "string"}},
        ),
        # Claims: pending rows of a lane in delivery order; due retries of a lane.
        _index("lane", "state", ("priority", DESC), "order_no"),
        _index("lane", "state", "next_retry_attempt_at"),
        # One item line: older rows that a newer one replaces.
        _index("item_id", "lane", "order_no"),
        _index("item_id", "item_version"),
        _index("subscriber_id", "state"),
        _index("state", "next_retry_attempt_at"),
        _index(("_created", DESC), "state"),
        _index(("_updated", DESC)),
        # Import into the long-term archive.
        _index("moved_to_legal", "state", "_id"),
    ],
    # Failures of a lane that administrators were told of.
    "delivery_failures": [_index("lane")],
    "publish_lanes": [
        # Lanes with something due.
        _index("wake_at"),
        _index("lease_owner", sparse=True),
    ],
    "archived": [
        _index("archived_id", unique=True),
        _index("item_id"),
        _index(("_updated", DESC)),
    ],
    # Copies that the content API did not take yet.
    "content_api_backlog": [_index("due_at"), _index("item_id", "version")],
    "activity": [
        _index("_created", expireAfterSeconds=24 * 3600),
        _index("user", "_created"),
        _index("recipients.user_id"),
    ],
    "media_references": [_index("item_id"), _index("media_id")],
    # Mails that are due.
    "mails": [_index("state", "due_at")],
    # Requests that are due, oldest first; those of one item.
    "resends": [_index("due_at"), _index("item_id")],
    # Feeds: what a subscriber has received, newest first.
    "recipients": [_index("receivers", ("routed_at", DESC), ("_id", DESC))],
    # Of an item; whether a record of refusals is still named.
    "routing_decisions": [_index("item_id", "item_version"), _index("refusals", sparse=True)],
    "publish_payloads": [
        _index("item_id", "item_version"),
        _index("encoded_item_id", sparse=True),
    ],
    "auth": [_index("token"), _index("user"), _index("_updated")],
    "users": [_index("username", unique=True), _index("email")],
    "roles": [_index("name", unique=True)],
    "desks": [_index("name", unique=True), _index("members.user")],
    "stages": [_index("desk", "name", unique=True)],
    "validators": [_index("act", "type")],
    "vocabularies": [_index("field_type")],
    "content_types": [_index("label", unique=True, sparse=True)],
    "subscribers": [_index("name", unique=True), _index("is_active")],
    "subscriber_token": [_index("subscriber")],
    "products": [_index("name", unique=True)],
    "internal_destinations": [_index("name", unique=True)],
    "filter_conditions": [_index("name", unique=True)],
    "content_filters": [_index("name", unique=True)],
    "sequences": [_index("key", unique=True)],
}


CONTENT_INDEXES: dict[str, list[IndexModel]] = {
    "items": [
        # What a subscriber may read, newest first; a subscriber's list by time.
        _index("subscribers", ("versioncreated", DESC), "_id"),
        _index(("versioncreated", DESC), "_id"),
        _index("ancestors"),
        _index("_item_id", sparse=True),
        # Expiry: roots of chains, oldest first.
        _index("_updated"),
    ],
    "items_versions": [_index("_id_document", "_current_version", unique=True)],
    # Expiry: the oldest first.
    "api_audit": [_index("_created")],
}
"""Collections of the content API, which may have a database of its own."""

LEGAL_INDEXES: dict[str, list[IndexModel]] = {
    "legal_archive": [_index(("versioncreated", DESC)), _index("search_terms")],
    "legal_archive_versions": [_index("_id_document", "_current_version", unique=True)],
    "legal_archive_history": [_index("item_id")],
    "legal_publish_payloads": [_index("encoded_item_id", sparse=True)],
    "legal_publish_queue": [_index(("_updated", DESC)), _index("item_id")],
}
"""Collections of the long-term archive, which may have a database of its own."""


def ensure_indexes(
    db: Database[dict[str, Any]], indexes: Mapping[str, Sequence[IndexModel]] | None = None
) -> None:
    """Create the indexes that are missing. Safe to repeat and to run from several processes.

    Args:
        db: the database.
        indexes: by collection; those of the main database unless given.
    """
    for collection, models in (INDEXES if indexes is None else indexes).items():
        db[collection].create_indexes(models)


class LateIndexes:
    """Indexes of a database of its own, created before it is first written to.

    Not at the start of the process, which must not depend on this database.

    Args:
        db: the database.
        indexes: by collection.
    """

    def __init__(
        self, db: Database[dict[str, Any]], indexes: Mapping[str, Sequence[IndexModel]]
    ) -> None:
        self._db = db
        self._indexes = indexes
        self._are_there = False

    def ensure(self) -> None:
        """Create those that are missing; no command after the first call that succeeded."""
        if not self._are_there:
            ensure_indexes(self._db, self._indexes)
            self._are_there = True
