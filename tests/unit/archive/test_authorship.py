"""Sign-offs and datelines (lifecycle contract 1.7, 1.10)."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.archive.authorship import dateline_text, next_sign_off

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
