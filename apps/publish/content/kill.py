"""Kill an item that is out: it must not be used any more."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from apps.archive.journal.follow_ups import change, with_follow_ups
from apps.core.service import Document
from apps.core.vocabulary import Operation, PubStatus, State
from apps.core.workflow import Action
from apps.publish.content.broadcasts import BroadcastScripts
from apps.publish.content.checks import (
    Check,
    check_associated_unlocked,
    check_for_publication,
    check_no_dateline,
    check_no_late_embargo,
    check_not_in_live_package,
    check_transition,
    check_valid,
)
from apps.publish.content.collaborators import Collaborators
from apps.publish.content.common import BasePublishService
from apps.publish.content.correction import scheduled_row
from apps.publish.content.notice import kill_mail, notice
from apps.publish.content.publication import NestedPublishing, Publication
from apps.store.collections import PUBLISHED, SUBSCRIBERS


class KillPublishService(BasePublishService):
    """Recall an item as killed: everybody who has the story gets the kill.

    Attributes:
        sends_notice: the body gets a header that asks receivers to drop the item; a mail asks, too.
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
        check_associated_unlocked,
        check_for_publication,
        check_no_late_embargo,
        check_no_dateline,
        check_valid,
        check_associated_unlocked,
    )
    carries_associated = True
    sends_notice: ClassVar[bool] = True

    def __init__(self, collaborators: Collaborators, nested: NestedPublishing) -> None:
        super().__init__(collaborators, nested)
        self._scripts = BroadcastScripts(collaborators, nested)

    def stamp(self, publication: Publication) -> None:
        publication.updates.update({"embargo": None, "publish_schedule": None})
        publication.updates["schedule_settings"] = {}
        if publication.original.get("marked_for_user"):
            publication.updates["marked_for_user"] = None
        super().stamp(publication)
        publication.updates["versioncreated"] = publication.now
        if self.sends_notice:
            header = notice(self.operation, publication.original, self._published_at(publication))
            publication.updates["body_html"] = header + publication.body
            # The notice is what the request says: nothing of the text that it withdraws.
            publication.updates.setdefault("abstract", None)

    def annotate(self, note: Document, publication: Publication) -> None:
        super().annotate(note, publication)
        original, updates = publication.original, publication.updates
        if original.get("marked_for_user"):
            marked = {"item_id": original["_id"]}
            unmarked = change(PUBLISHED, marked, {"marked_for_user": None})
            note.update(with_follow_ups(note, [unmarked]))
        # What was only scheduled has no recipients; a withdrawal of it must not find any.
        if original.get("state") == State.SCHEDULED or self._was_scheduled(original):
            note["only_scheduled"] = True
        if self.sends_notice and self.collaborators.sends_mail:
            subscribers = self.db[SUBSCRIBERS].find({}, {"email": 1}).sort("_id", 1)
            note["mail"] = kill_mail(
                self.operation, publication.item, updates.get("headline"), subscribers
            )

    def _publish_held(self, publication: Publication) -> None:
        super()._publish_held(publication)
        if self.has_broadcasts:
            self._scripts.withdraw(publication)

    def finish(self, publication: Publication) -> None:
        super().finish(publication)
        if self.sends_notice:
            self.collaborators.wake_mailer()

    def _was_scheduled(self, original: Mapping[str, Any]) -> bool:
        is_under_correction = original.get("state") == State.CORRECTION
        return is_under_correction and scheduled_row(self.db, original["_id"]) is not None

    def _published_at(self, publication: Publication) -> Any:
        last = {"item_id": publication.original["_id"], "last_published_version": True}
        row = self.db[PUBLISHED].find_one(last, {"versioncreated": 1})
        at = (row or publication.original).get("versioncreated")
        return at if isinstance(at, datetime) else publication.now
