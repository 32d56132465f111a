"""Where a websocket client shows its token: query argument, header or first message."""

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from apps.core import json
from apps.notifications.audience import TOKEN_ARGUMENT


def from_request(path: str, authorization: Sequence[str]) -> str | None:
    """Return the token of an opening request, None when it shows none.

    Args:
        path: request target with its query.
        authorization: values of all `Authorization` headers; the query argument goes first. More
            than one header is refused by the REST API, so it counts as an unreadable one here.

    Returns:
        An empty text for a header that cannot be read, which no session has as its token.
    """
    argument = parse_qs(urlsplit(path).query).get(TOKEN_ARGUMENT)
    if argument:
        return argument[0]
    if not authorization:
        return None
    return _from_header(authorization[0]) if len(authorization) == 1 else ""


def _from_header(value: str) -> str:
    scheme, _, rest = value.strip().partition(" ")
    match scheme.lower():
        case "basic":
            return _user_name(rest.strip())
        case "bearer" | "token":
            return rest.strip()
        case _:
            # Eve also takes the bare token.
            return value.strip()


def _user_name(encoded: str) -> str:
    """Return the user name of Basic credentials: the token, with an empty password."""
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[0]


def from_message(text: str | bytes) -> str | None:
    """Return the token of a first message `{"token": "..."}`, None when it is something else."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    token = message.get("token") if isinstance(message, dict) else None
    return token if isinstance(token, str) else None
