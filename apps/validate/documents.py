"""The item, and the media that it holds, as the rules look at them (lifecycle contract 4.4)."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from apps.core.documents import objects_of
from apps.core.text import plain_text
from apps.core.vocabulary import ItemType
from apps.validate.cerberus_rules import EDITOR_EMPTY, REQUIRED, CompiledRules, ErrorTree
from apps.validate.rules import Rules

Document = dict[str, Any]

MEDIA_FIELD = "media's {field}"
TOO_LONG = "max length is {maxlength}"


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
    stored = {
        entry["scheme"]: entry.get("qcode", "")
        for entry in objects_of(item, "subject")
        if entry.get("scheme") in compiled.custom_fields
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


def checked_associations(associations: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the associated items whose metadata are checked: all but texts and null ones."""
    return [
        item
        for item in associations.values()
        if isinstance(item, Mapping) and item.get("type") != ItemType.TEXT
    ]


def metadata_errors(
    associations: Mapping[str, Any], rules_of: Callable[[Mapping[str, Any]], Mapping[str, Rules]]
) -> ErrorTree:
    """Return what is missing or too long in associated media.

    Args:
        associations: as the item holds them.
        rules_of: returns field to rules for an associated item; errors that it raises pass.
    """
    errors: dict[str, list[str]] = {}
    for item in checked_associations(associations):
        for field, text in _errors_of(item, rules_of(item)):
            texts = errors.setdefault(MEDIA_FIELD.format(field=field), [])
            if text not in texts:
                texts.append(text)
    return {field: texts[0] if len(texts) == 1 else texts for field, texts in errors.items()}


def _errors_of(item: Mapping[str, Any], schema: Mapping[str, Rules]) -> Iterator[tuple[str, str]]:
    for field, rules in schema.items():
        value = _value(item, field)
        if _is_empty(value):
            if rules.get("required") is True:
                yield field, REQUIRED
            continue
        maxlength = rules.get("maxlength")
        if isinstance(maxlength, int) and _length(value) > maxlength:
            yield field, TOO_LONG.format(maxlength=maxlength)


def _value(item: Mapping[str, Any], field: str) -> Any:
    extra = item.get("extra")
    custom = extra.get(field) if isinstance(extra, Mapping) else None
    return item.get(field, custom)


def _is_empty(value: Any) -> bool:
    return value in (None, "", EDITOR_EMPTY) or (isinstance(value, (list, dict)) and not value)


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(plain_text(value))
    return len(value) if isinstance(value, list) else 0
