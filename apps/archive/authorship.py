"""Who worked on an item and where: byline, dateline and sign-off (lifecycle contract 1.7, 1.10)."""

from collections.abc import Mapping
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.archive.schema import HELD, LOCATED
from apps.core.documents import object_of
from apps.core.schemas import keeps
from apps.core.service import Document

FULL_MONTHS = frozenset({3, 4, 5, 6, 7})
SEPTEMBER = 9


def next_sign_off(stored: str | None, mark: str | None, *, keep_all: bool = False) -> str:
    """Return the sign-off after the user with `mark` worked on the item (lifecycle contract 1.10).

    Args:
        stored: the item's sign-off, marks separated by `/`.
        mark: the user's own; nothing changes without one.
        keep_all: keep an earlier mark of the same user.
    """
    if not mark:
        return stored or ""
    marks = [part for part in (stored or "").split("/") if part]
    if marks and marks[-1] == mark:
        return "/".join(marks)
    if not keep_all:
        marks = [part for part in marks if part != mark]
    return "/".join([*marks, mark])


def fill_from_user(
    item: Document, user: Mapping[str, Any] | None, now: datetime, source: str | None
) -> None:
    """Fill what the item lacks from the user's profile and preferences, in place.

    Preferences are open documents: what an item cannot hold is left out.

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
    if place and keeps(HELD["place"], place):
        item.setdefault("place", deepcopy(place))
    located = _preference(user, "dateline:located").get("located")
    if located and keeps(LOCATED, located) and item.get("dateline") is None:
        item["dateline"] = {"located": deepcopy(located), "date": now}
        complete_dateline(item, source)


def complete_dateline(item: Document, source: str | None) -> None:
    """Write source and text of a dateline that says where and when (lifecycle contract 1.7).

    Args:
        item: an item, or what is changed of one; what others have stored in it may be anything.
        source: source of the item.
    """
    dateline = object_of(item, "dateline")
    located, date = dateline.get("located"), dateline.get("date")
    if located and isinstance(located, Mapping) and isinstance(date, datetime):
        text = dateline_text(located, date, source)
        item["dateline"] = {**dateline, "source": source, "text": text}


def _preference(user: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return object_of(object_of(user, "user_preferences"), name)


def dateline_text(located: Mapping[str, Any], date: datetime, source: str | None) -> str:
    """Return `CITY, STATE, COUNTRY, Mon D SOURCE -` (lifecycle contract 1.7)."""
    wanted = str(located.get("dateline") or "city").split(",")
    names = [str(located.get(part) or "").upper() for part in wanted]
    try:
        local = date.astimezone(ZoneInfo(str(located.get("tz") or "UTC")))
    except (ZoneInfoNotFoundError, ValueError):
        local = date.astimezone(UTC)
    if local.month == SEPTEMBER:
        month = "Sept"
    else:
        month = local.strftime("%B" if local.month in FULL_MONTHS else "%b")
    place = ", ".join(name for name in names if name)
    return f"{place}, {month} {local.day} {source or ''} -"
