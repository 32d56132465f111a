"""Every index of every collection. A query on a hot path names the index it uses here."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING, DESCENDING, IndexModel
from pymongo.database import Database
from pymongo.errors import OperationFailure

from apps.core.vocabulary import RowState
from apps.store import collections
from apps.store.mongo import without_limit

ASC, DESC = ASCENDING, DESCENDING

INDEX_NOT_FOUND = 27
"""Code of the store: another process was faster."""

OPEN_ROWS: Mapping[str, Any] = {"$gte": RowState.IN_PROGRESS, "$lt": RowState.SUCCESS}
WAITING_ROWS: Mapping[str, Any] = {"$gte": RowState.PENDING, "$lt": RowState.SUCCESS}
UNDELIVERED_ROWS: Mapping[str, Any] = {"$lt": RowState.SUCCESS}
"""States of rows of the delivery queue that have not ended, of those that wait, and all but that of
success. In the order of texts they are neighbours: an index can hold just these, and planners see
which queries it serves.
"""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
URGENT_LANES: Mapping[str, Any] = {"urgent": True}
DOWN_LANES: Mapping[str, Any] = {"breaker.open_until": {"$gt": EPOCH}}
"""Lanes whose breaker is not closed."""


def _index(*keys: Any, **options: Any) -> IndexModel:
    return IndexModel([(k, ASC) if isinstance(k, str) else k for k in keys], **options)


INDEXES: dict[str, list[IndexModel]] = {
    collections.ARCHIVE: [
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
        # Scripts of a story that goes out again, or away.
        _index("broadcast.master_id", sparse=True),
        # Writes whose further documents may be missing (apps/archive/journal/journal.py).
        _index("journal.at", sparse=True),
        # Who else holds an attachment.
        _index("attachments.attachment", sparse=True),
        # Packages of highlights, and the end of one.
        _index("highlights", sparse=True),
        # Locks that a session leaves behind.
        _index("lock_user", sparse=True),
    ],
    collections.ARCHIVE_VERSIONS: [
        # Unique, so that completing an interrupted publication cannot write a version twice.
        _index("_id_document", "_current_version", unique=True),
        # Whether a desk or a stage was ever used, before it is deleted.
        _index("task.desk"),
        _index("task.last_authoring_desk", sparse=True),
        _index("task.last_production_desk", sparse=True),
        _index("task.stage"),
    ],
    collections.ARCHIVE_HISTORY: [_index("item_id")],
    collections.PUBLISHED: [
        # Work of the enqueue task, in routing order.
        _index("queue_state", "publish_sequence_no"),
        # Scheduled items that are due, however many wait for their time.
        _index("queue_state", "state", "schedule_settings.utc_publish_schedule"),
        # The versions of an item, in their order.
        _index("item_id", "publish_sequence_no"),
        # The list of clients, newest first.
        _index(("_updated", DESC)),
        _index("attachments.attachment", sparse=True),
        # The end of a highlight.
        _index("highlights", sparse=True),
        # What readers may see of sites, counted by its terms.
        _index("state", "profile", partialFilterExpression={"last_published_version": True}),
    ],
    collections.HIGHLIGHTS: [_index("name", unique=True)],
    collections.CONTENT_TEMPLATES: [_index("user", "template_name", "is_public", unique=True)],
    collections.PUBLISH_QUEUE: [
        # One row per (item version, subscriber, destination, action, part, resend).
        _index(
            "idempotency_key",
            unique=True,
            partialFilterExpression={"idempotency_key": {"$type": "string"}},
        ),
        # Claims: what has not ended in a lane, in delivery order; what is in no lane.
        _index(
            *("lane", "state", ("priority", DESC), "order_no"),
            name="open",
            partialFilterExpression={"state": OPEN_ROWS},
        ),
        # The retries of a lane where many wait.
        _index(
            *("lane", "next_retry_attempt_at"),
            name="retries",
            partialFilterExpression={"state": RowState.RETRYING},
        ),
        # Lanes with such rows; what was not delivered, as clients ask for it.
        _index("state", name="undelivered", partialFilterExpression={"state": UNDELIVERED_ROWS}),
        # One item line: older rows that a newer one replaces; the deliveries of an item.
        _index("item_id", "lane", "order_no"),
        # Deliveries of a subscriber, as clients ask for them.
        _index("subscriber_id"),
        # Rows that others carry out: those of one of them, and those to look at.
        _index("handed_over.to", sparse=True),
        _index("handed_over.look_at", sparse=True),
    ],
    # Failures of a lane that administrators were told of.
    collections.DELIVERY_FAILURES: [_index("lane")],
    collections.PUBLISH_LANES: [
        # Lanes with something due, and those of them that hold something urgent.
        _index("wake_at"),
        _index("wake_at", name="urgent", partialFilterExpression=URGENT_LANES),
        _index("lease_owner", sparse=True),
        # Receivers that are down.
        _index(
            "breaker.open_until",
            name="down",
            partialFilterExpression=DOWN_LANES,
        ),
    ],
    collections.DELIVERY_COUNTERS: [
        # Newest hours, and totals, which have none; those of one destination.
        _index(("hour", DESC), "_id"),
        _index("lane", ("hour", DESC)),
        _index("expires_at", expireAfterSeconds=0),
    ],
    collections.PROCESSES: [_index("beat_at"), _index("expires_at", expireAfterSeconds=0)],
    collections.ARCHIVED: [
        _index("archived_id", unique=True),
        _index("item_id"),
        _index(("_updated", DESC)),
    ],
    # Copies that the content API did not take yet.
    collections.CONTENT_API_BACKLOG: [_index("due_at"), _index("item_id", "version")],
    collections.ACTIVITY: [
        _index("_created", expireAfterSeconds=24 * 3600),
        _index("user", "_created"),
        _index("recipients.user_id"),
    ],
    collections.MEDIA_REFERENCES: [_index("item_id"), _index("media_id")],
    # Mails that are due.
    collections.MAILS: [_index("state", "due_at")],
    # Requests that are due, oldest first; those of one item.
    collections.RESENDS: [_index("due_at"), _index("item_id")],
    # Feeds: what a subscriber has received, newest first.
    collections.RECIPIENTS: [_index("receivers", ("routed_at", DESC), ("_id", DESC))],
    # Of an item; whether a record of refusals is still named.
    collections.ROUTING_DECISIONS: [
        _index("item_id", "item_version"),
        _index("refusals", sparse=True),
    ],
    collections.PUBLISH_PAYLOADS: [
        _index("item_id", "item_version"),
        _index("encoded_item_id", sparse=True),
    ],
    collections.AUTH: [
        _index("token_hash", unique=True, sparse=True),
        _index("user"),
        _index("_updated"),
    ],
    collections.USERS: [_index("username", unique=True), _index("email")],
    collections.ROLES: [_index("name", unique=True)],
    collections.DESKS: [_index("name", unique=True), _index("members.user")],
    collections.STAGES: [_index("desk", "name", unique=True)],
    collections.VALIDATORS: [_index("act", "type")],
    collections.VOCABULARIES: [_index("field_type")],
    collections.CONTENT_TYPES: [_index("label", unique=True, sparse=True)],
    collections.SUBSCRIBERS: [_index("name", unique=True), _index("is_active")],
    collections.SUBSCRIBER_TOKEN: [_index("subscriber")],
    collections.PRODUCTS: [_index("name", unique=True)],
    collections.INTERNAL_DESTINATIONS: [_index("name", unique=True)],
    collections.FILTER_CONDITIONS: [_index("name", unique=True)],
    collections.CONTENT_FILTERS: [_index("name", unique=True)],
    # Names of sites are told apart within an account.
    collections.PUBLISHER_SITES: [_index("account", "slug", unique=True), _index("slug")],
    collections.PUBLISHER_INTEGRATIONS: [
        _index("account", "destination", "base_url", "target", unique=True),
        _index("site", "name", unique=True),
    ],
    collections.PUBLISHING_RECORDS: [
        # One record for a piece of content at an integration.
        _index("integration", "content_key", unique=True),
        # One record for a post.
        _index(
            "integration",
            "external_id",
            unique=True,
            partialFilterExpression={"external_id": {"$type": "string"}},
        ),
        # Wishes of a lane that are due.
        _index("integration", "next_attempt_at"),
        _index("status", "next_attempt_at"),
        # Whether a lane holds what is never due; what a worker that died has left.
        _index(
            "next_attempt_at",
            name="waiting",
            partialFilterExpression={"next_attempt_at": {"$type": "date"}},
        ),
        _index(
            "lease_owner",
            name="claimed",
            partialFilterExpression={"lease_owner": {"$type": "string"}},
        ),
        _index("content"),
        # Posts that wait for their time.
        _index(
            "scheduled_at",
            name="scheduled",
            partialFilterExpression={"scheduled_at": {"$type": "date"}},
        ),
        _index("desired.deployment", sparse=True),
        _index("account", ("created_at", DESC)),
        _index("site"),
    ],
    collections.DEPLOYMENT_RECORDS: [
        # One at a time for a site and an integration.
        _index(
            "site",
            "integration",
            unique=True,
            partialFilterExpression={"status": {"$in": ["pending", "deploying"]}},
        ),
        # Those that a worker has left.
        _index("status", "lease_until"),
        _index(
            "lease_owner",
            name="claimed",
            partialFilterExpression={"lease_owner": {"$type": "string"}},
        ),
        _index("account", ("created_at", DESC)),
    ],
    collections.DEPLOYMENT_LANES: [
        # Deployments with something due.
        _index("wake_at"),
        _index("lease_owner", sparse=True),
    ],
    collections.DEPLOYMENT_ITEMS: [
        _index("deployment", "content", "integration", unique=True),
        # Rows whose wishes wait; those of an integration that come next.
        _index("deployment", "state", "seq", "integration", "order"),
        _index("record", sparse=True),
    ],
    collections.PUBLISHER_MEDIA: [
        _index("integration", "sha256", "variant", unique=True),
        _index("used_by", sparse=True),
    ],
    collections.PUBLISHER_TERMS: [
        _index("integration", "taxonomy", "remote_id", unique=True),
    ],
    collections.PUBLISHER_TAXONOMY_MAP: [
        _index("integration", "scheme", "qcode", unique=True),
    ],
    collections.PUBLISHER_LANES: [
        # Lanes with something due.
        _index("wake_at"),
        _index("lease_owner", sparse=True),
    ],
    # Answers under idempotency keys.
    collections.IDEMPOTENT_REQUESTS: [_index("created_at", expireAfterSeconds=24 * 3600)],
    # What site definitions say of vocabularies and profiles, for all processes.
    collections.PUBLISHER_SITE_CONTENTS: [_index("claimed_at", expireAfterSeconds=24 * 3600)],
    collections.SEQUENCES: [_index("key", unique=True)],
}


ARCHIVING_INDEXES: dict[str, list[IndexModel]] = {
    # What the long-term archive has not taken yet.
    collections.PUBLISHED: [_index("moved_to_legal", "_id")],
    collections.PUBLISH_QUEUE: [_index("moved_to_legal", "_id")],
}
"""Of the main database, where there is a long-term archive."""

RETIRED_INDEXES: Mapping[str, Sequence[str]] = {
    collections.ARCHIVE_VERSIONS: ("guid_1",),
    collections.PUBLISHED: (
        *("item_id_1_state_1", "publish_sequence_no_1", "guid_1", "expiry_1__created_1_state_1"),
    ),
    collections.PUBLISH_QUEUE: (
        *("lane_1_state_1_priority_-1_order_no_1", "lane_1_state_1_next_retry_attempt_at_1"),
        *("item_id_1_item_version_1", "subscriber_id_1_state_1", "_updated_-1"),
        *("state_1_next_retry_attempt_at_1", "_created_-1_state_1"),
        "moved_to_legal_1_state_1__id_1",
    ),
}
"""Names of indexes that earlier releases made and no query needs: each write pays for them."""

CONTENT_INDEXES: dict[str, list[IndexModel]] = {
    collections.ITEMS: [
        # What a subscriber may read, newest first; a subscriber's list by time.
        _index("subscribers", ("versioncreated", DESC), "_id"),
        _index(("versioncreated", DESC), "_id"),
        _index("ancestors"),
        _index("_item_id", sparse=True),
        # Expiry: roots of chains, oldest first.
        _index("_updated"),
    ],
    collections.ITEMS_VERSIONS: [_index("_id_document", "_current_version", unique=True)],
    # Expiry: the oldest first.
    collections.API_AUDIT: [_index("_created")],
}
"""Collections of the content API, which may have a database of its own."""

LEGAL_INDEXES: dict[str, list[IndexModel]] = {
    collections.LEGAL_ARCHIVE: [
        _index(("versioncreated", DESC)),
        _index("search_terms"),
        # What is on stages that are hidden from a user.
        _index("stage_id", sparse=True),
    ],
    collections.LEGAL_ARCHIVE_VERSIONS: [_index("_id_document", "_current_version", unique=True)],
    collections.LEGAL_ARCHIVE_HISTORY: [_index("item_id")],
    collections.LEGAL_PUBLISH_PAYLOADS: [_index("encoded_item_id", sparse=True)],
    collections.LEGAL_PUBLISH_QUEUE: [_index(("_updated", DESC)), _index("item_id")],
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
    with without_limit(db):
        for collection, models in (INDEXES if indexes is None else indexes).items():
            db[collection].create_indexes(models)


def drop_retired_indexes(db: Database[dict[str, Any]]) -> None:
    """Remove the indexes that no query needs. Safe to repeat and to run from several processes."""
    for collection, names in RETIRED_INDEXES.items():
        for name in sorted(set(names) & set(db[collection].index_information())):
            try:
                db[collection].drop_index(name)
            except OperationFailure as error:
                if error.code != INDEX_NOT_FOUND:
                    raise


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
