"""Recipients of an item: one service per operation, all with one interface.

Routing contract 8.5: P are the earlier recipients of an item, M are those that match it now.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import structlog

from apps.archive.packages import is_package
from apps.core.ids import id_key
from apps.core.vocabulary import TEXT_TYPES, Operation, PublishingAction, State, SubscriberType
from apps.publish.enqueue.association_shares import (
    Shares,
    matching_shares,
    shares_held,
    shares_of_all,
    united_shares,
)
from apps.publish.enqueue.decisions import Item, Match
from apps.publish.enqueue.packages import (
    check_members,
    check_not_empty,
    followers,
    recipients_of_package,
    withdrawn_from,
)
from apps.publish.enqueue.rules import RoutingContext
from apps.publish.enqueue.subscribers import Recipient, Subscriber, ids_of, united
from apps.publish.queue.recipients import LedgerEntry
from apps.routing.products.matching import Product

log = structlog.get_logger(__name__)

WAS_MEANT = "an earlier version was meant for it"

WITHOUT_REGION_TARGETS = (SubscriberType.DIGITAL, SubscriberType.ALL)
"""Types that a correction for regions adds nobody of."""

WITHDRAWN_BY = {
    State.KILLED: PublishingAction.KILLED,
    State.RECALLED: PublishingAction.RECALLED,
    State.UNPUBLISHED: PublishingAction.UNPUBLISHED,
}
"""Publishing action of a withdrawal, by the state that it gave the item."""


class EnqueueService(ABC):
    """Decide who receives an item.

    Attributes:
        publishing_action: what the queue rows of the recipients say.
        without_match: why somebody receives an item that no rule speaks for.
    """

    publishing_action: PublishingAction
    without_match: ClassVar[str] = "has the story"

    @abstractmethod
    def recipients(self, item: Item, routing: RoutingContext) -> list[Recipient]:
        """Return who receives `item`."""

    def shares(
        self, item: Item, recipients: Sequence[Recipient], routing: RoutingContext
    ) -> Shares:
        """Return which recipients may see which of the item's associations.

        Those that the association goes to by its own content, and those that had it before.
        """
        ids = ids_of(recipients)
        media = target_media(item)
        return united_shares(
            shares_held(item, ids, routing.ledger),
            matching_shares(item, ids, routing.rules, routing.now, media),
        )

    def matching(self, item: Item, routing: RoutingContext) -> list[Recipient]:
        """Return M: active subscribers whose products and targeting match."""
        return [recipient_of(match) for match in routing.matches(item, target_media(item))]

    def earlier(self, item_id: str, routing: RoutingContext) -> list[Recipient]:
        """Return P: active subscribers that were sent `item_id` before."""
        return [r for r in self.ever(item_id, routing) if r.subscriber.is_active]

    def held(self, item_id: str, routing: RoutingContext) -> list[Recipient]:
        """Return P with those that delivery closed: their rows are kept for when they are back."""
        ever = self.ever(item_id, routing)
        return [r for r in ever if r.subscriber.is_active or r.subscriber.is_closed]

    def intended(self, item_id: str, routing: RoutingContext) -> list[Recipient]:
        """Return M of the versions of `item_id` that ended in `error`, by the rules of now.

        They block no later version, but it goes to those who were meant, too (routing contract 12).
        """
        found: list[Recipient] = []
        for row in routing.failed.get(item_id, ()):
            media = target_media(row)
            try:
                matches = routing.rules.matches(row, routing.now, target_media=media)
            except Exception:
                # This may be the reason why it failed.
                log.exception("item.recipients_unknown", published=str(row["_id"]))
                continue
            meant = [recipient_of(match)._replace(reason=WAS_MEANT) for match in matches]
            found = united(found, meant)
        return found

    def ever(self, item_id: str, routing: RoutingContext) -> list[Recipient]:
        """Return all subscribers that were sent `item_id` before, active now or not."""
        entries = routing.ledger.of(item_id)
        return [
            Recipient(subscriber, entry.codes, entry.api_enabled)
            for subscriber_id, entry in entries.items()
            if (subscriber := routing.rules.find(subscriber_id)) is not None
        ]


def target_media(item: Item) -> SubscriberType | None:
    """Return the one type of subscriber, besides `all`, that may get `item`; None for any."""
    return None if item.get("type") in TEXT_TYPES else SubscriberType.DIGITAL


def recipient_of(match: Match) -> Recipient:
    """Return the recipient that a match of the rules stands for."""
    codes, products = tuple(match.codes), tuple(match.products)
    return Recipient(match.subscriber, codes, match.api_enabled, products=products)


def entry_of(recipient: Recipient, item: Item) -> LedgerEntry:
    """Return the ledger's entry for `recipient` of `item`."""
    return LedgerEntry(
        recipient.codes,
        recipient.api_enabled,
        int(item.get("_current_version") or 0),
        recipient.associated,
        recipient.members or (),
        recipient.only_packaged,
        recipient.products,
    )


# The services.


class EnqueuePublishedService(EnqueueService):
    """Everybody who matches; an update also goes to those who have the story it updates.

    A package goes to those who received members of it.
    """

    publishing_action = PublishingAction.PUBLISHED

    def recipients(self, item: Item, routing: RoutingContext) -> list[Recipient]:
        if is_package(item):
            check_members(item, routing)
            return recipients_of_package(item, routing)
        matching = self.matching(item, routing)
        if not item.get("rewrite_of"):
            return matching
        earlier = self.earlier(item["rewrite_of"], routing)
        meant = self.intended(item["rewrite_of"], routing)
        return united(united(earlier, meant), matching)


class EnqueueCorrectedService(EnqueueService):
    """Everybody who has the story, whatever its targets are now, and those who match by now."""

    publishing_action = PublishingAction.CORRECTED

    def recipients(self, item: Item, routing: RoutingContext) -> list[Recipient]:
        earlier = self.earlier(item["item_id"], routing)
        if is_package(item):
            return self._of_package(item, earlier, routing)
        known = ids_of(earlier)
        added = [r for r in self.matching(item, routing) if r.subscriber.id not in known]
        if earlier and item.get("target_regions"):
            added = [r for r in added if r.subscriber.type not in WITHOUT_REGION_TARGETS]
        meant = [r for r in self.intended(item["item_id"], routing) if r.subscriber.id not in known]
        return earlier + united(added, meant)

    def _of_package(
        self, package: Item, earlier: list[Recipient], routing: RoutingContext
    ) -> list[Recipient]:
        check_not_empty(package)
        check_members(package, routing)
        known = ids_of(earlier)
        added = recipients_of_package(package, routing)
        return [
            *followers(package, earlier, routing),
            *(recipient for recipient in added if recipient.subscriber.id not in known),
        ]


class EnqueueKilledService(EnqueueService):
    """Everybody who has the story, those included that delivery closed meanwhile.

    Where nobody is on record it goes to those who match, unless a setting says otherwise or the
    item was never out at all. An item that was archived goes to all who ever had it, active or not,
    and to nobody else.

    Args:
        published_state: the state that the withdrawal gave the item.
    """

    def __init__(self, published_state: State = State.KILLED) -> None:
        self.publishing_action = WITHDRAWN_BY[published_state]

    def recipients(self, item: Item, routing: RoutingContext) -> list[Recipient]:
        if item.get("revived"):
            return self.ever(item["item_id"], routing)
        earlier = self.held(item["item_id"], routing)
        falls_back = routing.withdraw_to_matching and not item.get("only_scheduled")
        if is_package(item):
            if earlier or not falls_back:
                return withdrawn_from(item, earlier, routing)
            return recipients_of_package(item, routing)
        if not falls_back:
            return earlier
        meant = self.intended(item["item_id"], routing)
        return united(earlier or self.matching(item, routing), meant)

    def shares(
        self, item: Item, recipients: Sequence[Recipient], routing: RoutingContext
    ) -> Shares:
        """Return who had the associations; a withdrawal shows nobody anything new."""
        return shares_held(item, ids_of(recipients), routing.ledger)


class EnqueueResentService(EnqueueService):
    """Exactly the chosen subscribers that are active (routing contract 8.5, 11).

    Args:
        subscriber_ids: the chosen ones.
        publishing_action: that of the item's last operation.
    """

    without_match: ClassVar[str] = "chosen for a resend"

    def __init__(
        self, subscriber_ids: Collection[Any], publishing_action: PublishingAction
    ) -> None:
        self._subscriber_ids = subscriber_ids
        self.publishing_action = publishing_action

    def recipients(self, item: Item, routing: RoutingContext) -> list[Recipient]:
        chosen = dict.fromkeys(self._subscriber_ids)
        rules = routing.rules
        return [
            Recipient(
                subscriber, all_codes(subscriber, rules.products), bool(subscriber.api_products)
            )
            for id_ in chosen
            if (subscriber := rules.find(id_)) is not None and subscriber.is_active
        ]

    def shares(
        self, item: Item, recipients: Sequence[Recipient], routing: RoutingContext
    ) -> Shares:
        """Return that everybody chosen sees all associations."""
        return shares_of_all(item, ids_of(recipients))


def all_codes(subscriber: Subscriber, products: Mapping[str, Product]) -> tuple[str, ...]:
    """Return the subscriber's codes and those of all its direct products, each once.

    Without direct products there are none at all.
    """
    if not subscriber.products:
        return ()
    keys = map(id_key, subscriber.products)
    listed = (products[key] for key in keys if key in products)
    codes = (code for product in listed for code in product.codes)
    return tuple(dict.fromkeys((*subscriber.codes, *codes)))


enqueue_services: Mapping[str, EnqueueService] = {
    Operation.PUBLISH: EnqueuePublishedService(),
    Operation.CORRECT: EnqueueCorrectedService(),
    Operation.BEING_CORRECTED: EnqueueCorrectedService(),
    Operation.KILL: EnqueueKilledService(),
    Operation.TAKEDOWN: EnqueueKilledService(published_state=State.RECALLED),
    Operation.UNPUBLISH: EnqueueKilledService(published_state=State.UNPUBLISHED),
}
"""By the operation that published an item."""
