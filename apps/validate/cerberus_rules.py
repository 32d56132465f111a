"""Rules of the contract for Cerberus: types, rules, compilation, errors (lifecycle contract 4.4).

Cerberus checks a schema each time a validator is built from a mapping, which costs far more than
validating. Here a schema is checked once, by `compile_rules`; the result is only read from then
on, so threads share it, while every validation has a validator of its own.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import bson
from bson.codec_options import CodecOptions
from cerberus import DocumentError, SchemaError, TypeDefinition, Validator
from cerberus.errors import BasicErrorHandler

from apps.core.documents import objects
from apps.core.json import WIRE_DATE
from apps.core.text import plain_text
from apps.validate.rules import InvalidRules, Rules, translate

ErrorTree: TypeAlias = "dict[str, str | list[str] | ErrorTree]"
"""Field to text, to texts where there are several, or to the errors of nested fields."""

REQUIRED = "is a required field"
INVALID_CHARACTERS = "contains invalid characters"
EDITOR_EMPTY = "<p></p>"
SUBJECT_SCHEMES = (None, "", "subject_custom")
"""Schemes that always count as subject, besides the vocabularies that fill `subject`."""

MISFITS = (DocumentError, TypeError, AttributeError, RuntimeError)
"""How Cerberus fails on rules of a shape that it does not foresee: some when it checks them, others
only with a value, as when nested rules of a list stand where those of a dict belong."""

FREE_TYPES = ("media", "related_content", "embed", "custom", "picture", "any")

_CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)


class _Recognized(type):
    """Lets Cerberus, which knows types by `isinstance` only, ask a class method instead."""

    def __instancecheck__(cls, value: object) -> bool:
        return bool(cls.recognizes(value))  # type: ignore[attr-defined]


class _Text(metaclass=_Recognized):
    @classmethod
    def recognizes(cls, value: object) -> bool:
        return isinstance(value, str) and value != ""


class _Date(metaclass=_Recognized):
    @classmethod
    def recognizes(cls, value: object) -> bool:
        if not isinstance(value, str):
            return isinstance(value, datetime)
        try:
            datetime.strptime(value, WIRE_DATE)  # noqa: DTZ007 - the format says UTC
        except ValueError:
            return False
        return True


class TreeHandler(BasicErrorHandler):
    """Writes errors as an `ErrorTree`, names ascending; nested errors win over the field's own."""

    @property
    def pretty_tree(self) -> ErrorTree:
        return _sorted({name: _joined(entries) for name, entries in super().pretty_tree.items()})


def _joined(entries: list[Any]) -> Any:
    if isinstance(entries[-1], dict):
        return _sorted({str(name): _joined(nested) for name, nested in entries[-1].items()})
    texts = list(dict.fromkeys(entries))
    return texts[0] if len(texts) == 1 else texts


def _sorted(tree: Mapping[str, Any]) -> ErrorTree:
    return {name: tree[name] for name in sorted(tree)}


class _NoMemory(set[Any]):
    """Stands for Cerberus' memory of checked schemas, which would grow and takes 1 for True."""

    def add(self, element: Any) -> None:
        pass


class RuleValidator(Validator):
    """Cerberus with the types and rules of content profiles and validators.

    Beyond Cerberus' own, it takes `subject_schemes`, a function that returns the vocabularies
    that fill `subject`, and `disallowed`, the characters that `validate_characters` refuses.
    """

    types_mapping = {
        **Validator.types_mapping,
        **{name: TypeDefinition(name, (object,), ()) for name in FREE_TYPES},
        "text": TypeDefinition("text", (_Text,), ()),
        "date": TypeDefinition("date", (_Date,), ()),
    }
    _valid_schemas = _NoMemory()

    # The docstrings of rules are the schemas of their arguments: Cerberus evaluates them.

    def _validate_empty(self, empty: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if empty is False and self._is_void(field, value):
            self._error(field, REQUIRED)
            self._drop_remaining_rules("minlength", "maxlength", "regex", "allowed")
        else:
            super()._validate_empty(empty, field, value)

    def _is_void(self, field: str, value: Any) -> bool:
        if isinstance(value, list):
            is_subject = field == "subject" and not self.document_path
            return not (any(map(self._is_subject, value)) if is_subject else value)
        return bool(value == EDITOR_EMPTY)

    def _is_subject(self, entry: Any) -> bool:
        scheme = entry.get("scheme") if isinstance(entry, Mapping) else None
        if scheme in SUBJECT_SCHEMES:
            return True
        return isinstance(scheme, str) and scheme in self._config["subject_schemes"]()

    def _validate_mandatory_in_list(self, mandatory: Mapping, field: str, value: Any) -> None:
        """{'type': 'dict', 'valuesrules': {'type': 'dict'}}"""
        for key, wanted in mandatory.items():
            found = [entry.get(key) for entry in objects(value)]
            for name, demand in wanted.items():
                if not self._is_met(name, demand, found):
                    self._error(name, REQUIRED)

    def _is_met(self, name: str, demand: Any, found: list[Any]) -> bool:
        if isinstance(demand, Mapping):
            is_asked, accepted = bool(demand.get("required")), name
        else:  # profiles of older releases name the scheme itself
            is_asked, accepted = bool(demand), demand
        if not is_asked or accepted in found:
            return True
        return name == "subject" and bool(found) and bool(self._config["subject_schemes"]())

    def _validate_mandatory_in_dictionary(
        self, mandatory: Collection[str], field: str, value: Any
    ) -> None:
        """{'type': 'list', 'schema': {'type': 'string'}}"""
        if isinstance(value, Mapping):
            for key in mandatory:
                if not value.get(key):
                    self._error(key, REQUIRED)

    def _validate_validate_characters(self, is_asked: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if not is_asked:
            return
        texts = [plain_text(text) for text in _texts(value)]
        if any(char in text for text in texts for char in self._config["disallowed"]):
            self._error(field, INVALID_CHARACTERS)

    def _validate_enabled(self, *arguments: Any) -> None:
        """{'nullable': True}"""

    def _validate_readonly(self, *arguments: Any) -> None:
        """{'nullable': True}"""

    def _validate_place(self, *arguments: Any) -> None:
        """{'nullable': True}"""

    def _validate_genre(self, *arguments: Any) -> None:
        """{'nullable': True}"""

    def _validate_anpa_category(self, *arguments: Any) -> None:
        """{'nullable': True}"""

    def _validate_subject(self, *arguments: Any) -> None:
        """{'nullable': True}"""

    def _validate_company_codes(self, *arguments: Any) -> None:
        """{'nullable': True}"""


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [text for text in values if isinstance(text, str)]


@dataclass(frozen=True)
class CompiledRules:
    """Rules that Cerberus has checked. Never written to, so threads may share them.

    Attributes:
        schema: field to rules.
        custom_fields: fields whose rules are under `extra`.
        is_profile: the rules come with an `extra`.
    """

    schema: Mapping[str, Rules]
    custom_fields: tuple[str, ...]
    is_profile: bool

    @property
    def extra(self) -> Mapping[str, Rules]:
        """Rules of the fields in `extra`."""
        nested = self.schema.get("extra", {}).get("schema")
        return nested if isinstance(nested, Mapping) else {}


def compile_rules(content: bytes) -> CompiledRules:
    """Translate rules and have Cerberus check them.

    Args:
        content: the result of `rules.canonical`.

    Raises:
        InvalidRules: the rules are malformed.
    """
    stored = bson.decode(content, _CODEC)
    try:
        rules = translate(
            stored["schema"],
            stored["custom"],
            is_profile=stored["is_profile"],
            marked_for_sms=stored["marked_for_sms"],
        )
        for pattern in _patterns(rules):
            re.compile(pattern)
        schema = RuleValidator(rules, allow_unknown=True).schema
    except (SchemaError, re.error, *MISFITS) as error:
        raise InvalidRules(str(error)) from error
    return CompiledRules(schema, tuple(stored["custom"]), stored["is_profile"])


def _patterns(value: Any) -> Iterator[str]:
    """Yield every `regex` argument, which Cerberus compiles only when it meets a value."""
    if isinstance(value, Mapping):
        for key, entry in value.items():
            if key == "regex" and isinstance(entry, str):
                yield entry
            yield from _patterns(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _patterns(entry)


def find_errors(
    compiled: CompiledRules,
    document: Mapping[str, Any],
    subject_schemes: Callable[[], frozenset[str]],
    disallowed: Collection[str],
) -> ErrorTree:
    """Return what is wrong with `document`; an empty tree when nothing is.

    Args:
        compiled: the rules.
        document: the item, prepared by `documents.prepare`.
        subject_schemes: asked only when a subject's scheme is not known by itself.
        disallowed: see `RuleValidator`.

    Raises:
        InvalidRules: a rule cannot be applied to the value that it met.
    """
    validator = RuleValidator(
        compiled.schema,
        allow_unknown=True,
        error_handler=TreeHandler,
        subject_schemes=subject_schemes,
        disallowed=disallowed,
    )
    try:
        # Normalization would put defaults in the place of what is missing.
        is_valid = validator.validate(document, normalize=False)
    except MISFITS as error:
        raise InvalidRules(str(error)) from error
    return {} if is_valid else dict(validator.errors)
