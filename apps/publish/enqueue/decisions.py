"""Decisions about subscribers (routing contract 8.4), and the record of them.

One document of `routing_decisions` per published row, one per resend, and one per item that was
sent along with another one:
`{_id, item_id, item_version, operation, resend, resend_id, decided_at, groups, rest, refusals,
refused}`.
Subscribers that share an outcome and a reason share a group:
`{outcome, reason, subscribers: [ids]}`.
`rest` is the outcome of all active subscribers that are in no group: those that neither list a
product which takes the item nor are named by it. Who they are, and why their products refused the
item, follows from `refusals` and `refused` (see `refusals.py`).
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any, NamedTuple

from pymongo import ReplaceOne
from pymongo.database import Database

from apps.archive.packages import is_package
from apps.core.clock import Clock
from apps.core.ids import id_key, object_id
from apps.core.service import Document
from apps.core.vocabulary import SubscriberType
from apps.publish.enqueue.subscribers import ListedProducts, Subscriber
from apps.routing.filters.content_filters import FilterSet
from apps.routing.filters.fields import ItemView
from apps.routing.products.matching import (
    Product,
    ProductOutcome,
    Restriction,
    product_outcome,
    read_restriction,
    target_value,
)
from apps.store.collections import ROUTING_DECISIONS

Item = Mapping[str, Any]
"""A published row, or another item that is decided about."""


# Whom an item is aimed at (routing contract 7.1).

_EVERY_KIND = frozenset({SubscriberType.DIGITAL, SubscriberType.WIRE})
"""Types that a subscriber of type `all` counts as."""


class Eligibility(Enum):
    """Result of targeting for one subscriber."""

    ELIGIBLE = "eligible"
    """Its products decide."""
    DIRECT = "direct"
    """It is named, and gets the item whatever its products say."""
    DROPPED = "dropped"


@dataclass(frozen=True)
class Targets:
    """The targets of one item, read once.

    Attributes:
        subscribers: ids in `target_subscribers` as text.
        types: restriction by `target_types`, or None.
        has_regions: whether there are `target_regions`; products decide on those.
    """

    subscribers: frozenset[str]
    types: Restriction | None
    has_regions: bool

    @classmethod
    def of(cls, item: Item) -> "Targets":
        """Read the targets of `item`; null lists are empty.

        Raises:
            KeyError: an entry lacks its key (`_id`; `qcode`, `allow`). Nobody can tell who is
                meant, so the item must not be routed (routing contract 8.1).
        """
        subscribers = item.get("target_subscribers") or ()
        return cls(
            frozenset(id_key(target_value(entry, "_id")) for entry in subscribers),
            read_restriction(item.get("target_types")),
            read_restriction(item.get("target_regions")) is not None,
        )

    def eligibility(self, subscriber_id: str, subscriber_type: str) -> Eligibility:
        """Return what the targets say of a subscriber.

        Args:
            subscriber_id: its id as text.
            subscriber_type: see `SubscriberType`.
        """
        if subscriber_id in self.subscribers:
            return Eligibility.DIRECT
        if not self.subscribers and self.types is None:
            return Eligibility.ELIGIBLE
        if self.types is not None and _admits(self.types, subscriber_type):
            return Eligibility.ELIGIBLE
        return Eligibility.ELIGIBLE if self.has_regions else Eligibility.DROPPED


def _admits(types: Restriction, subscriber_type: str) -> bool:
    """Return whether `types` lets a type in; `all` counts as digital and as wire."""
    if subscriber_type != SubscriberType.ALL:
        return types.admits(subscriber_type)
    if types.allowed:
        return not types.allowed.isdisjoint({SubscriberType.ALL, *_EVERY_KIND})
    return SubscriberType.ALL not in types.denied and not types.denied >= _EVERY_KIND


# Decisions.


class Outcome(StrEnum):
    """Why a subscriber got an item or not, in words for people."""

    MATCHED = "matched product"
    TARGETED = "targeted directly"
    INACTIVE = "inactive"
    MEDIA_TYPE = "media type"
    TARGETING = "targeting"
    GLOBAL_FILTER = "global filter"
    NO_PRODUCT = "no product matches"
    SENT = "sent"
    NO_FORMATTER = "no formatter"
    NO_DESTINATION = "no destination"
    NOT_SENT_BEFORE = "not sent before"
    IN_PACKAGE = "inside a package"
    NO_MEMBER = "no member received"


class Match(NamedTuple):
    """A subscriber that gets an item.

    Attributes:
        codes: own codes and those of the products that match, each once.
        api_enabled: it gets the content API's copy.
        direct: the item names it in `target_subscribers`.
        products: ids of the products that match, direct ones first.
    """

    subscriber: Subscriber
    codes: tuple[str, ...]
    api_enabled: bool
    direct: bool
    products: tuple[Any, ...]


class Decision(NamedTuple):
    """A decision about one subscriber, with its reason.

    Attributes:
        outcomes: one for a refusal; for a match what it rests on.
        detail: names that belong to the first outcome.
        match: None for a refusal.
    """

    subscriber: Subscriber
    outcomes: tuple[Outcome, ...]
    detail: tuple[str, ...] = ()
    match: Match | None = None

    @property
    def reason(self) -> str:
        """The decision in words, such as "global filter Embargo"."""
        first, *others = self.outcomes
        detail = "; ".join(self.detail)
        return ", ".join([f"{first} {detail}" if detail else str(first), *others])


class Decisions(NamedTuple):
    """The decisions about those that list a product which takes the item, or that it names.

    Attributes:
        refused: key to outcome of the products that refuse the item for another reason than their
            filter.
    """

    of_subscribers: Sequence[Decision]
    refused: Mapping[str, ProductOutcome]

    @property
    def matches(self) -> list[Match]:
        """Those that get the item."""
        return [decision.match for decision in self.of_subscribers if decision.match]

    @property
    def reasons(self) -> dict[Any, str]:
        """Why they get it, by subscriber id."""
        return {each.subscriber.id: each.reason for each in self.of_subscribers if each.match}


class ItemDecider:
    """Decides about one item.

    Args:
        products: those that the item may belong to; each is asked once.
        filters: the content filters.
        view: the item.
        target_media: the one type of subscriber, besides `all`, that may get it; None for any.

    Attributes:
        matching: keys of the products that take the item.

    Raises:
        KeyError: an entry of a target list lacks its key.
    """

    def __init__(
        self,
        products: Sequence[Product],
        filters: FilterSet,
        view: ItemView,
        target_media: SubscriberType | None,
    ) -> None:
        self.targets = Targets.of(view.item)
        self._target_media = target_media
        self._blocking = filters.matching_globals(view)
        self._outcomes = {p.key: product_outcome(p, view, filters) for p in products}
        self.matching = {
            key for key, outcome in self._outcomes.items() if outcome is ProductOutcome.MATCHED
        }

    @property
    def refused(self) -> dict[str, ProductOutcome]:
        """Products that refuse the item for another reason than their filter, by key."""
        usual = (ProductOutcome.MATCHED, ProductOutcome.FILTER)
        return {key: outcome for key, outcome in self._outcomes.items() if outcome not in usual}

    def decide(self, listed: ListedProducts) -> Decision:
        """Apply the steps of routing contract 8.4 in their order.

        Args:
            listed: a subscriber that lists a product which takes the item, or that it names.
        """
        subscriber = listed.subscriber
        if not subscriber.is_active:
            return Decision(subscriber, (Outcome.INACTIVE,))
        if self._target_media and subscriber.type not in (self._target_media, SubscriberType.ALL):
            return Decision(subscriber, (Outcome.MEDIA_TYPE,))
        eligibility = self.targets.eligibility(subscriber.key, subscriber.type)
        if eligibility is Eligibility.DROPPED:
            return Decision(subscriber, (Outcome.TARGETING,))
        for content_filter in self._blocking:
            if not subscriber.overrides(content_filter):
                return Decision(subscriber, (Outcome.GLOBAL_FILTER,), (content_filter.name,))
        return self._match(listed, is_direct=eligibility is Eligibility.DIRECT)

    def _match(self, listed: ListedProducts, *, is_direct: bool) -> Decision:
        subscriber = listed.subscriber
        matched = [product for product in listed.products if product.key in self.matching]
        has_api = any(product.key in listed.api for product in matched)
        codes = (code for product in matched for code in product.codes)
        match = Match(
            subscriber,
            tuple(dict.fromkeys((*subscriber.codes, *codes))),
            # Named subscribers get the API copy too where no product matches.
            has_api or (not matched and listed.has_api),
            is_direct,
            tuple(product.id for product in matched),
        )
        outcomes = (Outcome.MATCHED,) * bool(matched) + (Outcome.TARGETED,) * is_direct
        return Decision(subscriber, outcomes, tuple(product.name for product in matched), match)


# The record.

OVERRULED = "target regions of a correction"

Line = tuple[Outcome, str]
"""Outcome and reason."""


class DecisionLog:
    """Collects the decisions of one batch and stores them in one command.

    Args:
        db: the database.
        clock: source of time.
        refusals: id of the record of what the products say when they refuse an item.
        inactive: the subscribers that are not active.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, refusals: str, inactive: Sequence[Subscriber]
    ) -> None:
        self._db = db
        self._clock = clock
        self._refusals = refusals
        self._inactive = inactive
        self._documents: list[Document] = []

    def add(
        self,
        row: Item,
        decisions: Decisions | None,
        meant: Mapping[Any, Line],
        decision_id: Any,
        resend_id: str = "",
    ) -> None:
        """Add the record of how a published row was routed.

        Args:
            row: the published row.
            decisions: what the rules said; None where they were not asked.
            meant: outcome and reason of the recipients, by subscriber id.
            decision_id: id of the record.
            resend_id: as the queue rows have it; empty for the usual routing.
        """
        lines, rest = dict(meant), None
        if not resend_id:
            rest = Outcome.NO_PRODUCT if decisions else _unasked(row)
            for subscriber, line in self._refused(row, decisions):
                lines.setdefault(subscriber.id, line)
        groups: dict[Line, list[Any]] = defaultdict(list)
        for subscriber_id, line in lines.items():
            groups[line].append(subscriber_id)
        document: Document = {
            "_id": decision_id,
            "item_id": row["item_id"],
            "item_version": row.get("_current_version"),
            "operation": row.get("operation"),
            "resend": bool(resend_id),
            "resend_id": object_id(resend_id) if resend_id else None,
            "decided_at": self._clock.precise(),
            "rest": rest,
            "groups": [
                {"outcome": outcome, "reason": reason, "subscribers": ids}
                for (outcome, reason), ids in groups.items()
            ],
        }
        if rest is not None:
            document["refusals"] = self._refusals
        if rest is Outcome.NO_PRODUCT and decisions and decisions.refused:
            refused = decisions.refused.items()
            document["refused"] = [{"_id": key, "outcome": out.value} for key, out in refused]
        self._documents.append(document)

    def _refused(self, row: Item, decisions: Decisions | None) -> Iterator[tuple[Subscriber, Line]]:
        """Yield why subscribers do not get the row, where it is not meant for them."""
        for subscriber in self._inactive:
            yield subscriber, (Outcome.INACTIVE, "")
        for decision in decisions.of_subscribers if decisions else ():
            if not decision.match:
                line = (decision.outcomes[0], "; ".join(decision.detail))
            elif is_package(row):
                line = (Outcome.NO_MEMBER, "")
            else:
                line = (Outcome.TARGETING, OVERRULED)
            yield decision.subscriber, line

    def save(self) -> None:
        """Store the records; one command for the whole batch."""
        if self._documents:
            writes = [ReplaceOne({"_id": d["_id"]}, d, upsert=True) for d in self._documents]
            self._db[ROUTING_DECISIONS].bulk_write(writes, ordered=False)
            self._documents.clear()


def _unasked(row: Item) -> Outcome:
    """Return why somebody does not get a row whose recipients do not depend on the rules."""
    return Outcome.NO_MEMBER if is_package(row) else Outcome.NOT_SENT_BEFORE
