"""What becomes of the post of a story that a rewrite has taken over from (cms contract 7.3)."""

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.database import Database

from apps.core.documents import text_of
from apps.core.service import Document
from apps.publisher.records.content import LONGEST_CHAIN
from apps.publisher.records.wishes import Wish, Wishes, is_live
from apps.publisher.run.results import Task
from apps.publisher.run.story import NAMES, Link, headline_of
from apps.publisher.schema import RecordStatus, WishAction
from apps.store.collections import PUBLISHED, PUBLISHING_RECORDS

LINK, RETRACT = "link", "retract"
"""Values of the option `supersede`; the third is to leave the earlier post alone."""


class Supersession:
    """Lets earlier posts follow what becomes of the rewrites of their stories.

    Args:
        db: the database.
        wishes: makes wishes.
    """

    def __init__(self, db: Database[Document], wishes: Wishes) -> None:
        self._published = db[PUBLISHED]
        self._records = db[PUBLISHING_RECORDS]
        self._wishes = wishes

    def concerns(self, task: Task, item: Mapping[str, Any]) -> bool:
        """Whether an earlier post has to follow what becomes of this one; no command."""
        return self._option(task) in (LINK, RETRACT) and bool(item.get("rewrite_of"))

    def follow(self, task: Task, item: Mapping[str, Any]) -> None:
        """Let the post before this one link to it, lose its link, or go. Safe to repeat."""
        if not self.concerns(task, item):
            return
        links = self._option(task) == LINK
        status = RecordStatus.PUBLISHED if links else {"$ne": RecordStatus.RETRACTED}
        earlier = self._first_record(task, item, "rewrite_of", status)
        if earlier is None:
            return
        if links:
            self._wishes.renew(earlier)
        elif is_live(task.record):
            version = earlier.get("content_version")
            self._wishes.make_for(earlier, Wish(WishAction.RETRACT, version=version))

    def link(self, task: Task, item: Mapping[str, Any]) -> Link | None:
        """Return what the post of an item links to as the newer one, None for nothing."""
        newer = self._newer(task, item) if self._option(task) == LINK else None
        if newer is None or not newer.get("external_url"):
            return None
        shown = {"item_id": newer["content"], "last_published_version": True}
        row = self._published.find_one(shown, dict.fromkeys(NAMES, 1)) or {}
        return Link(newer["external_url"], headline_of(row))

    def is_over(self, task: Task, item: Mapping[str, Any]) -> bool:
        """Whether the post of an item has gone, or has to go, because a newer one is shown."""
        return self._option(task) == RETRACT and self._newer(task, item) is not None

    def _option(self, task: Task) -> str | None:
        if task.options.get("rewrite_policy") == "update_post":
            return None
        option = task.options.get("supersede")
        return str(option) if option else None

    def _newer(self, task: Task, item: Mapping[str, Any]) -> Document | None:
        return self._first_record(task, item, "rewritten_by", RecordStatus.PUBLISHED)

    def _first_record(
        self, task: Task, item: Mapping[str, Any], towards: str, status: Any
    ) -> Document | None:
        """Return the next record along the chain whose status fits a query."""
        integration = task.record["integration"]
        for id_ in self._members(item, towards):
            same = {"integration": integration, "content_key": id_}
            record = self._records.find_one({**same, "status": status})
            if record is not None:
                return record
        return None

    def _members(self, item: Mapping[str, Any], towards: str) -> Iterator[str]:
        current: Mapping[str, Any] | None = item
        for _ in range(LONGEST_CHAIN):
            id_ = text_of(current or {}, towards)
            if not id_:
                return
            yield id_
            query = {"item_id": id_, "last_published_version": True}
            current = self._published.find_one(query, {towards: 1})
