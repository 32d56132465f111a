"""Withdraw an item that may be edited and published again."""

from apps.core.vocabulary import Operation, State
from apps.publish.content.checks import (
    check_for_publication,
    check_no_dateline,
    check_no_late_embargo,
    check_transition,
    check_valid,
)
from apps.publish.content.kill import KillPublishService


class UnpublishService(KillPublishService):
    """As a kill without its notice; packages do not stand in the way."""

    endpoint = "archive_unpublish"
    operation = Operation.UNPUBLISH
    result_state = State.UNPUBLISHED
    sends_notice = False
    checks = (
        check_transition,
        check_for_publication,
        check_no_late_embargo,
        check_no_dateline,
        check_valid,
    )
    carries_associated = False
