"""Rules of `content_filters`, and filters tried out on items."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bson import ObjectId
from pymongo import DESCENDING

from apps.archive.visibility import check_may_see, visible
from apps.core.caller import Caller
from apps.core.errors import BadRequest
from apps.core.ids import id_forms, id_key
from apps.core.schemas import as_stored, fill_defaults
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import State
from apps.routing.filters.content_filters import (
    EMPTY_STATEMENT,
    ContentFilter,
    FilterSet,
    expressions_of,
    ids_of,
    nested_ids,
    reachable,
)
from apps.routing.filters.fields import ItemView
from apps.routing.filters.resource import FILTER_SCHEMA
from apps.routing.filters.rule_service import RuleService, load_filters, names_of
from apps.store.by_id import find_by_id
from apps.store.collections import (
    ARCHIVE,
    CONTENT_FILTERS,
    INGEST,
    INTERNAL_DESTINATIONS,
    PRODUCTS,
    ROUTING_SCHEMES,
    SUBSCRIBERS,
)

TRUE_ARGUMENTS = frozenset({"1", "true", "True"})
MAX_MATCHES = 200
MAX_TRIED = 10_000
"""Items of the archive that one test looks at, the newest first."""


class ContentFiltersService(RuleService):
    """Content filters are saved only if they can be evaluated (routing contract 5)."""

    resource = "content_filters"

    def list_filter(self, lookup: Document, caller: Caller) -> Document:
        if caller.arguments.get("is_global") in TRUE_ARGUMENTS:
            return {**lookup, "is_global": True}
        return lookup

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        fill_defaults(documents, FILTER_SCHEMA)
        for document in documents:
            check_statements(document)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        if "content_filter" in updates:
            check_statements(updates)
            self._check_not_circular({**original, **updates}, original)

    def _check_not_circular(self, changed: Document, original: Document) -> None:
        stored = self.collection.find({}, {"content_filter": 1})
        edges = {id_key(document["_id"]): nested_ids(document) for document in stored}
        id_ = id_key(changed["_id"])
        edges[id_] = nested_ids(changed)
        if id_ in reachable(id_, edges):
            name = original.get("name")
            raise BadRequest(f"Circular dependency error in content filters:{name}")

    # Delete.

    def on_delete(self, document: Document, caller: Caller) -> None:
        """Refuse to delete a filter that is in use, naming those who use it."""
        id_ = as_stored(document["_id"])
        products = list(self.db[PRODUCTS].find({"content_filter.filter_id": id_}, {"name": 1}))
        if names := self._subscribers_of(products):
            raise BadRequest(f"Content filter has been referenced by subscriber(s) {names}")
        if names := self._names(ROUTING_SCHEMES, {"rules.filter": id_}):
            raise BadRequest(f"Content filter has been referenced by routing scheme(s) {names}")
        if names := self._names(INTERNAL_DESTINATIONS, {"filter": id_}):
            raise BadRequest(
                f"Content filter has been referenced by internal destination(s) {names}"
            )
        if names := self._names(CONTENT_FILTERS, {"content_filter.expression.pf": id_}):
            # The bracket is part of the text that clients know.
            raise BadRequest(f"Content filter has been referenced in {names})")
        if products:
            names = names_of(products, ",")
            raise BadRequest(f"Content filter has been referenced by product(s) {names}")

    def _subscribers_of(self, products: list[Document]) -> str:
        ids = {"$in": [form for product in products for form in id_forms(product["_id"])]}
        return self._names(SUBSCRIBERS, {"$or": [{"products": ids}, {"api_products": ids}]})

    def _names(self, collection: str, query: Document) -> str:
        return names_of(self.db[collection].find(query, {"name": 1}), ",")


def check_statements(document: Mapping[str, Any]) -> None:
    """Check that every statement of a content filter says something.

    Raises:
        BadRequest: one names neither a condition nor a filter.
    """
    for number, expression in enumerate(expressions_of(document), start=1):
        if not ids_of(expression.get("fc")) and not ids_of(expression.get("pf")):
            raise BadRequest(EMPTY_STATEMENT.format(number))


class ContentFilterTestService(ResourceService):
    """Try a filter, stored or not, on one item or on the archive; nothing is stored."""

    resource = "content_filter_test"

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        for document in documents:
            document["match_results"] = self._results(document, caller)

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        return [ObjectId() for _ in documents]

    def _results(self, wanted: Mapping[str, Any], caller: Caller) -> Any:
        filters, content_filter = self._filter(wanted)
        if wanted.get("article_id"):
            item = self._find_item(str(wanted["article_id"]), caller)
            return self._answer(filters, content_filter, item, "article")
        matching = wanted.get("return_matching", True) is not False
        candidates = self._candidates(caller, matching=matching)
        return self._find_matches(filters, content_filter, candidates, matching=matching)

    def _filter(self, wanted: Mapping[str, Any]) -> tuple[FilterSet, ContentFilter]:
        """Return the filter that is asked for, with all others."""
        id_: Any = wanted.get("filter_id")
        extra = []
        if id_ is None and wanted.get("filter"):
            check_statements(wanted["filter"])
            id_ = ObjectId()
            extra = [{**wanted["filter"], "_id": id_}]
        filters = load_filters(self.db, extra)
        found = filters.find(id_) if id_ is not None else None
        if found is None:
            raise BadRequest("Content filter not found")
        return filters, found

    def _find_item(self, item_id: str, caller: Caller) -> Document:
        for collection in (ARCHIVE, INGEST):
            item = find_by_id(self.db[collection], item_id)
            if item is not None:
                check_may_see(item, caller)
                return item
        raise BadRequest("Article not found!")

    def _answer(
        self, filters: FilterSet, content_filter: ContentFilter, item: Document, tested: str
    ) -> bool:
        answer = content_filter.matches(ItemView(item, self.clock.now()))
        if answer is None:
            reason = filters.broken.get(content_filter.id, "it depends on a broken filter")
            raise BadRequest(f"Error in testing {tested}: {reason}")
        return answer

    def _find_matches(
        self,
        filters: FilterSet,
        content_filter: ContentFilter,
        candidates: Iterable[Document],
        *,
        matching: bool,
    ) -> list[Document]:
        found = []
        for item in candidates:
            if self._answer(filters, content_filter, item, "archive") is matching:
                item.pop("journal", None)
                found.append(item)
                if len(found) == MAX_MATCHES:
                    break
        return found

    def _candidates(self, caller: Caller, *, matching: bool) -> Iterator[Document]:
        query: Document = {"state": {"$ne": State.SPIKED}} if matching else {}
        items = self.db[ARCHIVE].find(visible(query, caller))
        yield from items.sort("versioncreated", DESCENDING).limit(MAX_TRIED)
