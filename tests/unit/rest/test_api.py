"""Which fields a change is announced with (resources contract 26)."""

from typing import Any

import pytest

from apps.rest.api import changed_fields


@pytest.mark.parametrize(
    ("updates", "original", "expected"),
    [
        ({"a": 1}, {"a": 1}, set()),
        ({"a": 2}, {"a": 1, "b": 1}, {"a"}),
        ({"a": None}, {}, set()),
        ({"a": {"x": 1, "y": 1}}, {"a": {"x": 1}}, {"a", "a.y"}),
        ({"a": {"x": {"z": 1}}}, {"a": {"x": {"z": 2}, "y": 1}}, {"a", "a.x", "a.y"}),
        ({"a": {"x": 1}}, {"a": None}, {"a"}),
        ({"a": [1]}, {"a": [2]}, {"a"}),
    ],
)
def test_changed_fields(
    updates: dict[str, Any], original: dict[str, Any], expected: set[str]
) -> None:
    """Only differences count, one level into dictionaries."""
    assert dict.fromkeys(expected, 1) == changed_fields(updates, original)
