"""What a new item takes from its writer: byline, place, dateline (lifecycle contract 1.7)."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import datetime
from typing import Any

from apps.archive.stamps import dateline_text
from apps.core.service import Document


def fill_from_user(
    item: Document, user: Mapping[str, Any] | None, now: datetime, source: str | None
) -> None:
    """Fill what the item lacks from the user's profile and preferences, in place.

    Args:
        item: an item that is created.
        user: the user document; None for the system, which has no preferences.
        now: date of the dateline.
        source: source of the dateline.
    """
    if not user:
        return
    if user.get("byline"):
        item.setdefault("byline", user["byline"])
    place = _preference(user, "article:default:place").get("place")
    if place:
        item.setdefault("place", deepcopy(place))
    located = _preference(user, "dateline:located").get("located")
    if located and item.get("dateline") is None:
        item["dateline"] = {
            "located": deepcopy(located),
            "date": now,
            "source": source,
            "text": dateline_text(located, now, source),
        }


def _preference(user: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = (user.get("user_preferences") or {}).get(name)
    return value if isinstance(value, Mapping) else {}
