"""Kill an item that is out: it must not be used any more."""

from collections.abc import Mapping
from typing import Any, ClassVar

from apps.archive.journal.follow_ups import change, with_follow_ups
from apps.core.caller import Caller
from apps.core.service import Document
from apps.core.vocabulary import Operation, PubStatus, State
from apps.core.workflow import Action
from apps.publish.content.checks import (
    Check,
    check_for_publication,
    check_no_dateline,
    check_no_late_embargo,
    check_not_in_live_package,
    check_transition,
    check_valid,
)
from apps.publish.content.common import BasePublishService
from apps.publish.content.correction import scheduled_row
from apps.publish.content.kill_mail import kill_mail
from apps.publish.content.notice import notice
from apps.publish.content.publication import Attempt
from apps.publish.content.related_checks import check_holdings_unlocked
from apps.store.collections import PUBLISHED, SUBSCRIBERS


class KillPublishService(BasePublishService):
    """Recall an item as killed: everybody who has the story gets the kill.

    Attributes:
        notice_word: word of the header that is put before the body; None puts none.
    """

    endpoint = "archive_kill"
    operation = Operation.KILL
    action = Action.KILL
    act = "kill"
    result_state = State.KILLED
    pubstatus = PubStatus.CANCELED
    checks: ClassVar[tuple[Check, ...]] = (
        check_not_in_live_package,
        check_transition,
        check_for_publication,
        check_no_late_embargo,
        check_no_dateline,
        check_valid,
        check_holdings_unlocked,
    )
    carries_associated = True
    notice_word: str | None = "kill"

    def stamp(self, attempt: Attempt) -> None:
        attempt.updates.update({"embargo": None, "publish_schedule": None})
        attempt.updates["schedule_settings"] = {}
        if attempt.original.get("marked_for_user"):
            attempt.updates["marked_for_user"] = None
        super().stamp(attempt)
        attempt.updates["versioncreated"] = attempt.now
        if self.notice_word:
            body = attempt.updates.get("body_html") or ""
            header = notice(self.notice_word, attempt.original, self._published_at(attempt))
            attempt.updates["body_html"] = header + body

    def annotate(
        self, note: Document, updates: Mapping[str, Any], original: Mapping[str, Any]
    ) -> None:
        super().annotate(note, updates, original)
        if original.get("marked_for_user"):
            marked = {"item_id": original["_id"]}
            unmarked = change(PUBLISHED, marked, {"marked_for_user": None})
            note.update(with_follow_ups(note, [unmarked]))
        # What was only scheduled has no recipients; a withdrawal of it must not find any.
        if original.get("state") == State.SCHEDULED or self._was_scheduled(original):
            note["only_scheduled"] = True
        if self.notice_word and self.tools.sends_mail:
            subscribers = self.db[SUBSCRIBERS].find({}, {"email": 1}).sort("_id", 1)
            item = {**original, **updates}
            note["mail"] = kill_mail(self.operation, item, updates.get("headline"), subscribers)

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        super().on_updated(updates, original, caller)
        if self.notice_word:
            self.tools.wake_mailer()

    def _was_scheduled(self, original: Mapping[str, Any]) -> bool:
        is_under_correction = original.get("state") == State.CORRECTION
        return is_under_correction and scheduled_row(self.db, original["_id"]) is not None

    def _published_at(self, attempt: Attempt) -> Any:
        last = {"item_id": attempt.original["_id"], "last_published_version": True}
        row = self.db[PUBLISHED].find_one(last, {"versioncreated": 1})
        return (row or attempt.original).get("versioncreated") or attempt.now
