"""Names of fields as the editor reads them, in the language of the user (lifecycle contract 4.5).

A catalogue is a JSON file `<language>.json` with field name to label. Names of vocabularies are
translated by the vocabularies themselves: `translations.display_name.<language>`.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import structlog

from apps.validate.vocabularies import Vocabularies, vocabulary_of

log = structlog.get_logger(__name__)

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
