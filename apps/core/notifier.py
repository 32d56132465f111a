"""How services tell connected clients what happened."""

from collections.abc import Mapping
from typing import Any, Protocol

SESSIONS_ENDED = "sessions:ended"
"""Event that tells the websocket process, and no client, to look whose session has ended."""


class Notifier(Protocol):
    """Sends push notifications; best effort, never raises."""

    def push(self, event: str, *, filters: Mapping[str, Any] | None = None, **extra: Any) -> None:
        """Send `event` with `extra` to clients, to all or to those that `filters` name."""
        ...
