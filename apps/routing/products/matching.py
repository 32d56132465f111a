"""Products: which items belong to them (routing contract 3, 7.2)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Any

from apps.core.ids import id_key
from apps.routing.filters.conditions import Substring
from apps.routing.filters.content_filters import FilterSet, Requirements
from apps.routing.filters.fields import ItemField, ItemView, Key


class FilterType(StrEnum):
    """`content_filter.filter_type` of a product: what its filter does."""

    PERMITTING = "permitting"
    BLOCKING = "blocking"


class ProductType(StrEnum):
    """`product_type` of a product: which lists of a subscriber may name it."""

    API = "api"
    DIRECT = "direct"
    BOTH = "both"


class ProductOutcome(Enum):
    """Result of asking a product whether it takes an item."""

    MATCHED = "matched"
    REGION = "region"
    """The item's target regions and the product's region do not agree."""
    FILTER = "filter"
    """The filter does not permit the item, or blocks it."""
    UNDECIDED = "undecided"
    """The filter is gone or broken, so the product takes nothing."""


def split_codes(codes: Any) -> tuple[str, ...]:
    """Return the members of a comma list of codes, blank and repeated ones dropped."""
    if not isinstance(codes, str):
        return ()
    return tuple(dict.fromkeys(code.strip() for code in codes.split(",") if code.strip()))


@dataclass(frozen=True)
class Restriction:
    """Allow and deny entries of an item's target list.

    Attributes:
        allowed, denied: the `qcode` of each entry.
    """

    allowed: frozenset[str]
    denied: frozenset[str]

    def admits(self, name: str) -> bool:
        """Return whether `name` is let in: an allow entry names it, or there are only denies and
        none names it."""
        return name in self.allowed if self.allowed else name not in self.denied


def read_restriction(entries: Any) -> Restriction | None:
    """Return the restriction that `target_regions` or `target_types` puts on an item, if any.

    Args:
        entries: `[{"qcode", "name", "allow"}]`; null and the empty list restrict nothing.

    Raises:
        KeyError: an entry lacks `qcode` or `allow`. Nobody can tell who is meant, so the item must
            not be routed (routing contract 8.1).
    """
    if not entries:
        return None
    named: dict[bool, set[str]] = {True: set(), False: set()}
    for entry in entries:
        qcode = str(target_value(entry, "qcode"))
        named[bool(target_value(entry, "allow"))].add(qcode)
    return Restriction(frozenset(named[True]), frozenset(named[False]))


def target_value(entry: Any, key: str) -> Any:
    """Return what an entry of a target list holds under `key`.

    Raises:
        KeyError: there is none.
    """
    if not isinstance(entry, Mapping):
        raise KeyError(key)
    return entry[key]


@dataclass(frozen=True)
class Product:
    """A compiled product.

    Attributes:
        id: `_id` of the document.
        key: the id as text.
        codes: selector codes for the rows of its subscribers.
        region: qcode of the region it is made for, or None.
        filter_id: id of its content filter as text, or None for none.
        filter_type: what the filter does; None for an unknown word.
        product_type: not enforced here, the lists of subscribers are trusted.
    """

    id: Any
    key: str
    name: str
    codes: tuple[str, ...]
    region: str | None
    filter_id: str | None
    filter_type: FilterType | None
    product_type: str


def _filter_type(word: Any) -> FilterType | None:
    try:
        return FilterType(word)
    except ValueError:
        return None


def compile_product(document: Mapping[str, Any]) -> Product:
    """Return the product of a `products` document.

    Nothing wrong with the document is raised: a filter that cannot be read makes the product take
    nothing.
    """
    content_filter = document.get("content_filter") or {}
    if not isinstance(content_filter, Mapping):
        content_filter = {"filter_id": content_filter, "filter_type": "unreadable"}
    filter_id = content_filter.get("filter_id")
    return Product(
        document["_id"],
        id_key(document["_id"]),
        str(document.get("name") or document["_id"]),
        split_codes(document.get("codes")),
        str(document.get("geo_restrictions") or "") or None,
        None if filter_id is None else id_key(filter_id),
        _filter_type(content_filter.get("filter_type") or FilterType.BLOCKING),
        document.get("product_type") or ProductType.BOTH,
    )


def _read_regions(view: ItemView) -> Restriction | None:
    return read_restriction(view.item.get("target_regions"))


def _is_for_region(product: Product, view: ItemView) -> bool:
    regions = view.computed("target_regions", _read_regions)
    if regions is None or product.region is None:
        return regions is None and product.region is None
    return regions.admits(product.region)


def product_outcome(product: Product, view: ItemView, filters: FilterSet) -> ProductOutcome:
    """Return what becomes of the item at `product`.

    Raises:
        KeyError: an entry of the item's `target_regions` lacks `qcode` or `allow`.
    """
    if not _is_for_region(product, view):
        return ProductOutcome.REGION
    if product.filter_id is None:
        return ProductOutcome.MATCHED
    answer = filters.matches(product.filter_id, view)
    if answer is None or product.filter_type is None:
        return ProductOutcome.UNDECIDED
    wanted = product.filter_type is FilterType.PERMITTING
    return ProductOutcome.MATCHED if answer is wanted else ProductOutcome.FILTER


def product_matches(product: Product, view: ItemView, filters: FilterSet) -> bool:
    """Return whether the item belongs to `product`.

    Raises:
        KeyError: an entry of the item's `target_regions` lacks `qcode` or `allow`.
    """
    return product_outcome(product, view, filters) is ProductOutcome.MATCHED


def unasked_outcome(product: Product, filters: FilterSet) -> ProductOutcome:
    """Return why an item does not belong to a product that need not be asked, as its index says."""
    content_filter = filters.find(product.filter_id)
    is_broken = content_filter is not None and content_filter.id in filters.broken
    return ProductOutcome.UNDECIDED if is_broken else ProductOutcome.FILTER


def describe_outcome(product: Product, outcome: ProductOutcome, filters: FilterSet) -> str:
    """Return `outcome` in words for people, such as "Sport: filter Football does not match"."""
    content_filter = filters.find(product.filter_id)
    name = content_filter.name if content_filter else product.filter_id
    match outcome:
        case ProductOutcome.MATCHED:
            text = "matched"
        case ProductOutcome.REGION:
            text = "region"
        case ProductOutcome.FILTER if product.filter_type is FilterType.BLOCKING:
            text = f"filter {name} blocks"
        case ProductOutcome.FILTER:
            text = f"filter {name} does not match"
        case ProductOutcome.UNDECIDED:
            text = f"filter {name} is {'broken' if content_filter else 'gone'}"
    return f"{product.name}: {text}"


# Finding the products that an item can belong to without asking all of them.


class ProductIndex:
    """Products by the values that an item must hold to pass their filters.

    A permitting filter whose statements all ask for listed values (`subject in a,b`) puts its
    product under these values; an item with none of them cannot belong to it. Texts that have to
    be contained (`headline like storm`) are searched for once each, whatever product asks. All
    other products are possible for every item. The time for an item grows with its values, with the
    products under them, with the searched texts and with those others, not with all products.

    Args:
        products: what to index.
        filters: the content filters that the products name.
    """

    def __init__(self, products: Iterable[Product], filters: FilterSet) -> None:
        self._always: list[Product] = []
        self._fields: dict[str, ItemField] = {}
        self._by_key: dict[str, dict[Key, list[Product]]] = {}
        self._by_substring: dict[str, dict[str, list[Product]]] = {}
        for product in products:
            requirements = _requirements(product, filters)
            if requirements is None:
                self._always.append(product)
            else:
                self._add(product, requirements)

    def _add(self, product: Product, requirements: Requirements) -> None:
        for field, keys in requirements:
            self._fields.setdefault(field.path, field)
            buckets = self._by_key.setdefault(field.path, defaultdict(list))
            texts = self._by_substring.setdefault(field.path, defaultdict(list))
            for key in keys:
                if isinstance(key, Substring):
                    texts[key.text].append(product)
                else:
                    buckets[key].append(product)

    def possible(self, view: ItemView) -> list[Product]:
        """Return the products that the item may belong to, each once; others cannot match."""
        found = list(self._always)
        for path, field in self._fields.items():
            buckets, held = self._by_key[path], view.keys(field)
            for key in held & buckets.keys():
                found += buckets[key]
            if texts := self._by_substring[path]:
                for value in [key for key in held if isinstance(key, str)]:
                    for text in texts:
                        if text in value:
                            found += texts[text]
        return list({product.key: product for product in found}.values())


def _requirements(product: Product, filters: FilterSet) -> Requirements | None:
    """Return what an item must hold to pass the filter of `product`, None if that is not listed."""
    content_filter = filters.find(product.filter_id)
    if content_filter is None or product.filter_type is not FilterType.PERMITTING:
        return None
    return content_filter.requirements
