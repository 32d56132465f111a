"""Rules of `products`, and products tried out on an item."""

from collections.abc import Mapping
from typing import Any

from bson import ObjectId

from apps.archive.visibility import check_may_see
from apps.core.caller import Caller
from apps.core.errors import BadRequest
from apps.core.schemas import as_stored, fill_defaults
from apps.core.service import Document, ResourceService
from apps.routing.filters.content_filters import FilterSet
from apps.routing.filters.fields import ItemView
from apps.routing.filters.rule_service import RuleService, load_filters, names_of
from apps.routing.products.matching import (
    Product,
    ProductOutcome,
    ProductType,
    compile_product,
    product_outcome,
)
from apps.routing.products.resource import PRODUCT_SCHEMA
from apps.store.by_id import find_by_id
from apps.store.collections import ARCHIVE, PRODUCTS, SUBSCRIBERS

CLOSED_LISTS: Mapping[str, tuple[str, str]] = {
    ProductType.DIRECT: ("api_products", "API"),
    ProductType.API: ("products", "direct"),
}
"""By product type: the list of a subscriber that may not name such a product, and its word."""


class ProductsService(RuleService):
    """A product keeps its type and its existence while subscribers depend on them."""

    resource = "products"

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        fill_defaults(documents, PRODUCT_SCHEMA)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        closed = CLOSED_LISTS.get(updates.get("product_type", ""))
        if closed is None:
            return
        field, word = closed
        if names := self._subscribers({field: as_stored(original["_id"])}):
            raise BadRequest(
                f"Product is used for {word} publishing for the subscriber(s): {names}"
            )

    def on_delete(self, document: Document, caller: Caller) -> None:
        id_ = as_stored(document["_id"])
        if names := self._subscribers({"$or": [{"products": id_}, {"api_products": id_}]}):
            raise BadRequest(f"Product is used by the subscriber(s): {names}")

    def _subscribers(self, query: Document) -> str:
        return names_of(self.db[SUBSCRIBERS].find(query, {"name": 1}), ", ")


class ProductTestService(ResourceService):
    """Say for every product whether an item belongs to it; nothing is stored."""

    resource = "product_test"

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            document["_items"] = self._results(document.get("article_id"), caller)

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        return [ObjectId() for _ in documents]

    def _results(self, item_id: str | None, caller: Caller) -> list[Document]:
        if not item_id:
            raise BadRequest("Article id cannot be empty!")
        item = find_by_id(self.db[ARCHIVE], item_id)
        if item is None:
            raise BadRequest("Article not found!")
        check_may_see(item, caller)
        view, filters = ItemView(item, self.clock.now()), load_filters(self.db)
        products = [compile_product(document) for document in self.db[PRODUCTS].find()]
        try:
            return [result_row(product, view, filters) for product in products]
        except KeyError as error:
            raise BadRequest(f"Error in testing article: {error}") from error


def result_row(product: Product, view: ItemView, filters: FilterSet) -> Document:
    """Return the row of `/products/test` for one product.

    Raises:
        KeyError: an entry of the item's `target_regions` lacks its key.
    """
    outcome = product_outcome(product, view, filters)
    return {
        "product_id": product.id,
        "name": product.name,
        "matched": outcome is ProductOutcome.MATCHED,
        "reason": _reason(product, outcome, view, filters),
    }


def _reason(product: Product, outcome: ProductOutcome, view: ItemView, filters: FilterSet) -> str:
    if outcome is ProductOutcome.MATCHED:
        return ""
    if outcome is ProductOutcome.REGION:
        story = "Story has target_region" if view.item.get("target_regions") else ""
        own = "Product has target_region" if product.region else ""
        return f"{story} {own}".strip()
    content_filter = filters.find(product.filter_id)
    name = content_filter.name if content_filter else product.filter_id
    return f"Story does not match the filter: {name}"
