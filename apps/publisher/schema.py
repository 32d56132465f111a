"""Words, limits and rules that the resources of the publisher share (cms contract 3)."""

from enum import StrEnum
from hashlib import sha256
from typing import Any

from apps.core.schemas import ID, open_object

HISTORY = 50
"""Entries of a record's `history` that are kept."""
METADATA_BYTES = 16 << 10
"""Size of a record's `metadata` as JSON."""
ERROR_LOG_BYTES = 256 << 10
"""Size of the `error_log` of a deployment."""


class RecordStatus(StrEnum):
    """`status` of a record."""

    PENDING = "pending"
    PUBLISHED = "published"
    FAILED = "failed"
    RETRACTED = "retracted"


class Phase(StrEnum):
    """`phase` of a record: how far its wish is carried out.

    Attributes:
        IDLE: nothing is to be done.
        READY: a wish waits; nothing of it has been sent.
        SENT: a write was announced and may have been sent.
        UNKNOWN: a write was sent, and no answer of the site came.
    """

    IDLE = "idle"
    READY = "ready"
    SENT = "sent"
    UNKNOWN = "unknown"


IN_DOUBT = frozenset({Phase.SENT, Phase.UNKNOWN})
"""Phases in which the site has to be asked before anything is written."""


class WishAction(StrEnum):
    """`desired.action` of a record."""

    PUBLISH = "publish"
    UPDATE = "update"
    RETRACT = "retract"


class Outcome(StrEnum):
    """`outcome` of an entry of a record's `history` that is written with its wishes."""

    SUPERSEDED = "superseded"
    NOT_SHOWN = "not_shown"
    NOT_SENT = "not_sent"
    TAKEN_BACK = "taken_back"
    RETRY = "retry"
    ADOPTED = "adopted"


class DeploymentType(StrEnum):
    """`deployment_type` of a deployment."""

    FULL = "full"
    INCREMENTAL = "incremental"


class DeploymentStatus(StrEnum):
    """`status` of a deployment."""

    PENDING = "pending"
    DEPLOYING = "deploying"
    COMPLETED = "completed"
    FAILED = "failed"


RUNNING = (DeploymentStatus.PENDING, DeploymentStatus.DEPLOYING)
"""Of these there is one for each site and integration."""


class DeploymentItemState(StrEnum):
    """`state` of one item of a deployment at one integration."""

    QUEUED = "queued"
    DONE = "done"
    UNCHANGED = "unchanged"
    FAILED = "failed"
    SKIPPED = "skipped"


class IntegrationState(StrEnum):
    """`state` of an integration."""

    NEW = "new"
    OK = "ok"
    AUTH_FAILED = "auth_failed"
    PAUSED = "paused"
    ERROR = "error"


class MapMode(StrEnum):
    """`mode` of a row of the taxonomy map."""

    MANUAL = "manual"
    AUTO = "auto"
    IGNORE = "ignore"


class MapState(StrEnum):
    """`state` of a row of the taxonomy map."""

    OK = "ok"
    STALE = "stale"
    MISSING = "missing"


class MediaState(StrEnum):
    """`state` of a file in the ledger of uploads."""

    UPLOADING = "uploading"
    READY = "ready"
    FAILED = "failed"
    DELETED = "deleted"


# Privileges.

READ, PUBLISH, ADMIN = "publisher_read", "publisher_publish", "publisher_admin"

READ_ADMIN = {"GET": READ, "POST": ADMIN, "PATCH": ADMIN, "DELETE": ADMIN}
"""Privileges of what is set up."""


# Identity.

REF_LENGTH = 16


def ref_of(integration: Any, content_key: str) -> str:
    """Return the marker of a piece of content at an integration."""
    return sha256(f"{integration}:{content_key}".encode()).hexdigest()[:REF_LENGTH]


# Rules of fields.


def kept(type: str | list[str] | None = None, **rules: Any) -> dict[str, Any]:
    """Return the rules of a field that the server alone writes; null where it is not known yet."""
    typed = {} if type is None else {"type": type}
    return {**typed, "readonly": True, "nullable": True, **rules}


def one_of(words: type[StrEnum], **rules: Any) -> dict[str, Any]:
    """Return the rules of a field that holds one of these words."""
    return {"type": "string", "allowed": [word.value for word in words], **rules}


MADE_ID: dict[str, Any] = {"type": ID, "readonly": True}
"""Rules of `_id`: lanes and ledgers go by ids that the server has made."""

ACCOUNT: dict[str, Any] = kept("string")

ERROR: dict[str, Any] = kept("dict", allow_unknown=True)
"""Class, code, message, status, retryable, at, retry_at, field and help of a failure."""

SITE_ID: dict[str, Any] = {"type": ID, "required": True}
"""Names a site of the caller's account; the service looks it up there."""

METADATA: dict[str, Any] = open_object(nullable=True)
