"""Passwords: what new ones have to be like, and their hashes (bcrypt)."""

import re
from collections.abc import Mapping
from typing import Any

import bcrypt

from apps.core.errors import ConfigurationError, SchemaIssues

MAX_BYTES = 72
"""What bcrypt reads of a password."""

DEFAULT_MIN_LENGTH = 5

HASH = re.compile(r"\$2[abxy]\$(0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}")

NOBODY = "C6UzMDM.H6dfI/f/IKcEeO7ZBv5NDyMGYbEZt1Cq4ELP5oO4bDcWe"
"""Salt and digest to compare with where there is no hash, so that the answer takes as long."""

TOO_SHORT: dict[str, int] = {"minlength": 1}
TOO_LONG = f"max length is {MAX_BYTES} bytes"
NO_TEXT = "must be a text without NUL"


def hash_password(password: str, work_factor: int) -> str:
    """Return the bcrypt hash of `password`.

    Args:
        password: clear text; bcrypt reads its first 72 bytes.
        work_factor: cost, each step doubles it (4 to 31).
    """
    return bcrypt.hashpw(_bytes(password), bcrypt.gensalt(work_factor)).decode("ascii")


class Passwords:
    """Rules of an installation.

    Args:
        settings: BCRYPT_GENSALT_WORK_FACTOR, PASSWORD_MIN_LENGTH.

    Raises:
        ConfigurationError: a setting makes no sense.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._work_factor = int(settings["BCRYPT_GENSALT_WORK_FACTOR"])
        self._min_length = settings["PASSWORD_MIN_LENGTH"]
        if not 4 <= self._work_factor <= 31:
            raise ConfigurationError("BCRYPT_GENSALT_WORK_FACTOR must be between 4 and 31")
        if self._min_length is not None and not 1 <= self._min_length <= MAX_BYTES:
            raise ConfigurationError(f"PASSWORD_MIN_LENGTH must be between 1 and {MAX_BYTES}")

    def hash_new(
        self, password: str, field: str = "password", min_length: int = DEFAULT_MIN_LENGTH
    ) -> str:
        """Return what is stored of a new password; whatever it looks like, it is no hash yet.

        Args:
            password: clear text.
            field: name of the field that an issue is reported under.
            min_length: characters that it needs where PASSWORD_MIN_LENGTH is not set.

        Raises:
            SchemaIssues: too short, too long for bcrypt, or no text that can be stored.
        """
        wanted = min_length if self._min_length is None else self._min_length
        if len(password) < wanted:
            raise SchemaIssues({field: TOO_SHORT})
        if len(_bytes(password, MAX_BYTES + 1)) > MAX_BYTES:
            raise SchemaIssues({field: TOO_LONG})
        if "\0" in password or any("\ud800" <= character <= "\udfff" for character in password):
            raise SchemaIssues({field: NO_TEXT})
        return hash_password(password, self._work_factor)

    def matches(self, password: str, stored: Any) -> bool:
        """Whether `password` is the one behind the hash `stored`.

        Takes as long where nothing is stored, or no hash, and where the hash has a lower work
        factor than the setting: the time tells nothing of users.
        """
        work_factor = self._work_factor
        has_hash = is_hash(stored)
        is_right = _checks(password, stored if has_hash else _nobody(work_factor))
        for missing in range(_work_factor_of(stored), work_factor) if has_hash else ():
            # Each factor costs as much as all below it together, and one more of the lowest.
            _checks(password, _nobody(missing))
        return is_right and has_hash and bool(password)

    def renewed(self, password: str, stored: str) -> str | None:
        """Return a hash to store in the place of `stored`, which has another work factor.

        None where it has that of the setting.
        """
        if _work_factor_of(stored) == self._work_factor:
            return None
        return hash_password(password, self._work_factor)


def is_hash(stored: Any) -> bool:
    """Whether `stored` is a bcrypt hash."""
    return isinstance(stored, str) and HASH.fullmatch(stored) is not None


def _work_factor_of(stored: str) -> int:
    return int(stored[4:6])


def _nobody(work_factor: int) -> str:
    return f"$2b${work_factor:02d}${NOBODY}"


def _checks(password: str, stored: str) -> bool:
    return bcrypt.checkpw(_bytes(password), stored.encode("ascii"))


def _bytes(password: str, limit: int = MAX_BYTES) -> bytes:
    # Longer ones come from systems that cut them off before they hashed them.
    return password.encode("utf-8", errors="surrogatepass")[:limit]
