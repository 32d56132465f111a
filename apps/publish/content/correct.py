"""Correct an item that is out."""

from collections.abc import Mapping
from typing import Any

from apps.archive.associations import drop_stale_renditions, present
from apps.archive.editor import complete_from_editor
from apps.archive.journal.follow_ups import with_follow_ups
from apps.core.caller import Caller
from apps.core.service import Document
from apps.core.vocabulary import Operation, State
from apps.core.workflow import Action
from apps.publish.content.checks import (
    check_for_publication,
    check_new_embargo,
    check_no_late_embargo,
    check_targets,
    check_transition,
    check_valid,
)
from apps.publish.content.common import BasePublishService
from apps.publish.content.publication import Attempt
from apps.publish.content.related_checks import (
    check_crops_sent,
    check_groups_sent,
    check_holdings,
    check_related_out,
)
from apps.publish.content.request import Batch
from apps.publish.content.translations import Translations


class CorrectPublishService(BasePublishService):
    """A new version of a published item, for everybody who has the old one."""

    endpoint = "archive_correct"
    operation = Operation.CORRECT
    action = Action.CORRECT
    act = "correct"
    result_state = State.CORRECTED
    checks = (
        check_crops_sent,
        check_transition,
        check_related_out,
        check_for_publication,
        check_new_embargo,
        check_no_late_embargo,
        check_groups_sent,
        check_targets,
        check_valid,
        check_holdings,
    )
    carries_members = True
    carries_associated = True

    def prepare(self, updates: Document, original: Mapping[str, Any], batch: Batch) -> Attempt:
        # Before the checks, so that what is checked is what will be stored.
        complete_from_editor(updates, original)
        return super().prepare(updates, original, batch)

    def stamp(self, attempt: Attempt) -> None:
        self.complete_schedule(attempt)
        super().stamp(attempt)
        self.sign(attempt)
        before = attempt.original.get("associations") or {}
        for key, held in present(attempt.updates):
            held.pop("is_queued", None)
            drop_stale_renditions(held, before.get(key))
        attempt.updates["versioncreated"] = attempt.now
        sequence = attempt.original.get("correction_sequence") or 1
        attempt.updates["correction_sequence"] = sequence + 1
        if not self.keeps_embargo(attempt):
            attempt.updates["embargo"] = None

    def annotate(
        self, note: Document, updates: Mapping[str, Any], original: Mapping[str, Any]
    ) -> None:
        super().annotate(note, updates, original)
        if not original.get("translations"):
            return
        translations = Translations(self.db, {**original, **updates}, note["user_id"])
        note.update(with_follow_ups(note, translations.activities(self.clock.now())))
        if self.tools.sends_mail and (mail := translations.mail()):
            note["mail"] = mail

    def on_updated(self, updates: Document, original: Document, caller: Caller) -> None:
        super().on_updated(updates, original, caller)
        if original.get("translations"):
            self.tools.wake_mailer()
