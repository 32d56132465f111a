"""Credentials inside addresses."""

from typing import Any

import pytest

from apps.core.userinfo import apart, split_userinfo, together


@pytest.mark.parametrize(
    ("value", "address", "userinfo"),
    [
        ("https://a:b@host/x?y=@z", "https://host/x?y=@z", "a:b"),
        ("ftp://token@host", "ftp://host", "token"),
        ("https://a:p@ss@host", "https://host", "a:p@ss"),
        ("https://host/a@b", "https://host/a@b", None),
        ("https://host?to=a@b", "https://host?to=a@b", None),
        ("a@example.com", "a@example.com", None),
        ("", "", None),
        (None, None, None),
        (7, 7, None),
    ],
)
def test_split(value: Any, address: Any, userinfo: str | None) -> None:
    """Whatever stands before the host; an at sign further on is none of it."""
    assert (address, userinfo) == split_userinfo(value)


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"resource_url": "https://a:b@host/x", "assets_url": "https://host/y", "packaged": True},
        {"host": "ftp://token@host"},
    ],
)
def test_apart_and_together(config: dict[str, Any]) -> None:
    """What was taken apart is what it was when it is put together."""
    assert config == together(apart(config))


def test_together_without_an_address() -> None:
    """Credentials without an address are dropped."""
    assert {"resource_url": "none"} == together(
        {"resource_url": "none", "resource_url_userinfo": "a:b", "assets_url_userinfo": "c:d"}
    )
