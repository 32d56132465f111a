"""The routing rules, compiled once per change of them."""

import logging
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import decode_all
from pymongo.collection import Collection
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.newsroom.activity.activities import administrators, new_activity, tell_activities
from apps.publish.enqueue.enqueue_service import is_detailed
from apps.publish.enqueue.matching import RoutingRules
from apps.publish.enqueue.refusals import keep_refusals
from apps.store.collections import (
    ACTIVITY,
    CONTENT_FILTERS,
    FILTER_CONDITIONS,
    PRODUCTS,
    SUBSCRIBERS,
    VOCABULARIES,
)
from apps.store.mongo import CODEC

logger = logging.getLogger(__name__)

COLLECTIONS = (SUBSCRIBERS, PRODUCTS, CONTENT_FILTERS, FILTER_CONDITIONS, VOCABULARIES)
"""What rules are compiled from, in the order in which they are handed over."""

BROKEN = "content_filter:broken"
"""Name of the activity that tells of a broken rule."""

ONCE_IN = timedelta(days=1)

SETTLED = timedelta(seconds=2)
"""Times of changes are in whole seconds: what changed just now may change again unseen."""

Marks = dict[str, tuple[int, Any]]
"""Collection, where it is not empty, to how many documents it has and when one has changed last."""


def routing_rules(
    db: Database[Document], vocabularies: Sequence[Document], *, content_api: bool = True
) -> RoutingRules:
    """Return the rules as they are stored now: four commands.

    Args:
        vocabularies: all of them, as stored.
        content_api: whether there is a content API.
    """
    return RoutingRules.build(
        # Inactive ones too: they get the kill of what was archived, and a line in explanations.
        list(db[SUBSCRIBERS].find({})),
        list(db[PRODUCTS].find({})),
        list(db[CONTENT_FILTERS].find({})),
        list(db[FILTER_CONDITIONS].find({})),
        vocabularies,
        content_api=content_api,
    )


class Alarm:
    """Tells administrators of rules that are broken, when that changes.

    Args:
        notifier: tells clients of the activity.
    """

    def __init__(self, db: Database[Document], clock: Clock, notifier: Notifier) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._told: dict[str, str] = {}

    def tell(self, rules: RoutingRules) -> None:
        """Log what is broken and add an activity for each, unless that was done already."""
        broken = {**rules.filters.broken, **rules.dangling}
        reasons = {str(rule_id): reason for rule_id, reason in broken.items()}
        new = {id_: reason for id_, reason in reasons.items() if self._told.get(id_) != reason}
        self._told = reasons
        for rule_id, reason in new.items():
            logger.error("routing rule %s is broken: %s", rule_id, reason)
        if new:
            self._add_activities(new, {str(product_id) for product_id in rules.dangling})

    def _add_activities(self, broken: Mapping[str, str], products: AbstractSet[str]) -> None:
        """Add what no other process has added within a day.

        Args:
            broken: id of each rule to what is wrong with it.
            products: ids of those that are products; the others are content filters.
        """
        now = self._clock.now()
        recent = {"name": BROKEN, "_created": {"$gte": now - ONCE_IN}}
        known = {a["item"]: a["data"] for a in self._db[ACTIVITY].find(recent)}
        recipients = [person["_id"] for person in administrators(self._db)]
        activities = [
            new_activity(
                BROKEN,
                "A routing rule is broken and lets nothing pass: {{ reason }}",
                now=now,
                recipients=recipients,
                item={"_id": rule_id},
                resource="products" if rule_id in products else "content_filters",
                reason=reason,
            )
            for rule_id, reason in broken.items()
            if known.get(rule_id) != {"reason": reason}
        ]
        if activities:
            self._db[ACTIVITY].insert_many(activities)
            tell_activities(self._notifier, activities)


@dataclass(frozen=True)
class Snapshot:
    """The rules as they were stored at some time.

    Attributes:
        stored: what they were compiled from: the documents of each collection, encoded.
        vocabularies: all of them, as stored.
    """

    stored: Mapping[str, bytes]
    rules: RoutingRules
    vocabularies: list[Document]


class Snapshots:
    """Rules for the batches of all runs; each goes by rules that are current when it starts.

    What has changed is told by counts and by `_updated`, which all services keep.

    Args:
        db: the database.
        clock: source of time.
        alarm: told of what is broken.
        content_api: whether there is a content API.
        max_age: how long runs go by what was read before, as long as no mark says otherwise.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        alarm: Alarm,
        *,
        content_api: bool,
        max_age: timedelta,
    ) -> None:
        self._db = db
        self._clock = clock
        self._alarm = alarm
        self._content_api = content_api
        self._max_age = max_age
        self._kept: Snapshot | None = None
        self._marks: Marks | None = None
        self._read_at = clock.precise()

    def start_run(self) -> None:
        """Let the next batch read the rules anew if that was not done for long.

        So changes that nothing marks are seen, too.
        """
        if self._clock.precise() - self._read_at >= self._max_age:
            self._marks = None

    def current(self) -> tuple[RoutingRules, list[Document]]:
        """Return the rules and the vocabularies; one small command where nothing has changed.

        Reading them costs little next to compiling them, which is done when they differ only.
        """
        marks = self._read_marks()
        if self._kept is None or marks != self._marks or not _is_settled(marks):
            self._read_at = self._clock.precise()
            stored = {name: _encoded(self._db[name]) for name in COLLECTIONS}
            if self._kept is None or stored != self._kept.stored:
                self._kept = self._compiled(stored)
            self._marks = marks
        return self._kept.rules, self._kept.vocabularies

    def _compiled(self, stored: Mapping[str, bytes]) -> Snapshot:
        documents = [decode_all(stored[name], CODEC) for name in COLLECTIONS]
        rules = RoutingRules.build(*documents, content_api=self._content_api)
        self._alarm.tell(rules)
        if not is_detailed(rules):
            keep_refusals(self._db, rules.refusals, self._clock.now())
        return Snapshot(stored, rules, documents[-1])

    def _read_marks(self) -> Marks:
        first, *others = COLLECTIONS
        joined = [{"$unionWith": {"coll": name, "pipeline": _count(name)}} for name in others]
        found = self._db[first].aggregate([*_count(first), *joined])
        return {mark["_id"]: (int(mark["count"]), mark["newest"]) for mark in found}


def _encoded(collection: Collection[Document]) -> bytes:
    batches: Any = collection.find_raw_batches({})
    return b"".join(batches)


def _count(collection: str) -> list[Document]:
    """Return the pipeline that marks the state of a collection, under its name."""
    newest = {"$max": "$_updated"}
    return [{"$group": {"_id": collection, "count": {"$sum": 1}, "newest": newest}}]


def _is_settled(marks: Marks) -> bool:
    latest = datetime.now(UTC) - SETTLED
    newest = (time for _count, time in marks.values() if isinstance(time, datetime))
    return all(time <= latest for time in newest)
