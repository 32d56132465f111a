"""Who is told of what (resources contract 26, cms contract 2.4)."""

from typing import Any

import pytest

from apps.notifications.viewers import Viewer


@pytest.mark.parametrize(
    ("user", "audience", "is_told"),
    [
        ({"_id": 1}, [[{"account": "default"}]], True),
        ({"_id": 1, "account": None}, [[{"account": "default"}]], True),
        ({"_id": 1, "account": "other"}, [[{"account": "default"}]], False),
        ({"_id": 1, "account": "other"}, [[{"account": "other"}]], True),
        ({"_id": 1, "account": "other"}, [[{"account": "other", "users": ["2"]}]], False),
        ({"_id": 1, "account": "other"}, [[{"users": ["1"]}]], True),
    ],
)
def test_events_of_an_account_are_for_its_users(
    user: dict[str, Any], audience: Any, is_told: bool
) -> None:
    assert Viewer.of(user).is_in(audience) is is_told


def test_events_of_an_account_are_not_for_nobody() -> None:
    assert not Viewer.nobody(()).is_in([[{"account": "default"}]])
