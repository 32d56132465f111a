"""Schema validation of request bodies: rules and issue values (resources contract 2.6)."""

import re
from collections.abc import Mapping
from copy import copy
from datetime import date, datetime, time
from typing import Any

from cerberus import TypeDefinition
from cerberus.errors import MIN_LENGTH, REQUIRED_FIELD, BasicErrorHandler
from cerberus.schema import DefinitionSchema
from eve.io.mongo import Validator
from flask import current_app

from apps.core.clock import moment_of
from apps.core.vocabulary import UserType
from apps.rest.errors import noting_the_store

UNIQUE = "unique"
PATTERN = "pattern"
ONE_INSTANCE = "Only 1 instance is allowed."

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

    def _format_message(self, field: str, error: Any) -> Any:
        if error.code in ISSUE_CODES:
            return {ISSUE_CODES[error.code]: 1}
        message = super()._format_message(field, error)
        return {message: 1} if message in (UNIQUE, PATTERN) else message

    @property
    def pretty_tree(self) -> Any:
        return _unpacked(super().pretty_tree)


def _unpacked(tree: Any) -> Any:
    """Replace lists of one issue by the issue, and merge issues that are all codes."""
    if isinstance(tree, dict):
        return {str(key): _unpacked(value) for key, value in tree.items()}
    if not isinstance(tree, list):
        return tree
    issues = [_unpacked(issue) for issue in tree]
    if all(isinstance(issue, dict) for issue in issues):
        return {key: value for issue in issues for key, value in issue.items()}
    return issues[0] if len(issues) == 1 else issues


class CheckedSchema(DefinitionSchema):
    """A schema whose copies need no check: they hold rules that were checked when it was made.

    Cerberus copies the schema for every document, and hashes all of it, and each of its fields
    again, to find out whether it knows it. For an item that is a quarter of the cost of a save.
    """

    def __setitem__(self, field: str, rules: Any) -> None:
        self.schema[field] = rules

    def copy(self) -> "CheckedSchema":
        same = copy(self)
        same.schema = self.schema.copy()
        return same


def _checked(schema: Mapping[str, Any], resource: str) -> CheckedSchema:
    """Return the schema of a resource of the current application."""
    known: dict[str, CheckedSchema] = current_app.extensions.setdefault("checked_schemas", {})
    if resource not in known:
        known[resource] = CheckedSchema(ResourceValidator(), schema)
    return known[resource]


class ResourceValidator(Validator):
    """Cerberus rules and types (resources contract 2.6)."""

    types_mapping = {
        **Validator.types_mapping,
        "phone_number": TypeDefinition("phone_number", (str,), ()),
        "date": TypeDefinition("date", (date, str), ()),
        "time": TypeDefinition("time", (time, str), ()),
        "any": TypeDefinition("any", (object,), ()),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["error_handler"] = IssueHandler
        if args and kwargs.get("resource"):
            args = (_checked(args[0], kwargs["resource"]), *args[1:])
        super().__init__(*args, **kwargs)

    validate = noting_the_store(Validator.validate)
    validate_update = noting_the_store(Validator.validate_update)
    validate_replace = noting_the_store(Validator.validate_replace)

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
            taken = getattr(self, "document_id", None) is None and self._count({"_id": value})
        else:
            taken = self._count(self._others({field: value}))
        if taken:
            self._error(field, UNIQUE)

    def _validate_iunique(self, iunique: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if iunique and isinstance(value, str) and self._count(self._ignoring_case(field, value)):
            self._error(field, UNIQUE)

    def _validate_iunique_per_parent(self, parent: str, field: str, value: Any) -> None:
        """{'type': 'string'}"""
        document = {**(getattr(self, "persisted_document", None) or {}), **self.document}
        if not isinstance(value, str) or parent not in document:
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
        user = {**(getattr(self, "persisted_document", None) or {}), **self.document}
        if wanted and value != UserType.EXTERNAL and not user.get("email"):
            self._error("email", REQUIRED_FIELD)

    def _validate_content_type_single_item_type(self, wanted: bool, field: str, value: Any) -> None:
        """{'type': 'boolean'}"""
        if wanted and value not in (None, "text") and self._count(self._others({field: value})):
            self._error(field, ONE_INSTANCE)

    def _validate_type_email(self, value: Any) -> bool:
        return isinstance(value, str) and bool(EMAIL.match(value))
