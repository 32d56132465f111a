"""The item as the rules look at it (lifecycle contract 4.4)."""

from collections.abc import Mapping
from typing import Any

from apps.core.text import plain_text
from apps.validate.cerberus_rules import EDITOR_EMPTY, CompiledRules
from apps.validate.rules import Rules

Document = dict[str, Any]


def is_marked_for_sms(item: Mapping[str, Any]) -> bool:
    """Whether the item goes out by SMS."""
    flags = item.get("flags")
    return isinstance(flags, Mapping) and bool(flags.get("marked_for_sms"))


def associations_of(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return name to associated item; values may be null."""
    associations = item.get("associations")
    return associations if isinstance(associations, Mapping) else {}


def prepare(item: Mapping[str, Any], compiled: CompiledRules) -> Document:
    """Return a copy of `item` in which every field is where its rule looks for it."""
    document = dict(item)
    if compiled.is_profile:
        document["extra"] = _extra(item, compiled)
    if isinstance(item.get("subject"), list):
        document["subject"] = [_with_scheme(entry) for entry in item["subject"]]
    if is_marked_for_sms(item):
        document["sms"] = item.get("sms_message") or ""
    document.update(_media(associations_of(item), compiled.schema))
    document.update(_plain(document, compiled.schema))
    if isinstance(document.get("extra"), Mapping):
        document["extra"] = {**document["extra"], **_plain(document["extra"], compiled.extra)}
    return document


def _extra(item: Mapping[str, Any], compiled: CompiledRules) -> Any:
    """Return `extra` with the values of custom fields that are stored as subjects."""
    extra = item.get("extra")
    if extra is not None and not isinstance(extra, Mapping):
        return extra
    subjects = item.get("subject")
    stored = {
        entry["scheme"]: entry.get("qcode", "")
        for entry in (subjects if isinstance(subjects, list) else ())
        if isinstance(entry, Mapping) and entry.get("scheme") in compiled.custom_fields
    }
    return {**(extra or {}), **stored}


def _with_scheme(entry: Any) -> Any:
    if isinstance(entry, Mapping) and "scheme" not in entry:
        return {**entry, "scheme": None}
    return entry


def _media(associations: Mapping[str, Any], schema: Mapping[str, Rules]) -> Document:
    """Return the fields of `schema` whose values are associated items."""
    if not associations:
        return {}
    values = {name: _associated(associations, name) for name in schema}
    found = {name: value for name, value in values.items() if isinstance(value, Mapping)}
    featured = associations.get("featuremedia")
    if isinstance(featured, Mapping) and "description_text" in featured:
        found["media_description"] = featured["description_text"]
    return found


def _associated(associations: Mapping[str, Any], field: str) -> Any:
    name = "featuremedia" if field == "feature_media" else field
    if name in associations:
        return associations[name]
    numbered = (value for key, value in associations.items() if key.startswith(f"{name}--"))
    return next((value for value in numbered if value is not None), None)


def _plain(document: Mapping[str, Any], schema: Mapping[str, Rules]) -> Document:
    """Return the texts that are measured, without markup."""
    return {
        name: plain_text(document[name])
        for name, rules in schema.items()
        if ("minlength" in rules or "maxlength" in rules)
        and isinstance(document.get(name), str)
        and not _is_refused_as_empty(document[name], rules)
    }


def _is_refused_as_empty(text: str, rules: Rules) -> bool:
    """Whether the rule `empty` must still see the editor's empty value."""
    return text == EDITOR_EMPTY and rules.get("empty") is False
