"""Pure rules that fill an item's fields: sign-off, expiry, dateline, times."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.core.errors import BadRequest

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


def expiry_minutes(
    desk: Mapping[str, Any] | None, stage: Mapping[str, Any] | None, default: float | None
) -> float:
    """Return how long items live on `stage` of `desk`, in minutes; 0 is for ever."""
    for place in (stage, desk):
        minutes = (place or {}).get("content_expiry") or 0
        if minutes > 0:
            return float(minutes)
    return float(default or 0)


def expires_at(start: datetime, minutes: float) -> datetime | None:
    """Return when an item that starts to age at `start` expires, or None for never."""
    return start + timedelta(minutes=minutes) if minutes > 0 else None


def to_utc(moment: datetime, time_zone: str | None) -> datetime:
    """Return the UTC time of a wall clock in `time_zone` that shows `moment`'s digits.

    Raises:
        BadRequest: unknown time zone.
    """
    if not time_zone:
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadRequest(f"Unknown time zone {time_zone}") from error
    return moment.replace(tzinfo=zone).astimezone(UTC)


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
