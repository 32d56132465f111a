"""What the reference outputs of the formats were made with: items, clock and look-ups."""

from datetime import UTC, datetime
from typing import Any

from bson import json_util

from formatters.base import FormatContext, FormatSettings
from tests.shared_files import shared

NOW = datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC)
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
SETTINGS_OF_REFERENCE = FormatSettings(provider_id="sourcefabric.org")
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


def reference(path: str) -> dict[str, Any]:
    options = json_util.JSONOptions(tz_aware=True, tzinfo=UTC)
    document: dict[str, Any] = json_util.loads(
        shared(path).read_text("utf-8"), json_options=options
    )
    return document


def escaped_captions(document: Any) -> Any:
    """Return a reference output as it is once captions are escaped (formats contract F6)."""
    if isinstance(document, list):
        return [escaped_captions(entry) for entry in document]
    if not isinstance(document, dict):
        return document
    fixed = {key: escaped_captions(value) for key, value in document.items()}
    if fixed.get("description_html") == f"<p>{fixed.get('description_text')}</p>":
        caption = fixed["description_text"].replace("&", "&amp;").replace("<", "&lt;")
        fixed["description_html"] = f"<p>{caption.replace('>', '&gt;')}</p>"
    return fixed
