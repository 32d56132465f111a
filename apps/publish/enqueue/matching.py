"""Which subscribers an item goes to by its content and targets (routing contract 8.4).

`RoutingRules` is an immutable snapshot of subscribers, products and filters, built once per batch
from plain documents. What was sent to whom before is not its business.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple

from apps.core.vocabulary import SubscriberType
from apps.publish.enqueue.destinations import Destination, content_api_of, own_destinations
from apps.publish.enqueue.refusals import Listed, Refusals, compile_refusals
from apps.publish.enqueue.targeting import Eligibility, Targets
from apps.publish.queue.rows import sequence_of
from apps.routing.filters.content_filters import ContentFilter, FilterSet, compile_filters
from apps.routing.filters.fields import Document, ItemView
from apps.routing.products.matching import (
    Product,
    ProductIndex,
    ProductOutcome,
    compile_product,
    describe_outcome,
    product_matches,
    product_outcome,
    split_codes,
    unasked_outcome,
)

KNOWN_KEPT = 1000
"""Sets of products, all of which took an item, whose subscribers are kept in mind."""


@dataclass(frozen=True, eq=False)
class Subscriber:
    """A subscriber as routing sees it.

    Attributes:
        id: `_id` of the document.
        key: the id as text.
        type: see `SubscriberType`.
        destinations: its own; the content API is none of them.
        codes: own selector codes.
        products, api_products: ids of the listed products.
        global_filters: id of a global filter as text to whether it applies.
        sequence_num_settings: `{min, max}` or empty.
        email: comma list of addresses.
        is_closed: delivery has made it inactive, so its rows are kept until it is active again.
    """

    id: Any
    key: str
    name: str
    type: str
    is_active: bool
    destinations: tuple[Destination, ...]
    codes: tuple[str, ...]
    products: tuple[Any, ...]
    api_products: tuple[Any, ...]
    global_filters: Document
    is_async: bool
    priority: bool
    sequence_num_settings: Document
    email: str
    is_closed: bool = False

    @cached_property
    def sequence(self) -> str:
        """Key of the counter that numbers its deliveries."""
        return sequence_of(self.key)

    @cached_property
    def content_api(self) -> Destination:
        """What stands for its reading of the content API."""
        return content_api_of(self.id)

    @property
    def takes_whole_packages(self) -> bool:
        """Whether a destination takes packages with their members inside."""
        return any(destination.takes_whole_packages for destination in self.destinations)

    def overrides(self, global_filter: ContentFilter) -> bool:
        """Return whether `global_filter` does not apply to the subscriber."""
        return self.global_filters.get(str(global_filter.id)) is False


def _members(value: Any) -> tuple[Any, ...]:
    members = value if isinstance(value, (list, tuple)) else ()
    return tuple(member for member in members if member is not None)


def _mapping(value: Any) -> Document:
    return MappingProxyType(dict(value) if isinstance(value, Mapping) else {})


def closed_by_delivery(document: Document) -> bool:
    """Whether failing deliveries have made a subscriber inactive: nobody else has closed it."""
    last = _mapping(document.get("last_closed"))
    is_inactive = document.get("is_active") is not True
    return bool(is_inactive and last.get("closed_at") and not last.get("closed_by"))


def compile_subscriber(document: Document) -> Subscriber:
    """Return the subscriber of a `subscribers` document; what cannot be read counts as empty."""
    return Subscriber(
        id=document["_id"],
        key=str(document["_id"]),
        name=str(document.get("name") or document["_id"]),
        type=str(document.get("subscriber_type")),
        is_active=document.get("is_active") is True,
        destinations=own_destinations(document["_id"], document.get("destinations")),
        codes=split_codes(document.get("codes")),
        products=_members(document.get("products")),
        api_products=_members(document.get("api_products")),
        global_filters=_mapping(document.get("global_filters")),
        is_async=bool(document.get("async")),
        priority=bool(document.get("priority")),
        sequence_num_settings=_mapping(document.get("sequence_num_settings")),
        email=document.get("email") or "",
        is_closed=closed_by_delivery(document),
    )


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


class Outcome(StrEnum):
    """Why a subscriber gets an item or not, in words for people."""

    MATCHED = "matched product"
    TARGETED = "targeted directly"
    INACTIVE = "inactive"
    MEDIA_TYPE = "media type"
    TARGETING = "targeting"
    GLOBAL_FILTER = "global filter"
    NO_PRODUCT = "no product matches"


class Decision(NamedTuple):
    """What was decided about one subscriber, and why.

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
        separator = ": " if first is Outcome.NO_PRODUCT else " "
        texts = [f"{first}{separator}{detail}" if detail else str(first), *others]
        return ", ".join(texts)


class Possible(NamedTuple):
    """Decisions about those that something speaks for, and what makes products refuse an item.

    Attributes:
        refused: products that refuse it for another reason than their filter, by key.
    """

    decisions: Sequence[Decision]
    refused: Mapping[str, ProductOutcome]


@dataclass(frozen=True, eq=False)
class _Entry:
    """A subscriber with the products it lists.

    Attributes:
        position: its place in the order of subscribers.
        direct, api: the products that exist.
        gone: ids, as text, of those that do not.
        has_api: whether it lists anything for the content API.
        filters: the content filters that the products name.
    """

    position: int
    subscriber: Subscriber
    direct: tuple[Product, ...]
    api: tuple[Product, ...]
    gone: tuple[str, ...]
    has_api: bool
    filters: FilterSet

    @cached_property
    def untouched(self) -> Decision:
        """What is decided when none of its products is possible; the same for all such items."""
        if not self.subscriber.is_active:
            return Decision(self.subscriber, (Outcome.INACTIVE,))
        refusals = self.refusals(lambda product: unasked_outcome(product, self.filters))
        return Decision(self.subscriber, (Outcome.NO_PRODUCT,), refusals)

    def refusals(self, outcome_of: Callable[[Product], ProductOutcome]) -> tuple[str, ...]:
        """Return why each product that it lists does not take an item, each told once."""
        listed = dict.fromkeys((*self.direct, *self.api))
        refusals = (describe_outcome(p, outcome_of(p), self.filters) for p in listed)
        return (*refusals, *(f"product {key} is gone" for key in self.gone))


def _suits_media(subscriber: Subscriber, target_media: SubscriberType | None) -> bool:
    if target_media is None or subscriber.type == SubscriberType.ALL:
        return True
    return subscriber.type == target_media


class _Routing:
    """Decides about one item; every product is asked at most once.

    Attributes:
        possible: the products that the item may belong to; others need not be asked.
        matching: those of them that take it.

    Raises:
        KeyError: an entry of a target list lacks its key.
    """

    def __init__(
        self,
        filters: FilterSet,
        index: ProductIndex,
        view: ItemView,
        target_media: SubscriberType | None,
    ) -> None:
        self.targets = Targets.of(view.item)
        self._filters = filters
        self._view = view
        self._target_media = target_media
        self._blocking: tuple[ContentFilter, ...] = filters.matching_globals(view)
        self._outcomes: dict[Product, ProductOutcome] = {}
        self.possible = index.possible(view)
        self.matching = frozenset(
            [p for p in self.possible if self._outcome(p) is ProductOutcome.MATCHED]
        )

    def _outcome(self, product: Product) -> ProductOutcome:
        outcome = self._outcomes.get(product)
        if outcome is None:
            outcome = product_outcome(product, self._view, self._filters)
            self._outcomes[product] = outcome
        return outcome

    @property
    def goes_by_products(self) -> bool:
        """Whether nothing but `matching` and the media type decides on those who list a match."""
        targets = self.targets
        return not self._blocking and not targets.subscribers and targets.types is None

    @property
    def refused(self) -> dict[str, ProductOutcome]:
        """Products that refuse the item for another reason than their filter, by key."""
        usual = (ProductOutcome.MATCHED, ProductOutcome.FILTER)
        return {p.key: outcome for p, outcome in self._outcomes.items() if outcome not in usual}

    def decide(self, entry: _Entry) -> Decision:
        """Apply the steps of routing contract 8.4 in their order."""
        subscriber = entry.subscriber
        if not subscriber.is_active:
            return Decision(subscriber, (Outcome.INACTIVE,))
        if not _suits_media(subscriber, self._target_media):
            return Decision(subscriber, (Outcome.MEDIA_TYPE,))
        eligibility = self.targets.eligibility(subscriber.key, subscriber.type)
        if eligibility is Eligibility.DROPPED:
            return Decision(subscriber, (Outcome.TARGETING,))
        for content_filter in self._blocking:
            if not subscriber.overrides(content_filter):
                return Decision(subscriber, (Outcome.GLOBAL_FILTER,), (content_filter.name,))
        return self._decide_by_products(entry, eligibility is Eligibility.DIRECT)

    def _decide_by_products(self, entry: _Entry, is_direct: bool) -> Decision:
        subscriber = entry.subscriber
        matching = self.matching
        direct = [product for product in entry.direct if product in matching]
        api = [product for product in entry.api if product in matching]
        matched = tuple(dict.fromkeys((*direct, *api)))
        if not matched and not is_direct:
            return Decision(subscriber, (Outcome.NO_PRODUCT,), entry.refusals(self._outcome))
        codes = dict.fromkeys(
            (*subscriber.codes, *[code for product in matched for code in product.codes])
        )
        match = Match(
            subscriber,
            tuple(codes),
            # Named subscribers get the API copy too where nothing else speaks for them.
            bool(api) or (not matched and entry.has_api),
            is_direct,
            tuple([product.id for product in matched]),
        )
        outcomes = (Outcome.MATCHED,) * bool(matched) + (Outcome.TARGETED,) * is_direct
        return Decision(subscriber, outcomes, tuple([p.name for p in matched]), match)


@dataclass(frozen=True)
class RoutingRules:
    """Everything that decides who gets an item, compiled.

    Attributes:
        subscribers: the active subscribers by id.
        products: by id as text.
        filters: the content filters; `filters.broken` tells what somebody has to repair.
        takers_of_whole_packages: ids of the active subscribers that have a destination which takes
            packages with their members inside.
    """

    subscribers: Mapping[Any, Subscriber]
    products: Mapping[str, Product]
    filters: FilterSet
    takers_of_whole_packages: frozenset[Any]
    _entries: Mapping[str, _Entry]
    _listing: Mapping[Product, tuple[_Entry, ...]]
    _index: ProductIndex
    _known: dict[tuple[frozenset[Product], SubscriberType | None], tuple[Decision, ...]] = field(
        default_factory=dict
    )

    @property
    def size(self) -> int:
        """How many subscribers there are, inactive ones included."""
        return len(self._entries)

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
        """What the products of active subscribers say when they refuse an item."""
        entries = (entry for entry in self._entries.values() if entry.subscriber.is_active)
        listed = [
            Listed(e.subscriber.id, list(dict.fromkeys((*e.direct, *e.api))), e.gone)
            for e in entries
        ]
        return compile_refusals(listed, self.filters)

    @cached_property
    def everybody(self) -> tuple[Subscriber, ...]:
        """All subscribers, inactive ones included."""
        return tuple(entry.subscriber for entry in self._entries.values())

    @cached_property
    def inactive(self) -> tuple[Subscriber, ...]:
        """The subscribers that are not active."""
        return tuple(subscriber for subscriber in self.everybody if not subscriber.is_active)

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
        compiled = {str(document["_id"]): compile_product(document) for document in products}
        entries: dict[str, _Entry] = {}
        for position, document in enumerate(subscribers):
            entry = _entry(
                position, compile_subscriber(document), compiled, filter_set, content_api
            )
            entries[entry.subscriber.key] = entry
        active = [entry for entry in entries.values() if entry.subscriber.is_active]
        listing = _listing(active)
        return cls(
            MappingProxyType({entry.subscriber.id: entry.subscriber for entry in active}),
            MappingProxyType(compiled),
            filter_set,
            frozenset(e.subscriber.id for e in active if e.subscriber.takes_whole_packages),
            MappingProxyType(entries),
            MappingProxyType(listing),
            ProductIndex(listing, filter_set),
        )

    def find(self, subscriber_id: Any) -> Subscriber | None:
        """Return a subscriber of the snapshot, active or not; None if it is not in it."""
        entry = self._entries.get(str(subscriber_id))
        return entry.subscriber if entry else None

    def candidates(
        self,
        item: Document,
        now: datetime,
        *,
        among: Collection[Any] | None = None,
        target_media: SubscriberType | None = None,
    ) -> list[Match]:
        """Return who gets `item`, in the order in which the subscribers were given.

        Args:
            item: the version to route.
            now: the current time.
            among: ids of the only subscribers to consider; None considers all.
            target_media: the one type, besides `all`, that may get the item; None for any.

        Raises:
            KeyError: an entry of a target list lacks its key; the item must not be routed.
        """
        routing = self._routing(item, now, target_media)
        entries = _only(among, self._possible(routing))
        decisions = (routing.decide(entry) for entry in entries)
        return [decision.match for decision in decisions if decision.match]

    def decisions(
        self,
        item: Document,
        now: datetime,
        *,
        among: Collection[Any] | None = None,
        target_media: SubscriberType | None = None,
    ) -> Iterator[Decision]:
        """Yield the decision about each subscriber, inactive ones included.

        Decides as `candidates` does, but has an answer for every subscriber; arguments and errors
        as there. The first reason that is known without asking is told.
        """
        routing = self._routing(item, now, target_media)
        touched = self._touched(routing)
        for entry in _only(among, self._entries.values()):
            yield entry.untouched if entry not in touched else routing.decide(entry)

    def possible_decisions(
        self, item: Document, now: datetime, *, target_media: SubscriberType | None = None
    ) -> Possible:
        """Return the decisions about those that a product or the item itself speaks for.

        The time does not grow with the number of subscribers; arguments and errors as of
        `candidates`.
        """
        routing = self._routing(item, now, target_media)
        if not routing.goes_by_products:
            return Possible(self._decided(routing), routing.refused)
        # Items that the same products take go to the same subscribers.
        alike = (routing.matching, target_media)
        decisions = self._known.get(alike)
        if decisions is None:
            if len(self._known) >= KNOWN_KEPT:
                self._known.clear()
            decisions = self._known[alike] = self._decided(routing)
        return Possible(decisions, routing.refused)

    def _decided(self, routing: _Routing) -> tuple[Decision, ...]:
        return tuple([routing.decide(entry) for entry in self._possible(routing)])

    def explain(
        self,
        item: Document,
        now: datetime,
        *,
        among: Collection[Any] | None = None,
        target_media: SubscriberType | None = None,
    ) -> list[tuple[Any, str]]:
        """Return for each subscriber its id and why it gets `item` or not.

        Arguments and errors as of `candidates`.
        """
        decisions = self.decisions(item, now, among=among, target_media=target_media)
        return [(decision.subscriber.id, decision.reason) for decision in decisions]

    def matching_products(self, item: Document, now: datetime) -> list[Product]:
        """Return the products that take `item`, whoever may have them, in their order."""
        view = ItemView(item, now)
        possible = self._index_of_all.possible(view)
        matching = (p for p in possible if product_matches(p, view, self.filters))
        return sorted(matching, key=self._places.__getitem__)

    @cached_property
    def _index_of_all(self) -> ProductIndex:
        """The index of all products; `_index` has those only that somebody lists."""
        return ProductIndex(self.products.values(), self.filters)

    @cached_property
    def _places(self) -> dict[Product, int]:
        return {product: place for place, product in enumerate(self.products.values())}

    def _routing(self, item: Document, now: datetime, media: SubscriberType | None) -> _Routing:
        return _Routing(self.filters, self._index, ItemView(item, now), media)

    def _possible(self, routing: _Routing) -> list[_Entry]:
        """Return the subscribers that a product or the item itself speaks for."""
        found = {entry for product in routing.matching for entry in self._listing[product]}
        named = (self._entries.get(key) for key in routing.targets.subscribers)
        found.update(entry for entry in named if entry is not None)
        return sorted(found, key=lambda entry: entry.position)

    def _touched(self, routing: _Routing) -> set[_Entry]:
        """Return the active subscribers whose decision depends on the item."""
        if routing.targets.has_regions:
            return {entry for entry in self._entries.values() if entry.subscriber.is_active}
        touched = {entry for product in routing.possible for entry in self._listing[product]}
        named = (self._entries.get(key) for key in routing.targets.subscribers)
        return touched.union(entry for entry in named if entry is not None)


def _only(among: Collection[Any] | None, entries: Iterable[_Entry]) -> Iterable[_Entry]:
    if among is None:
        return entries
    keys = {str(id_) for id_ in among}
    return [entry for entry in entries if entry.subscriber.key in keys]


def _entry(
    position: int,
    subscriber: Subscriber,
    products: Mapping[str, Product],
    filters: FilterSet,
    content_api: bool,
) -> _Entry:
    direct = [str(id_) for id_ in subscriber.products]
    api = [str(id_) for id_ in subscriber.api_products] if content_api else []
    return _Entry(
        position,
        subscriber,
        tuple(products[key] for key in direct if key in products),
        tuple(products[key] for key in api if key in products),
        tuple(key for key in dict.fromkeys((*direct, *api)) if key not in products),
        bool(api),
        filters,
    )


def _listing(entries: Iterable[_Entry]) -> dict[Product, tuple[_Entry, ...]]:
    """Return the subscribers that list each product, directly or for the API."""
    listing: dict[Product, list[_Entry]] = defaultdict(list)
    for entry in entries:
        for product in dict.fromkeys((*entry.direct, *entry.api)):
            listing[product].append(entry)
    return {product: tuple(listed) for product, listed in listing.items()}
