"""Parameters of filter conditions: operators and values of each field.

Routing contract 4.1.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.database import Database

from apps.core.documents import objects_of
from apps.core.ids import ById
from apps.core.service import Document
from apps.newsroom.vocabularies.items import is_active
from apps.routing.filters.conditions import Operator
from apps.routing.filters.fields import FIELDS, VocabularyKind, vocabulary_kinds
from apps.store.collections import DESKS, INGEST_PROVIDERS, STAGES, VOCABULARIES

Values = Sequence[Mapping[str, Any]]

LISTED = (Operator.IN, Operator.NIN)
EQUAL = (Operator.EQ, Operator.NE)
LISTED_OR_EQUAL = (*LISTED, *EQUAL)
ORDERED = (*LISTED_OR_EQUAL, Operator.LT, Operator.LTE, Operator.GT, Operator.GTE)
PATTERNS = (Operator.LIKE, Operator.NOTLIKE, Operator.STARTSWITH, Operator.ENDSWITH)
TEXT = (*LISTED_OR_EQUAL, *PATTERNS)

FALSE_TRUE: Values = ({"qcode": 0, "name": "False"}, {"qcode": 1, "name": "True"})


@dataclass(frozen=True)
class Parameter:
    """Operators and values of conditions on one field.

    Attributes:
        field: as conditions name it.
        label: for people.
        operators: those that may be saved; the first one leads.
        values: what clients offer to choose from; None for free text.
        value_field: key of `values` that goes into a condition.
    """

    field: str
    label: str
    operators: tuple[Operator, ...]
    values: Values | None = None
    value_field: str | None = None

    def as_document(self) -> Document:
        """Return the row of `/filter_conditions/parameters`."""
        row: Document = {
            "field": self.field,
            "label": self.label,
            "operators": [operator.value for operator in self.operators],
        }
        if self.values is not None:
            row.update({"values": list(self.values), "value_field": self.value_field})
        return row


@dataclass(frozen=True)
class Sources:
    """Where the values come from, as stored.

    Attributes:
        vocabularies: those that are not deleted.
        excluded: ids of vocabularies that never become a field.
    """

    vocabularies: Sequence[Document]
    desks: Sequence[Document]
    stages: Sequence[Document]
    providers: Sequence[Document]
    excluded: frozenset[str]

    @classmethod
    def load(cls, db: Database[Document], excluded: Collection[str]) -> "Sources":
        """Read all of them: four commands."""
        name = {"name": 1, "desk": 1}
        return cls(
            list(db[VOCABULARIES].find({"_deleted": {"$ne": True}})),
            list(db[DESKS].find({}, name)),
            list(db[STAGES].find({}, name)),
            list(db[INGEST_PROVIDERS].find({}, name)),
            frozenset(excluded),
        )

    @property
    def kinds(self) -> dict[str, VocabularyKind]:
        """Vocabularies that conditions may compare with, by id."""
        return vocabulary_kinds(self.vocabularies)

    @property
    def allowed_fields(self) -> frozenset[str]:
        """Names that `field` of a condition may have."""
        manageable = (v["_id"] for v in self.vocabularies if v.get("type") == "manageable")
        return frozenset((*FIELDS, *map(str, manageable)))

    def values(self, *names: str) -> Values:
        """Return the active items of the first vocabulary with one of these ids or schema fields.

        Ids count before schema fields; nothing found gives nothing to choose from.
        """
        by_id = {str(v["_id"]): v for v in self.vocabularies}
        by_field = {v["schema_field"]: v for v in self.vocabularies if v.get("schema_field")}
        found = [known[name] for known in (by_id, by_field) for name in names if name in known]
        return _active(found[0]) if found else ()

    def stage_values(self) -> Values:
        """Return the stages by the name of their desk and their own."""
        desks = ById((desk["_id"], desk.get("name")) for desk in self.desks)
        return [
            {"_id": stage["_id"], "name": f"{desks.get(stage.get('desk'))}: {stage.get('name')}"}
            for stage in self.stages
        ]


def _active(vocabulary: Document) -> Values:
    return [item for item in objects_of(vocabulary, "items") if is_active(item)]


def _named(documents: Sequence[Document]) -> Values:
    return [{"_id": document["_id"], "name": document.get("name")} for document in documents]


def _built_in(sources: Sources) -> Iterator[Parameter]:
    def coded(field: str, label: str, operators: tuple[Operator, ...], *names: str) -> Parameter:
        return Parameter(field, label, operators, sources.values(*(names or (field,))), "qcode")

    yield coded("anpa_category", "ANPA Category", LISTED, "categories")
    yield coded("urgency", "Urgency", ORDERED)
    yield coded("genre", "Genre", LISTED)
    yield coded("subject", "Subject", LISTED)
    yield coded("priority", "Priority", ORDERED)
    yield Parameter("keywords", "Keywords", LISTED)
    yield Parameter("slugline", "Slugline", TEXT)
    yield coded("type", "Type", LISTED_OR_EQUAL)
    yield Parameter("source", "Source", TEXT)
    yield Parameter("headline", "Headline", TEXT)
    yield Parameter("ednote", "Ednote", TEXT)
    yield Parameter("body_html", "Body HTML", (*LISTED, *PATTERNS))
    yield Parameter("desk", "Desk", LISTED_OR_EQUAL, _named(sources.desks), "_id")
    yield Parameter("stage", "Stage", LISTED_OR_EQUAL, sources.stage_values(), "_id")
    yield Parameter("sms", "SMS", LISTED_OR_EQUAL, FALSE_TRUE, "name")
    yield coded("place", "Place", (Operator.MATCH, *LISTED), "place", "locators")
    yield Parameter("ingest_provider", "Ingest Provider", EQUAL, _named(sources.providers), "_id")
    yield Parameter("embargo", "Embargo", EQUAL, FALSE_TRUE, "name")
    yield Parameter("featuremedia", "Feature Media", (Operator.EXISTS,), FALSE_TRUE[::-1], "name")
    yield Parameter("anpa_take_key", "Take Key", TEXT)


def _of_vocabulary(vocabulary: Document, kind: VocabularyKind) -> Parameter:
    id_ = str(vocabulary["_id"])
    label = str(vocabulary.get("display_name") or id_)
    if kind is VocabularyKind.TEXT:
        return Parameter(id_, label, TEXT)
    return Parameter(id_, label, LISTED, _active(vocabulary), "qcode")


def build_parameters(sources: Sources) -> dict[str, Parameter]:
    """Return the parameters by field: the built-in fields, then those of vocabularies."""
    parameters = {parameter.field: parameter for parameter in _built_in(sources)}
    kinds = sources.kinds
    for vocabulary in sources.vocabularies:
        id_ = str(vocabulary["_id"])
        if id_ in kinds and id_ not in sources.excluded and id_ not in FIELDS:
            parameters[id_] = _of_vocabulary(vocabulary, kinds[id_])
    return parameters
