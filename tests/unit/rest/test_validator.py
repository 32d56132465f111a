from typing import Any

import pytest
from cerberus import SchemaError, Validator

from apps.rest.validator import CheckedSchema

SCHEMA = {
    "headline": {"type": "string", "minlength": 2, "default": "None yet"},
    "urgency": {"type": "integer", "coerce": int},
    "subject": {
        "type": "list",
        "schema": {"type": "dict", "schema": {"qcode": {"required": True}}},
    },
}


@pytest.fixture
def checked() -> CheckedSchema:
    return CheckedSchema(Validator(), SCHEMA)


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"headline": "Fair", "urgency": "3", "subject": [{"qcode": "01"}]},
        {"headline": "F"},
        {"headline": 1, "urgency": "soon", "subject": [{"name": "Arts"}], "slugline": "fair"},
    ],
)
def test_judges_and_normalizes_as_cerberus_does(
    checked: CheckedSchema, document: dict[str, Any]
) -> None:
    plain, own = Validator(SCHEMA), Validator(checked)

    assert own.validate(document) == plain.validate(document)
    assert own.errors == plain.errors
    assert own.document == plain.document


def test_refuses_rules_that_are_none() -> None:
    with pytest.raises(SchemaError):
        CheckedSchema(Validator(), {"headline": {"type": "nonsense"}})


def test_a_copy_is_not_checked_again(
    checked: CheckedSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks: list[Any] = []
    monkeypatch.setattr(CheckedSchema, "validate", lambda self, schema=None: checks.append(schema))

    Validator(checked).validate({"headline": "Fair", "subject": []})

    assert checks == []


def test_a_copy_may_change_without_its_source(checked: CheckedSchema) -> None:
    copied = checked.copy()
    copied["headline"] = {"type": "integer"}
    del copied["urgency"]

    assert checked.schema == SCHEMA
