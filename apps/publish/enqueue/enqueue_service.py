"""Who receives an item: one service per operation, behind one question."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from bson import ObjectId

from apps.core.service import Document
from apps.core.vocabulary import TEXT_TYPES, PublishingAction, SubscriberType
from apps.publish.enqueue.association_shares import (
    Shares,
    matching_shares,
    shares_held,
    united_shares,
)
from apps.publish.enqueue.matching import Decision, Match, RoutingRules, Subscriber
from apps.publish.queue.recipients import Ledger, LedgerEntry
from apps.routing.products.matching import ProductOutcome

logger = logging.getLogger(__name__)

Item = Mapping[str, Any]

WAS_MEANT = "an earlier version was meant for it"
DETAILED_SUBSCRIBERS = 50
"""Up to this many subscribers, it is recorded of each with every item why it does not get it."""


@dataclass(frozen=True)
class Routing:
    """What routing decisions of one batch are made from.

    Attributes:
        rules: snapshot of subscribers, products and filters.
        ledger: earlier recipients.
        now: time of the decision.
        withdraw_to_matching: setting UNPUBLISH_TO_MATCHING_SUBSCRIBERS.
        members: the items in the packages of the batch, by id; missing ones do not exist.
        failed: published rows that ended in `error`, by item id, oldest first.
        decisions: what the rules said about each subscriber, by `_id` of the published row.
        refused: by the same, products that refused it for another reason than their filter; where
            not every single subscriber is decided about.
    """

    rules: RoutingRules
    ledger: Ledger
    now: datetime
    withdraw_to_matching: bool
    members: Mapping[str, Document] = field(default_factory=dict)
    failed: dict[str, list[Document]] = field(default_factory=dict)
    decisions: dict[Any, Sequence[Decision]] = field(default_factory=dict)
    refused: dict[Any, Mapping[str, ProductOutcome]] = field(default_factory=dict)

    @property
    def is_detailed(self) -> bool:
        """Whether it is recorded of every single subscriber why it gets nothing."""
        return is_detailed(self.rules)

    def matches(self, item: Item, media: SubscriberType | None) -> list[Match]:
        """Return who gets `item` by the rules.

        Args:
            media: the one type, besides `all`, that may get it; None for any.
        """
        decisions: Sequence[Decision]
        if self.is_detailed:
            decisions = list(self.rules.decisions(item, self.now, target_media=media))
        else:
            decisions, self.refused[item["_id"]] = self.rules.possible_decisions(
                item, self.now, target_media=media
            )
        self.decisions[item["_id"]] = decisions
        return [decision.match for decision in decisions if decision.match]


class Recipient(NamedTuple):
    """A subscriber that receives an item.

    Attributes:
        associated: ids of the item's associations that it may see.
        members: of a package, the members that its own package holds; None for other items.
        only_packaged: of a package, only destinations that take packages whole get it.
        reason: why it receives the item, where that is neither a rule nor usual for the service.
        products: ids of its products that match the item.
    """

    subscriber: Subscriber
    codes: tuple[str, ...]
    api_enabled: bool
    associated: tuple[str, ...] = ()
    members: tuple[str, ...] | None = None
    only_packaged: bool = False
    reason: str = ""
    products: tuple[Any, ...] = ()


class EnqueueService(ABC):
    """Decide who receives an item (routing contract 8.5: P = earlier recipients, M = matching).

    Attributes:
        publishing_action: what the recipients' rows say.
        without_match: why somebody receives an item that no rule speaks for.
    """

    publishing_action: PublishingAction
    without_match: ClassVar[str] = "has the story"

    @abstractmethod
    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        """Return who receives `item`."""

    def shares(self, item: Item, recipients: Sequence[Recipient], routing: Routing) -> Shares:
        """Return which recipients may see which of the item's associations.

        Those that the association goes to by its own content, and those that had it before.
        """
        ids = ids_of(recipients)
        media = target_media(item)
        return united_shares(
            shares_held(item, ids, routing.ledger),
            matching_shares(item, ids, routing.rules, routing.now, media),
        )

    def matching(self, item: Item, routing: Routing) -> list[Recipient]:
        """Return M: active subscribers whose products and targeting match."""
        return [recipient_of(match) for match in routing.matches(item, target_media(item))]

    def earlier(self, item_id: str, routing: Routing) -> list[Recipient]:
        """Return P: active subscribers that were sent `item_id` before."""
        return [r for r in self.ever(item_id, routing) if r.subscriber.is_active]

    def held(self, item_id: str, routing: Routing) -> list[Recipient]:
        """Return P with those that delivery closed: their rows are kept for when they are back."""
        ever = self.ever(item_id, routing)
        return [r for r in ever if r.subscriber.is_active or r.subscriber.is_closed]

    def intended(self, item_id: str, routing: Routing) -> list[Recipient]:
        """Return M of the versions of `item_id` that ended in `error`, by the rules of now.

        They block no later version, but it goes to those who were meant, too (routing contract 12).
        """
        found: list[Recipient] = []
        for row in routing.failed.get(item_id, ()):
            media = target_media(row)
            try:
                matches = routing.rules.candidates(row, routing.now, target_media=media)
            except Exception:
                # What made it fail may be just this.
                logger.exception("nobody can tell who was meant by %s", row["_id"])
                continue
            meant = [recipient_of(match)._replace(reason=WAS_MEANT) for match in matches]
            found = united(found, meant)
        return found

    def ever(self, item_id: str, routing: Routing) -> list[Recipient]:
        """Return all subscribers that were sent `item_id` before, active now or not."""
        entries = routing.ledger.of(item_id)
        return [
            Recipient(subscriber, entry.codes, entry.api_enabled)
            for subscriber_id, entry in entries.items()
            if (subscriber := routing.rules.find(subscriber_id)) is not None
        ]


def is_detailed(rules: RoutingRules) -> bool:
    """Whether it is recorded of every single subscriber why it gets nothing."""
    return rules.size <= DETAILED_SUBSCRIBERS


def target_media(item: Item) -> SubscriberType | None:
    """Return the one type of subscriber, besides `all`, that may get `item`; None for any."""
    return None if item.get("type") in TEXT_TYPES else SubscriberType.DIGITAL


def ids_of(recipients: Iterable[Recipient]) -> set[ObjectId]:
    """Return the ids of the subscribers."""
    return {recipient.subscriber.id for recipient in recipients}


def recipient_of(match: Match) -> Recipient:
    """Return the recipient that a match of the rules stands for."""
    codes, products = tuple(match.codes), tuple(match.products)
    return Recipient(match.subscriber, codes, match.api_enabled, products=products)


def active_subscriber(subscriber_id: ObjectId, routing: Routing) -> Subscriber | None:
    """Return the subscriber if it is active now."""
    return routing.rules.subscribers.get(subscriber_id)


def united(first: list[Recipient], second: list[Recipient]) -> list[Recipient]:
    """Return both lists as one; a subscriber in both stands once, with the codes of both."""
    merged: dict[Any, Recipient] = {r.subscriber.id: r for r in first}
    for recipient in second:
        known = merged.get(recipient.subscriber.id)
        if known is None:
            merged[recipient.subscriber.id] = recipient
            continue
        codes = tuple(dict.fromkeys((*known.codes, *recipient.codes)))
        api = known.api_enabled or recipient.api_enabled
        products = tuple(dict.fromkeys((*known.products, *recipient.products)))
        both = known._replace(codes=codes, api_enabled=api, products=products)
        merged[recipient.subscriber.id] = both
    return list(merged.values())


def entry_of(recipient: Recipient, item: Item) -> LedgerEntry:
    """Return what the ledger keeps of a delivery of `item` to `recipient`."""
    return LedgerEntry(
        recipient.codes,
        recipient.api_enabled,
        int(item.get("_current_version") or 0),
        recipient.associated,
        recipient.members or (),
        recipient.only_packaged,
        recipient.products,
    )
