"""From errors to the messages that editors read, in their language (lifecycle contract 4.5).

Fields are named by catalogues: JSON files `<language>.json` with field name to label. Names of
vocabularies are translated by the vocabularies themselves: `translations.display_name.<language>`.
"""

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from apps.validate.cerberus_rules import REQUIRED, ErrorTree
from apps.validate.rules import Vocabularies

log = structlog.get_logger(__name__)

REQUIRED_TEXTS = frozenset({"required field", REQUIRED})
RAW_REQUIRED_TEXTS = frozenset({"min length is 1", "null value not allowed"})

FIXED_ON_CORRECT = frozenset({"dateline"})
FIXED_ON_KILL = frozenset({"headline", "abstract", "body_html"})

OWN_CATALOGUES = Path(__file__).parent / "locale"

LABELS = {
    "alt_text": "Alt text",
    "anpa_take_key": "Take Key",
    "archive_description": "Archive description",
    "body_footer": "Body footer",
    "body_html": "Body HTML",
    "company_codes": "Company Codes",
    "copyrightholder": "Copyright holder",
    "copyrightnotice": "Copyright notice",
    "description_text": "Description",
    "ednote": "Ed. Note",
    "feature_image": "Feature Image",
    "feature_media": "Feature Media",
    "ingest_provider": "Ingest Provider",
    "media_description": "Media Description",
    "publish_schedule": "Scheduled Time",
    "relatedItems": "Related Items",
    "sign_off": "Sign Off",
    "sms_message": "SMS Message",
    "usageterms": "Usage Terms",
}
"""Field to label, where the label is not the field's name."""


class Labels:
    """The names of fields in one language.

    Args:
        language: a language tag as users have it (`de`, `de-AT`, `pt_BR`); None for the built-in
            labels (lifecycle contract 4.5). A region that has no label of its own has those of its
            language.
        directory: catalogues of the site; their labels win over those that come along.
    """

    def __init__(self, language: str | None = None, directory: str | None = None) -> None:
        self._languages = fallbacks(language)
        self._directory = directory

    def of(self, field: str) -> str:
        """Return the label of a field."""
        for language in self._languages:
            if label := catalogue(language, self._directory).get(field):
                return label
        return LABELS.get(field, field)

    def of_vocabulary(self, field: str, vocabularies: Vocabularies) -> str | None:
        """Return the name of the vocabulary behind a field, or None where there is none."""
        vocabulary = vocabulary_of(field, vocabularies)
        if vocabulary is None:
            return None
        translations = vocabulary.get("translations")
        names = translations.get("display_name") if isinstance(translations, Mapping) else None
        if isinstance(names, Mapping):
            known = {_normal(str(tag)): str(name) for tag, name in names.items() if name}
            for language in self._languages:
                if language in known:
                    return known[language]
        return vocabulary.get("display_name") or None


def fallbacks(language: str | None) -> tuple[str, ...]:
    """Return the languages to look a label up in: the one that is wanted, then its parents."""
    parts = _normal(language or "").split("-") if isinstance(language, str) else []
    return tuple("-".join(parts[:count]) for count in range(len(parts), 0, -1) if parts[0])


@lru_cache(64)
def catalogue(language: str, directory: str | None = None) -> Mapping[str, str]:
    """Return field to label in `language`; empty where there is no catalogue.

    A file that cannot be read is logged, once: messages fall back to the built-in labels.
    """
    labels: dict[str, str] = {}
    for place in (OWN_CATALOGUES, Path(directory) if directory else None):
        if place is None or not place.is_dir():
            continue
        # Found in the listing: a language is what a user says of himself, not a path.
        for file in place.glob("*.json"):
            if _normal(file.stem) == language:
                labels.update(_read(file))
    return labels


def _read(file: Path) -> dict[str, str]:
    try:
        found: Any = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it must be an object")
    except (OSError, ValueError) as error:
        log.error("labels.unreadable", file=str(file), error=str(error))
        return {}
    return {str(field): str(label) for field, label in found.items() if label}


def _normal(language: str) -> str:
    return language.strip().replace("_", "-").lower()


def without_skipped(errors: ErrorTree, act: str, *, has_profile: bool) -> ErrorTree:
    """Return `errors` without fields that cannot be changed any more under `act`."""
    skipped: frozenset[str] = frozenset()
    if act == "correct":
        skipped = FIXED_ON_CORRECT
    elif act == "kill" and has_profile:
        skipped = FIXED_ON_KILL
    return {field: error for field, error in errors.items() if field not in skipped}


def needs_vocabularies(errors: ErrorTree) -> bool:
    """Whether a message names something after its vocabulary."""
    return any(field == "extra" or _reads_as_required(error) for field, error in errors.items())


def build_messages(
    errors: ErrorTree, vocabularies: Vocabularies, labels: Labels | None = None
) -> list[str]:
    """Return one message per field, by field name ascending; one per custom field of `extra`.

    Args:
        errors: from `cerberus_rules.find_errors`.
        vocabularies: may be empty unless `needs_vocabularies`.
        labels: names of fields; the built-in ones unless given.
    """
    names = labels or Labels()
    return [
        message
        for field in sorted(errors)
        for message in _about(field, errors, vocabularies, names)
    ]


def _about(
    field: str, errors: ErrorTree, vocabularies: Vocabularies, labels: Labels
) -> Iterator[str]:
    error = errors[field]
    if field == "extra" and isinstance(error, Mapping):
        for name in sorted(error):
            yield _custom_message(labels.of_vocabulary(name, vocabularies) or name, error[name])
    else:
        yield _message(field, error, vocabularies, labels)


def _message(field: str, error: Any, vocabularies: Vocabularies, labels: Labels) -> str:
    label = labels.of(field)
    if _reads_as_required(error):
        return f"{(labels.of_vocabulary(field, vocabularies) or label).upper()} {REQUIRED}"
    if error in RAW_REQUIRED_TEXTS:
        return f"{field.upper()} {REQUIRED}"
    if error.startswith("min length is "):
        return f"{label.upper()} is too short"
    if error.startswith("max length is "):
        return f"{label.upper()} is too long"
    return f"{label.upper()} {error}"


def _custom_message(name: str, error: Any) -> str:
    if _reads_as_required(error) or "required" in error:
        return f"{name} {REQUIRED}"
    return f"{name} {error}"


def _reads_as_required(error: Any) -> bool:
    """Whether an error, nested errors or several of them are told as a missing field."""
    return not isinstance(error, str) or error in REQUIRED_TEXTS


def vocabulary_of(field: str, vocabularies: Vocabularies) -> Mapping[str, Any] | None:
    """Return the vocabulary behind `field`, or None where there is none."""
    by_id = {str(vocabulary["_id"]): vocabulary for vocabulary in vocabularies}
    vocabulary = by_id.get("categories" if field == "anpa_category" else field)
    if field == "subject":
        filling = (by_id[id] for id in by_id if by_id[id].get("schema_field") == "subject")
        vocabulary = next(filling, vocabulary)
    return vocabulary
