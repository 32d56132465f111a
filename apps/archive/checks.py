"""Refusals of creating and saving an item, one function per rule (lifecycle contract 1.9, 3.3)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.database import Database

from apps.archive.associations import associations_with_ids, named_items
from apps.archive.crops import check_crops, crop_sizes, has_crops
from apps.archive.packages import Packages, is_package
from apps.archive.places import LOCKED_BY_OTHER, NOWHERE, Place, is_locked_by_other
from apps.archive.times import (
    TIMES,
    check_embargo,
    check_no_embargo_on_package,
    check_schedule,
    check_schedule_year,
    touches_times,
    utc_after,
)
from apps.archive.visibility import check_may_read_ids
from apps.core.caller import Caller
from apps.core.documents import object_of, objects
from apps.core.errors import BadRequest, Forbidden, ReadOnlyStage
from apps.core.privileges import NO_PRIVILEGE
from apps.core.service import Document
from apps.core.vocabulary import BROADCAST_SCRIPT, PUBLISH_STATES, State
from apps.core.workflow import Action, check_allowed

NO_ANNOUNCEMENTS = "Package doesn't support Public Service Announcements"
NO_PERSONAL_PACKAGES = "Packages can not be created in the personal space."
NO_SCHEDULE_IN_PACKAGE = (
    "This item is in a package and it needs to be removed before the item can be scheduled!"
)
NO_OTHER_GENRE = "Cannot change the genre for broadcast content."


@dataclass(frozen=True)
class Save:
    """A save that is being checked; nothing is stored yet.

    Attributes:
        updates: what will be stored.
        original: the item as stored; empty for a new one.
        place: desk and stage of the item afterwards.
        legal_db: database of the long-term archive.
        now: time of the save.
        before: desk and stage of the item as stored, where these are others.
        associated: stored items that the associations of `updates` name, by id.
        is_forced: the client insists, whoever holds the lock.
        has_state: the save leads to a state; otherwise it is stored whatever state the item has.
    """

    updates: Document
    original: Mapping[str, Any]
    place: Place
    caller: Caller
    db: Database[Document]
    legal_db: Database[Document]
    now: datetime
    before: Place = NOWHERE
    associated: Mapping[str, Document] = field(default_factory=dict)
    is_forced: bool = False
    has_state: bool = True

    @property
    def item(self) -> Document:
        """The item as it would be stored."""
        return {**self.original, **self.updates}


Check = Callable[[Save], None]


def check_writable_stage(save: Save) -> None:
    """Users leave read-only stages alone, except for ingested items."""
    is_read_only = save.place.is_read_only or save.before.is_read_only
    item = save.original or save.updates
    if is_read_only and save.caller.user and not item.get("ingest_id"):
        raise ReadOnlyStage


def check_named_items(save: Save) -> None:
    """The caller may read what the item comes to hold: associations, and members of a package."""
    new = named_items(save.updates) - named_items(save.original)
    check_may_read_ids(save.db, new, save.caller)


def check_lock(save: Save) -> None:
    """Nobody else holds the item."""
    if not save.is_forced and is_locked_by_other(save.original, save.caller):
        raise Forbidden(LOCKED_BY_OTHER)


def check_not_withdrawn(save: Save) -> None:
    """The item has not been killed or recalled."""
    if save.original.get("state") in (State.KILLED, State.RECALLED):
        raise Forbidden("Item isn't in a valid state to be updated.")


def check_no_announcement(save: Save) -> None:
    """A package has no `body_footer`."""
    if is_package(save.item) and save.updates.get("body_footer"):
        raise BadRequest(NO_ANNOUNCEMENTS)


def check_unique_name(save: Save) -> None:
    """Only those who may do so rename the item."""
    stored = save.original.get("unique_name")
    is_renamed = save.updates.get("unique_name", stored) != stored
    if is_renamed and not save.is_forced and not save.caller.may("metadata_uniquename"):
        raise Forbidden("Unauthorized to modify Unique Name")


def check_broadcast_genre(save: Save) -> None:
    """A broadcast script stays one."""
    if not save.original.get("broadcast"):
        return
    codes = [genre.get("qcode") for genre in objects(save.updates.get("genre"))]
    if any(str(code or "").lower() != BROADCAST_SCRIPT.lower() for code in codes):
        raise BadRequest(NO_OTHER_GENRE)


def check_not_scheduled_in_package(save: Save) -> None:
    """A member of a package gets no time of its own before it is out."""
    if save.is_forced or not save.original.get("linked_in_packages"):
        return
    settings = object_of(save.updates, "schedule_settings")
    is_timed = bool(save.updates.get("publish_schedule")) or any(settings.values())
    if is_timed and save.original.get("state") != State.PUBLISHED:
        raise BadRequest(NO_SCHEDULE_IN_PACKAGE)


def check_schedule_possible(save: Save) -> None:
    """A publish time in the save is one to come."""
    if not touches_times(save.updates):
        return
    times = {name: utc_after(save.updates, save.original, name) for name in TIMES}
    schedule = times["publish_schedule"]
    if schedule and save.updates.get("publish_schedule"):
        check_schedule_year(schedule)
        if not save.is_forced:
            check_schedule(schedule, save.now)


def check_embargo_possible(save: Save) -> None:
    """The item can have the embargo that it gets, or has while its times change."""
    if save.is_forced or not touches_times(save.updates):
        return
    check_no_embargo_on_package(save.item)
    embargo = utc_after(save.updates, save.original, "embargo")
    if embargo:
        check_embargo(save.item, embargo, save.now)


def check_picture_crops(save: Save) -> None:
    """Crops of a picture, and of associated pictures, are possible."""
    if save.is_forced:
        return
    cropped = list(_cropped(save))
    if not cropped:
        return
    sizes = crop_sizes(save.db)
    for updates, picture in cropped:
        check_crops(updates, picture, sizes)


def _cropped(save: Save) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Yield what brings crops, with the stored picture that it changes."""
    if has_crops(save.updates):
        yield save.updates, save.original
    for _key, held in associations_with_ids(save.updates):
        picture = save.associated.get(held["_id"])
        if picture and has_crops(held):
            yield held, picture


def check_on_desk(save: Save) -> None:
    """A package is on a desk."""
    if is_package(save.item) and not save.place.desk:
        raise Forbidden(NO_PERSONAL_PACKAGES)


def check_groups(save: Save) -> None:
    """The groups of a package hang together, and its members may be in it."""
    if is_package(save.item) and save.updates.get("groups") is not None:
        package_id = save.item["_id"]
        packages = Packages(save.db, save.legal_db)
        packages.check(save.updates["groups"], package_id, is_new=not save.original)


def check_may_claim_state(save: Save) -> None:
    """Only those who may publish create an item in a state that publishing gives."""
    is_given = save.updates.get("state") in PUBLISH_STATES | {State.CORRECTION}
    if is_given and not save.caller.may("publish"):
        raise Forbidden(NO_PRIVILEGE)


def check_no_duplicates(save: Save) -> None:
    """No two categories have one code, no two subjects one scheme and code."""
    categories = Counter(c.get("qcode") for c in objects(save.updates.get("anpa_category")))
    if any(count > 1 for count in categories.values()):
        raise BadRequest("Duplicate category codes are not allowed")
    named = objects(save.updates.get("subject"))
    subjects = Counter((subject.get("scheme"), subject.get("qcode")) for subject in named)
    if any(count > 1 for count in subjects.values()):
        raise BadRequest("Duplicate subjects are not allowed")


def check_state(save: Save) -> None:
    """The item's state allows a save."""
    if save.has_state:
        check_allowed(Action.SAVE, save.original.get("state"))


CREATE_CHECKS: tuple[Check, ...] = (
    check_may_claim_state,
    check_writable_stage,
    check_named_items,
    check_no_announcement,
    check_on_desk,
    check_groups,
)
"""Refusals of a POST, in order."""

SAVE_CHECKS: tuple[Check, ...] = (
    check_writable_stage,
    check_named_items,
    check_lock,
    check_not_withdrawn,
    check_no_announcement,
    check_unique_name,
    check_broadcast_genre,
    check_not_scheduled_in_package,
    check_schedule_possible,
    check_groups,
    check_picture_crops,
    check_embargo_possible,
    check_no_duplicates,
    check_state,
)
"""Refusals of a PATCH, in their order (lifecycle contract 3.3)."""

RESTORE_CHECKS: tuple[Check, ...] = (check_writable_stage, check_lock, check_not_withdrawn)
