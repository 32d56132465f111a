"""Refusals of the publish operations, one function per rule (lifecycle contract 4.6, 5.1, 5.8).

First the rules for the item itself, then those for what it holds.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from apps.archive.associations import associations_with_ids, present
from apps.archive.crops import check_crops, crop_sizes, has_crops
from apps.archive.packages import is_package, member_ids, member_refs, package_ids
from apps.archive.times import check_embargo, check_schedule, utc_after, utc_of
from apps.core.documents import object_of, objects_of
from apps.core.embargo import embargo_of
from apps.core.errors import BadRequest, MessagesError, TransitionError, WarningsError
from apps.core.ids import forms_of, id_key
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, ItemType, Operation, State
from apps.core.workflow import Action, is_allowed
from apps.publish.content.associated_items import is_fetchable, waits_with
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.package_members import members_to_publish
from apps.publish.content.publication import Publication
from apps.store.collections import ARCHIVE, SUBSCRIBERS

Check = Callable[[Publication, Collaborators], None]

TEXT_REFUSED = "Can't {action} as item state is {state}"
OTHER_REFUSED = "Can't {action} as either package state or one of the items state is {state}"
NOT_FOR_PUBLICATION = "Cannot publish an item which is marked as Not for Publication"
EMBARGO_TOO_LATE = "Embargo can't be set after publishing"
DATELINE_FIXED = "Dateline can't be modified on kill or take down"
UPDATE_IS_OUT = "Cannot publish the story after Update is published."
ORIGINAL_NOT_OUT = "Can't publish update until original story is published."
IN_PACKAGE = "This item is in a package. It needs to be removed before the item can be killed"
NOT_TARGETABLE = "Subscriber(s) cannot be targeted: {names}"
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
DEAD_STATES = (State.KILLED, State.RECALLED, State.UNPUBLISHED)


def check_transition(publication: Publication, collaborators: Collaborators) -> None:
    """The item's state allows the action."""
    state = publication.original.get("state")
    if is_allowed(publication.action, state):
        return
    is_text = publication.original.get("type") == ItemType.TEXT
    text = TEXT_REFUSED if is_text else OTHER_REFUSED
    raise TransitionError(text.format(action=publication.action, state=state))


def check_for_publication(publication: Publication, collaborators: Collaborators) -> None:
    """Neither the item nor the request marks it as not for publication."""
    for document in (publication.original, publication.updates):
        if object_of(document, "flags").get("marked_for_not_publication"):
            raise BadRequest(NOT_FOR_PUBLICATION)


def check_schedule_ahead(publication: Publication, collaborators: Collaborators) -> None:
    """A publish time, from the request or stored, has not passed."""
    schedule = utc_after(publication.updates, publication.original, "publish_schedule")
    if schedule:
        check_schedule(schedule, publication.now)


def check_new_embargo(publication: Publication, collaborators: Collaborators) -> None:
    """An embargo that changes is possible."""
    embargo = utc_after(publication.updates, publication.original, "embargo")
    if not embargo or publication.item.get("type") == ItemType.COMPOSITE:
        return
    if embargo != utc_of(publication.original, "embargo"):
        check_embargo(publication.item, embargo, publication.now)


def check_no_late_embargo(publication: Publication, collaborators: Collaborators) -> None:
    """An item that is out without an embargo gets none."""
    if publication.updates.get("embargo") and not publication.original.get("embargo"):
        raise BadRequest(EMBARGO_TOO_LATE)


def check_no_dateline(publication: Publication, collaborators: Collaborators) -> None:
    """A withdrawal leaves the dateline alone."""
    if "dateline" in publication.updates:
        raise BadRequest(DATELINE_FIXED)


def check_update_not_out(publication: Publication, collaborators: Collaborators) -> None:
    """The story's update has not been published before it."""
    update_id = publication.original.get("rewritten_by")
    if update_id and _state_of(update_id, collaborators)[0] in PUBLISH_STATES:
        raise BadRequest(UPDATE_IS_OUT)


def check_original_out(publication: Publication, collaborators: Collaborators) -> None:
    """The story that this one updates is out, or will be out earlier."""
    original_id = publication.item.get("rewrite_of")
    if not original_id:
        return
    state, schedule = _state_of(original_id, collaborators)
    if state is None:
        return
    if state not in PUBLISH_STATES:
        raise BadRequest(ORIGINAL_NOT_OUT)
    own_time = (
        utc_after(publication.updates, publication.original, "publish_schedule") or publication.now
    )
    if state == State.SCHEDULED and schedule and schedule >= own_time:
        raise BadRequest(ORIGINAL_NOT_OUT)


def _state_of(item_id: str, collaborators: Collaborators) -> tuple[str | None, datetime | None]:
    fields = {"state": 1, "publish_schedule": 1, "schedule_settings": 1}
    item = collaborators.db[ARCHIVE].find_one({"_id": item_id}, fields)
    return (item.get("state"), utc_of(item, "publish_schedule")) if item else (None, None)


def check_not_in_live_package(publication: Publication, collaborators: Collaborators) -> None:
    """No package that holds the item is still out."""
    ids = package_ids(publication.original)
    if not ids:
        return
    alive = {"_id": {"$in": ids}, "state": {"$nin": list(DEAD_STATES)}}
    if collaborators.db[ARCHIVE].find_one(alive, {"_id": 1}):
        raise BadRequest(IN_PACKAGE)


def check_targets(publication: Publication, collaborators: Collaborators) -> None:
    """Nobody is targeted who must not be, where the setting says so (routing contract 1).

    Who was targeted when the item went out stays so.
    """
    if not collaborators.settings["STRICT_TARGETING"]:
        return
    named = _targets(publication.item)
    if publication.original.get("state") in PUBLISH_STATES:
        named -= _targets(publication.original)
    if not named:
        return
    closed = {"_id": {"$in": forms_of(sorted(named))}, "is_targetable": False}
    found = collaborators.db[SUBSCRIBERS].find(closed, {"name": 1}).sort("name", 1)
    if names := ", ".join(str(subscriber["name"]) for subscriber in found):
        raise BadRequest(NOT_TARGETABLE.format(names=names))


def _targets(item: Mapping[str, Any]) -> set[str]:
    entries = objects_of(item, "target_subscribers")
    return {id_key(entry["_id"]) for entry in entries if "_id" in entry}


def check_valid(publication: Publication, collaborators: Collaborators) -> None:
    """The item satisfies its content profile or the validators."""
    act = "auto_publish" if publication.updates.get("auto_publish") else publication.act
    item = publication.item
    language = publication.caller.language
    publication.request.validator.check(item, act=act, type=item.get("type"), language=language)


def check_related_out(publication: Publication, collaborators: Collaborators) -> None:
    """Related content is out, or the user said that it does not matter."""
    confirmed = publication.caller.arguments.get("publishing_warnings_confirmed")
    if collaborators.settings["PUBLISH_ASSOCIATED_ITEMS"] or str(confirmed).lower() == "true":
        return
    for key, held in associations_with_ids(publication.item):
        item = publication.request.items.get(held["_id"])
        if key in publication.request.related and item and item.get("state") not in PUBLISH_STATES:
            raise WarningsError([UNPUBLISHED_RELATED])


def check_crops_sent(publication: Publication, collaborators: Collaborators) -> None:
    """Crops in the request, of the item or of pictures that it holds, are possible."""
    held = associations_with_ids({"associations": publication.request.sent})
    pictures = [(media, publication.request.items.get(media["_id"])) for _, media in held]
    cropped = [
        (updates, picture)
        for updates, picture in [(publication.updates, publication.original), *pictures]
        if picture and has_crops(updates)
    ]
    if not cropped:
        return
    sizes = crop_sizes(collaborators.db)
    for updates, picture in cropped:
        check_crops(updates, picture, sizes)


def check_groups_sent(publication: Publication, collaborators: Collaborators) -> None:
    """Groups in the request hang together."""
    if is_package(publication.original) and publication.updates.get("groups") is not None:
        publication.request.packages.check(
            publication.updates["groups"],
            publication.original["_id"],
            is_new=False,
            known=publication.request.items,
        )


def check_held_items(publication: Publication, collaborators: Collaborators) -> None:
    """What the item holds may go out with it.

    Raises:
        MessagesError: it may not, for the reasons given.
        BadRequest: something is missing, or a package is empty.
        TransitionError: the state of something that goes out does not allow it.
    """
    messages = [
        *_package_messages(publication),
        *_association_messages(publication.item, publication, collaborators),
    ]
    for member in _members_in_order(publication):
        messages.extend(_association_messages(member, publication, collaborators))
        messages.extend(_messages(member, None, publication, collaborators))
    if is_package(publication.item) and not any(member_ids(publication.item.get("groups"))):
        if publication.is_correction:
            messages.append(EMPTY_CORRECTION)
        elif not messages:
            raise BadRequest(EMPTY_PACKAGE)
    if messages:
        raise MessagesError(messages)
    _check_members(publication)
    if collaborators.settings["PUBLISH_ASSOCIATED_ITEMS"]:
        _check_associated(publication)


def check_associated_unlocked(publication: Publication, collaborators: Collaborators) -> None:
    """Nobody works on the associated items that are withdrawn together with the item."""
    if not collaborators.settings["PUBLISH_ASSOCIATED_ITEMS"]:
        return
    messages: list[str] = []
    for _key, held in associations_with_ids(publication.item):
        stored = publication.request.items.get(held["_id"], {})
        if is_allowed(Action.KILL, stored.get("state")):
            messages.extend(_lock_messages({**stored, **held}, stored, publication))
    if messages:
        raise MessagesError(messages)


def _package_messages(publication: Publication) -> Iterator[str]:
    if not is_package(publication.item):
        return
    state = publication.original.get("state")
    if state in (State.SPIKED, State.SCHEDULED):
        yield f"Package cannot be {state}"
    if publication.item.get("embargo"):
        yield "Package cannot have Embargo"


def _association_messages(
    item: Mapping[str, Any], publication: Publication, collaborators: Collaborators
) -> Iterator[str]:
    """Yield why what the item, or a member of it, is associated with may not go out."""
    for _key, held in present(item):
        if is_fetchable(held):
            stored = publication.request.items.get(held.get("_id") or "")
            yield from _messages(stored or held, held, publication, collaborators)


def _members_in_order(publication: Publication) -> list[Document]:
    """Return what goes out with a package: the members of inner packages before these."""
    if not is_package(publication.item):
        return []
    items = publication.request.items
    if publication.is_correction:
        direct = members_to_publish(publication)
    else:
        direct = list(dict.fromkeys(member_ids(publication.item.get("groups"))))
    found: dict[str, Document] = {}

    def collect(ids: Any) -> None:
        for member_id in ids:
            member = items.get(member_id)
            if member is None or member_id in found:
                continue
            found[member_id] = {}
            if is_package(member):
                collect(member_ids(member.get("groups")))
            # After its own members, wherever it was met first.
            del found[member_id]
            found[member_id] = member

    collect(direct)
    return list(found.values())


def _messages(
    stored: Mapping[str, Any],
    held: Mapping[str, Any] | None,
    publication: Publication,
    collaborators: Collaborators,
) -> Iterator[str]:
    """Yield why an item may not go out with another.

    Args:
        stored: the item as stored; the association where it names none.
        held: the association; None for a member of a package.
    """
    document = {**stored, **(held or {})}
    state = stored.get("state")
    schedule = utc_of(publication.item, "publish_schedule")
    if state in REFUSED_STATES or (state == State.SCHEDULED and not schedule):
        yield BAD_STATE.format(state=state)
    elif _is_later(stored, schedule) and not _moves_along(stored, publication, collaborators):
        yield BAD_SCHEDULE
    if document.get("embargo") or _is_embargoed_longer(document, publication):
        yield BAD_EMBARGO
    if state not in VALID_STATES:
        document["state"] = state
        result = publication.request.validator.validate(
            document,
            act=publication.act,
            type=document.get("type"),
            embedded=held is not None,
            language=publication.caller.language,
        )
        for message in result.messages:
            yield INVALID.format(
                slugline=document.get("slugline") or "", name=_name(document), message=message
            )
    if collaborators.settings["PUBLISH_ASSOCIATED_ITEMS"]:
        yield from _lock_messages(document, stored, publication)


def _lock_messages(
    document: Mapping[str, Any], stored: Mapping[str, Any], publication: Publication
) -> Iterator[str]:
    holder = stored.get("lock_user") if "_id" in stored else None
    if holder and stored.get("lock_session"):
        is_own = str(holder) == str(publication.original.get("lock_user"))
        yield (LOCKED_BY_YOU if is_own else LOCKED).format(name=_name(document))


def _name(document: Mapping[str, Any]) -> str:
    return str(document.get("headline") or document.get("_id") or "")


def _is_embargoed_longer(held: Mapping[str, Any], publication: Publication) -> bool:
    """Whether what an item holds came in with an embargo that ends after its own."""
    end = embargo_of({"embargoed": held.get("embargoed")}, publication.now)
    own = embargo_of(publication.item, publication.now)
    return end is not None and (own is None or own < end)


def _is_later(item: Mapping[str, Any], schedule: datetime | None) -> bool:
    if item.get("state") != State.SCHEDULED:
        return False
    own = utc_of(item, "publish_schedule")
    return own is not None and schedule is not None and own > schedule


def _moves_along(
    stored: Mapping[str, Any], publication: Publication, collaborators: Collaborators
) -> bool:
    """Whether an associated item gets the schedule of the item that it waits with."""
    is_published = collaborators.settings["PUBLISH_ASSOCIATED_ITEMS"]
    return bool(is_published) and waits_with(publication.original["_id"], stored)


def _check_members(publication: Publication) -> None:
    """Every member exists, and its state allows that it goes out."""
    if not is_package(publication.item):
        return
    for ref in member_refs(publication.item.get("groups")):
        is_ours = ref.get("location") in (None, "archive")
        if is_ours and ref["residRef"] not in publication.request.items:
            raise BadRequest(NO_MEMBER.format(id=ref["residRef"]))
    for member in _members_in_order(publication):
        state = member.get("state")
        if state in PUBLISH_STATES:
            continue
        _check_may_go_out(member)
        if not is_allowed(Action.PUBLISH, state):
            raise TransitionError(OTHER_REFUSED.format(action=publication.action, state=state))


def _check_may_go_out(item: Mapping[str, Any]) -> None:
    """The item is not kept from publication by its flag."""
    if object_of(item, "flags").get("marked_for_not_publication"):
        raise BadRequest(NOT_FOR_PUBLICATION)


def _check_associated(publication: Publication) -> None:
    """Every associated item exists, and its state allows that it goes out."""
    for key, held in associations_with_ids(publication.item):
        if not is_fetchable(held):
            continue
        stored = publication.request.items.get(held["_id"])
        if stored is None:
            if held.get("state") not in PUBLISH_STATES:
                raise BadRequest(NO_ITEM.format(key=key))
            continue
        state = stored.get("state")
        if state in PUBLISH_STATES:
            continue
        _check_may_go_out(stored)
        if not is_allowed(Action.PUBLISH, state):
            text = TEXT_REFUSED if stored.get("type") == ItemType.TEXT else OTHER_REFUSED
            raise TransitionError(text.format(action=Operation.PUBLISH, state=state))
