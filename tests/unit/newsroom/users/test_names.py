"""What users are called (resources contract 5)."""

from typing import Any

import pytest

from apps.newsroom.users.service import default_sign_off, display_name


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ({"first_name": "Jane", "last_name": "Doe", "username": "jd"}, "Jane Doe"),
        ({"first_name": "Jane", "last_name": "", "username": "jd"}, "Jane"),
        ({"last_name": "Doe", "username": "jd"}, "Doe"),
        ({"first_name": None, "username": "jd"}, "jd"),
        ({}, ""),
    ],
)
def test_display_name(user: dict[str, Any], expected: str) -> None:
    """People are shown by their names, else by the user name."""
    assert expected == display_name(user)


@pytest.mark.parametrize(
    ("user", "mapping", "expected"),
    [
        ({"first_name": "jane", "last_name": "doe", "username": "x"}, None, "JD"),
        ({"first_name": "Jane", "username": "writer"}, None, "WRI"),
        ({"username": "jo"}, None, "JO"),
        ({"username": "writer", "phone": "123"}, "phone", "123"),
        ({"username": "writer", "phone": ""}, "phone", "WRI"),
    ],
)
def test_default_sign_off(user: dict[str, Any], mapping: str | None, expected: str) -> None:
    """The mapped field comes first, then the initials, then the user name."""
    assert expected == default_sign_off(user, mapping)
