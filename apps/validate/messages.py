"""From errors to the messages that editors read (lifecycle contract 4.5). Everything is pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from apps.validate.cerberus_rules import REQUIRED, ErrorTree
from apps.validate.labels import Labels
from apps.validate.vocabularies import Vocabularies

REQUIRED_TEXTS = frozenset({"required field", REQUIRED})
RAW_REQUIRED_TEXTS = frozenset({"min length is 1", "null value not allowed"})

FIXED_ON_CORRECT = frozenset({"dateline"})
FIXED_ON_KILL = frozenset({"headline", "abstract", "body_html"})


def without_skipped(errors: ErrorTree, act: str, *, has_profile: bool) -> ErrorTree:
    """Return `errors` without fields that the action cannot change any more."""
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
