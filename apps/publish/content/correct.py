"""Correct an item that is out."""

from apps.archive.associations import drop_stale_renditions, present
from apps.archive.editor import complete_from_editor
from apps.archive.journal.follow_ups import with_follow_ups
from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import Operation, State
from apps.core.workflow import Action
from apps.newsroom.activity.activities import activities_in, tell_activities
from apps.publish.content.checks import (
    check_crops_sent,
    check_for_publication,
    check_groups_sent,
    check_held_items,
    check_new_embargo,
    check_no_late_embargo,
    check_related_out,
    check_targets,
    check_transition,
    check_valid,
)
from apps.publish.content.common import BasePublishService
from apps.publish.content.publication import Publication, PublishRequest
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
        check_held_items,
    )
    carries_members = True
    carries_associated = True

    def prepare(
        self, updates: Document, original: Document, request: PublishRequest
    ) -> Publication:
        # Before the checks, so that what is checked is what will be stored.
        complete_from_editor(updates, original)
        return super().prepare(updates, original, request)

    def stamp(self, publication: Publication) -> None:
        self.complete_schedule(publication)
        super().stamp(publication)
        self.sign(publication)
        before = object_of(publication.original, "associations")
        for key, held in present(publication.updates):
            held.pop("is_queued", None)
            drop_stale_renditions(held, before.get(key))
        publication.updates["versioncreated"] = publication.now
        sequence = publication.original.get("correction_sequence") or 1
        publication.updates["correction_sequence"] = sequence + 1
        if not self.keeps_embargo(publication):
            publication.updates["embargo"] = None

    def annotate(self, note: Document, publication: Publication) -> None:
        super().annotate(note, publication)
        if not publication.original.get("translations"):
            return
        translations = Translations(self.db, publication.item, note["user_id"])
        note.update(with_follow_ups(note, translations.activities(self.clock.now())))
        if self.collaborators.sends_mail and (mail := translations.mail()):
            note["mail"] = mail

    def on_stored(self, note: Document) -> None:
        tell_activities(self.collaborators.notifier, activities_in(note), seen_by=[])

    def finish(self, publication: Publication) -> None:
        super().finish(publication)
        if publication.original.get("translations"):
            self.collaborators.wake_mailer()
