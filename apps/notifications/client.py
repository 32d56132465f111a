"""One connected browser: a bounded buffer between the fan-out and a socket that may be slow."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import structlog
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from apps.notifications.audience import Arguments
from apps.notifications.viewers import Viewer

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Close:
    """End of a connection, sent after everything that was queued before it."""

    code: int
    reason: str


class Client:
    """Write messages to one connection in order, without ever making the sender wait.

    Args:
        connection: the websocket.
        arguments: what it subscribed with.
        token: its session, None where none is asked for.
        viewer: whose it is; None as long as that is not known.
        buffer: messages that may wait; a client that is further behind is cut off.
    """

    def __init__(
        self,
        connection: ServerConnection,
        arguments: Arguments,
        token: str | None,
        viewer: Viewer | None,
        buffer: int,
    ) -> None:
        self.arguments = arguments
        self.token = token
        self.viewer = viewer
        self._connection = connection
        self._outbox: asyncio.Queue[bytes | Close] = asyncio.Queue(buffer)

    def send(self, text: bytes) -> None:
        """Queue a UTF-8 text message."""
        self._put(text)

    def close(self, code: int, reason: str) -> None:
        """Close the connection after the messages queued so far."""
        self._put(Close(code, reason))

    async def run(self) -> None:
        """Write what is queued until the connection ends. What the client says is not heard."""
        writer = asyncio.create_task(self._write())
        try:
            with suppress(ConnectionClosed):
                # Read on, so that pings, pongs and the close are seen.
                async for _ in self._connection:
                    pass
        finally:
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)

    async def wait_closed(self) -> None:
        """Return when the connection has ended."""
        await self._connection.wait_closed()

    def cut(self) -> None:
        """End the connection at once: a closing handshake would wait behind the full buffers."""
        self._connection.transport.abort()

    async def _write(self) -> None:
        with suppress(ConnectionClosed):
            while True:
                entry = await self._outbox.get()
                if isinstance(entry, Close):
                    await self._connection.close(entry.code, entry.reason)
                    return
                await self._connection.send(entry, text=True)

    def _put(self, entry: bytes | Close) -> None:
        try:
            self._outbox.put_nowait(entry)
        except asyncio.QueueFull:
            log.warning("websocket.client_too_slow", client=str(self._connection.id))
            self.cut()
