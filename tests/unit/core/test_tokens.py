"""Whether a session is in force (resources contract 4.1)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.core.tokens import hash_token, is_in_force

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("session", "user", "expected"),
    [
        ({}, {}, True),
        ({}, {"is_active": True, "is_enabled": True}, True),
        ({}, {"is_active": False}, False),
        ({}, {"is_enabled": False}, False),
        ({"_updated": NOW - HOUR}, {}, True),
        ({"_updated": NOW - HOUR - timedelta(seconds=1)}, {}, False),
        ({"security_stamps": [None]}, {}, True),
        ({"security_stamps": [None]}, {"security_stamp": "a"}, False),
        ({"security_stamps": ["a"]}, {"security_stamp": "a"}, True),
        ({"security_stamps": ["a", "b"]}, {"security_stamp": "b"}, True),
        ({"security_stamps": ["a", "b"]}, {"security_stamp": "c"}, False),
        ({"security_stamps": ["a"]}, {}, False),
        ({}, {"security_stamp": "a"}, False),
    ],
)
def test_is_in_force(session: dict[str, Any], user: dict[str, Any], expected: bool) -> None:
    """By the switches of its user, the stamp that it knows, and its age."""
    assert expected is is_in_force({"_updated": NOW, **session}, user, NOW, HOUR)


@pytest.mark.parametrize("token", ["", "x" * 43, "\ud800", "é", "a\0b"])
def test_hash_token(token: str) -> None:
    """Whatever a client sends has a hash, which is none of a token's."""
    assert 64 == len(hash_token(token))
    assert hash_token(hash_token(token)) != hash_token(token)
