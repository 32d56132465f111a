"""Words of the wire that more than one package uses."""

from enum import StrEnum


class State(StrEnum):
    """`state` of an item."""

    DRAFT = "draft"
    INGESTED = "ingested"
    ROUTED = "routed"
    FETCHED = "fetched"
    SUBMITTED = "submitted"
    IN_PROGRESS = "in_progress"
    SPIKED = "spiked"
    PUBLISHED = "published"
    KILLED = "killed"
    CORRECTED = "corrected"
    SCHEDULED = "scheduled"
    RECALLED = "recalled"
    UNPUBLISHED = "unpublished"
    CORRECTION = "correction"
    BEING_CORRECTED = "being_corrected"


GONE_STATES = (State.SPIKED, State.KILLED, State.RECALLED)
"""States of items that nobody works with any more."""

PUBLISH_STATES = frozenset(
    {
        State.PUBLISHED,
        State.SCHEDULED,
        State.CORRECTED,
        State.KILLED,
        State.RECALLED,
        State.UNPUBLISHED,
        State.BEING_CORRECTED,
    }
)
"""States in which an item has left the newsroom (`correction` is not one of them)."""


class PubStatus(StrEnum):
    """`pubstatus` of an item."""

    USABLE = "usable"
    WITHHELD = "withheld"
    CANCELED = "canceled"


class Operation(StrEnum):
    """`operation` of an item: the last thing done to it; the last five are in its history only."""

    CREATE = "create"
    UPDATE = "update"
    RESTORE = "restore"
    DESCHEDULE = "deschedule"
    FETCH = "fetch"
    DUPLICATE = "duplicate"
    MOVE = "move"
    SPIKE = "spike"
    UNSPIKE = "unspike"
    TRANSLATE = "translate"
    REWRITE = "rewrite"
    LINK = "link"
    UNLINK = "unlink"
    PUBLISH = "publish"
    CORRECT = "correct"
    KILL = "kill"
    TAKEDOWN = "takedown"
    UNPUBLISH = "unpublish"
    RESEND = "resend"
    BEING_CORRECTED = "being_corrected"
    CORRECTION = "correction"
    CANCEL_CORRECTION = "cancel_correction"
    DUPLICATED_FROM = "duplicated_from"
    MARK = "mark"
    UNMARK = "unmark"
    ITEM_LOCK = "item_lock"
    ITEM_UNLOCK = "item_unlock"


class ItemType(StrEnum):
    """`type` of an item."""

    TEXT = "text"
    PREFORMATTED = "preformatted"
    AUDIO = "audio"
    VIDEO = "video"
    PICTURE = "picture"
    GRAPHIC = "graphic"
    COMPOSITE = "composite"
    EVENT = "event"
    PLANNING = "planning"


TEXT_TYPES = frozenset({ItemType.TEXT, ItemType.PREFORMATTED})
MEDIA_TYPES = frozenset({ItemType.AUDIO, ItemType.VIDEO, ItemType.PICTURE, ItemType.GRAPHIC})


AUTHOR_ROLES = frozenset({
    "author", "co-author", "coauthor", "columnist", "contributor", "correspondent", "creator",
    "editor", "illustrator", "journalist", "photographer", "reporter", "translator",
    "videographer", "writer",
})  # fmt: skip
"""What people are to an item that they have made, not to one that is about them."""


BROADCAST_SCRIPT = "Broadcast Script"
"""Genre of a story that is read out in a broadcast: its code or its name."""


class QueueState(StrEnum):
    """`queue_state` of a published row: how far routing has come."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    QUEUED = "queued"
    QUEUED_NOT_TRANSMITTED = "queued_not_transmitted"
    ERROR = "error"


class RowState(StrEnum):
    """`state` of a `publish_queue` row: how far one delivery has come."""

    PENDING = "pending"
    IN_PROGRESS = "in-progress"
    RETRYING = "retrying"
    SUCCESS = "success"
    CANCELED = "canceled"
    ERROR = "error"
    FAILED = "failed"


class Fault(StrEnum):
    """`fault` of a `publish_queue` row that has failed: why it never arrived."""

    OURS = "ours"
    """It could not be made or handed over: a format, a picture, a setting of this installation."""
    THEIRS = "theirs"
    """The destination did not take it."""


WAITING_ROW_STATES = (RowState.PENDING, RowState.RETRYING)
FINAL_ROW_STATES = (RowState.SUCCESS, RowState.CANCELED, RowState.FAILED)


class PublishingAction(StrEnum):
    """`publishing_action` of a `publish_queue` row: what the recipient is told."""

    PUBLISHED = "published"
    CORRECTED = "corrected"
    BEING_CORRECTED = "being_corrected"
    KILLED = "killed"
    RECALLED = "recalled"
    UNPUBLISHED = "unpublished"


CONTENT_API = "content_api"
"""`delivery_type` of what subscribers read in the content API."""


WITHDRAWING_ACTIONS = frozenset(
    {PublishingAction.KILLED, PublishingAction.RECALLED, PublishingAction.UNPUBLISHED}
)


WITHDRAWING_OPERATIONS = (Operation.KILL, Operation.TAKEDOWN, Operation.UNPUBLISH)


class SubscriberType(StrEnum):
    """`subscriber_type` of a subscriber."""

    DIGITAL = "digital"
    WIRE = "wire"
    ALL = "all"


class UserType(StrEnum):
    """`user_type` of a user."""

    USER = "user"
    ADMINISTRATOR = "administrator"
    EXTERNAL = "external"
