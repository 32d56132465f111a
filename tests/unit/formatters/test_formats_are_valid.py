"""Every format x every item type x every life-cycle action, against the official schemas.

Formats contract 7.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings

from apps.core.embargo import embargo_of
from apps.core.errors import FormatError
from apps.core.vocabulary import ItemType
from apps.importing.ninjs import item_from_ninjs
from formatters import BUILT_IN, Formatter
from formatters.outgoing import outgoing
from tests.support.format_items import CONTEXT, EXAMPLES, LATER, NOW, example_item
from tests.support.format_schemas import CHECKS
from tests.support.generated_items import items
from tests.support.schema_files import names_in, sample

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "ninjs3": [{}, {"version": "2.2"}],
    "ftp ninjs": [{}, {"associated_path": "/a", "include_original": True}],
}
"""By format, the configurations of destinations that are checked; without one the default is."""

EXAMPLE_OF = {
    **{kind: kind for kind in ("text", "preformatted", "picture", "graphic", "video")},
    **{"audio": "video", "composite": "package"},
    **{"event": "text-minimal", "planning": "text-minimal"},
}
LIFE_CYCLE: Mapping[str, dict[str, Any]] = {
    "publish": {"state": "published", "pubstatus": "usable", "operation": "publish"},
    "correct": {"state": "corrected", "operation": "correct", "correction_sequence": 2},
    "rewrite": {"rewrite_of": "urn:newsml:example.com:2026:1", "rewrite_sequence": 1},
    "kill": {"state": "killed", "pubstatus": "canceled", "operation": "kill"},
    "takedown": {"state": "recalled", "pubstatus": "canceled", "operation": "takedown"},
    "unpublish": {"state": "unpublished", "pubstatus": "canceled", "operation": "unpublish"},
    "embargo": {"embargo": LATER, "schedule_settings": {"utc_embargo": LATER}},
    "schedule": {"publish_schedule": NOW, "schedule_settings": {"utc_publish_schedule": NOW}},
    "resend": {"_current_version": 7},
}


def check(formatter: type[Formatter], item: Mapping[str, Any]) -> None:
    """Fail unless each part in each configuration is valid and the item is left as it was."""
    before = deepcopy(item)
    for config in VARIANTS.get(formatter.type, [{}]):
        context = replace(CONTEXT, config=config, sequence_number=7)
        if formatter.type == "jsonld" and embargo_of(outgoing(item), context.now):
            with pytest.raises(FormatError, match="embargoed until"):
                formatter().format(item, context)
            continue
        for part in formatter().format(item, context):
            CHECKS[formatter.type](part)
    assert before == item


def test_every_format_has_a_check() -> None:
    """No format goes out unchecked."""
    assert set(FORMATS) == set(CHECKS)


@pytest.mark.parametrize("kind", list(ItemType))
@pytest.mark.parametrize("name", FORMATS)
def test_every_type_after_every_action(name: str, kind: str) -> None:
    """Formats scenario 9, 12, 26, 31, 33, 46: valid, whatever was done to the item."""
    item = {**example_item(EXAMPLE_OF[kind]), "type": kind}
    if not FORMATS[name].can_format(item):
        return
    for changes in LIFE_CYCLE.values():
        check(FORMATS[name], {**item, **changes})


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("name", FORMATS)
def test_example_items(name: str, example: str) -> None:
    """Formats scenario 9, 12, 26, 31, 33, 46, 47: items with fields of every kind."""
    item = example_item(example)
    if FORMATS[name].can_format(item):
        check(FORMATS[name], item)
        after = replace(CONTEXT, now=LATER)
        first, again = (FORMATS[name]().format(item, after) for _ in range(2))
        assert first == again


@pytest.mark.parametrize("name", names_in("samples/ninjs"))
def test_real_items(name: str) -> None:
    """Items of agencies come out valid in every format."""
    imported = item_from_ninjs(json.loads(sample(f"ninjs/{name}").read_text("utf-8")))
    item = {**imported, "item_id": imported["guid"]}
    for formatter in BUILT_IN:
        if formatter.can_format(item):
            check(formatter, item)


@hypothesis_settings(suppress_health_check=list(HealthCheck), phases=set(Phase) - {Phase.explain})
@given(items)
def test_any_item(item: dict[str, Any]) -> None:
    """Whatever the fields hold, every format writes the item, and it is valid.

    Formats scenario 38, 50, 51.

    Items of a type that a format does not take are given one that it does, so that each format sees
    as many items as there are.
    """
    for formatter in BUILT_IN:
        kind = item["type"] if formatter.can_format(item) else min(formatter.item_types)
        check(formatter, {**item, "type": kind})


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("field", ["guid", "type"])
@pytest.mark.parametrize("value", [None, "", " ", "\x00"])
def test_only_a_missing_guid_or_type_fails(name: str, field: str, value: str | None) -> None:
    """Formats scenario 38: the error has the format's code and names item and field."""
    item = {"_id": "7", "guid": "urn:x:1", "type": "text", field: value}
    formatter = FORMATS[name]

    with pytest.raises(FormatError) as caught:
        formatter().format(item, CONTEXT)

    error = caught.value
    assert (formatter.error_code, "7", field) == (error.code, error.item_id, error.field)
    assert formatter.error_text in str(error)
