"""Refusals of creating and saving an item, one function per rule (lifecycle contract 1.9, 3.3)."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.archive.packages import Packages, is_package
from apps.archive.places import Place
from apps.core.caller import Caller
from apps.core.errors import BadRequest, Forbidden, ReadOnlyStage
from apps.core.service import Document
from apps.core.vocabulary import PUBLISH_STATES, State
from apps.core.workflow import Action, check_allowed

NO_ANNOUNCEMENTS = "Package doesn't support Public Service Announcements"
NO_PERSONAL_PACKAGES = "Packages can not be created in the personal space."
NO_SCHEDULE_IN_PACKAGE = (
    "This item is in a package and it needs to be removed before the item can be scheduled!"
)


@dataclass(frozen=True)
class Save:
    """A save that is being checked; nothing is stored yet.

    Attributes:
        updates: what will be stored.
        original: the item as stored; empty for a new one.
        place: desk and stage of the item afterwards.
        is_forced: the client insists, whoever holds the lock.
    """

    updates: Document
    original: Mapping[str, Any]
    place: Place
    caller: Caller
    packages: Packages
    is_forced: bool = False

    @property
    def item(self) -> Document:
        """The item as it would be stored."""
        return {**self.original, **self.updates}


Check = Callable[[Save], None]


def check_writable_stage(save: Save) -> None:
    """Users leave read-only stages alone, except for ingested items."""
    if save.place.is_read_only and save.caller.user and not save.item.get("ingest_id"):
        raise ReadOnlyStage


def check_lock(save: Save) -> None:
    """Nobody else holds the item."""
    holder = save.original.get("lock_user")
    if save.is_forced or not holder or not save.caller.user:
        return
    if str(holder) != str(save.caller.user_id):
        raise Forbidden("The item was locked by another user")


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


def check_not_scheduled_in_package(save: Save) -> None:
    """A member of a package gets no time of its own before it is out."""
    if save.is_forced or not save.original.get("linked_in_packages"):
        return
    if save.original.get("state") in PUBLISH_STATES - {State.SCHEDULED}:
        return
    settings = save.updates.get("schedule_settings") or {}
    if save.updates.get("publish_schedule") or settings.get("utc_publish_schedule"):
        raise BadRequest(NO_SCHEDULE_IN_PACKAGE)


def check_on_desk(save: Save) -> None:
    """A package is on a desk."""
    if is_package(save.item) and not save.place.desk:
        raise Forbidden(NO_PERSONAL_PACKAGES)


def check_groups(save: Save) -> None:
    """The groups of a package hang together, and its members may be in it."""
    if is_package(save.item) and save.updates.get("groups") is not None:
        package_id = save.item["_id"]
        save.packages.check(save.updates["groups"], package_id, is_new=not save.original)


def check_no_duplicates(save: Save) -> None:
    """No two categories have one code, no two subjects one scheme and code."""
    categories = Counter(c.get("qcode") for c in save.updates.get("anpa_category") or ())
    if any(count > 1 for count in categories.values()):
        raise BadRequest("Duplicate category codes are not allowed")
    subjects = Counter((s.get("scheme"), s.get("qcode")) for s in save.updates.get("subject") or ())
    if any(count > 1 for count in subjects.values()):
        raise BadRequest("Duplicate subjects are not allowed")


def check_state(save: Save) -> None:
    """The item's state allows a save."""
    check_allowed(Action.SAVE, save.original.get("state"))


CREATE_CHECKS: tuple[Check, ...] = (
    check_writable_stage,
    check_no_announcement,
    check_on_desk,
    check_groups,
)
"""Refusals of a POST, in order."""

SAVE_CHECKS: tuple[Check, ...] = (
    check_writable_stage,
    check_lock,
    check_not_withdrawn,
    check_no_announcement,
    check_unique_name,
    check_not_scheduled_in_package,
    check_groups,
    check_no_duplicates,
    check_state,
)
"""Refusals of a PATCH, in order; times are checked where they are computed."""

RESTORE_CHECKS: tuple[Check, ...] = (check_writable_stage, check_lock, check_not_withdrawn)
