"""Checks of bodies that are no documents of a resource (cms contract 2.1)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cerberus import Validator

from apps.core.clock import moment_of
from apps.core.errors import SchemaIssues
from apps.core.service import Document


def checked(schema: Mapping[str, Any], body: Mapping[str, Any]) -> Document:
    """Return a body with its defaults.

    Raises:
        SchemaIssues: it breaks the schema; issues by field.
    """
    validator = Validator(dict(schema))
    if not validator.validate(dict(body)):
        raise SchemaIssues({name: issue_of(found) for name, found in validator.errors.items()})
    return dict(validator.document)


def issue_of(found: Any) -> Any:
    """Return the issues of a field as clients know them: one as it is, inner ones below it."""
    if isinstance(found, list):
        return issue_of(found[0]) if len(found) == 1 else [issue_of(each) for each in found]
    if isinstance(found, dict):
        return {str(key): issue_of(each) for key, each in found.items()}
    if isinstance(found, str) and found.startswith("min length is "):
        return {"minlength": 1}
    return {"required": 1} if found == "required field" else found


def moment(body: Mapping[str, Any], field: str) -> datetime | None:
    """Return the time in a field, without microseconds; None where there is none.

    Raises:
        SchemaIssues: it is no time.
    """
    value = body.get(field)
    if value is None:
        return None
    found = moment_of(value)
    if found is None:
        raise SchemaIssues({field: "must be of datetime type"})
    return found.replace(microsecond=0)
