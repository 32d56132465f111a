"""The header that a killed or recalled item's body starts with (lifecycle contract 5.8)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from html import escape
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def notice(word: str, item: Mapping[str, Any], published_at: datetime) -> str:
    """Return the paragraph that asks receivers to drop the item.

    Args:
        word: `kill` or `takedown`.
        item: the item as it was sent.
        published_at: when its last version went out.
    """
    located = (item.get("dateline") or {}).get("located") or {}
    city = located.get("city") or ""
    try:
        local = published_at.astimezone(ZoneInfo(str(located.get("tz") or "UTC")))
    except (ZoneInfoNotFoundError, ValueError):
        local = published_at.astimezone(UTC)
    when = local.strftime("%d %b %Y %H:%M %Z")
    slugline, headline = (escape(item.get(f) or "", quote=False) for f in ("slugline", "headline"))
    place = f" ex {escape(city, quote=False)}" if city else ""
    return f"<p>Please {word} story slugged {slugline} headlined {headline}{place} at {when}.</p>"
