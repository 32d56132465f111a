"""Tokens that let clients in: how one comes, what is stored of it, whether it is in force."""

from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any


def token_of(header: str) -> str:
    """Return the token of an `Authorization` header, an empty text where it cannot be read.

    Taken as `Basic base64(<token>:)`, `Bearer <token>`, `Token <token>` or bare.
    """
    scheme, _, rest = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return rest.strip() or scheme
    try:
        return b64decode(rest.strip(), validate=True).decode().partition(":")[0]
    except ValueError:  # no base64, or no text in it
        return ""


def hash_token(token: str) -> str:
    """Return what is stored of a token, and looked up by it.

    Tokens are long and random, so that nobody finds one by trying, and a plain hash is enough.
    """
    return sha256(token.encode("utf-8", errors="surrogatepass")).hexdigest()


def is_in_force(
    session: Mapping[str, Any], user: Mapping[str, Any], now: datetime, expires_after: timedelta
) -> bool:
    """Whether a session still lets its user in (resources contract 4.1).

    The session knows the user's `security_stamp` of when it was opened. A new stamp, written with
    what ends the user's sessions, ends them in that moment, whatever becomes of their documents.

    Args:
        session: its document, with `_updated` and `security_stamps`.
        user: the document of its user, with the two switches and `security_stamp`.
        now: the current time.
        expires_after: age of the last refresh at which sessions end.
    """
    if not (user.get("is_active", True) and user.get("is_enabled", True)):
        return False
    if user.get("security_stamp") not in session.get("security_stamps", (None,)):
        return False
    return bool(session["_updated"] >= now - expires_after)
