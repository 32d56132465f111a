"""What becomes of a post when an update of its story is published (cms contract 7.3)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import text_of
from apps.core.service import Document
from apps.publisher.records.following import LINK
from apps.publisher.records.wishes import Wish, Wishes, is_live
from apps.publisher.run import story as stories
from apps.publisher.run.results import Task
from apps.publisher.schema import WishAction
from apps.store.collections import PUBLISHED, PUBLISHING_RECORDS

RETRACT = "retract"
LINKED_AFTER = timedelta(seconds=5)
"""By then the record of the update says where that is."""


class Update(NamedTuple):
    """An update of a story that is published at the same site."""

    url: str
    headline: str


class Superseding:
    """Lets earlier posts follow the updates of their stories.

    Args:
        db: the database.
        clock: source of the current time.
        wishes: makes wishes.
    """

    def __init__(self, db: Database[Document], clock: Clock, wishes: Wishes) -> None:
        self._db = db
        self._clock = clock
        self._wishes = wishes

    def follow(self, task: Task, item: Mapping[str, Any]) -> None:
        """Make the wish for the earlier post, once the update is live for the first time.

        Called before the outcome is stored: whoever dies in between does both again.

        Raises:
            Conflict: workers moved the earlier record every time.
        """
        way, earlier = _way(task), text_of(item, "rewrite_of")
        if way is None or not earlier or task.record.get("first_published_at"):
            return
        record = self._record_of(task, earlier)
        if record is None or not is_live(record):
            return
        version = record.get("published_version")
        if way == RETRACT:
            self._wishes.make_for(record, Wish(WishAction.RETRACT))
        else:
            due = self._clock.now() + LINKED_AFTER
            self._wishes.make_for(record, Wish(WishAction.PUBLISH, version, schedule_at=due))

    def update_of(self, task: Task, item: Mapping[str, Any]) -> Update | None:
        """Return the update that the post of an item has to lead to, None for none."""
        later = text_of(item, "rewritten_by")
        if _way(task) != LINK or not later:
            return None
        record = self._record_of(task, later)
        if record is None or not is_live(record):
            return None
        if (record.get("desired") or {}).get("action") == WishAction.RETRACT:
            return None
        row = self._db[PUBLISHED].find_one({"item_id": later, "last_published_version": True})
        return Update(record["external_url"], stories.headline_of(row or {}))

    def _record_of(self, task: Task, item_id: str) -> Document | None:
        same = {"integration": task.record["integration"], "content": item_id}
        return self._db[PUBLISHING_RECORDS].find_one(same)


def _way(task: Task) -> str | None:
    """Return what is done with earlier posts; None for nothing."""
    options = task.options
    way = options.get("supersede")
    is_own_post = options.get("rewrite_policy") != "update_post"
    return way if way in (LINK, RETRACT) and is_own_post else None
