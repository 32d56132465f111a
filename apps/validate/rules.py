"""Sets of rules: the default ones, and the translation of stored ones for Cerberus.

Everything here is pure (lifecycle contract 4.2, 4.3, 4.4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson.errors import BSONError

from apps.core.vocabulary import MEDIA_TYPES, TEXT_TYPES, ItemType

Rules = dict[str, Any]
Vocabularies = Sequence[Mapping[str, Any]]

NEVER_IN_PROFILES = "languages"

CUSTOM_FIELD_TYPES = {
    "text": "string",
    "embed": "dict",
    "date": "date",
    "urls": "list",
    "custom": "any",
}
"""`field_type` of a custom field to the type of its value in `extra` (lifecycle contract 4.2)."""

HIDDEN = "do not show"


class InvalidRules(ValueError):
    """Rules that cannot be understood; the text says which field and why."""


@dataclass(frozen=True)
class RuleSet:
    """Rules for an item, as they are stored.

    Attributes:
        origin: where they come from, for messages to the operator.
        schema: field to rules.
        is_profile: custom fields are looked for in `extra`.
    """

    origin: str
    schema: Mapping[str, Any]
    is_profile: bool


def _optional(type: str, **rules: Any) -> Rules:
    return {"type": type, "nullable": True, **rules}


_MEDIA_DEFAULTS: Rules = {
    "slugline": _optional("string", maxlength=24),
    "headline": _optional("string", maxlength=64),
    "abstract": _optional("string", maxlength=160),
    **{
        name: _optional("string")
        for name in (
            "usageterms",
            "language",
            "anpa_take_key",
            "ednote",
            "sms",
            "byline",
            "footer",
            "sign_off",
            "media_description",
        )
    },
    **{
        name: _optional("list")
        for name in (
            "keywords",
            "genre",
            "place",
            "anpa_category",
            "subject",
            "company_codes",
            "authors",
            "attachments",
        )
    },
    "priority": _optional("integer"),
    "urgency": _optional("integer"),
    "dateline": _optional("dict"),
    "feature_media": _optional("media"),
}

_TEXT_DEFAULTS: Rules = {
    **_MEDIA_DEFAULTS,
    "headline": {"type": "string", "required": True, "maxlength": 64},
    "body_html": _optional("string"),
    "body_footer": _optional("string"),
}

BUILT_IN_FIELDS = frozenset(_TEXT_DEFAULTS) | {
    "alt_text",
    "archive_description",
    "copyrightholder",
    "copyrightnotice",
    "description_text",
    "pubstatus",
    "relatedItems",
    "sms_message",
    "source",
    "type",
}
"""Names that no custom field can have, so that they need no look at the vocabularies."""


def default_rules(item_type: str | None) -> RuleSet | None:
    """Return the rules of last resort, or None for a type that has none."""
    if item_type in TEXT_TYPES:
        return RuleSet(f"default rules of {item_type}", _TEXT_DEFAULTS, is_profile=True)
    if item_type in MEDIA_TYPES or item_type == ItemType.COMPOSITE:
        return RuleSet(f"default rules of {item_type}", _MEDIA_DEFAULTS, is_profile=True)
    return None


def may_have_custom_fields(rule_set: RuleSet) -> bool:
    """Whether a rule may be named after a custom field."""
    return rule_set.is_profile and not BUILT_IN_FIELDS.issuperset(rule_set.schema)


def canonical(rule_set: RuleSet, vocabularies: Vocabularies, *, marked_for_sms: bool) -> bytes:
    """Return all that the compiled rules depend on; equal bytes stand for equal rules.

    Args:
        rule_set: the rules as stored.
        vocabularies: may be empty for rules without custom fields.
        marked_for_sms: the item goes out by SMS, so that its SMS text is checked.

    Raises:
        InvalidRules: a name or value that no stored document can hold.
    """
    hidden = {*hidden_fields(vocabularies), NEVER_IN_PROFILES} if rule_set.is_profile else ()
    types = custom_field_types(vocabularies) if rule_set.is_profile else {}
    schema = {name: rules for name, rules in rule_set.schema.items() if name not in hidden}
    content = {
        "schema": schema,
        "custom": {name: types[name] for name in sorted(types) if schema.get(name)},
        "is_profile": rule_set.is_profile,
        "marked_for_sms": marked_for_sms,
    }
    try:
        return bson.encode(content)
    except (BSONError, OverflowError, RecursionError) as error:
        raise InvalidRules(str(error)) from error


def translate(
    schema: Mapping[str, Any],
    custom_fields: Mapping[str, str],
    *,
    is_profile: bool,
    marked_for_sms: bool,
) -> Rules:
    """Return the rules as Cerberus takes them.

    Args:
        schema: field to rules, as stored.
        custom_fields: custom field to type; their rules move under `extra`.
        is_profile: see `RuleSet`.
        marked_for_sms: keep the rules for the SMS text.

    Raises:
        InvalidRules: the rules of a field are no mapping.
    """
    rules = clean_all(schema)
    if not marked_for_sms:
        rules.pop("sms", None)
        rules.pop("sms_message", None)
    if is_profile:
        _allow_retired_schemes(rules)
        extra = {
            name: {**rules.pop(name), "type": type}
            for name, type in custom_fields.items()
            if name in rules
        }
        rules["extra"] = {"type": "dict", "schema": extra}
    return rules


def clean_all(schema: Mapping[str, Any]) -> Rules:
    """Return field to rules without fields that have none, each cleaned by `clean`.

    Raises:
        InvalidRules: the rules of a field are no mapping.
    """
    return {name: clean(name, rules) for name, rules in schema.items() if rules}


def clean(field: str, rules: Any) -> Rules:
    """Return `rules` without nulls; what is required without a length may not be empty.

    Raises:
        InvalidRules: `rules` is no mapping.
    """
    if not isinstance(rules, Mapping):
        raise InvalidRules(f"rules of {field} must be an object, but are {rules!r}")
    cleaned: Rules = _without_nulls(rules)
    if cleaned.get("required") and not cleaned.get("minlength"):
        cleaned.setdefault("empty", False)
    return cleaned


def _without_nulls(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {key: _without_nulls(entry) for key, entry in value.items() if entry is not None}


def _allow_retired_schemes(rules: Rules) -> None:
    """Accept subjects of vocabularies that are gone: drop `allowed` of their scheme."""
    scheme: Any = rules.get("subject")
    for step in ("schema", "schema", "scheme"):
        scheme = scheme.get(step) if isinstance(scheme, dict) else None
    if isinstance(scheme, dict):
        scheme.pop("allowed", None)


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
