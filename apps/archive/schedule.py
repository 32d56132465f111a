"""Publish schedule and embargo: UTC values and refusals (lifecycle contract 5.4, 5.5)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.archive.stamps import to_utc
from apps.core.errors import BadRequest
from apps.core.service import Document
from apps.core.vocabulary import ItemType, State

FIELDS = ("publish_schedule", "embargo")
FIRST_YEAR = 1971
NOT_CHECKED = (State.KILLED, State.RECALLED, State.SCHEDULED)


def complete_schedule(
    updates: Document, original: Mapping[str, Any], now: datetime, *, is_forced: bool = False
) -> None:
    """Compute `schedule_settings.utc_*` for what a write changes, and check it.

    Args:
        is_forced: store the times as they are, even if they have passed.

    Raises:
        BadRequest: the schedule or the embargo is not possible.
    """
    if not any(field in updates for field in (*FIELDS, "schedule_settings")):
        return
    merged = {**original, **updates}
    if merged.get("type") == ItemType.COMPOSITE and merged.get("embargo"):
        raise BadRequest("A Package doesn't support Embargo")
    settings = dict(merged.get("schedule_settings") or {})
    zone = settings.get("time_zone")
    settings["time_zone"] = zone or None
    for field in FIELDS:
        value = merged.get(field)
        settings[f"utc_{field}"] = to_utc(value, zone) if value else None
    updates["schedule_settings"] = settings
    if is_forced:
        return
    if updates.get("publish_schedule"):
        check_schedule(settings["utc_publish_schedule"], now)
    if merged.get("embargo"):
        check_embargo(merged, settings["utc_embargo"], now)


def check_schedule(utc_schedule: datetime, now: datetime) -> None:
    """Refuse a publish time that is no time to come.

    Raises:
        BadRequest: it is not.
    """
    if utc_schedule.year < FIRST_YEAR:
        raise BadRequest("Schedule date is not recognized")
    if utc_schedule < now:
        raise BadRequest("Schedule cannot be earlier than now")


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
    return to_utc(merged[field], zone) if merged.get(field) else None
