"""Subscribers as routing sees them, with their destinations and products; recipients of an item.

Compiled once per change of the rules, from documents as they are stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import structlog
from bson import ObjectId

from apps.core.documents import object_of, objects
from apps.core.ids import id_key
from apps.core.service import Document
from apps.publish.queue.rows import sequence_of
from apps.routing.filters.content_filters import ContentFilter
from apps.routing.products.matching import Product, split_codes
from apps.routing.subscribers.stored_destinations import (
    CONTENT_API_DESTINATION,
    config_of,
    is_content_api,
    lane_id,
    shown_destination,
)

log = structlog.get_logger(__name__)

CONTENT_API_SHOWN = shown_destination(CONTENT_API_DESTINATION)


@dataclass(frozen=True)
class SubscriberDestination:
    """A destination of one subscriber.

    Attributes:
        shown: as queue rows show it, without secrets. All rows share it; nobody may change it.
        lane: id of the lane that its rows wait in.
        takes_whole_packages: it takes packages with their members inside.
    """

    id: str
    name: Any
    shown: Document
    lane: str
    is_content_api: bool
    takes_whole_packages: bool


def own_destinations(subscriber_id: Any, stored: Any) -> tuple[SubscriberDestination, ...]:
    """Return the destinations in the list of a subscriber; the content API is none of its own.

    Lists may come from elsewhere: what cannot be read is left out, and harms nobody else.
    """
    found = []
    for destination in objects(stored):
        if not is_content_api(destination):
            try:
                found.append(_destination(subscriber_id, destination))
            except TypeError as error:
                name = destination.get("name")
                log.warning(
                    "destination.left_out",
                    destination=name,
                    subscriber=str(subscriber_id),
                    error=str(error),
                )
    return tuple(found)


def _destination(subscriber_id: Any, stored: Mapping[str, Any]) -> SubscriberDestination:
    """Return a destination.

    Raises:
        TypeError: it has no id of its own, and holds what none can be made of.
    """
    whole = bool(config_of(stored).get("packaged"))
    return _destination_of(subscriber_id, shown_destination(stored), whole=whole)


def _destination_of(subscriber_id: Any, shown: Document, *, whole: bool) -> SubscriberDestination:
    return SubscriberDestination(
        id=shown["_id"],
        name=shown["name"],
        shown=shown,
        lane=lane_id(subscriber_id, shown["_id"]),
        is_content_api=is_content_api(shown),
        takes_whole_packages=whole,
    )


@dataclass(frozen=True)
class Subscriber:
    """A subscriber as routing sees it.

    Attributes:
        id: `_id` of the document.
        key: the id as text.
        type: see `SubscriberType`.
        destinations: its own; the content API is none of them.
        content_api: stands for its reading of the content API.
        codes: own selector codes.
        products, api_products: ids of the listed products.
        global_filters: id of a global filter as text to whether it applies.
        sequence: key of the counter that numbers its queue rows.
        sequence_num_settings: `{min, max}` or empty.
        is_closed: delivery has made it inactive, so its rows are kept until it is active again.
    """

    id: Any
    key: str
    type: str
    is_active: bool
    destinations: tuple[SubscriberDestination, ...]
    content_api: SubscriberDestination
    codes: tuple[str, ...]
    products: tuple[Any, ...]
    api_products: tuple[Any, ...]
    global_filters: Mapping[str, Any]
    priority: bool
    sequence: str
    sequence_num_settings: Mapping[str, Any]
    is_closed: bool = False

    @property
    def takes_whole_packages(self) -> bool:
        """Whether a destination takes packages with their members inside."""
        return any(destination.takes_whole_packages for destination in self.destinations)

    def overrides(self, global_filter: ContentFilter) -> bool:
        """Return whether `global_filter` does not apply to the subscriber."""
        return self.global_filters.get(id_key(global_filter.id)) is False


def compile_subscriber(document: Mapping[str, Any]) -> Subscriber:
    """Return the subscriber of a `subscribers` document; what cannot be read counts as empty."""
    id_ = document["_id"]
    return Subscriber(
        id=id_,
        key=id_key(id_),
        type=str(document.get("subscriber_type")),
        is_active=document.get("is_active") is True,
        destinations=own_destinations(id_, document.get("destinations")),
        content_api=_destination_of(id_, CONTENT_API_SHOWN, whole=False),
        codes=split_codes(document.get("codes")),
        products=_members(document.get("products")),
        api_products=_members(document.get("api_products")),
        global_filters=dict(object_of(document, "global_filters")),
        priority=bool(document.get("priority")),
        sequence=sequence_of(id_),
        sequence_num_settings=dict(object_of(document, "sequence_num_settings")),
        is_closed=closed_by_delivery(document),
    )


def _members(value: Any) -> tuple[Any, ...]:
    members = value if isinstance(value, (list, tuple)) else ()
    return tuple(member for member in members if member is not None)


def closed_by_delivery(document: Mapping[str, Any]) -> bool:
    """Whether failing deliveries have made a subscriber inactive: nobody else has closed it."""
    last = object_of(document, "last_closed")
    is_inactive = document.get("is_active") is not True
    return bool(is_inactive and last.get("closed_at") and not last.get("closed_by"))


@dataclass(frozen=True)
class ListedProducts:
    """A subscriber with the products that it lists.

    Attributes:
        position: its place in the order of subscribers.
        products: those that exist, each once, direct ones first.
        api: keys of those that it lists for the content API.
        gone: ids, as text, of those that do not exist.
        has_api: whether it lists anything for the content API.
    """

    position: int
    subscriber: Subscriber
    products: tuple[Product, ...]
    api: frozenset[str]
    gone: tuple[str, ...]
    has_api: bool

    @classmethod
    def of(
        cls,
        subscriber: Subscriber,
        products: Mapping[str, Product],
        position: int,
        *,
        content_api: bool,
    ) -> "ListedProducts":
        """Look up the products of a subscriber.

        Args:
            products: by id as text.
            content_api: whether there is a content API; without, its products do not count.
        """
        api = [id_key(id_) for id_ in subscriber.api_products] if content_api else []
        listed = dict.fromkeys([*map(id_key, subscriber.products), *api])
        return cls(
            position,
            subscriber,
            tuple(products[key] for key in listed if key in products),
            frozenset(api),
            tuple(key for key in listed if key not in products),
            bool(api),
        )


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


def ids_of(recipients: Iterable[Recipient]) -> set[ObjectId]:
    """Return the ids of the subscribers."""
    return {recipient.subscriber.id for recipient in recipients}


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
