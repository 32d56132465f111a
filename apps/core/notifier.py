"""How services tell connected clients what happened."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypedDict


class Viewpoint(TypedDict, total=False):
    """Who sees an item where it stands: everybody who meets all that is said.

    Attributes:
        stage: those from whom this stage is not hidden.
        users: these users alone.
        account: those of this account.
    """

    stage: str
    users: Sequence[str]
    account: str


Audience = Sequence[Sequence[Viewpoint]]
"""Who is told of an event: whoever sees, of each item that it is about, one of the viewpoints.

Everybody where it is empty.
"""

SESSIONS_ENDED = "sessions:ended"
"""Event that tells the websocket process, and no client, to look whose session has ended."""


class Notifier(Protocol):
    """Sends push notifications; best effort, never raises."""

    def push(
        self,
        event: str,
        *,
        filters: Mapping[str, Any] | None = None,
        audience: Audience = (),
        **extra: Any,
    ) -> None:
        """Send `event` with `extra` to clients.

        Args:
            filters: which connections get it; all of them when empty.
            audience: whose connections get it; everybody's when empty.
        """
        ...
