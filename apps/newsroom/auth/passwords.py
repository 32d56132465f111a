"""Password hashes (bcrypt)."""

import bcrypt

MAX_BYTES = 72

NOBODY = "$2b$12$C6UzMDM.H6dfI/f/IKcEeO7ZBv5NDyMGYbEZt1Cq4ELP5oO4bDcWe"
"""Hash to compare with when there is no user, so that the answer takes as long."""


def hash_password(password: str, work_factor: int) -> str:
    """Return the bcrypt hash of `password`.

    Args:
        password: clear text; bcrypt reads its first 72 bytes.
        work_factor: cost, each step doubles it (4 to 31).
    """
    salt = bcrypt.gensalt(int(work_factor))
    return bcrypt.hashpw(password.encode()[:MAX_BYTES], salt).decode("ascii")


def is_hash(password: str) -> bool:
    """Whether `password` is a bcrypt hash already."""
    return password.startswith("$2") and len(password) == 60


def matches(password: str, stored: str) -> bool:
    """Whether `password` is the one behind the hash `stored`."""
    if not password or not is_hash(stored):
        return False
    return bcrypt.checkpw(password.encode()[:MAX_BYTES], stored.encode("ascii"))
