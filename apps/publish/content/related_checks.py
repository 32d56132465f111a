"""Refusals of the publish actions for what an item holds (lifecycle contract 4.6, 5.1 b and k)."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from apps.archive.associations import present, with_ids
from apps.archive.crops import check_crops, crop_sizes, has_crops
from apps.archive.packages import is_package, member_ids, member_refs
from apps.archive.times import utc_of
from apps.core.errors import BadRequest, MessagesError, TransitionError, WarningsError
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, ItemType, Operation, State
from apps.core.workflow import Action, is_allowed
from apps.publish.content.associated_items import is_fetchable
from apps.publish.content.checks import NOT_FOR_PUBLICATION
from apps.publish.content.package_members import members_to_publish
from apps.publish.content.publication import Attempt, Tools

UNPUBLISHED_RELATED = (
    "There are unpublished related items that won't be sent out as related items. "
    "Do you want to publish the article anyway?"
)
NO_ITEM = 'Associated item "{key}" does not exist in the system'
NO_MEMBER = "Package item with id: {id} does not exist."
EMPTY_PACKAGE = "Empty package cannot be published!"
EMPTY_CORRECTION = "Corrected package cannot be empty!"
BAD_STATE = "Item cannot contain associated {state} item."
BAD_SCHEDULE = "Associated item is scheduled later than current item."
BAD_EMBARGO = "Item cannot have associated items with Embargo"
INVALID = "Associated item {slugline} {name}: {message}"
LOCKED = "{name}: packaged item is locked by another user"
LOCKED_BY_YOU = "{name}: packaged item is locked by you. Unlock it and try again"
REFUSED_STATES = (State.KILLED, State.RECALLED, State.SPIKED)
VALID_STATES = (State.PUBLISHED, State.CORRECTED)
REFUSED = "Can't {action} as either package state or one of the items state is {state}"
TEXT_REFUSED = "Can't {action} as item state is {state}"


def check_related_out(attempt: Attempt, tools: Tools) -> None:
    """Related content is out, or the user said that it does not matter."""
    confirmed = attempt.caller.arguments.get("publishing_warnings_confirmed")
    if tools.settings["PUBLISH_ASSOCIATED_ITEMS"] or str(confirmed).lower() == "true":
        return
    for key, held in with_ids(attempt.item):
        item = attempt.batch.items.get(held["_id"])
        if key in attempt.batch.related and item and item.get("state") not in PUBLISH_STATES:
            raise WarningsError([UNPUBLISHED_RELATED])


def check_crops_sent(attempt: Attempt, tools: Tools) -> None:
    """Crops in the request, of the item or of pictures that it holds, are possible."""
    held = with_ids({"associations": attempt.batch.sent})
    pictures = [(media, attempt.batch.items.get(media["_id"])) for _, media in held]
    cropped = [
        (updates, picture)
        for updates, picture in [(attempt.updates, attempt.original), *pictures]
        if picture and has_crops(updates)
    ]
    if not cropped:
        return
    sizes = crop_sizes(tools.db)
    for updates, picture in cropped:
        check_crops(updates, picture, sizes)


def check_groups_sent(attempt: Attempt, tools: Tools) -> None:
    """Groups in the request hang together."""
    if is_package(attempt.original) and attempt.updates.get("groups") is not None:
        attempt.batch.packages.check(
            attempt.updates["groups"],
            attempt.original["_id"],
            is_new=False,
            known=attempt.batch.items,
        )


def check_holdings(attempt: Attempt, tools: Tools) -> None:
    """What the item holds may go out with it.

    Raises:
        MessagesError: it may not, for the reasons given.
        BadRequest: something is missing, or a package is empty.
        TransitionError: the state of something that goes out does not allow it.
    """
    messages = [
        *_package_messages(attempt),
        *_association_messages(attempt.item, attempt, tools),
    ]
    for member in _members_in_order(attempt):
        messages.extend(_association_messages(member, attempt, tools))
        messages.extend(_messages(member, None, attempt, tools))
    if is_package(attempt.item) and not any(member_ids(attempt.item.get("groups"))):
        if attempt.action == Action.CORRECT:
            messages.append(EMPTY_CORRECTION)
        elif not messages:
            raise BadRequest(EMPTY_PACKAGE)
    if messages:
        raise MessagesError(messages)
    _check_members(attempt)
    if tools.settings["PUBLISH_ASSOCIATED_ITEMS"]:
        _check_associated(attempt)


def check_holdings_unlocked(attempt: Attempt, tools: Tools) -> None:
    """Nobody works on the associated items that are withdrawn together with the item."""
    if not tools.settings["PUBLISH_ASSOCIATED_ITEMS"]:
        return
    messages: list[str] = []
    for _key, held in with_ids(attempt.item):
        stored = attempt.batch.items.get(held["_id"], {})
        if is_allowed(Action.KILL, stored.get("state")):
            messages.extend(_lock_messages({**stored, **held}, stored, attempt))
    if messages:
        raise MessagesError(messages)


def _package_messages(attempt: Attempt) -> Iterator[str]:
    if not is_package(attempt.item):
        return
    state = attempt.original.get("state")
    if state in (State.SPIKED, State.SCHEDULED):
        yield f"Package cannot be {state}"
    if attempt.item.get("embargo"):
        yield "Package cannot have Embargo"


def _association_messages(item: Mapping[str, Any], attempt: Attempt, tools: Tools) -> Iterator[str]:
    """Yield why what the item, or a member of it, is associated with may not go out."""
    for _key, held in present(item):
        if is_fetchable(held):
            stored = attempt.batch.items.get(held.get("_id") or "")
            yield from _messages(stored or held, held, attempt, tools)


def _members_in_order(attempt: Attempt) -> list[Document]:
    """Return what goes out with a package: the members of inner packages before these."""
    is_correction = attempt.action == Action.CORRECT
    batch = attempt.batch
    direct = members_to_publish(
        attempt.updates, attempt.original, batch, is_correction=is_correction
    )
    if not is_correction:
        direct = list(dict.fromkeys(member_ids(attempt.item.get("groups"))))
    found: dict[str, Document] = {}

    def collect(ids: Any) -> None:
        for member_id in ids:
            member = batch.items.get(member_id)
            if member is None or member_id in found:
                continue
            found[member_id] = {}
            if is_package(member):
                collect(member_ids(member.get("groups")))
            # After its own members, wherever it was met first.
            del found[member_id]
            found[member_id] = member

    if is_package(attempt.item):
        collect(direct)
    return list(found.values())


def _messages(
    stored: Mapping[str, Any], held: Mapping[str, Any] | None, attempt: Attempt, tools: Tools
) -> Iterator[str]:
    """Yield why an item may not go out with another.

    Args:
        stored: the item as stored; the association where it names none.
        held: the association; None for a member of a package.
    """
    document = {**stored, **(held or {})}
    state = stored.get("state")
    schedule = utc_of(attempt.item, "publish_schedule")
    if state in REFUSED_STATES or (state == State.SCHEDULED and not schedule):
        yield BAD_STATE.format(state=state)
    elif state == State.SCHEDULED and _is_later(stored, schedule):
        yield BAD_SCHEDULE
    if document.get("embargo"):
        yield BAD_EMBARGO
    if state not in VALID_STATES:
        document["state"] = state
        result = attempt.validator(tools).validate(
            document,
            act=attempt.act,
            type=document.get("type"),
            embedded=held is not None,
            language=attempt.caller.language,
        )
        for message in result.messages:
            yield INVALID.format(
                slugline=document.get("slugline") or "", name=_name(document), message=message
            )
    if tools.settings["PUBLISH_ASSOCIATED_ITEMS"]:
        yield from _lock_messages(document, stored, attempt)


def _lock_messages(
    document: Mapping[str, Any], stored: Mapping[str, Any], attempt: Attempt
) -> Iterator[str]:
    holder = stored.get("lock_user") if "_id" in stored else None
    if holder and stored.get("lock_session"):
        is_own = str(holder) == str(attempt.original.get("lock_user"))
        yield (LOCKED_BY_YOU if is_own else LOCKED).format(name=_name(document))


def _name(document: Mapping[str, Any]) -> str:
    return str(document.get("headline") or document.get("_id") or "")


def _is_later(item: Mapping[str, Any], schedule: datetime | None) -> bool:
    own = utc_of(item, "publish_schedule")
    return own is not None and schedule is not None and own > schedule


def _check_members(attempt: Attempt) -> None:
    """Every member exists, and its state allows that it goes out."""
    if not is_package(attempt.item):
        return
    for ref in member_refs(attempt.item.get("groups")):
        is_ours = ref.get("location") in (None, "archive")
        if is_ours and ref["residRef"] not in attempt.batch.items:
            raise BadRequest(NO_MEMBER.format(id=ref["residRef"]))
    for member in _members_in_order(attempt):
        state = member.get("state")
        if state in PUBLISH_STATES:
            continue
        _check_may_go_out(member)
        if not is_allowed(Action.PUBLISH, state):
            raise TransitionError(REFUSED.format(action=attempt.action, state=state))


def _check_may_go_out(item: Mapping[str, Any]) -> None:
    """The item is not kept from publication by its flag."""
    if (item.get("flags") or {}).get("marked_for_not_publication"):
        raise BadRequest(NOT_FOR_PUBLICATION)


def _check_associated(attempt: Attempt) -> None:
    """Every associated item exists, and its state allows that it goes out."""
    for key, held in with_ids(attempt.item):
        if not is_fetchable(held):
            continue
        stored = attempt.batch.items.get(held["_id"])
        if stored is None:
            if held.get("state") not in PUBLISH_STATES:
                raise BadRequest(NO_ITEM.format(key=key))
            continue
        state = stored.get("state")
        if state in PUBLISH_STATES:
            continue
        _check_may_go_out(stored)
        if not is_allowed(Action.PUBLISH, state):
            text = TEXT_REFUSED if stored.get("type") == ItemType.TEXT else REFUSED
            raise TransitionError(text.format(action=Operation.PUBLISH, state=state))
