"""Times of an item: schedule and embargo (lifecycle contract 5.4, 5.5), expiry, custom dates.

The UTC values of schedule and embargo stand in `schedule_settings`, beside the wall clock that the
user has set and its time zone.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pymongo.database import Database

from apps.archive.places import Place
from apps.core.clock import moment_of
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.core.vocabulary import ItemType, State
from apps.store.by_id import find_by_id
from apps.store.collections import CONTENT_TYPES

TIMES = ("publish_schedule", "embargo")
FIRST_YEAR = 1971
NOT_CHECKED = (State.KILLED, State.RECALLED, State.SCHEDULED)


def touches_times(updates: Mapping[str, Any]) -> bool:
    """Whether a write changes the schedule, the embargo or their time zone."""
    return any(field in updates for field in (*TIMES, "schedule_settings"))


def complete_times(updates: Document, original: Mapping[str, Any]) -> None:
    """Compute `schedule_settings.utc_*` for what a write changes.

    Raises:
        BadRequest: a time is no time, or its zone does not exist.
    """
    if not touches_times(updates):
        return
    merged = {**original, **updates}
    settings = dict(merged.get("schedule_settings") or {})
    zone = settings.get("time_zone") or None
    settings["time_zone"] = zone
    for field in TIMES:
        settings[f"utc_{field}"] = _to_utc(merged, field, zone)
    updates["schedule_settings"] = settings


def complete_schedule(updates: Document, original: Mapping[str, Any], now: datetime) -> None:
    """Compute `schedule_settings.utc_*` for what a write changes, and check it.

    Raises:
        BadRequest: the schedule or the embargo is not possible.
    """
    if not touches_times(updates):
        return
    merged = {**original, **updates}
    check_no_embargo_on_package(merged)
    complete_times(updates, original)
    settings = updates["schedule_settings"]
    if updates.get("publish_schedule"):
        check_schedule(settings["utc_publish_schedule"], now)
    if merged.get("embargo"):
        check_embargo(merged, settings["utc_embargo"], now)


def _to_utc(item: Mapping[str, Any], field: str, zone: str | None) -> datetime | None:
    value = item.get(field)
    if not value:
        return None
    if not isinstance(value, datetime):
        raise BadRequest(f"{field} date is not recognized")
    return to_utc(value, zone)


def check_schedule_year(utc_schedule: datetime) -> None:
    """Refuse a publish time that stands for none.

    Raises:
        BadRequest: it does.
    """
    if utc_schedule.year < FIRST_YEAR:
        raise BadRequest("Schedule date is not recognized")


def check_schedule(utc_schedule: datetime, now: datetime) -> None:
    """Refuse a publish time that is no time to come.

    Raises:
        BadRequest: it is not.
    """
    check_schedule_year(utc_schedule)
    if utc_schedule < now:
        raise BadRequest("Schedule cannot be earlier than now")


def check_no_embargo_on_package(item: Mapping[str, Any]) -> None:
    """Refuse an embargo on a package.

    Raises:
        BadRequest: it has one.
    """
    if item.get("type") == ItemType.COMPOSITE and item.get("embargo"):
        raise BadRequest("A Package doesn't support Embargo")


def check_embargo(item: Mapping[str, Any], utc_embargo: datetime, now: datetime) -> None:
    """Refuse an embargo that the item cannot have.

    Raises:
        BadRequest: it cannot.
    """
    if item.get("publish_schedule") or item.get("state") == State.SCHEDULED:
        raise BadRequest("An item can't have both Publish Schedule and Embargo")
    if utc_embargo <= now and item.get("state") not in NOT_CHECKED:
        raise BadRequest("Embargo cannot be earlier than now")
    if item.get("rewrite_of"):
        raise BadRequest("Rewrites doesn't support Embargo")


def utc_of(item: Mapping[str, Any], field: str) -> datetime | None:
    """Return the UTC time of `publish_schedule` or `embargo`, or None where it is not set."""
    if not item.get(field):
        return None
    stored = (item.get("schedule_settings") or {}).get(f"utc_{field}")
    return stored or to_utc(item[field], (item.get("schedule_settings") or {}).get("time_zone"))


def utc_after(
    updates: Mapping[str, Any], original: Mapping[str, Any], field: str
) -> datetime | None:
    """Return what `utc_of` will be once `updates` are stored; their UTC values are not read."""
    if field not in updates and "schedule_settings" not in updates:
        return utc_of(original, field)
    merged = {**original, **updates}
    zone = (merged.get("schedule_settings") or {}).get("time_zone")
    return _to_utc(merged, field, zone)


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


def expiry_on(place: Place, start: datetime, settings: Mapping[str, Any]) -> datetime | None:
    """Return when an item that comes to `place` at `start` expires, or None for never.

    Args:
        settings: CONTENT_EXPIRY_MINUTES.
    """
    default = settings["CONTENT_EXPIRY_MINUTES"]
    return expires_at(start, expiry_minutes(place.desk, place.stage, default))


def expiry_of_published(
    place: Place, start: datetime, settings: Mapping[str, Any]
) -> datetime | None:
    """Return when an item that is out since `start` expires, or None for never.

    Args:
        settings: PUBLISHED_CONTENT_EXPIRY_MINUTES and, where that is 0, CONTENT_EXPIRY_MINUTES.
    """
    minutes = settings["PUBLISHED_CONTENT_EXPIRY_MINUTES"]
    return expires_at(start, float(minutes)) if minutes else expiry_on(place, start, settings)


def parse_extra_dates(
    db: Database[Document], updates: Document, original: Mapping[str, Any] | None = None
) -> None:
    """Turn texts of date fields into times, in place, as the item's profile declares them.

    A text that is no date stays one: validation refuses it when the item is published. One command,
    none without texts in `extra`.

    Args:
        db: the database.
        updates: a write.
        original: the item as stored; None for a new one.
    """
    extra = updates.get("extra")
    profile = updates.get("profile") or (original or {}).get("profile")
    if not profile or not isinstance(extra, Mapping):
        return
    texts = {name: value for name, value in extra.items() if isinstance(value, str) and value}
    if not texts:
        return
    found = find_by_id(db[CONTENT_TYPES], profile, {"schema": 1}) or {}
    schema = found.get("schema") or {}
    dates = {
        name: date.replace(microsecond=0)
        for name, value in texts.items()
        if (schema.get(name) or {}).get("type") == "date" and (date := moment_of(value))
    }
    if dates:
        updates["extra"] = {**extra, **dates}
