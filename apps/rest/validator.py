"""Schema validation of request bodies: rules and issue values (resources contract 2.6).

The work grows with what is sent, whatever is wrong with it: what keeps the rules is found out
without a validator of Cerberus for each object and list, issues are collected without copies, and
references are looked up together.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import date, datetime, time
from typing import Any

from bson import ObjectId
from cerberus import TypeDefinition
from cerberus.errors import (
    MIN_LENGTH,
    REQUIRED_FIELD,
    SEQUENCE_SCHEMA,
    VALUESRULES,
    BasicErrorHandler,
    ErrorDefinition,
    ValidationError,
)
from cerberus.schema import DefinitionSchema
from cerberus.validator import toy_error_handler
from eve.io.mongo import Validator
from flask import current_app

from apps.core.clock import moment_of
from apps.core.ids import ById, id_forms
from apps.core.schemas import keeps, keeps_inside
from apps.core.service import Document
from apps.core.vocabulary import UserType
from apps.rest.errors import noting_the_store
from apps.rest.queries import INTEGERS
from apps.store.by_id import find_all_by_id

UNIQUE = "unique"
PATTERN = "pattern"
LONGEST_NAME = 400
"""Characters of a text of which there may be one only, whatever its case: the store looks for it by
a pattern, and takes some of 1 000 characters."""
TOO_LONG = f"must not be longer than {LONGEST_NAME} characters"
ONE_INSTANCE = "Only 1 instance is allowed."

NO_ID = "must be of objectid type"
"""Issue of an id that names nothing, and that is not what ids usually are."""

ENTRIES = 100
"""Entries of a list or an object that are checked together; none is behind those with issues."""

ISSUE_CODES = {REQUIRED_FIELD.code: "required", MIN_LENGTH.code: "minlength"}
EMAIL = re.compile(r"^[^@\s]+@[^@\s]+$")
EMAIL_IN_LIST = re.compile(r".+@.+")
TWITTER = re.compile(r"^@[A-Za-z0-9_]{1,15}$")


def parse_datetime(value: Any) -> datetime | None:
    """Return the aware UTC datetime that an ISO 8601 `value` stands for, without microseconds.

    Raises:
        ValueError: not an ISO 8601 date or time.
    """
    if value is None or isinstance(value, datetime):
        return value
    moment = moment_of(value)
    if moment is None:
        raise ValueError(f"{value!r} is no date")
    return moment.replace(microsecond=0)


class IssueHandler(BasicErrorHandler):
    """Writes issues as clients know them: `{"required": 1}`, `{"unique": 1}`, or Cerberus' text."""

    def __call__(self, errors: Iterable[ValidationError]) -> dict[str, Any]:
        """Return the issues by field, those of entries and inner fields below it."""
        root = _Issues()
        for error in _single(errors):
            node = root
            for crumb in error.document_path:
                node = node.below.setdefault(str(crumb), _Issues())
            node.own.append(self._format_message(error.field, error))
        return {field: node.value for field, node in root.below.items()}

    def _format_message(self, field: str, error: Any) -> Any:
        if error.code in ISSUE_CODES:
            return {ISSUE_CODES[error.code]: 1}
        message = super()._format_message(field, error)
        return {message: 1} if message in (UNIQUE, PATTERN) else message


def _single(errors: Iterable[ValidationError]) -> Iterable[ValidationError]:
    """Yield the errors of fields; those of objects and lists stand for the ones inside."""
    for error in sorted(errors):
        if error.is_group_error:
            yield from _single(error.child_errors)
        else:
            yield error


class _Issues:
    """What is wrong with a value, and with what is inside of it, by key."""

    def __init__(self) -> None:
        self.own: list[Any] = []
        self.below: dict[str, _Issues] = {}

    @property
    def value(self) -> Any:
        """The issues as clients know them: one as it is, codes and inner issues in one object."""
        issues = list(self.own)
        if self.below:
            issues.append({key: node.value for key, node in self.below.items()})
        if all(isinstance(issue, dict) for issue in issues):
            return {key: value for issue in issues for key, value in issue.items()}
        return issues[0] if len(issues) == 1 else issues


NORMALIZING = frozenset(
    (
        *("default", "default_setter", "readonly", "coerce"),
        *("rename", "rename_handler", "purge_unknown"),
    )
)
"""Rules by which a value is changed before it is checked."""


def _normalizes(rules: Mapping[str, Any]) -> bool:
    """Whether rules, or those of what is inside, change values before they are checked."""
    if not NORMALIZING.isdisjoint(rules):
        return True
    inner = [rules[name] for name in ("schema", "valuesrules") if name in rules]
    if rules.get("type") == "dict" and "schema" in rules:
        inner = [*inner[1:], *rules["schema"].values()]
    return any(_normalizes(each) for each in inner)


class CheckedSchema(DefinitionSchema):
    """A schema whose copies need no check: they hold rules that were checked when it was made.

    Cerberus copies the schema for every document, and hashes all of it, and each of its fields
    again, to find out whether it knows it. For an item that is a quarter of the cost of a save. A
    copy serves to normalize a document only, so it has the fields alone for which there is
    something to do.
    """

    def __init__(self, validator: Any, schema: Mapping[str, Any]) -> None:
        super().__init__(validator, schema)
        self._normalizing = {f: rules for f, rules in self.schema.items() if _normalizes(rules)}

    def __setitem__(self, field: str, rules: Any) -> None:
        self.schema[field] = rules

    def copy(self) -> "CheckedSchema":
        same = copy(self)
        same.schema = self._normalizing.copy()
        return same


def _checked(schema: Mapping[str, Any], resource: str) -> CheckedSchema:
    """Return the schema of a resource of the current application."""
    known: dict[str, CheckedSchema] = current_app.extensions.setdefault("checked_schemas", {})
    if resource not in known:
        known[resource] = CheckedSchema(ResourceValidator(), schema)
    return known[resource]


def references(schema: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield resource and id of every document that a request refers to, at any depth."""
    for field, value in document.items():
        if field in schema:
            yield from _references_of(schema[field], value)


def _references_of(rules: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    if _is_id(value) and (resource := _named_resource(rules, value)):
        yield resource, value
    # What is an object in the place of a list, or the other way round, is refused for that.
    inner, kinds = rules.get("schema"), rules.get("type") or ()
    if inner and isinstance(value, Mapping) and "dict" in kinds:
        yield from references(inner, value)
    elif inner and isinstance(value, list) and "list" in kinds:
        for entry in value:
            yield from _references_of(inner, entry)


def _is_id(value: Any) -> bool:
    return isinstance(value, str | ObjectId | int) and not isinstance(value, bool)


def _named_resource(rules: Mapping[str, Any], value: Any) -> str | None:
    """Return the resource that is looked through for an id, None where there is no need to."""
    if "data_relation" in rules:
        return str(rules["data_relation"]["resource"])
    return None if isinstance(value, ObjectId) else rules.get("reference")


def refer_as_stored(
    schema: Mapping[str, Any], document: Document, referred: Mapping[str, ById[Any]]
) -> None:
    """Give the references of a document, at any depth, the form that the ids are stored with.

    Args:
        schema: of the document, which is changed in place.
        referred: stored ids by resource.
    """
    for field, value in document.items():
        if field in schema:
            document[field] = _as_stored(schema[field], value, referred)


def _as_stored(rules: Mapping[str, Any], value: Any, referred: Mapping[str, ById[Any]]) -> Any:
    if _is_id(value):
        resource = _named_resource(rules, value)
        stored = referred[resource].get(value) if resource and resource in referred else None
        return value if stored is None else stored
    inner = rules.get("schema")
    if inner and isinstance(value, dict):
        refer_as_stored(inner, value, referred)
    elif inner and isinstance(value, list):
        value[:] = [_as_stored(inner, entry, referred) for entry in value]
    return value


class ResourceValidator(Validator):
    """Cerberus rules and types (resources contract 2.6).

    Fields that the server writes are dropped before anything is checked: the entry `server_fields`
    of a resource names them, and `fixed_fields` those that a stored document keeps.
    """

    types_mapping = {
        **{name: type_ for name, type_ in Validator.types_mapping.items() if name != "integer"},
        "phone_number": TypeDefinition("phone_number", (str,), ()),
        "date": TypeDefinition("date", (date, str), ()),
        "time": TypeDefinition("time", (time, str), ()),
        "any": TypeDefinition("any", (object,), ()),
        "code": TypeDefinition("code", (str, int), (bool,)),
        "id": TypeDefinition("id", (ObjectId, str, int), (bool,)),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["error_handler"] = toy_error_handler if kwargs.get("is_child") else IssueHandler
        if args and kwargs.get("resource"):
            args = (_checked(args[0], kwargs["resource"]), *args[1:])
        super().__init__(*args, **kwargs)
        self._config.setdefault("referred", {})

    @noting_the_store
    def validate(self, document: Any, *args: Any, **kwargs: Any) -> bool:
        """Check a document that is new, but for the fields that the server writes."""
        self._config["referred"] = {}
        is_valid = super().validate(self._without(document, "server_fields"), *args, **kwargs)
        return self._referring(is_valid)

    @noting_the_store
    def validate_update(self, document: Any, *args: Any, **kwargs: Any) -> bool:
        """Check an update, but for the fields that it does not change."""
        changes = self._without(document, "server_fields", "fixed_fields")
        return self._referring(super().validate_update(changes, *args, **kwargs))

    @noting_the_store
    def validate_replace(self, document: Any, *args: Any, **kwargs: Any) -> bool:
        """Check what takes the place of a document, but for the fields that stay."""
        changes = self._without(document, "server_fields", "fixed_fields")
        return self._referring(super().validate_replace(changes, *args, **kwargs))

    def _referring(self, is_valid: Any) -> bool:
        """Return the outcome of a check; a document without issues refers to ids as stored."""
        referred = self._config["referred"]
        if is_valid and referred:
            refer_as_stored(self.schema, self.document, referred)
        return bool(is_valid)

    def _without(self, document: Any, *entries: str) -> Any:
        """Return the document without the fields that these entries of its resource name."""
        definition = self._definition
        dropped = {field for entry in entries for field in definition.get(entry, ())}
        if not dropped or not isinstance(document, Mapping):
            return document
        return {field: value for field, value in document.items() if field not in dropped}

    @property
    def _definition(self) -> Mapping[str, Any]:
        """The definition of the resource; empty for a validator of a schema alone."""
        return current_app.config["DOMAIN"].get(self.resource) or {}

    def _error(self, *args: Any) -> None:
        """Note errors; Cerberus sorts all of them, in trees that nothing here reads, for each."""
        if len(args) > 1:
            super()._error(*args)
            return
        self._errors.extend(args[0])
        for error in args[0]:
            self.document_error_tree.add(error)

    def _validate_schema(self, schema: Any, field: str, value: Any) -> None:
        """{'type': ['dict', 'string'],
        'anyof': [{'check_with': 'schema'}, {'check_with': 'bulk_schema'}]}"""
        if keeps_inside(self.schema[field], value):
            return
        is_update: bool = self.update  # type: ignore[has-type]
        self.update = is_update and self._is_merged(value)
        try:
            if isinstance(value, list):
                self._check_entries((SEQUENCE_SCHEMA, schema), field, dict(enumerate(value)))
            else:
                super()._validate_schema(schema, field, value)
        finally:
            self.update = is_update

    def _validate_valuesrules(self, schema: Any, field: str, value: Any) -> None:
        """{'type': ['dict', 'string'],
        'check_with': 'bulk_schema',
        'forbidden': ['rename', 'rename_handler']}"""
        if isinstance(value, Mapping) and not keeps_inside(self.schema[field], value):
            self._check_entries((VALUESRULES, schema), field, value)

    def _check_entries(
        self, rule: tuple[ErrorDefinition, Any], field: str, entries: Mapping[Any, Any]
    ) -> None:
        """Check what a list or an object holds, as Cerberus does, until issues are found.

        Args:
            rule: the error of the rule, and what each entry has to be like.
            entries: by their place.
        """
        error, rules = rule
        places = [place for place, entry in entries.items() if not keeps(rules, entry)]
        for start in range(0, len(places), ENTRIES):
            batch = places[start : start + ENTRIES]
            validator = self._get_child_validator(
                document_crumb=field,
                schema_crumb=(field, error.rule),
                schema=dict.fromkeys(batch, rules),
            )
            each = {place: entries[place] for place in batch}
            validator(each, update=self.update, normalize=False)
            if validator._errors:
                self._drop_nodes_from_errorpaths(validator._errors, [], [2])
                self._error(field, error, validator._errors)
                return

    def _is_merged(self, value: Any) -> bool:
        """Whether an update changes parts of a value; the others bring it whole."""
        merges = bool(self._definition.get("merge_nested_documents"))
        return merges and isinstance(value, Mapping)

    def _validate_data_relation(
        self, data_relation: Mapping[str, Any], field: str, value: Any
    ) -> None:
        """{'type': 'dict',
        'schema': {
           'resource': {'type': 'string', 'required': True},
           'field': {'type': 'string', 'required': True},
           'embeddable': {'type': 'boolean', 'default': False},
           'version': {'type': 'boolean', 'default': False}
        }}"""
        if not value and self.schema[field].get("nullable"):
            return
        name, key = data_relation["resource"], data_relation["field"]
        if self._referred(name).get(value) is None:
            is_text = "string" in self.schema[field]["type"]
            self._error(
                field,
                f"value '{value}' must exist in resource '{name}', field '{key}'."
                if is_text or isinstance(value, ObjectId)
                else NO_ID,
            )

    def _validate_reference(self, resource: str, field: str, value: Any) -> None:
        """{'type': 'string'}"""
        # Whether null is allowed is another rule.
        if value is None or isinstance(value, ObjectId):
            return
        if self._referred(resource).get(value) is None:
            self._error(field, NO_ID)

    def _referred(self, resource: str) -> ById[Any]:
        """Return the ids, as stored, of the documents that the request refers to; one command."""
        # What validators of objects and lists inside share with the one of the document.
        known: dict[str, ById[Any]] = self._config["referred"]
        if resource not in known:
            ids = [
                id_
                for name, id_ in references(self.root_schema, self.root_document)
                if name == resource
            ]
            collection = current_app.data.collection(resource)  # type: ignore[attr-defined]
            found = find_all_by_id(collection, ids, {"_id": 1}).exact
            known[resource] = ById((id_, id_) for id_ in found)
        return known[resource]

    def _count(self, query: Mapping[str, Any]) -> int:
        """Return 1 when a document matches `query`, otherwise 0; deleted ones do not count."""
        collection = current_app.data.collection(self.resource)  # type: ignore[attr-defined]
        if current_app.config["DOMAIN"][self.resource]["soft_delete"]:
            query = {**query, current_app.config["DELETED"]: {"$ne": True}}
        return int(collection.count_documents(query, limit=1))

    def _others(self, query: dict[str, Any]) -> dict[str, Any]:
        if getattr(self, "document_id", None) is not None:
            query["_id"] = {"$ne": self.document_id}
        return query

    def _validate_unique(self, unique: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if not unique or value is None:
            return
        if field == "_id":
            is_new = getattr(self, "document_id", None) is None
            taken = is_new and self._count({"_id": {"$in": id_forms(value)}})
        else:
            taken = self._count(self._others({field: value}))
        if taken:
            self._error(field, UNIQUE)

    def _validate_one_form(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        # The store refuses the same one by itself.
        others = id_forms(value)[1:]
        is_new = getattr(self, "document_id", None) is None
        if wanted and others and is_new and self._count({field: {"$in": others}}):
            self._error(field, UNIQUE)

    def _validate_iunique(self, iunique: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if not iunique or not isinstance(value, str):
            return
        if len(value) > LONGEST_NAME:
            self._error(field, TOO_LONG)
        elif self._count(self._ignoring_case(field, value)):
            self._error(field, UNIQUE)

    def _validate_iunique_per_parent(self, parent: str, field: str, value: Any) -> None:
        """{'type': 'string'}"""
        document = {**(getattr(self, "persisted_document", None) or {}), **self.document}
        if not isinstance(value, str) or parent not in document:
            return
        if len(value) > LONGEST_NAME:
            self._error(field, TOO_LONG)
            return
        query = self._ignoring_case(field, value)
        query[parent] = document[parent]
        if self._count(query):
            self._error(field, UNIQUE)

    def _ignoring_case(self, field: str, value: str) -> dict[str, Any]:
        pattern = f"^\\s*{re.escape(value.strip())}\\s*$"
        return self._others({field: {"$regex": pattern, "$options": "i"}})

    def _validate_multiple_emails(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if wanted and not all(EMAIL_IN_LIST.match(part.strip()) for part in str(value).split(",")):
            self._error(field, PATTERN)

    def _validate_twitter(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if wanted and value and not TWITTER.match(str(value)):
            self._error(field, PATTERN)

    def _validate_username_pattern(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if wanted and not re.fullmatch(current_app.config["USERNAME_PATTERN"], str(value)):
            self._error(field, PATTERN)

    def _validate_email_is_required(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        stored = self.persisted_document or {}
        user = {**stored, **self.document}
        # An update does not ask for what it leaves as it is.
        is_left = self.update and user.get("email") == stored.get("email")
        has_email = is_left or bool(user.get("email"))
        if wanted and user.get("user_type") != UserType.EXTERNAL and not has_email:
            self._error("email", REQUIRED_FIELD)

    def _validate_content_type_single_item_type(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if wanted and value not in (None, "text") and self._count(self._others({field: value})):
            self._error(field, ONE_INSTANCE)

    def _validate_type_integer(self, value: Any) -> bool:
        """Whole numbers that the store holds: rules that ask it for others would fail."""
        return isinstance(value, int) and not isinstance(value, bool) and value in INTEGERS

    def _validate_type_email(self, value: Any) -> bool:
        return isinstance(value, str) and bool(EMAIL.match(value))
