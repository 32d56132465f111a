"""GET `/explain/<item id>?version=n`, for every logged-in user."""

from typing import Any

from apps.archive.resource import ITEM_URL

RESOURCES: dict[str, dict[str, Any]] = {
    "explain": {
        "schema": {
            "_id": {"type": "string"},
            "version": {"type": "integer"},
            "routings": {"type": "list"},
            "subscribers": {"type": "list"},
        },
        # The item is looked up; the service puts the explanation in its place.
        "datasource": {"source": "archive", "projection": {"_id": 1}},
        "item_url": ITEM_URL,
        "resource_methods": [],
        "item_methods": ["GET"],
    },
}
"""Reading needs no privilege: the answer holds names and states, no content and no secrets."""
