"""Finding the products that an item can belong to without asking all of them."""

from collections import defaultdict
from collections.abc import Iterable

from apps.routing.filters.conditions import Part
from apps.routing.filters.content_filters import FilterSet, Requirements
from apps.routing.filters.fields import Field, ItemView, Key
from apps.routing.products.matching import FilterType, Product


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
        self._fields: dict[str, Field] = {}
        self._by_key: dict[str, dict[Key, list[Product]]] = {}
        self._by_part: dict[str, dict[str, list[Product]]] = {}
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
            parts = self._by_part.setdefault(field.path, defaultdict(list))
            for key in keys:
                if isinstance(key, Part):
                    parts[key.text].append(product)
                else:
                    buckets[key].append(product)

    def possible(self, view: ItemView) -> set[Product]:
        """Return every product that the item may belong to; those left out cannot match."""
        found = set(self._always)
        for path, field in self._fields.items():
            buckets, held = self._by_key[path], view.keys(field)
            for key in held & buckets.keys():
                found.update(buckets[key])
            if parts := self._by_part[path]:
                for text in [key for key in held if isinstance(key, str)]:
                    for part in parts:
                        if part in text:
                            found.update(parts[part])
        return found


def _requirements(product: Product, filters: FilterSet) -> Requirements | None:
    """Return what an item must hold to pass the filter of `product`, None if that is not listed."""
    content_filter = filters.find(product.filter_id)
    if content_filter is None or product.filter_type is not FilterType.PERMITTING:
        return None
    return content_filter.requirements
