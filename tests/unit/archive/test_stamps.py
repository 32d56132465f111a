"""Sign-offs, expiry, datelines and wall clocks (lifecycle contract 1.7, 1.10)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.archive.stamps import dateline_text, expires_at, expiry_minutes, next_sign_off, to_utc
from apps.core.errors import BadRequest

NOW = datetime(2030, 7, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stored", "mark", "keep_all", "expected"),
    [
        (None, "abc", False, "abc"),
        ("", "abc", False, "abc"),
        ("abc", "foo", False, "abc/foo"),
        ("abc/foo", "foo", False, "abc/foo"),
        ("abc/foo", "abc", False, "foo/abc"),
        ("abc/foo", "abc", True, "abc/foo/abc"),
        ("abc", None, False, "abc"),
        (None, None, False, ""),
        ("abc//foo", "bar", False, "abc/foo/bar"),
    ],
)
def test_a_user_signs_last(
    stored: str | None, mark: str | None, keep_all: bool, expected: str
) -> None:
    """The mark of who worked on the item last is at the end, and there once."""
    assert next_sign_off(stored, mark, keep_all=keep_all) == expected


@given(st.lists(st.sampled_from(["abc", "foo", "bar"]), max_size=12))
def test_nobody_signs_twice(marks: list[str]) -> None:
    """However often users take turns, each stands there once, the last one last."""
    signed = ""
    for mark in marks:
        signed = next_sign_off(signed, mark)

    parts = [part for part in signed.split("/") if part]
    assert len(parts) == len(set(parts))
    assert parts[-1:] == marks[-1:]


@pytest.mark.parametrize(
    ("desk", "stage", "default", "expected"),
    [
        (None, None, None, 0.0),
        (None, None, 60, 60.0),
        ({"content_expiry": 30}, None, 60, 30.0),
        ({"content_expiry": 30}, {"content_expiry": 5}, 60, 5.0),
        ({"content_expiry": 30}, {"content_expiry": 0}, 60, 30.0),
        ({"content_expiry": None}, {"content_expiry": -1}, 60, 60.0),
    ],
)
def test_the_nearest_place_says_how_long_an_item_lives(
    desk: dict[str, int] | None, stage: dict[str, int] | None, default: int | None, expected: float
) -> None:
    """The stage counts before the desk, the desk before the setting."""
    assert expiry_minutes(desk, stage, default) == expected


@pytest.mark.parametrize(
    ("minutes", "expected"), [(60, NOW + timedelta(hours=1)), (0, None), (-5, None)]
)
def test_zero_minutes_are_for_ever(minutes: float, expected: datetime | None) -> None:
    """Without a time to live there is no expiry."""
    assert expires_at(NOW, minutes) == expected


@pytest.mark.parametrize(
    ("zone", "hour"), [("Europe/Prague", 10), ("Australia/Sydney", 2), (None, 12), ("", 12)]
)
def test_a_wall_clock_is_read_in_its_zone(zone: str | None, hour: int) -> None:
    """The digits are those of the zone; without one they are UTC."""
    assert to_utc(NOW, zone) == NOW.replace(hour=hour)


def test_a_time_with_an_offset_keeps_its_moment() -> None:
    """Without a zone name the offset of the value itself counts; none is UTC."""
    east = timezone(timedelta(hours=2))

    assert to_utc(NOW.replace(tzinfo=east), None) == NOW.replace(hour=10)
    assert to_utc(NOW.replace(tzinfo=None), None) == NOW


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../etc/passwd", "\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    """The message names the zone."""
    with pytest.raises(BadRequest, match="Unknown time zone"):
        to_utc(NOW, zone)


SYDNEY = {"city": "Sydney", "state": "NSW", "country": "Australia", "tz": "Australia/Sydney"}


@pytest.mark.parametrize(
    ("located", "date", "expected"),
    [
        (SYDNEY, NOW, "SYDNEY, July 1 AAP -"),
        ({**SYDNEY, "dateline": "city,state"}, NOW, "SYDNEY, NSW, July 1 AAP -"),
        ({**SYDNEY, "dateline": "city,country"}, NOW, "SYDNEY, AUSTRALIA, July 1 AAP -"),
        (SYDNEY, NOW.replace(month=9), "SYDNEY, Sept 1 AAP -"),
        (SYDNEY, NOW.replace(month=12), "SYDNEY, Dec 1 AAP -"),
        (SYDNEY, NOW.replace(hour=23), "SYDNEY, July 2 AAP -"),
        ({"city": "Brno", "tz": "No/Where"}, NOW, "BRNO, July 1 AAP -"),
        ({}, NOW, ", July 1 AAP -"),
    ],
)
def test_a_dateline_says_where_and_when(
    located: dict[str, str], date: datetime, expected: str
) -> None:
    """Places in capitals, the day of the place itself, the month in AP style."""
    assert dateline_text(located, date, "AAP") == expected
