"""Bounds of ranges: times, times that are relative to now, and other values."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from apps.core.clock import moment_of
from apps.core.errors import BadRequest

_RELATIVE = re.compile(r"now((?:[+-][0-9]{1,6}[yMwdhHms]|/[yMwdhHm])*)")
_STEP = re.compile(r"([+-][0-9]+|/)([yMwdhHms])")
_OFFSET = re.compile(r"([+-])([0-9]{2}):?([0-9]{2})")
_BLANK_FOR_PLUS = re.compile(r" (?=[0-9]{2}:?[0-9]{2}$)")
"""An address that is not quoted has a blank for the plus of an offset."""
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NUMBER = re.compile(r"-?[0-9]{1,9}")

SPANS = {"w": "weeks", "d": "days", "h": "hours", "H": "hours", "m": "minutes", "s": "seconds"}


def bound_of(text: str, now: datetime, zone: object = None, *, is_end: bool = False) -> Any:
    """Return the value that a text of a range stands for.

    Args:
        text: a time, a day, a time relative to `now` as `now-24h/d`, a whole number, or a text.
        zone: name of a time zone, or an offset from UTC; of times that name none.
        is_end: what is rounded, and a day, stands for its last moment, not for its first.

    Raises:
        BadRequest: a time that cannot be read, or that there cannot be.
    """
    local = _zone_of(zone)
    try:
        if relative := _RELATIVE.fullmatch(text):
            return _relative(relative[1], now.astimezone(local), is_end=is_end)
        if text.startswith("now") or "||" in text:
            raise BadRequest(f"source: {text[:40]!r} is no time")
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=local)
            return _utc(_end(day, "d") if is_end else day)
        if _NUMBER.fullmatch(text):
            return int(text)
        moment = datetime.fromisoformat(_BLANK_FOR_PLUS.sub("+", text))
    except OverflowError:
        raise BadRequest(f"source: {text[:40]!r} is no time") from None
    except ValueError:
        return text
    return moment_of(moment if moment.tzinfo else moment.replace(tzinfo=local))


def _relative(steps: str, moment: datetime, *, is_end: bool) -> datetime:
    for amount, unit in _STEP.findall(steps):
        if amount != "/":
            moment = _moved(moment, int(amount), unit)
        else:
            moment = _end(moment, unit) if is_end else _start(moment, unit)
    return _utc(moment)


def _moved(moment: datetime, count: int, unit: str) -> datetime:
    if unit in SPANS:
        return moment + timedelta(**{SPANS[unit]: count})
    months = moment.year * 12 + moment.month - 1 + count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    if not 1 <= year <= 9998:
        raise OverflowError
    first = moment.replace(year=year, month=month + 1, day=1)
    last = _moved_to_next(first) - timedelta(days=1)
    return first.replace(day=min(moment.day, last.day))


def _moved_to_next(first: datetime) -> datetime:
    """Return the first day of the next month."""
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def _start(moment: datetime, unit: str) -> datetime:
    moment = moment.replace(second=0, microsecond=0)
    if unit == "m":
        return moment
    moment = moment.replace(minute=0)
    if unit in "hH":
        return moment
    moment = moment.replace(hour=0)
    if unit == "w":
        return moment - timedelta(days=moment.weekday())
    if unit in "My":
        moment = moment.replace(day=1)
    return moment.replace(month=1) if unit == "y" else moment


def _end(moment: datetime, unit: str) -> datetime:
    return _moved(_start(moment, unit), 1, unit) - timedelta(milliseconds=1)


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _zone_of(zone: object) -> tzinfo:
    if zone is None:
        return UTC
    if isinstance(zone, str):
        if offset := _OFFSET.fullmatch(zone):
            span = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
            if span < timedelta(days=1):
                return timezone(-span if offset[1] == "-" else span)
        try:
            return ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    raise BadRequest("source: time_zone is no time zone")
