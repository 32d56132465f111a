"""Example items, what formats make of them, and the look-ups that formats use for it.

Both are in `tests/data`, written so that what is alike stands once: see `_built`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bson import json_util

from formatters.base import FormatContext, FormatSettings

DATA = Path(__file__).parents[1] / "data"
FORMATS = DATA / "formats"
EXAMPLES = (
    *("text", "text-minimal", "text-corrected", "text-embargo", "text-killed", "text-rich"),
    *("preformatted", "picture", "graphic", "video", "package"),
)
"""Names of the example items."""

NOW = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
LATER = datetime(2026, 3, 5, 6, 7, 8, tzinfo=UTC)
RIGHTS = {"copyrightHolder": "Example News", "copyrightNotice": "(c) 2026 Example News"}
WRITER = {
    "_id": "user1",
    "display_name": "Jane Writer",
    "biography": "Bio",
    "twitter": "@jane",
    "picture_url": "https://example.com/jane.jpg",
    "job_title": "writer",
}
SPREADSHEET = {
    "title": "Spreadsheet",
    "description": "Figures",
    "filename": "f.csv",
    "mimetype": "text/csv",
    "length": 7,
    "media": "media5",
    "href": "https://example.com/assets/media5",
}
COMPAT_SETTINGS = FormatSettings(provider_id="sourcefabric.org")
CONTEXT = FormatContext(
    settings=FormatSettings(),
    now=NOW,
    vocabularies={
        "rightsinfo": [
            {"name": "default", **RIGHTS, "usageTerms": "Editorial use only"},
            {"name": "Agency", "copyrightHolder": "Agency"},
        ],
        "locators": [{"qcode": "NSW", "name": "NSW", "state": "New South Wales"}],
        "job_titles": [{"qcode": "writer", "name": "Writer"}],
        "crop_sizes": [{"name": "16-9"}],
    },
    vocabulary_fields={
        "gallery": {"field_type": "media"},
        "related": {"field_type": "related_content"},
    },
    users={"user1": WRITER},
    attachments={"att1": SPREADSHEET, "att2": {**SPREADSHEET, "internal": True}},
)


def example_item(name: str) -> dict[str, Any]:
    """Return an item of `tests/data/items.json`."""
    options = json_util.JSONOptions(tz_aware=True, tzinfo=UTC)
    entries = json_util.loads((DATA / "items.json").read_text("utf-8"), json_options=options)
    return _built(entries[name], {}, entries)


def expected(format_name: str, name: str) -> dict[str, Any]:
    """Return what a JSON format makes of an item, by `tests/data/formats`."""
    entries = _entries(format_name)
    return _built(entries[name], {}, entries)


def changed(format_name: str, name: str, base: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what a format has otherwise for an item, by `tests/data/formats`."""
    return _built(_entries(format_name).get(name, {}), base, {})


def _entries(format_name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FORMATS / f"{format_name}.json").read_text("utf-8"))
    return document


def _built(
    changes: Mapping[str, Any], base: Mapping[str, Any], entries: Mapping[str, Any]
) -> dict[str, Any]:
    """Return `base` with `changes`, objects within objects as well.

    Args:
        changes: fields and their values; `like` names the entry that is the base instead,
            `without` lists fields of the base that are left out.
    """
    if "like" in changes:
        base = _built(entries[changes["like"]], {}, entries)
    left_out = changes.get("without", ())
    built = {field: value for field, value in base.items() if field not in left_out}
    for field, value in changes.items():
        if isinstance(value, dict):
            built[field] = _built(value, base.get(field) or {}, entries)
        elif field not in ("like", "without"):
            built[field] = value
    return built
