"""The routing rules: compiled from what is stored, and what a batch decides by.

`RoutingRules` are immutable and know no store. What was sent to whom before is not their business;
`RoutingContext` has both.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.ids import id_key
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import SubscriberType
from apps.newsroom.activity.activities import administrators, new_activity, tell_activities
from apps.publish.enqueue.decisions import Decisions, Item, ItemDecider, Match
from apps.publish.enqueue.refusals import Refusals, compile_refusals, keep_refusals
from apps.publish.enqueue.subscribers import ListedProducts, Subscriber, compile_subscriber
from apps.publish.queue.recipients import Ledger
from apps.routing.filters.content_filters import FilterSet, compile_filters
from apps.routing.filters.fields import ItemView
from apps.routing.products.matching import (
    Product,
    ProductIndex,
    compile_product,
    product_matches,
)
from apps.store.collections import (
    ACTIVITY,
    CONTENT_FILTERS,
    FILTER_CONDITIONS,
    PRODUCTS,
    SUBSCRIBERS,
    VOCABULARIES,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RoutingRules:
    """Everything that decides who gets an item, compiled.

    Attributes:
        subscribers: the active subscribers by id.
        inactive: the others.
        products: by id as text.
        filters: the content filters; `filters.broken` tells what somebody has to repair.
        takers_of_whole_packages: ids of the active subscribers that have a destination which takes
            packages with their members inside.
    """

    subscribers: Mapping[Any, Subscriber]
    inactive: Sequence[Subscriber]
    products: Mapping[str, Product]
    filters: FilterSet
    takers_of_whole_packages: frozenset[Any]
    _listed: Mapping[str, ListedProducts]
    """By the subscriber's id as text."""
    _by_product: Mapping[str, Sequence[ListedProducts]]
    """The active subscribers that list a product, by its key."""
    _index: ProductIndex
    """Of the products that somebody lists."""

    @classmethod
    def build(
        cls,
        subscribers: Iterable[Document],
        products: Iterable[Document],
        filters: Iterable[Document],
        conditions: Iterable[Document],
        vocabularies: Iterable[Document],
        *,
        content_api: bool = True,
    ) -> "RoutingRules":
        """Compile documents as they are stored. Bad ones match nothing and raise nothing.

        Args:
            content_api: whether there is a content API; without, `api_products` do not count.
        """
        filter_set = compile_filters(filters, conditions, vocabularies)
        compiled = {id_key(document["_id"]): compile_product(document) for document in products}
        listed: dict[str, ListedProducts] = {}
        for position, document in enumerate(subscribers):
            own = compile_subscriber(document)
            listed[own.key] = ListedProducts.of(own, compiled, position, content_api=content_api)
        by_product: dict[str, list[ListedProducts]] = defaultdict(list)
        everybody = [each.subscriber for each in listed.values()]
        for each in listed.values():
            for product in each.products if each.subscriber.is_active else ():
                by_product[product.key].append(each)
        active = [subscriber for subscriber in everybody if subscriber.is_active]
        return cls(
            {subscriber.id: subscriber for subscriber in active},
            [subscriber for subscriber in everybody if not subscriber.is_active],
            compiled,
            filter_set,
            frozenset(s.id for s in active if s.takes_whole_packages),
            listed,
            dict(by_product),
            ProductIndex([compiled[key] for key in by_product], filter_set),
        )

    @property
    def dangling(self) -> dict[Any, str]:
        """Products whose content filter is gone, with the reason; they take nothing."""
        return {
            product.id: f"content filter {product.filter_id} of product {product.name} is gone"
            for product in self.products.values()
            if product.filter_id is not None and self.filters.find(product.filter_id) is None
        }

    @cached_property
    def refusals(self) -> Refusals:
        """The record of what the products of active subscribers say when they refuse an item."""
        active = (each for each in self._listed.values() if each.subscriber.is_active)
        return compile_refusals(active, self.filters)

    def find(self, subscriber_id: Any) -> Subscriber | None:
        """Return a subscriber, active or not; None if it is not in the rules."""
        listed = self._listed.get(id_key(subscriber_id))
        return listed.subscriber if listed else None

    def decide(
        self,
        item: Item,
        now: datetime,
        *,
        among: Collection[Any] | None = None,
        target_media: SubscriberType | None = None,
    ) -> Decisions:
        """Decide about those that list a product which takes the item, or that it names.

        The time does not grow with the number of subscribers.

        Args:
            item: the version to route.
            now: the current time.
            among: ids of the only subscribers to consider; None considers all.
            target_media: the one type, besides `all`, that may get the item; None for any.

        Returns:
            The decisions, in the order in which the subscribers were given.

        Raises:
            KeyError: an entry of a target list lacks its key; the item must not be routed.
        """
        view = ItemView(item, now)
        decider = ItemDecider(self._index.possible(view), self.filters, view, target_media)
        found = [each for key in decider.matching for each in self._by_product[key]]
        named = [self._listed.get(key) for key in decider.targets.subscribers]
        by_position = {each.position: each for each in (*found, *named) if each is not None}
        wanted = None if among is None else set(among)
        decisions = [
            decider.decide(each)
            for _position, each in sorted(by_position.items())
            if wanted is None or each.subscriber.id in wanted
        ]
        return Decisions(decisions, decider.refused)

    def matches(
        self,
        item: Item,
        now: datetime,
        *,
        among: Collection[Any] | None = None,
        target_media: SubscriberType | None = None,
    ) -> list[Match]:
        """Return who gets `item`; order, arguments and errors as of `decide`."""
        return self.decide(item, now, among=among, target_media=target_media).matches

    def matching_products(self, item: Item, now: datetime) -> list[Product]:
        """Return the products that take `item`, whoever may have them, in their order."""
        view = ItemView(item, now)
        possible = self._index_of_all.possible(view)
        matching = {p.key for p in possible if product_matches(p, view, self.filters)}
        return [product for key, product in self.products.items() if key in matching]

    @cached_property
    def _index_of_all(self) -> ProductIndex:
        """The index of all products, also of those that nobody lists."""
        return ProductIndex(self.products.values(), self.filters)


@dataclass(frozen=True)
class RoutingContext:
    """Everything that decides who receives the items of one batch.

    Attributes:
        ledger: earlier recipients.
        now: time of the decision.
        withdraw_to_matching: setting UNPUBLISH_TO_MATCHING_SUBSCRIBERS.
        members: the items in the packages of the batch, by id; missing ones do not exist.
        failed: published rows that ended in `error`, by item id, oldest first.
        decisions: what the rules said, by `_id` of the published row.
    """

    rules: RoutingRules
    ledger: Ledger
    now: datetime
    withdraw_to_matching: bool
    members: Mapping[str, Document] = field(default_factory=dict)
    failed: dict[str, list[Document]] = field(default_factory=dict)
    decisions: dict[Any, Decisions] = field(default_factory=dict)

    def matches(self, item: Item, media: SubscriberType | None) -> list[Match]:
        """Return who gets `item` by the rules, and keep the decisions.

        Args:
            media: the one type, besides `all`, that may get it; None for any.
        """
        decisions = self.rules.decide(item, self.now, target_media=media)
        self.decisions[item["_id"]] = decisions
        return decisions.matches


# Rules as they are stored.

RULE_COLLECTIONS = (SUBSCRIBERS, PRODUCTS, CONTENT_FILTERS, FILTER_CONDITIONS, VOCABULARIES)
"""Collections that rules are compiled from."""

BROKEN = "content_filter:broken"
"""Name of the activity about a broken rule."""

ONCE_IN = timedelta(days=1)

RELIABLE_AFTER = timedelta(seconds=2)
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
        list(db[SUBSCRIBERS].find({}).sort("_id", 1)),
        list(db[PRODUCTS].find({}).sort("_id", 1)),
        list(db[CONTENT_FILTERS].find({}).sort("_id", 1)),
        list(db[FILTER_CONDITIONS].find({}).sort("_id", 1)),
        vocabularies,
        content_api=content_api,
    )


class Alarm:
    """Notifies administrators of broken rules, when these change.

    Args:
        notifier: tells clients of the activity.
    """

    def __init__(self, db: Database[Document], clock: Clock, notifier: Notifier) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._reported: dict[str, str] = {}

    def report(self, rules: RoutingRules) -> None:
        """Log what is broken and add an activity for each, unless that was done already."""
        broken = {**rules.filters.broken, **rules.dangling}
        reasons = {str(rule_id): reason for rule_id, reason in broken.items()}
        new = {id_: reason for id_, reason in reasons.items() if self._reported.get(id_) != reason}
        self._reported = reasons
        for rule_id, reason in new.items():
            log.error("routing_rule.broken", rule=str(rule_id), error=str(reason))
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
                resource=PRODUCTS if rule_id in products else CONTENT_FILTERS,
                reason=reason,
            )
            for rule_id, reason in broken.items()
            if known.get(rule_id) != {"reason": reason}
        ]
        if activities:
            self._db[ACTIVITY].insert_many(activities)
            tell_activities(self._notifier, activities)


class Snapshots:
    """Rules for the batches of all runs; each goes by rules that are current when it starts.

    A change shows in the counts and in `_updated`, which all services keep.

    Args:
        db: the database.
        clock: source of time.
        alarm: reports what is broken.
        content_api: whether there is a content API.
        max_age: how long runs go by what was read before, as long as no mark says otherwise.
        watched: other collections whose marks are read along.

    Attributes:
        marks: of the watched collections, as read for the last batch.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        alarm: Alarm,
        *,
        content_api: bool,
        max_age: timedelta,
        watched: Sequence[str] = (),
    ) -> None:
        self.marks: Marks = {}
        self._watched = tuple(dict.fromkeys(watched))
        self._db = db
        self._clock = clock
        self._alarm = alarm
        self._content_api = content_api
        self._max_age = max_age
        self._kept: tuple[RoutingRules, list[Document]] | None = None
        self._marks: Marks | None = None
        self._read_at = clock.precise()
        self._recorded = ""

    def start_run(self) -> None:
        """Let the next batch read the rules anew if they were read longer than `max_age` ago.

        So changes that leave `_updated` as it is are seen, too.
        """
        if self._clock.precise() - self._read_at >= self._max_age:
            self._marks = None

    def current(self) -> tuple[RoutingRules, list[Document]]:
        """Return the rules and the vocabularies; one small command where nothing has changed."""
        marks = self._read_marks()
        self.marks = {name: marks.pop(name) for name in self._watched if name in marks}
        if self._kept is None or marks != self._marks or not are_reliable(marks):
            self._read_at = self._clock.precise()
            self._kept = self._read()
            self._marks = marks
        return self._kept

    def current_filters(self) -> FilterSet:
        """Return the content filters that the last batch went by; no command."""
        return self._kept[0].filters if self._kept is not None else compile_filters((), (), ())

    def _read(self) -> tuple[RoutingRules, list[Document]]:
        vocabularies = list(self._db[VOCABULARIES].find({}))
        rules = routing_rules(self._db, vocabularies, content_api=self._content_api)
        self._alarm.report(rules)
        if rules.refusals.id != self._recorded:
            keep_refusals(self._db, rules.refusals, self._clock.now())
            self._recorded = rules.refusals.id
        return rules, vocabularies

    def _read_marks(self) -> Marks:
        first, *others = (*RULE_COLLECTIONS, *self._watched)
        joined = [{"$unionWith": {"coll": name, "pipeline": _count(name)}} for name in others]
        found = self._db[first].aggregate([*_count(first), *joined])
        return {mark["_id"]: (int(mark["count"]), mark["newest"]) for mark in found}


def _count(collection: str) -> list[Document]:
    """Return the pipeline that marks the state of a collection, under its name."""
    newest = {"$max": "$_updated"}
    return [{"$group": {"_id": collection, "count": {"$sum": 1}, "newest": newest}}]


def are_reliable(marks: Marks) -> bool:
    """Whether the same marks mean that nothing has changed."""
    latest = datetime.now(UTC) - RELIABLE_AFTER
    newest = (time for _count, time in marks.values() if isinstance(time, datetime))
    return all(time <= latest for time in newest)
