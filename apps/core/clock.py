"""Time as a collaborator: services take a `Clock`, so that tests can stand still or jump."""

from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo


class Clock(Protocol):
    """Source of the current time."""

    def now(self) -> datetime:
        """Return the current UTC time without microseconds, as items store it."""
        ...

    def precise(self) -> datetime:
        """Return the current UTC time to the millisecond, for leases and attempts."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)

    def precise(self) -> datetime:
        moment = datetime.now(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def moment_of(value: object) -> datetime | None:
    """Return a datetime, or text that is an ISO 8601 time, as a datetime in UTC; else None."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    if value.tzinfo is UTC:
        return value
    try:
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:
        return None


def local_text(value: object, timezone: str, pattern: str) -> str:
    """Return a time as the clocks of `timezone` show it, `""` for what is no time.

    Args:
        value: as `moment_of` takes it.
        pattern: as `strftime` takes it.

    Raises:
        ValueError: there is no such time zone, or the pattern is none.
    """
    moment = moment_of(value)
    if moment is None:
        return ""
    try:
        return moment.astimezone(ZoneInfo(timezone)).strftime(pattern)
    except OverflowError:
        return ""
    except (LookupError, OSError) as error:
        raise ValueError(f"There is no time zone {timezone[:50]!r}") from error
