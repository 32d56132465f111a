"""Wishes that nobody asks for: sites follow what happens to items (cms contract 7.2).

Made by the enqueue run while it holds a published row, so what a process leaves undone when it dies
is done by whoever claims the row next. Everything may be repeated: a wish like the one before joins
it, or finds nothing to do.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.errors import Conflict
from apps.core.ids import id_key
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import Operation, State
from apps.publish.enqueue.rules import Marks, are_reliable
from apps.publisher.integrations.options import whole_options
from apps.publisher.records.content import SHOWN, Content, Contents, why_no_post
from apps.publisher.records.wishes import Piece, Wish, Wishes, is_live
from apps.publisher.schema import RecordStatus, WishAction
from apps.routing.filters.content_filters import FilterSet
from apps.routing.filters.fields import ItemView
from apps.store.collections import PUBLISHER_INTEGRATIONS, PUBLISHER_SITES, PUBLISHING_RECORDS
from apps.store.mongo import is_outage
from transmitters.cms.base import Platform

log = structlog.get_logger(__name__)

LINK = "link"
"""Value of `supersede`: an earlier post leads to the update of its story."""


@dataclass(frozen=True)
class Target:
    """An integration, and what it publishes by itself.

    Attributes:
        options: of the integration, defaults filled in.
        rules: `auto_publish` of its site; None where nothing goes out by itself.
    """

    integration: Document
    options: Mapping[str, Any]
    rules: Mapping[str, Any] | None

    def takes(self, row: Mapping[str, Any], view: ItemView, filters: FilterSet) -> bool:
        """Whether an item goes out here by itself. A filter that is gone or broken takes none."""
        if self.rules is None or self.integration.get("active") is False:
            return False
        desk, profile = object_of(row, "task").get("desk"), row.get("profile")
        if not _is_among(desk, self.rules.get("desks")):
            return False
        if not _is_among(profile, self.rules.get("content_types")):
            return False
        filter_id = self.rules.get("filter")
        return filter_id is None or filters.matches(filter_id, view) is True

    @property
    def updates_in_place(self) -> bool:
        """Whether an update of a story takes the place of the story."""
        return self.options.get("rewrite_policy") == "update_post"


def _is_among(value: Any, wanted: Any) -> bool:
    """Whether a value is one of those wanted; without any, everything is."""
    if not wanted:
        return True
    return value is not None and id_key(value) in set(map(id_key, wanted))


def _items_of(row: Mapping[str, Any]) -> list[str]:
    """Return the ids of the items whose posts a row may change."""
    return [id_ for id_ in (text_of(row, "item_id"), text_of(row, "rewrite_of")) if id_]


Records = Mapping[str, Sequence[Document]]
"""Records by the item that they show."""


class Following:
    """Makes the wishes.

    Args:
        contents: looks up chains of stories.
        platforms: their options.
        wishes: makes wishes.
        alert: tells administrators; is given a text and the record that it is about.
        max_age: how long it goes by what was read before, as long as no mark says otherwise.
    """

    collections: Sequence[str] = (PUBLISHER_INTEGRATIONS, PUBLISHER_SITES)

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        contents: Contents,
        platforms: Registry[Platform],
        wishes: Wishes,
        alert: Callable[[str, Mapping[str, Any]], None],
        max_age: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._max_age = max_age
        self._read_at = clock.precise()
        self._contents = contents
        self._platforms = platforms
        self._wishes = wishes
        self._alert = alert
        self._targets: dict[Any, Target] = {}
        self._marks: Marks | None = None

    def follow(
        self, rows: Sequence[Document], filters: FilterSet, marks: Marks
    ) -> Sequence[Document]:
        """Make the wishes of published rows. No command where there is no integration, one where
        there is nothing to do.

        Args:
            filters: the content filters.
            marks: of the collections.

        Returns:
            Rows whose wishes could not be written, because workers moved the records every time,
            and what follows them: it would undo the earlier wish, or be undone by it.

        Raises:
            PyMongoError: some may be missing; it has to be tried again.
        """
        if PUBLISHER_INTEGRATIONS not in marks:
            return []
        shown = [row for row in rows if text_of(row, "item_id")]
        if not shown:
            return []
        self._read_targets(marks)
        known = self._records_of(shown)
        left: list[Document] = []
        waiting: set[str] = set()
        for row in shown:
            try:
                if waiting.isdisjoint(_items_of(row)):
                    self._follow(row, known, filters)
                    continue
            except Conflict:
                log.warning("publisher.followed_later", item=row["item_id"])
            except Exception as error:
                if is_outage(error):
                    raise
                self._failed(row, known, error)
                continue
            left.append(row)
            waiting.add(row["item_id"])
        return left

    def withdraw(self, item_id: str, version: int) -> None:
        """Take an item off all sites of which no published row will tell; may be repeated.

        Args:
            version: of the item.

        Raises:
            Conflict: workers moved a record every time.
        """
        content = Content(item_id, State.KILLED, version)
        self._retract(content, list(self._db[PUBLISHING_RECORDS].find({"content": item_id})))

    def _failed(self, row: Document, known: Records, error: Exception) -> None:
        log.exception("publisher.not_followed", item=row["item_id"])
        text = f"{text_of(row, 'headline') or row['item_id']} was not brought to its site: {error}"
        records = known.get(row["item_id"])
        self._alert(text, records[0] if records else row)

    def _read_targets(self, marks: Marks) -> None:
        is_young = self._clock.precise() - self._read_at < self._max_age
        if marks == self._marks and are_reliable(marks) and is_young:
            return
        self._read_at = self._clock.precise()
        sites = {id_key(site["_id"]): site for site in self._db[PUBLISHER_SITES].find({})}
        self._targets = {}
        for integration in self._db[PUBLISHER_INTEGRATIONS].find({}).sort("_id", 1):
            platform = self._platforms.find(str(integration.get("destination")))
            if platform is None:
                continue
            site = sites.get(id_key(integration.get("site"))) or {}
            defaults, own = object_of(site, "defaults"), object_of(integration, "options")
            options = whole_options(platform, own, defaults)
            rules = site.get("auto_publish")
            self._targets[integration["_id"]] = Target(
                integration, options, rules if isinstance(rules, dict) else None
            )
        self._marks = marks

    def _records_of(self, rows: Iterable[Document]) -> Records:
        ids = {id_ for row in rows for id_ in _items_of(row)}
        known: dict[str, list[Document]] = {}
        for record in self._db[PUBLISHING_RECORDS].find({"content": {"$in": sorted(ids)}}):
            known.setdefault(record["content"], []).append(record)
        return known

    def _follow(self, row: Document, known: Records, filters: FilterSet) -> None:
        content = Content.of(row, self._clock.now())
        if content.is_withdrawn:
            self._retract(content, known.get(content.id, ()))
            self._unlink(content, known)
        elif content.state in SHOWN:
            self._publish(row, content, known, filters)

    def _retract(self, content: Content, records: Iterable[Document]) -> None:
        """Take an item off all sites; one that cannot be told keeps it at no other.

        Raises:
            Conflict: workers moved a record every time.
        """
        failure: Conflict | None = None
        for record in records:
            wish = Wish(WishAction.RETRACT, version=content.version, is_kill=content.is_killed)
            try:
                self._wishes.make_for(record, wish)
            except Conflict as error:
                failure = error
        if failure is not None:
            raise failure

    def _unlink(self, content: Content, known: Records) -> None:
        """Let earlier posts lead no more to an update that is withdrawn."""
        for record in known.get(content.rewrite_of, ()):
            target = self._targets.get(record["integration"])
            if target is not None and target.options.get("supersede") == LINK and _is_shown(record):
                wish = Wish(WishAction.PUBLISH, version=record.get("content_version"))
                self._wishes.make_for(record, wish)

    def _publish(self, row: Document, content: Content, known: Records, filters: FilterSet) -> None:
        """Bring a version to the sites that show the item, and to those that it goes to by itself.

        What a person has taken off, or what went with the item, comes back when it is published
        anew, and only where items go out by themselves.

        Raises:
            Conflict: workers moved a record every time; the others have their wishes.
        """
        view = ItemView(row, self._clock.now())
        records = {record["integration"]: record for record in known.get(content.id, ())}
        earlier = {record["integration"]: record for record in known.get(content.rewrite_of, ())}
        is_new = row.get("operation") == Operation.PUBLISH
        failure: Conflict | None = None
        for target in self._targets.values():
            id_ = target.integration["_id"]
            record = records.get(id_)
            if record is None and target.updates_in_place:
                record = earlier.get(id_)
            is_live_there = record is not None and is_live(record)
            if not is_live_there and why_no_post(content.kind, target.options):
                continue
            is_followed = record is not None and _is_shown(record)
            if not is_followed and not (
                (record is None or is_new) and target.takes(row, view, filters)
            ):
                continue
            if record is not None and not is_followed and _knows(record, content):
                continue
            if self._contents.is_outdated(content, target.options):
                continue
            try:
                self._wish(content, target)
            except Conflict as error:
                failure = error
        if failure is not None:
            raise failure

    def _wish(self, content: Content, target: Target) -> None:
        key = self._contents.key_of(content, target.options)
        wish = Wish(
            WishAction.PUBLISH,
            version=content.version,
            schedule_at=content.hidden_until,
            is_sent_early=target.options.get("schedule_mode") == "remote",
        )
        self._wishes.make(Piece(target.integration, content.id, key), wish)


def _is_shown(record: Mapping[str, Any]) -> bool:
    """Whether a record is to show its item: somebody wants that, and nobody took it off since."""
    action = object_of(dict(record), "desired").get("action")
    publishes = action in (WishAction.PUBLISH, WishAction.UPDATE)
    return publishes and record.get("status") != RecordStatus.RETRACTED


def _knows(record: Mapping[str, Any], content: Content) -> bool:
    """Whether a post was taken off in this version of its item, or in a later one."""
    is_same = record.get("content") == content.id
    return is_same and (record.get("content_version") or 0) >= (content.version or 0)
