"""Encrypts secrets for the store, and decrypts them for use.

An encrypted value is text that starts with `enc:v1:`; what follows is a Fernet token of the value
as JSON. Values without the mark are plain: fixtures and migrations write such.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from apps.core import json
from apps.core.errors import ConfigurationError, WiredeskError
from apps.secrets import key_file

MARK = "enc:v1:"
BAD_KEY = "ENCRYPTION_KEYS must be keys of 32 bytes in URL-safe base64; number {} is none"


class UnreadableSecret(WiredeskError):
    """A value was encrypted with a key that is not among those at hand, or it was changed."""


def is_encrypted(value: object) -> bool:
    """Whether `value` carries the mark of an encrypted value."""
    return isinstance(value, str) and value.startswith(MARK)


class Vault:
    """Encrypts with the newest key, decrypts with any.

    Args:
        keys: setting ENCRYPTION_KEYS, newest first. Without any, the key file counts; it is made
            when the first secret is encrypted.
        directory: where the key file is.

    Raises:
        ConfigurationError: one of `keys` is no key.
    """

    def __init__(self, keys: Sequence[str], directory: Path) -> None:
        self._directory = directory
        self._lock = Lock()
        self._fernet = _fernet(keys)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Vault":
        """Return the vault of an installation: ENCRYPTION_KEYS and DATA_DIR."""
        return cls(settings["ENCRYPTION_KEYS"], Path(settings["DATA_DIR"]))

    def encrypt(self, value: Any) -> str:
        """Return `value`, which may be anything that JSON holds, as it is stored."""
        with self._lock:
            if self._fernet is None:
                self._fernet = _fernet(key_file.create(self._directory))
            assert self._fernet is not None, "a key file holds a key"
            return MARK + self._fernet.encrypt(json.dumps(value)).decode("ascii")

    def decrypt(self, value: Any) -> Any:
        """Return what was encrypted; plain values as they are.

        Raises:
            UnreadableSecret: no key fits.
        """
        if not is_encrypted(value):
            return value
        with self._lock:
            if self._fernet is None:
                self._fernet = _fernet(key_file.read(self._directory))
            if self._fernet is None:
                raise UnreadableSecret("there is no encryption key")
            try:
                return json.loads(self._fernet.decrypt(value.removeprefix(MARK).encode()))
            except InvalidToken:
                raise UnreadableSecret("no encryption key fits") from None

    def renew(self, value: Any) -> str:
        """Return a stored value, encrypted or plain, encrypted with the newest key.

        Raises:
            UnreadableSecret: no key fits.
        """
        return self.encrypt(self.decrypt(value))


def _fernet(keys: Sequence[str]) -> MultiFernet | None:
    fernets = []
    for number, key in enumerate(keys, start=1):
        try:
            fernets.append(Fernet(key))
        except (TypeError, ValueError):
            # Without the cause: its text may hold the key.
            raise ConfigurationError(BAD_KEY.format(number)) from None
    return MultiFernet(fernets) if fernets else None
