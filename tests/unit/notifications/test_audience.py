"""Who gets a message with `filters`."""

from typing import Any

import pytest

from apps.notifications.audience import is_addressed, subscription


@pytest.mark.parametrize(
    ("path", "arguments"),
    [
        ("/subscribe?user=1", {"user": "1"}),
        ("/ws/subscribe?user=1&company=a%20b", {"user": "1", "company": "a b"}),
        ("/subscribe?user=1&user=2", {"user": "1"}),
        ("/subscribe?token=secret&user=1", {"user": "1"}),
        ("/subscribe?token=secret", {}),
        ("/subscribe?user=", {}),
        ("/subscribe", {}),
        ("/?user=1", {}),
        ("", {}),
    ],
)
def test_subscription(path: str, arguments: dict[str, str]) -> None:
    """Arguments count at `/subscribe` only, the first of a name, and the token is none."""
    assert arguments == subscription(path)


@pytest.mark.parametrize(
    ("filters", "arguments", "expected"),
    [
        (None, {}, True),
        ({}, {}, True),
        ({"include": {}, "exclude": {}}, {}, True),
        ({"include": None}, {}, True),
        ({"include": {"user": ["1"]}}, {"user": "1"}, True),
        ({"include": {"user": ["1", "2"]}}, {"user": "2"}, True),
        ({"include": {"user": [1]}}, {"user": "1"}, True),
        ({"include": {"user": "1"}}, {"user": "1"}, True),
        ({"include": {"user": ["2"]}}, {"user": "1"}, False),
        ({"include": {"user": ["1"]}}, {}, False),
        ({"include": {"user": ["1"]}}, {"company": "1"}, False),
        ({"include": {"user": ["1"], "company": ["a"]}}, {"user": "1"}, False),
        ({"include": {"user": ["1"], "company": ["a"]}}, {"user": "1", "company": "a"}, True),
        ({"exclude": {"user": ["1"]}}, {"user": "1"}, False),
        ({"exclude": {"user": ["1"]}}, {"user": "2"}, True),
        ({"exclude": {"user": ["1"]}}, {}, True),
        ({"exclude": {"user": ["1"], "company": ["a"]}}, {"user": "2", "company": "a"}, False),
        ({"include": {"user": ["1"]}, "exclude": {"tab": ["9"]}}, {"user": "1", "tab": "9"}, False),
        ({"include": {"user": ["1"]}, "exclude": {"tab": ["9"]}}, {"user": "1", "tab": "8"}, True),
    ],
)
def test_is_addressed(filters: Any, arguments: dict[str, str], expected: bool) -> None:
    """Every `include` has to match and no `exclude` may."""
    assert expected is is_addressed(filters, arguments)


@pytest.mark.parametrize("filters", ["user", 7, ["user"], {"include": ["1"]}, {"exclude": "user"}])
def test_unreadable_filters_address_nobody(filters: Any) -> None:
    """A message that was meant for some never goes to all because its filters are broken."""
    assert not is_addressed(filters, {"user": "1"})
