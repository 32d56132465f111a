"""Signatures of pushed bytes, checked with a test vector and somebody else's verifier."""

from base64 import b64decode, b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from transmitters.http_signatures import (
    new_secret,
    secrets_text,
    signing_secrets,
    superdesk_signature,
    webhook_signature,
)

SECRETS = tuple("whsec_" + b64encode(bytes([n]) * 32).decode() for n in range(2))


def test_vector() -> None:
    """The test vector of delivery contract 5.1 holds."""
    signature = superdesk_signature("123456789", b"test payload")

    assert signature == "sha1=8be62a607898504f87559cb52dc23f9ebee65a21"


@given(body=st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_verified_by_the_official_package(body: str) -> None:
    """The verifier of the Standard Webhooks project accepts our signatures."""
    now = int(datetime.now(UTC).timestamp())
    signature = webhook_signature(SECRETS[0], "msg_1", now, body.encode())

    assert signature == Webhook(SECRETS[0]).sign("msg_1", datetime.fromtimestamp(now, UTC), body)


@pytest.mark.parametrize("known", SECRETS)
def test_two_secrets_while_changing_over(known: str) -> None:
    """With two secrets, receivers that know either of them accept."""
    now = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": webhook_signature(" ".join(SECRETS), "msg_1", now, b"{}"),
    }

    assert Webhook(known).verify("{}", headers) == {}
    assert len(headers["webhook-signature"].split()) == 2


def test_other_secret_is_refused() -> None:
    """A receiver that knows neither secret refuses."""
    now = int(datetime.now(UTC).timestamp())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": webhook_signature(SECRETS[0], "msg_1", now, b"{}"),
    }

    with pytest.raises(WebhookVerificationError):
        Webhook(SECRETS[1]).verify("{}", headers)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_*", "whsec_YQ", "not base64!", "ключ"])
def test_bad_secret(secret: str) -> None:
    """A secret that is empty or not base64 is an error, not a weak signature."""
    with pytest.raises(ValueError):
        webhook_signature(secret, "msg_1", 0, b"{}")


@pytest.mark.parametrize(("seconds", "valid"), [(-1, 2), (0, 1), (1, 1), (10**9, 1)])
def test_an_old_secret_ends_at_its_second(seconds: int, valid: int) -> None:
    """The newer one stays."""
    until = 1_900_000_000
    secrets = f"{SECRETS[0]} {SECRETS[1]}@{until}"

    signatures = webhook_signature(secrets, "msg_1", until + seconds, b"{}").split()

    expected = [webhook_signature(s, "msg_1", until + seconds, b"{}") for s in SECRETS[:valid]]
    assert signatures == expected


def test_nothing_is_sent_unsigned() -> None:
    """Where the only secret has ended, that is an error."""
    with pytest.raises(ValueError):
        webhook_signature(f"{SECRETS[0]}@100", "msg_1", 100, b"{}")


@pytest.mark.parametrize(
    "end", ["@", "@x", "@-1", "@1.5", "@99999999999999999999", "@1@2", "@\u0661"]
)
def test_an_odd_end_is_no_end(end: str) -> None:
    """Nothing is signed with a secret that may have ended."""
    with pytest.raises(ValueError):
        webhook_signature(SECRETS[0] + end, "msg_1", 0, b"{}")


def test_new_secrets_are_those_of_the_specification() -> None:
    """32 random bytes, written as destinations hold them, and read by its package."""
    one, other = new_secret(), new_secret()
    now = int(datetime.now(UTC).timestamp())

    signature = webhook_signature(one.key, "msg_1", now, b"{}")

    assert one != other
    assert len(b64decode(one.key.removeprefix("whsec_"))) == 32
    assert signature == Webhook(one.key).sign("msg_1", datetime.fromtimestamp(now, UTC), "{}")
    ending = other._replace(until=now)
    assert signing_secrets(secrets_text([one, ending])) == [one, ending]
