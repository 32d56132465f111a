"""Publish an item, now or at a scheduled time."""

from apps.archive.events import move_mark
from apps.archive.times import utc_of
from apps.core.vocabulary import Operation, State
from apps.core.workflow import Action
from apps.publish.content.checks import (
    check_for_publication,
    check_groups_sent,
    check_held_items,
    check_new_embargo,
    check_original_out,
    check_related_out,
    check_schedule_ahead,
    check_targets,
    check_transition,
    check_update_not_out,
    check_valid,
)
from apps.publish.content.common import BasePublishService
from apps.publish.content.publication import Publication


class ArchivePublishService(BasePublishService):
    """First publication of an item, or a new one after it was unpublished."""

    endpoint = "archive_publish"
    operation = Operation.PUBLISH
    action = Action.PUBLISH
    act = "publish"
    result_state = State.PUBLISHED
    checks = (
        check_transition,
        check_related_out,
        check_for_publication,
        check_schedule_ahead,
        check_new_embargo,
        check_update_not_out,
        check_original_out,
        check_groups_sent,
        check_targets,
        check_valid,
        check_held_items,
    )
    carries_members = True
    carries_associated = True

    def stamp(self, publication: Publication) -> None:
        self.complete_schedule(publication)
        super().stamp(publication)
        self.sign(publication)
        move_mark(publication.updates, publication.original)
        # What was only scheduled has not been out.
        is_scheduled = publication.original.get("state") == State.SCHEDULED
        if is_scheduled or not publication.original.get("firstpublished"):
            first = utc_of(publication.item, "publish_schedule") or publication.now
            publication.updates["firstpublished"] = first

    def set_state(self, publication: Publication) -> None:
        # Only a schedule in the request holds the item back; one that was saved earlier is spent.
        if publication.updates.get("publish_schedule"):
            publication.updates["state"] = State.SCHEDULED
        else:
            super().set_state(publication)
