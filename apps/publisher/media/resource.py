"""`publisher_media` (cms contract 3.5)."""

from typing import Any

from apps.core.schemas import ID
from apps.publisher.schema import READ, MediaState, kept, one_of

MEDIA_SCHEMA: dict[str, Any] = {
    "integration": {"type": ID, "readonly": True},
    "state": {**one_of(MediaState), "readonly": True},
    **{
        name: kept("string")
        for name in (
            *("sha256", "variant", "remote_id", "remote_url", "mime", "filename", "alt"),
            "source_url",
        )
    },
    **{name: kept("integer") for name in ("bytes", "width", "height")},
    **{name: kept("datetime") for name in ("uploaded_at", "checked_at")},
    "used_by": kept("list"),
}

RESOURCES: dict[str, dict[str, Any]] = {
    "publisher_media": {
        "url": "v1/publisher/media",
        "schema": MEDIA_SCHEMA,
        "datasource": {"default_sort": [("uploaded_at", -1), ("_id", -1)]},
        "resource_methods": ["GET"],
        "item_methods": ["GET"],
        "privileges": {"GET": READ},
    },
}
