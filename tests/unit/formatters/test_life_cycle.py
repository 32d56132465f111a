"""What each format says of the life of an item (formats contract 4)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from formatters import BUILT_IN
from formatters.base import FormatSettings, Formatted
from tests.support.format_items import CONTEXT
from tests.support.format_schemas import CHECKS, G2, loaded, parsed

FORMATS = {formatter.type: formatter for formatter in BUILT_IN}
MOMENT = datetime(2026, 3, 5, tzinfo=UTC)
STORY = {
    "_id": "urn:x:1",
    "item_id": "urn:x:1",
    "guid": "urn:x:1",
    "type": "text",
    "headline": "h",
    "body_html": "<p>b</p>",
    "format": "HTML",
    "versioncreated": MOMENT,
    "_current_version": 3,
}
PUBLISH = {"state": "published", "pubstatus": "usable", "operation": "publish"}
CORRECT = {
    "state": "corrected",
    "pubstatus": "usable",
    "operation": "correct",
    "correction_sequence": 2,
}
REWRITE = {**PUBLISH, "rewrite_of": "urn:x:0", "rewrite_sequence": 1}
KILL = {"state": "killed", "pubstatus": "canceled", "operation": "kill"}
TAKEDOWN = {"state": "recalled", "pubstatus": "canceled", "operation": "takedown"}
UNPUBLISH = {"state": "unpublished", "pubstatus": "canceled", "operation": "unpublish"}
EMBARGO = {**PUBLISH, "embargo": MOMENT, "schedule_settings": {"utc_embargo": MOMENT}}
SCHEDULE = {**PUBLISH, "schedule_settings": {"utc_publish_schedule": MOMENT}}
PREFIXES = {"corrected": "Correction: ", "killed": "Kill: ", "recalled": "Kill: "}


def nitf(part: Formatted) -> str | None:
    docdata = parsed(part).find(".//docdata")
    return None if docdata is None else str(docdata.get("management-status"))


def newsml12(part: Formatted) -> tuple[str, ...]:
    root = parsed(part)
    found = (root.find(f".//{tag}") for tag in ("Status", "Instruction"))
    revision = root.find(".//RevisionId")
    assert revision is not None
    return (
        *(str(e.get("FormalName")) for e in found if e is not None),
        str(revision.get("PreviousRevision")),
    )


def newsmlg2(part: Formatted) -> tuple[str | None, ...]:
    root = parsed(part)
    found = (root.find(f".//{G2}{tag}") for tag in ("pubStatus", "signal"))
    return tuple(None if e is None else e.get("qcode") for e in found)


def subject(part: Formatted) -> str:
    return str(loaded(part)["message_subject"])


def field(*names: str) -> Callable[[Formatted], tuple[Any, ...]]:
    return lambda part: tuple(loaded(part).get(name) for name in names)


CASES: list[tuple[str, Mapping[str, Any], Any, Any]] = [
    ("ninjs", PUBLISH, field("pubstatus", "version"), ("usable", "3")),
    ("ninjs", CORRECT, field("pubstatus", "version"), ("usable", "3")),
    ("ninjs2", CORRECT, field("version"), ("2",)),
    ("ninjs", REWRITE, field("evolvedfrom"), ("urn:x:0",)),
    ("ninjs2", REWRITE, field("rewrite_of", "rewrite_sequence"), ("urn:x:0", 1)),
    ("ninjs", EMBARGO, field("embargoed"), ("2026-03-05T00:00:00+00:00",)),
    ("ninjs", SCHEDULE, field("publish_schedule"), ("2026-03-05T00:00:00+0000",)),
    *(
        (name, act, field("pubstatus", "body_html"), ("canceled", "<p>b</p>"))
        for name in ("ninjs", "ninjs2", "newsroom ninjs", "ftp ninjs")
        for act in (KILL, TAKEDOWN, UNPUBLISH)
    ),
    ("nitf", PUBLISH, nitf, "usable"),
    ("nitf", CORRECT, nitf, "usable"),
    ("nitf", EMBARGO, nitf, "embargoed"),
    *(("nitf", act, nitf, "canceled") for act in (KILL, TAKEDOWN, UNPUBLISH)),
    ("newsml12", PUBLISH, newsml12, ("usable", "Update", "0")),
    ("newsml12", CORRECT, newsml12, ("usable", "Correction", "2")),
    ("newsml12", EMBARGO, newsml12, ("Embargoed", "Update", "0")),
    *(
        ("newsml12", act, newsml12, ("canceled", "Update", "2"))
        for act in (KILL, TAKEDOWN, UNPUBLISH)
    ),
    ("newsmlg2", PUBLISH, newsmlg2, ("stat:usable", None)),
    ("newsmlg2", CORRECT, newsmlg2, ("stat:usable", "sig:correction")),
    *(
        ("newsmlg2", act, newsmlg2, ("stat:canceled", "sig:update"))
        for act in (KILL, TAKEDOWN, UNPUBLISH)
    ),
    ("email", PUBLISH, subject, "h"),
    ("email", CORRECT, subject, "Correction: h"),
    ("email", KILL, subject, "Kill: h"),
    ("imatrics", PUBLISH, field("pubStatus"), (True,)),
    *(("imatrics", act, field("pubStatus"), (False,)) for act in (KILL, TAKEDOWN, UNPUBLISH)),
    ("ninjs3", CORRECT, field("pubStatus", "version"), ("usable", "3")),
    ("ninjs3", REWRITE, field("altIds"), ([{"role": "evolvedFrom", "value": "urn:x:0"}],)),
    ("ninjs3", EMBARGO, field("embargoedUntil"), ("2026-03-05T00:00:00+00:00",)),
    *(("ninjs3", act, field("pubStatus"), ("canceled",)) for act in (KILL, TAKEDOWN, UNPUBLISH)),
    ("jsonld", REWRITE, field("isBasedOn"), ("urn:x:0",)),
    *(
        ("jsonld", act, field("creativeWorkStatus"), ("canceled",))
        for act in (KILL, TAKEDOWN, UNPUBLISH)
    ),
    *(
        (name, act, lambda part: part.data[:9], b"WITHDRAWN")
        for name in ("text", "markdown")
        for act in (KILL, TAKEDOWN, UNPUBLISH)
    ),
]


@pytest.mark.parametrize(
    ("name", "fields", "read", "expected"),
    CASES,
    ids=[f"{name}-{fields['state']}-{n}" for n, (name, fields, _, _) in enumerate(CASES)],
)
def test_says_what_happened(
    name: str, fields: Mapping[str, Any], read: Callable[[Formatted], Any], expected: Any
) -> None:
    """Publish, correct, update, kill, takedown, unpublish, embargo, schedule: each cell."""
    context = replace(CONTEXT, settings=FormatSettings(email_prefixes=PREFIXES))

    [part] = FORMATS[name]().format({**STORY, **fields}, context)

    CHECKS[name](part)
    assert expected == read(part)


@pytest.mark.parametrize("name", ["newsml12", "newsmlg2"])
def test_a_resend_is_the_same_with_a_fresh_number(name: str) -> None:
    """A resend differs in its number alone; formats that show none say the same."""
    bodies = [
        str(FORMATS[name]().format(STORY, replace(CONTEXT, sequence_number=n))[0].body)
        for n in (7, 8)
    ]

    assert bodies[0] != bodies[1]
    tag = "TransmissionId" if name == "newsml12" else "transmitId"
    assert bodies[0].replace(f"<{tag}>7<", f"<{tag}>8<") == bodies[1]
