"""Refusals of rewrites, in their order (lifecycle contract 3.7)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.archive.times import utc_of
from apps.core.errors import BadRequest, NotFound, TransitionError
from apps.core.vocabulary import PUBLISH_STATES, TEXT_TYPES, State
from apps.core.workflow import INVALID_TRANSITION, Action, check_allowed

Item = Mapping[str, Any]

REFUSED_UPDATES = frozenset(
    {
        State.PUBLISHED,
        State.CORRECTED,
        State.KILLED,
        State.RECALLED,
        State.SCHEDULED,
        State.SPIKED,
    }
)
"""States of existing items that cannot become an update."""

BROADCAST = "Broadcast Script"


def check_original(original: Item, settings: Mapping[str, Any], now: datetime) -> None:
    """Refuse an update of a story that can have none.

    Raises:
        ServiceError: it can have none, or has one.
    """
    embargo = utc_of(original, "embargo")
    if embargo and embargo > now:
        raise BadRequest("Rewrite of an Item having embargo isn't possible")
    if not original.get("event_id"):
        raise NotFound("Event id does not exist")
    if original.get("rewritten_by"):
        raise BadRequest("Article has been rewritten before !")
    is_exempt = (
        original.get("state") == State.SCHEDULED and settings["ALLOW_UPDATING_SCHEDULED_ITEMS"]
    )
    if not is_exempt:
        check_allowed(Action.REWRITE, original.get("state"))
    is_open_update = original.get("rewrite_of") and original.get("state") not in PUBLISH_STATES
    if is_open_update and not settings["WORKFLOW_ALLOW_MULTIPLE_UPDATES"]:
        raise BadRequest("Rewrite is not published. Cannot rewrite the story again.")


def check_update(update: Item, original: Item, settings: Mapping[str, Any]) -> None:
    """Refuse an existing item that cannot become the update of `original`.

    Args:
        settings: BROADCAST_ENABLED.

    Raises:
        ServiceError: it cannot.
    """
    if update.get("rewrite_of") or update["_id"] == original["_id"]:
        raise BadRequest("Rewrite story has been used as update before !")
    if update.get("state") in REFUSED_UPDATES:
        raise TransitionError(INVALID_TRANSITION)
    if update.get("type") not in TEXT_TYPES:
        raise BadRequest("Rewrite story can only be text or pre-formatted !")
    genres = update.get("genre") or () if settings["BROADCAST_ENABLED"] else ()
    if any(BROADCAST in (genre.get("qcode"), genre.get("name")) for genre in genres):
        raise BadRequest("Broadcast cannot be a update story !")
    profiles = {item["profile"] for item in (update, original) if item.get("profile")}
    if len(profiles) > 1:
        raise BadRequest("Rewrite item content profile does not match with Original item.")
