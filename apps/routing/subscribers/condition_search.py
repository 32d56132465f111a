"""Search for subscribers by a filter condition (routing contract 1.3, 4.6)."""

from collections.abc import Collection, Iterable, Mapping

from pymongo.database import Database

from apps.core import json
from apps.core.errors import BadRequest
from apps.core.ids import id_key
from apps.core.service import Document
from apps.routing.filters.conditions import Operator
from apps.routing.filters.content_filters import expressions_of, ids_of, nested_ids, reachable
from apps.routing.filters.parameters import Parameter, Sources, build_parameters
from apps.store.collections import CONTENT_FILTERS, FILTER_CONDITIONS, PRODUCTS, SUBSCRIBERS


class ConditionSearch:
    """Follows a condition to filters, products and subscribers.

    Args:
        db: the database.
        excluded: vocabularies that conditions cannot name.
    """

    def __init__(self, db: Database[Document], excluded: Collection[str]) -> None:
        self._db = db
        self._excluded = excluded

    def find(self, text: str) -> Document:
        """Return the conditions similar to the given one and all that depends on them.

        Args:
            text: `{"field", "operator", "value"}` as JSON.

        Returns:
            `filter_conditions`, `content_filters`, `products` and `selected_subscribers`.

        Raises:
            BadRequest: no such JSON, or a condition that cannot be saved.
        """
        wanted = read_condition(text)
        parameter = self._parameter(wanted)
        conditions = similar(wanted, parameter, self._db[FILTER_CONDITIONS].find())
        filters = depending(conditions, list(self._db[CONTENT_FILTERS].find()))
        products = self._products(filters)
        return {
            "filter_conditions": conditions,
            "content_filters": filters,
            "products": products,
            "selected_subscribers": self._subscribers(filters, products),
        }

    def _parameter(self, wanted: Mapping[str, str]) -> Parameter:
        parameters = build_parameters(Sources.load(self._db, self._excluded))
        parameter = parameters.get(wanted["field"])
        if parameter is None:
            raise BadRequest(f"Filter condition has unidentified field: {wanted['field']}")
        if wanted["operator"] not in parameter.operators:
            raise BadRequest(f"Filter condition has unidentified operator: {wanted['operator']}")
        return parameter

    def _products(self, filters: list[Document]) -> list[Document]:
        used = {id_key(document["_id"]) for document in filters}
        return [
            product
            for product in self._db[PRODUCTS].find({"content_filter.filter_id": {"$ne": None}})
            if id_key(product["content_filter"]["filter_id"]) in used
        ]

    def _subscribers(self, filters: list[Document], products: list[Document]) -> list[Document]:
        listed = {id_key(product["_id"]) for product in products}
        blocking = {id_key(document["_id"]) for document in filters if document.get("is_global")}
        found = [
            subscriber
            for subscriber in self._db[SUBSCRIBERS].find()
            if listed & _products_of(subscriber) or blocking - _overridden_by(subscriber)
        ]
        for subscriber in found:
            href = f"/subscribers/{subscriber['_id']}"
            subscriber["_links"] = {"self": {"title": "subscribers", "href": href}}
        return found


def _products_of(subscriber: Document) -> set[str]:
    lists = (subscriber.get(field) or () for field in ("products", "api_products"))
    return {id_key(id_) for ids in lists for id_ in ids if id_ is not None}


def _overridden_by(subscriber: Document) -> set[str]:
    settings = subscriber.get("global_filters") or {}
    return {id_ for id_, applies in settings.items() if applies is False}


def read_condition(text: str) -> dict[str, str]:
    """Return the condition that a client searches by.

    Raises:
        BadRequest: not a JSON object with `field`, `operator` and `value` as text.
    """
    try:
        wanted = json.loads(text)
    except ValueError as error:
        raise BadRequest(f"filter_condition is not JSON: {error}") from error
    keys = ("field", "operator", "value")
    if not isinstance(wanted, Mapping) or not all(isinstance(wanted.get(k), str) for k in keys):
        raise BadRequest("filter_condition needs field, operator and value as text")
    return {key: wanted[key] for key in keys}


def similar(
    wanted: Mapping[str, str], parameter: Parameter, conditions: Iterable[Document]
) -> list[Document]:
    """Return the conditions that are like `wanted` (routing contract 4.6).

    These are conditions of the same field and operator whose value contains the wanted one and, for
    fields with lists of values, those that say the same the other way round: of the field's other
    operator, with a value that does not contain it.

    Args:
        wanted: `field`, `operator` and `value`.
        parameter: what conditions on the field may look like.
        conditions: all conditions.
    """
    operator = wanted["operator"]
    other = _other_operator(operator, parameter)
    found = []
    for condition in conditions:
        if condition.get("field") != wanted["field"]:
            continue
        contains = wanted["value"].casefold() in str(condition.get("value")).casefold()
        is_same = condition.get("operator") == operator and contains
        if is_same or (condition.get("operator") == other and not contains):
            found.append(condition)
    return found


def _other_operator(operator: str, parameter: Parameter) -> Operator | None:
    """Return the operator that says the opposite, None where a field has no lists of values."""
    if Operator.IN not in parameter.operators:
        return None
    if operator == Operator.IN:
        return Operator.NIN
    first = parameter.operators[0]
    return None if operator == first else first


def depending(conditions: Iterable[Document], filters: Iterable[Document]) -> list[Document]:
    """Return the content filters that name one of `conditions`, directly or by other filters."""
    wanted = {id_key(condition["_id"]) for condition in conditions}
    by_id = {id_key(document["_id"]): document for document in filters}
    edges = {id_: nested_ids(document) for id_, document in by_id.items()}
    direct = {id_ for id_, document in by_id.items() if wanted & _conditions_of(document)}
    return [
        document
        for id_, document in by_id.items()
        if id_ in direct or direct & reachable(id_, edges)
    ]


def _conditions_of(document: Document) -> set[str]:
    return {id_ for expression in expressions_of(document) for id_ in ids_of(expression.get("fc"))}
