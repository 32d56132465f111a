"""Rules of `filter_conditions`, and what conditions may be made of."""

from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import BadRequest, SchemaIssues
from apps.core.schemas import as_stored
from apps.core.service import Document, ResourceService
from apps.routing.filters.conditions import FilterError, Operator, compile_condition, members_of
from apps.routing.filters.fields import fold
from apps.routing.filters.parameters import Sources, build_parameters
from apps.routing.filters.rule_service import RuleService, names_of
from apps.store.collections import CONTENT_FILTERS

TESTED = frozenset({"field", "operator", "value"})
"""Fields that say what a condition tests."""

LIST_OPERATORS = frozenset({Operator.IN, Operator.NIN, Operator.MATCH})


class FilterConditionsService(RuleService):
    """Filter conditions are saved only if they can be evaluated (routing contract 4.2).

    Args:
        settings: EXCLUDED_VOCABULARY_FIELDS.
    """

    resource = "filter_conditions"

    def __init__(self, db: Database[Document], clock: Clock, settings: Mapping[str, Any]) -> None:
        super().__init__(db, clock)
        self._excluded = settings["EXCLUDED_VOCABULARY_FIELDS"]

    def on_create(self, documents: list[Document], caller: Caller) -> None:
        super().on_create(documents, caller)
        sources = Sources.load(self.db, self._excluded)
        for number, document in enumerate(documents):
            self._check(document, documents[:number], sources)

    def on_update(self, updates: Document, original: Document, caller: Caller) -> None:
        if updates.keys().isdisjoint(TESTED):
            return
        condition, sources = {**original, **updates}, Sources.load(self.db, self._excluded)
        if condition.keys() >= TESTED:
            self._check(condition, (), sources)
        elif "field" in updates:
            # What is stored without the others is left so.
            check_field(condition, sources)

    def on_delete(self, document: Document, caller: Caller) -> None:
        naming = {"content_filter.expression.fc": as_stored(document["_id"])}
        filters = list(self.db[CONTENT_FILTERS].find(naming, {"name": 1}))
        if filters:
            names = names_of(filters, ",")
            raise BadRequest(f"Filter condition has been referenced in content filter: {names}")

    def _check(self, condition: Document, others: Iterable[Document], sources: Sources) -> None:
        """Check a whole condition.

        Args:
            others: conditions of the same request.
        """
        check_field(condition, sources)
        self._check_differs(condition, others)
        check_parameters(condition, sources)

    def _check_differs(self, condition: Document, others: Iterable[Document]) -> None:
        same = {"field": condition.get("field"), "operator": condition.get("operator")}
        stored = self.collection.find({**same, "_id": {"$ne": condition.get("_id")}})
        for other in (*others, *stored):
            if settings_of(other) == settings_of(condition):
                raise BadRequest(f"Filter condition:{other.get('name')} has identical settings")


def settings_of(condition: Mapping[str, Any]) -> tuple[Any, Any, frozenset[str]]:
    """Return what makes two conditions the same: field, operator and the members of the value.

    Members are trimmed and case-folded; only operators that take a list have more than one.
    """
    value, operator = str(condition.get("value")), condition.get("operator")
    members = members_of(value) if operator in LIST_OPERATORS else [value]
    return condition.get("field"), operator, frozenset(map(fold, members))


def check_field(condition: Mapping[str, Any], sources: Sources) -> None:
    """Check that there is something to test.

    Raises:
        SchemaIssues: conditions cannot test that field.
    """
    field = condition.get("field")
    if field not in sources.allowed_fields:
        raise SchemaIssues({"field": f"unallowed value {field}"})


def check_parameters(condition: Mapping[str, Any], sources: Sources) -> None:
    """Check that field, operator and value go together.

    Raises:
        BadRequest: they do not; the text says what is wrong.
    """
    name, operator = condition.get("name"), condition.get("operator")
    parameter = build_parameters(sources).get(str(condition.get("field")))
    if parameter is None:
        field = condition.get("field")
        raise BadRequest(f"Filter condition:{name} has unidentified field: {field}")
    if operator not in parameter.operators:
        raise BadRequest(f"Filter condition:{name} has unidentified operator: {operator}")
    try:
        compile_condition(condition, sources.kinds)
    except FilterError as error:
        raise BadRequest(str(error)) from error


class FilterConditionParametersService(ResourceService):
    """The fields of conditions with their operators and values; nothing is stored.

    Args:
        settings: EXCLUDED_VOCABULARY_FIELDS.
    """

    resource = "filter_condition_parameters"

    def __init__(self, db: Database[Document], clock: Clock, settings: Mapping[str, Any]) -> None:
        super().__init__(db, clock)
        self._excluded = settings["EXCLUDED_VOCABULARY_FIELDS"]

    def computed(self, caller: Caller) -> list[Document]:
        parameters = build_parameters(Sources.load(self.db, self._excluded))
        return [parameter.as_document() for parameter in parameters.values()]
