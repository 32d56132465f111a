"""What validation reads from vocabularies: custom fields, subject schemes, names for messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.database import Database

from apps.core.service import Document
from apps.store.collections import VOCABULARIES

Vocabularies = Sequence[Mapping[str, Any]]

PROJECTION = dict.fromkeys(
    ("display_name", "translations", "field_type", "schema_field", "selection_type"), 1
)

CUSTOM_FIELD_TYPES = {
    "text": "string",
    "embed": "dict",
    "date": "date",
    "urls": "list",
    "custom": "any",
}
"""`field_type` of a custom field to the type of its value in `extra` (lifecycle contract 4.2)."""

HIDDEN = "do not show"


class VocabularyReader:
    """The vocabularies as one validation sees them: read when first asked for, at most once."""

    def __init__(self, db: Database[Document]) -> None:
        self._db = db
        self._vocabularies: Vocabularies | None = None

    def __call__(self) -> Vocabularies:
        if self._vocabularies is None:
            alive = {"_deleted": {"$ne": True}}
            self._vocabularies = list(self._db[VOCABULARIES].find(alive, PROJECTION))
        return self._vocabularies

    def subject_schemes(self) -> frozenset[str]:
        """Return the schemes whose entries count as subjects, see `subject_schemes`."""
        return subject_schemes(self())


def custom_field_types(vocabularies: Vocabularies) -> dict[str, str]:
    """Return custom field to the type of its value, for those that live in `extra`."""
    return {
        str(vocabulary["_id"]): CUSTOM_FIELD_TYPES[vocabulary["field_type"]]
        for vocabulary in vocabularies
        if vocabulary.get("field_type") in CUSTOM_FIELD_TYPES
    }


def hidden_fields(vocabularies: Vocabularies) -> frozenset[str]:
    """Return the fields that profiles do not show (resources contract 14 rule 8)."""
    return frozenset(
        str(vocabulary["_id"])
        for vocabulary in vocabularies
        if vocabulary.get("selection_type") == HIDDEN
    )


def subject_schemes(vocabularies: Vocabularies) -> frozenset[str]:
    """Return ids of the vocabularies that fill `subject`."""
    return frozenset(
        str(vocabulary["_id"])
        for vocabulary in vocabularies
        if vocabulary.get("schema_field") == "subject"
    )


def vocabulary_of(field: str, vocabularies: Vocabularies) -> Mapping[str, Any] | None:
    """Return the vocabulary behind `field`, or None where there is none."""
    by_id = {str(vocabulary["_id"]): vocabulary for vocabulary in vocabularies}
    vocabulary = by_id.get("categories" if field == "anpa_category" else field)
    if field == "subject":
        filling = (by_id[id] for id in by_id if by_id[id].get("schema_field") == "subject")
        vocabulary = next(filling, vocabulary)
    return vocabulary
