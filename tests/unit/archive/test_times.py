"""Publish schedules, embargoes, expiry and wall clocks (lifecycle contract 5.4, 5.5)."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from apps.archive.times import (
    check_embargo,
    check_schedule,
    complete_schedule,
    expires_at,
    expiry_minutes,
    to_utc,
    utc_of,
)
from apps.core.errors import BadRequest

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(hours=2), NOW - timedelta(hours=1)
PRAGUE = {"time_zone": "Europe/Prague"}


def completed(updates: dict[str, Any], original: dict[str, Any] | None = None) -> dict[str, Any]:
    complete_schedule(updates, original or {}, NOW)
    return updates


def test_other_writes_leave_the_schedule_alone() -> None:
    """Without a schedule, embargo or zone in the request nothing is computed."""
    assert completed({"headline": "x"}, {"publish_schedule": EARLIER}) == {"headline": "x"}


@pytest.mark.parametrize("field", ["publish_schedule", "embargo"])
def test_the_utc_value_is_that_of_the_zone(field: str) -> None:
    """Prague is an hour ahead in January; the other field has none."""
    other = ({"publish_schedule", "embargo"} - {field}).pop()

    settings = completed({field: LATER, "schedule_settings": PRAGUE})["schedule_settings"]

    assert settings[f"utc_{field}"] == LATER - timedelta(hours=1)
    assert (settings[f"utc_{other}"], settings["time_zone"]) == (None, "Europe/Prague")


def test_a_new_zone_moves_a_stored_schedule() -> None:
    """A request that brings the zone alone computes the stored time anew."""
    settings = completed({"schedule_settings": PRAGUE}, {"publish_schedule": LATER})

    assert settings["schedule_settings"]["utc_publish_schedule"] == LATER - timedelta(hours=1)


def test_a_schedule_can_be_taken_away() -> None:
    """Null clears the UTC value."""
    settings = completed({"publish_schedule": None}, {"publish_schedule": LATER})

    assert settings["schedule_settings"]["utc_publish_schedule"] is None


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"publish_schedule": EARLIER}, "Schedule cannot be earlier than now"),
        (
            {"publish_schedule": LATER, "schedule_settings": {"time_zone": "Asia/Tokyo"}},
            "Schedule cannot be earlier than now",
        ),
        (
            {"publish_schedule": datetime(1970, 5, 1, tzinfo=UTC)},
            "Schedule date is not recognized",
        ),
        ({"embargo": EARLIER}, "Embargo cannot be earlier than now"),
        ({"embargo": LATER, "type": "composite"}, "A Package doesn't support Embargo"),
        ({"embargo": LATER, "rewrite_of": "a"}, "Rewrites doesn't support Embargo"),
        (
            {"embargo": LATER, "publish_schedule": LATER},
            "An item can't have both Publish Schedule and Embargo",
        ),
        (
            {"embargo": LATER, "schedule_settings": {"time_zone": "No/Where"}},
            "Unknown time zone No/Where",
        ),
    ],
)
def test_what_is_not_possible_is_refused(item: dict[str, Any], message: str) -> None:
    """Each refusal has its text."""
    with pytest.raises(BadRequest, match=message):
        completed(item)


@pytest.mark.parametrize("state", ["killed", "recalled"])
def test_the_embargo_of_a_dead_item_may_have_passed(state: str) -> None:
    """A withdrawal does not fail on an old embargo; a correction does."""
    check_embargo({"state": state, "embargo": EARLIER}, EARLIER, NOW)
    with pytest.raises(BadRequest):
        check_embargo({"state": "corrected", "embargo": EARLIER}, EARLIER, NOW)


def test_now_is_not_too_early_for_a_schedule() -> None:
    """The bound is included for schedules, not for embargoes."""
    check_schedule(NOW, NOW)
    with pytest.raises(BadRequest):
        check_embargo({"state": "in_progress"}, NOW, NOW)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ({}, None),
        ({"embargo": None, "schedule_settings": {"utc_embargo": LATER}}, None),
        ({"embargo": LATER}, LATER),
        ({"embargo": LATER, "schedule_settings": PRAGUE}, LATER - timedelta(hours=1)),
        ({"embargo": LATER, "schedule_settings": {"utc_embargo": EARLIER}}, EARLIER),
    ],
)
def test_the_stored_utc_value_counts(item: dict[str, Any], expected: datetime | None) -> None:
    """It is computed only where it is missing, and void where the field is."""
    assert utc_of(item, "embargo") == expected


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
    ("zone", "hour"), [("Europe/Prague", 11), ("Australia/Sydney", 1), (None, 12), ("", 12)]
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
