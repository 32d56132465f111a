"""Signatures of pushed bytes: Superdesk's own and those of the Standard Webhooks specification.

The package `standardwebhooks` does not do it: it signs text only, and items may be binary.
"""

import hmac
from base64 import b64decode, b64encode

SECRET_PREFIX = "whsec_"  # noqa: S105 - the public mark of a secret, not a secret


def superdesk_signature(token: str, body: bytes) -> str:
    """Return the value of `x-superdesk-signature` (delivery contract 5.1)."""
    return "sha1=" + hmac.digest(token.encode(), body, "sha1").hex()


def webhook_signature(secrets: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: one signature per secret, in their order.

    Args:
        secrets: one or more base64 secrets, with or without `whsec_`, separated by spaces; newest
            first, so that an old one stays valid while receivers change over.
        timestamp: seconds since 1970, as in `webhook-timestamp`.

    Raises:
        ValueError: a secret is not base64, or empty.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    return " ".join(_signature(secret, signed) for secret in secrets.split())


def _signature(secret: str, signed: bytes) -> str:
    key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    if not key:
        raise ValueError("empty secret")
    return "v1," + b64encode(hmac.digest(key, signed, "sha256")).decode()
