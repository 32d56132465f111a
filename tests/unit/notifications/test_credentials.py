"""Where a client shows its token."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.notifications.credentials import from_message, from_request


def basic(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("path", "authorization", "token"),
    [
        ("/?token=abc", [], "abc"),
        ("/subscribe?user=1&token=abc", [], "abc"),
        ("/?token=abc", ["Bearer other"], "abc"),
        ("/", [f"Basic {basic('abc:')}"], "abc"),
        ("/", [f"basic {basic('abc')}"], "abc"),
        ("/", ["Bearer abc"], "abc"),
        ("/", ["Token  abc "], "abc"),
        ("/", ["abc"], "abc"),
        ("/?token=", ["Bearer abc"], "abc"),
        ("/?token=", [], None),
        ("/", [], None),
        ("/", ["Bearer abc", "Bearer abc"], ""),
        ("/", ["Basic !!!"], ""),
        ("/", [f"Basic {b64encode(bytes([255])).decode()}"], ""),
        ("//[", ["abc"], "abc"),
        ("//[?token=abc", [], "abc"),
        ("/", ["Basic"], ""),
        ("/", ["Basic \u00e9"], ""),
        ("/", [""], ""),
    ],
)
def test_from_request(path: str, authorization: list[str], token: str | None) -> None:
    """Query argument first, then the header in every form that the REST API takes."""
    assert token == from_request(path, authorization)


@pytest.mark.parametrize(
    ("message", "token"),
    [
        ('{"token": "abc"}', "abc"),
        (b'{"token": "abc", "more": 1}', "abc"),
        ('{"token": {"$ne": null}}', None),
        ('{"token": 7}', None),
        ("{}", None),
        ('["token"]', None),
        ('"abc"', None),
        ("abc", None),
        ("", None),
    ],
)
def test_from_message(message: str | bytes, token: str | None) -> None:
    """Only a text is a token: a query operator is not."""
    assert token == from_message(message)


@given(st.one_of(st.text(), st.binary()))
def test_from_message_survives_anything(message: str | bytes) -> None:
    """Whatever a client says first, the answer is a token or None."""
    assert from_message(message) is None or isinstance(from_message(message), str)
