"""Correct an item that is out."""

from apps.core.vocabulary import Operation, State
from apps.core.workflow import Action
from apps.publish.content.attempt import Attempt
from apps.publish.content.checks import (
    check_for_publication,
    check_new_embargo,
    check_no_late_embargo,
    check_transition,
    check_valid,
)
from apps.publish.content.common import BasePublishService


class CorrectPublishService(BasePublishService):
    """A new version of a published item, for everybody who has the old one."""

    endpoint = "archive_correct"
    operation = Operation.CORRECT
    action = Action.CORRECT
    act = "correct"
    result_state = State.CORRECTED
    checks = (
        check_transition,
        check_for_publication,
        check_new_embargo,
        check_no_late_embargo,
        check_valid,
    )

    def stamp(self, attempt: Attempt) -> None:
        self.complete_schedule(attempt)
        super().stamp(attempt)
        self.sign(attempt)
        attempt.updates["versioncreated"] = attempt.now
        sequence = attempt.original.get("correction_sequence") or 1
        attempt.updates["correction_sequence"] = sequence + 1
        if not self.keeps_embargo(attempt):
            attempt.updates["embargo"] = None
