"""Signatures of pushed bytes: Superdesk's own and those of the Standard Webhooks specification.

The package `standardwebhooks` does not do it: it signs text only, and items may be binary.
"""

import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterable
from secrets import token_bytes
from typing import NamedTuple

SECRET_BYTES = 32
UNTIL = "@"
"""Stands between a secret and the second since 1970 from which it is not used any more."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - the public mark of a secret, not a secret


def superdesk_signature(token: str, body: bytes) -> str:
    """Return the value of `x-superdesk-signature` (delivery contract 5.1)."""
    return "sha1=" + hmac.digest(token.encode(), body, "sha1").hex()


class SigningSecret(NamedTuple):
    """A secret of the Standard Webhooks specification.

    Attributes:
        key: base64, with or without `whsec_`.
        until: seconds since 1970 from which it is not used any more; None for ever.
    """

    key: str
    until: int | None = None

    @property
    def text(self) -> str:
        return self.key if self.until is None else f"{self.key}{UNTIL}{self.until}"

    def is_valid_at(self, timestamp: int) -> bool:
        """Whether it is used at that second."""
        return self.until is None or timestamp < self.until

    def is_usable(self) -> bool:
        """Whether it is a key at all."""
        try:
            return bool(_key_of(self.key))
        except ValueError:
            return False


def new_secret() -> SigningSecret:
    """Return a secret that nobody has had before."""
    return SigningSecret(SECRET_PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode())


def signing_secrets(text: str) -> list[SigningSecret]:
    """Return the secrets of a destination.

    Args:
        text: secrets separated by blanks, newest first, so that an old one stays valid while
            receivers change over; `@` and seconds since 1970 behind those that end by then.
    """
    secrets = []
    for entry in text.split():
        key, _, until = entry.partition(UNTIL)
        is_time = until.isascii() and until.isdecimal() and len(until) <= 10
        # One with an odd end is no key: it is told like any other that is none.
        secrets.append(SigningSecret(key, int(until)) if is_time else SigningSecret(entry))
    return secrets


def secrets_text(secrets: Iterable[SigningSecret]) -> str:
    """Return secrets as a destination holds them."""
    return " ".join(secret.text for secret in secrets)


def webhook_signature(secrets: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: a signature for each valid secret, in their order.

    Args:
        secrets: as `signing_secrets` takes them.
        timestamp: seconds since 1970, as in `webhook-timestamp`.

    Raises:
        ValueError: a secret is not base64, or empty; or none is valid any more.
    """
    signed = f"{message_id}.{timestamp}.".encode() + body
    valid = [secret for secret in signing_secrets(secrets) if secret.is_valid_at(timestamp)]
    if not valid:
        raise ValueError("no valid secret")
    return " ".join(_signature(secret.key, signed) for secret in valid)


def _signature(secret: str, signed: bytes) -> str:
    return "v1," + b64encode(hmac.digest(_key_of(secret), signed, "sha256")).decode()


def _key_of(secret: str) -> bytes:
    key = b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    if not key:
        raise ValueError("empty secret")
    return key
