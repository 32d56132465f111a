"""Recipients of a resend."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from apps.core.vocabulary import PublishingAction
from apps.publish.enqueue.association_shares import Shares, shares_of_all
from apps.publish.enqueue.enqueue_service import EnqueueService, Item, Recipient, Routing, ids_of
from apps.publish.enqueue.matching import Subscriber
from apps.routing.products.matching import Product


class EnqueueResentService(EnqueueService):
    """Exactly the chosen subscribers that are active (routing contract 8.5, 11).

    Args:
        subscriber_ids: the chosen ones.
        publishing_action: what they are told: that of the item's last operation.
    """

    without_match: ClassVar[str] = "chosen for a resend"

    def __init__(
        self, subscriber_ids: Collection[Any], publishing_action: PublishingAction
    ) -> None:
        self._subscriber_ids = subscriber_ids
        self.publishing_action = publishing_action

    def recipients(self, item: Item, routing: Routing) -> list[Recipient]:
        chosen = dict.fromkeys(self._subscriber_ids)
        rules = routing.rules
        return [
            Recipient(
                subscriber, all_codes(subscriber, rules.products), bool(subscriber.api_products)
            )
            for id_ in chosen
            if (subscriber := rules.subscribers.get(id_)) is not None
        ]

    def shares(self, item: Item, recipients: Sequence[Recipient], routing: Routing) -> Shares:
        """Return that everybody chosen sees all associations."""
        return shares_of_all(item, ids_of(recipients))


def all_codes(subscriber: Subscriber, products: Mapping[str, Product]) -> tuple[str, ...]:
    """Return the subscriber's codes and those of all its direct products, each once.

    Without direct products there are none at all.
    """
    if not subscriber.products:
        return ()
    listed = (products[str(id_)] for id_ in subscriber.products if str(id_) in products)
    codes = (code for product in listed for code in product.codes)
    return tuple(dict.fromkeys((*subscriber.codes, *codes)))
