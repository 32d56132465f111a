"""The routing rules of one enqueue run, compiled once per change of them."""

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.database import Database

from apps.activity.notes import new_activity, tell_activities
from apps.activity.people import administrators
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.publish.enqueue.matching import RoutingRules

logger = logging.getLogger(__name__)

COLLECTIONS = ("subscribers", "products", "content_filters", "filter_conditions", "vocabularies")
BROKEN = "content_filter:broken"
"""Name of the activity that tells of a broken rule."""

ONCE_IN = timedelta(days=1)

SETTLED = timedelta(seconds=2)
"""Times of changes are in whole seconds: what changed just now may change again unseen."""

Marks = dict[str, tuple[int, Any]]
"""Collection to how many documents it has, and the time of the newest change."""


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
        list(db["subscribers"].find({})),
        list(db["products"].find({})),
        list(db["content_filters"].find({})),
        list(db["filter_conditions"].find({})),
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
            self._add_activities(new)

    def _add_activities(self, broken: Mapping[str, str]) -> None:
        """Add what no other process has added within a day."""
        now = self._clock.now()
        recent = {"name": BROKEN, "_created": {"$gte": now - ONCE_IN}}
        known = {a["item"]: a["data"] for a in self._db["activity"].find(recent)}
        recipients = [person["_id"] for person in administrators(self._db)]
        activities = [
            new_activity(
                BROKEN,
                "A routing rule is broken and lets nothing pass: {{ reason }}",
                now=now,
                recipients=recipients,
                item={"_id": rule_id},
                resource="content_filters",
                reason=reason,
            )
            for rule_id, reason in broken.items()
            if known.get(rule_id) != {"reason": reason}
        ]
        if activities:
            self._db["activity"].insert_many(activities)
            tell_activities(self._notifier, activities)


class Snapshots:
    """Rules for the batches of a run; each batch goes by rules that are current when it starts.

    Args:
        db: the database.
        alarm: told of what is broken.
        content_api: whether there is a content API.
    """

    def __init__(self, db: Database[Document], alarm: Alarm, *, content_api: bool) -> None:
        self._db = db
        self._alarm = alarm
        self._content_api = content_api
        self.forget()

    def forget(self) -> None:
        """Let the next batch read the rules anew: changes that nothing marks are seen, too."""
        self._kept: tuple[Marks, RoutingRules, list[Document]] | None = None

    def current(self) -> tuple[RoutingRules, list[Document]]:
        """Return the rules and the vocabularies; five small commands where nothing has changed."""
        marks = self._marks()
        if self._kept is not None and self._kept[0] == marks and _is_settled(marks):
            return self._kept[1], self._kept[2]
        vocabularies = list(self._db["vocabularies"].find({}))
        rules = routing_rules(self._db, vocabularies, content_api=self._content_api)
        self._alarm.tell(rules)
        self._kept = (marks, rules, vocabularies)
        return rules, vocabularies

    def _marks(self) -> Marks:
        count = {"$group": {"_id": None, "count": {"$sum": 1}, "newest": {"$max": "$_updated"}}}
        marks: Marks = {}
        for name in COLLECTIONS:
            found = next(iter(self._db[name].aggregate([count])), {"count": 0, "newest": None})
            marks[name] = (int(found["count"] or 0), found["newest"])
        return marks


def _is_settled(marks: Marks) -> bool:
    latest = datetime.now(UTC) - SETTLED
    newest = (time for _count, time in marks.values() if isinstance(time, datetime))
    return all(time <= latest for time in newest)
