"""What sites say, as messages tell it."""

import pytest

from transmitters.cms.base import ErrorClass, PlatformError
from transmitters.cms.failures import SAID_LENGTH, said, with_words, without_secrets

KEY = f"{'a1' * 12}:{'b2' * 32}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (None, ""),
        ("", ""),
        ("  two\n lines\t", "two lines"),
        ("<b>Error</b>: a &amp; b", "Error: a & b"),
        ("<head><title>Down</title></head><style>p{}</style><p>Back soon</p>", "Down Back soon"),
        ("<title>Cut <b>", "Cut"),
        ("see https://a.test/b?token=x#y now", "see https://a.test/b now"),
        ("at https://user:word@a.test/", "at https://a.test/"),
        ("Authorization: Bearer abcdefghijkl", "Authorization: …"),
        ("jwt eyJhbGciOi.eyJpYXQi.c2ln expired", "jwt … expired"),
        ({"a": 1}, "{'a': 1}"),
    ],
)
def test_words_are_plain(text: object, shown: str) -> None:
    assert said(text) == shown


def test_words_are_not_too_long() -> None:
    assert len(said("long " * 1000)) <= SAID_LENGTH
    assert with_words("It failed", None) == "It failed"
    assert with_words("It failed", "No") == "It failed: No"


def hidden(message: str, credentials: dict[str, str]) -> str:
    error = PlatformError(ErrorClass.VALIDATION, "no", message)
    found = without_secrets(error, credentials)
    assert str(found) == f"validation/no: {found.message}"
    return found.message


def test_secrets_are_taken_out() -> None:
    login = {"username": "editor", "application_password": "abcd efgh ijkl mnop qrst uvwx"}
    for secret in (
        "abcd efgh ijkl mnop qrst uvwx",
        "abcdefghijklmnopqrstuvwx",
        "ZWRpdG9yOmFiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eA==",
    ):
        assert hidden(f"The editor sent {secret} here", login) == "The editor sent … here"
    assert hidden(f"Not {KEY} again", {"admin_api_key": KEY}) == "Not … again"


def test_secret_at_which_a_message_was_cut_is_taken_out() -> None:
    for length in range(8, len(KEY)):
        shown = hidden(with_words("No", "w" * (SAID_LENGTH - length) + KEY), {"admin_api_key": KEY})
        assert KEY[:8] not in shown, length
