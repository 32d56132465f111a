"""Signatures of pushed bytes, checked with a test vector and somebody else's verifier."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from transmitters.http_signatures import superdesk_signature, webhook_signature

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
