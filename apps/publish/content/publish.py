"""Publish an item, now or at a scheduled time."""

from apps.archive.events import move_mark
from apps.archive.times import utc_of
from apps.core.vocabulary import Operation, State
from apps.core.workflow import Action
from apps.publish.content.checks import (
    check_for_publication,
    check_new_embargo,
    check_original_out,
    check_schedule_ahead,
    check_targets,
    check_transition,
    check_update_not_out,
    check_valid,
)
from apps.publish.content.common import BasePublishService
from apps.publish.content.publication import Attempt
from apps.publish.content.related_checks import (
    check_groups_sent,
    check_holdings,
    check_related_out,
)


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
        check_holdings,
    )
    carries_members = True
    carries_associated = True

    def stamp(self, attempt: Attempt) -> None:
        self.complete_schedule(attempt)
        super().stamp(attempt)
        self.sign(attempt)
        move_mark(attempt.updates, attempt.original)
        # What was only scheduled has not been out.
        is_scheduled = attempt.original.get("state") == State.SCHEDULED
        if is_scheduled or not attempt.original.get("firstpublished"):
            first = utc_of(attempt.item, "publish_schedule") or attempt.now
            attempt.updates["firstpublished"] = first

    def set_state(self, attempt: Attempt) -> None:
        # Only a schedule in the request holds the item back; one that was saved earlier is spent.
        if attempt.updates.get("publish_schedule"):
            attempt.updates["state"] = State.SCHEDULED
        else:
            super().set_state(attempt)
