"""Refusals of the publish actions, one function per rule (lifecycle contract 5.1, 5.8)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from apps.archive.times import check_embargo, check_schedule, utc_after, utc_of
from apps.core.errors import BadRequest, TransitionError
from apps.core.ids import object_id
from apps.core.vocabulary import PUBLISH_STATES, ItemType, State
from apps.core.workflow import is_allowed
from apps.publish.content.publication import Attempt, Tools
from apps.store.collections import ARCHIVE, SUBSCRIBERS

Check = Callable[[Attempt, Tools], None]

TEXT_REFUSED = "Can't {action} as item state is {state}"
OTHER_REFUSED = "Can't {action} as either package state or one of the items state is {state}"
NOT_FOR_PUBLICATION = "Cannot publish an item which is marked as Not for Publication"
EMBARGO_TOO_LATE = "Embargo can't be set after publishing"
DATELINE_FIXED = "Dateline can't be modified on kill or take down"
UPDATE_IS_OUT = "Cannot publish the story after Update is published."
ORIGINAL_NOT_OUT = "Can't publish update until original story is published."
IN_PACKAGE = "This item is in a package. It needs to be removed before the item can be killed"
NOT_TARGETABLE = "Subscriber(s) cannot be targeted: {names}"
DEAD_STATES = (State.KILLED, State.RECALLED, State.UNPUBLISHED)


def check_transition(attempt: Attempt, tools: Tools) -> None:
    """The item's state allows the action."""
    state = attempt.original.get("state")
    if is_allowed(attempt.action, state):
        return
    is_text = attempt.original.get("type") == ItemType.TEXT
    text = TEXT_REFUSED if is_text else OTHER_REFUSED
    raise TransitionError(text.format(action=attempt.action, state=state))


def check_for_publication(attempt: Attempt, tools: Tools) -> None:
    """Neither the item nor the request marks it as not for publication."""
    for document in (attempt.original, attempt.updates):
        if (document.get("flags") or {}).get("marked_for_not_publication"):
            raise BadRequest(NOT_FOR_PUBLICATION)


def check_schedule_ahead(attempt: Attempt, tools: Tools) -> None:
    """A publish time, from the request or stored, has not passed."""
    schedule = utc_after(attempt.updates, attempt.original, "publish_schedule")
    if schedule:
        check_schedule(schedule, attempt.now)


def check_new_embargo(attempt: Attempt, tools: Tools) -> None:
    """An embargo that changes is possible."""
    embargo = utc_after(attempt.updates, attempt.original, "embargo")
    if not embargo or attempt.item.get("type") == ItemType.COMPOSITE:
        return
    if embargo != utc_of(attempt.original, "embargo"):
        check_embargo(attempt.item, embargo, attempt.now)


def check_no_late_embargo(attempt: Attempt, tools: Tools) -> None:
    """An item that is out without an embargo gets none."""
    if attempt.updates.get("embargo") and not attempt.original.get("embargo"):
        raise BadRequest(EMBARGO_TOO_LATE)


def check_no_dateline(attempt: Attempt, tools: Tools) -> None:
    """A withdrawal leaves the dateline alone."""
    if "dateline" in attempt.updates:
        raise BadRequest(DATELINE_FIXED)


def check_update_not_out(attempt: Attempt, tools: Tools) -> None:
    """The story's update has not been published before it."""
    update_id = attempt.original.get("rewritten_by")
    if update_id and _state_of(update_id, tools)[0] in PUBLISH_STATES:
        raise BadRequest(UPDATE_IS_OUT)


def check_original_out(attempt: Attempt, tools: Tools) -> None:
    """The story that this one updates is out, or will be out earlier."""
    original_id = attempt.item.get("rewrite_of")
    if not original_id:
        return
    state, schedule = _state_of(original_id, tools)
    if state is None:
        return
    if state not in PUBLISH_STATES:
        raise BadRequest(ORIGINAL_NOT_OUT)
    own_time = utc_after(attempt.updates, attempt.original, "publish_schedule") or attempt.now
    if state == State.SCHEDULED and schedule and schedule >= own_time:
        raise BadRequest(ORIGINAL_NOT_OUT)


def _state_of(item_id: str, tools: Tools) -> tuple[str | None, datetime | None]:
    fields = {"state": 1, "publish_schedule": 1, "schedule_settings": 1}
    item = tools.db[ARCHIVE].find_one({"_id": item_id}, fields)
    return (item.get("state"), utc_of(item, "publish_schedule")) if item else (None, None)


def check_not_in_live_package(attempt: Attempt, tools: Tools) -> None:
    """No package that holds the item is still out."""
    ids = [link.get("package") for link in attempt.original.get("linked_in_packages") or ()]
    if not ids:
        return
    alive = {"_id": {"$in": ids}, "state": {"$nin": list(DEAD_STATES)}}
    if tools.db[ARCHIVE].find_one(alive, {"_id": 1}):
        raise BadRequest(IN_PACKAGE)


def check_targets(attempt: Attempt, tools: Tools) -> None:
    """Nobody is targeted who must not be, where the setting says so (routing contract 1).

    Who was targeted when the item went out stays so.
    """
    if not tools.settings["STRICT_TARGETING"]:
        return
    named = _targets(attempt.item)
    if attempt.original.get("state") in PUBLISH_STATES:
        named -= _targets(attempt.original)
    if not named:
        return
    ids = sorted(map(object_id, named), key=str)
    closed = {"_id": {"$in": ids}, "is_targetable": False}
    found = tools.db[SUBSCRIBERS].find(closed, {"name": 1}).sort("name", 1)
    if names := ", ".join(str(subscriber["name"]) for subscriber in found):
        raise BadRequest(NOT_TARGETABLE.format(names=names))


def _targets(item: Mapping[str, Any]) -> set[str]:
    entries = item.get("target_subscribers") or ()
    return {str(entry["_id"]) for entry in entries if isinstance(entry, Mapping) and "_id" in entry}


def check_valid(attempt: Attempt, tools: Tools) -> None:
    """The item satisfies its content profile or the validators."""
    act = "auto_publish" if attempt.updates.get("auto_publish") else attempt.act
    item = attempt.item
    language = attempt.caller.language
    attempt.validator(tools).check(item, act=act, type=item.get("type"), language=language)
