"""Where a websocket client shows its token: query argument, header or first message."""

from collections.abc import Sequence
from urllib.parse import parse_qs

from apps.core import json
from apps.core.tokens import token_of
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
    argument = parse_qs(path.partition("?")[2]).get(TOKEN_ARGUMENT)
    if argument:
        return argument[0]
    if not authorization:
        return None
    return token_of(authorization[0]) if len(authorization) == 1 else ""


def from_message(text: str | bytes) -> str | None:
    """Return the token of a first message `{"token": "..."}`, None when it is something else."""
    try:
        message = json.loads(text)
    except ValueError:
        return None
    token = message.get("token") if isinstance(message, dict) else None
    return token if isinstance(token, str) else None
