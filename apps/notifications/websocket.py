"""The websocket process: pushes the bus to browsers (`python -m apps.notifications.websocket`)."""

import asyncio
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import structlog
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

import settings
from apps.core.errors import ConfigurationError
from apps.core.logs import configure_logs
from apps.monitoring.processes import ProcessHeartbeat, ProcessNotes
from apps.notifications import credentials
from apps.notifications.audience import subscription
from apps.notifications.client import Client
from apps.notifications.fanout import Fanout
from apps.notifications.feed import ChannelFeed
from apps.notifications.sessions import ActiveSessions, MongoSessions, SessionsUnavailable
from apps.notifications.throttle import Throttle
from apps.notifications.viewers import Viewer
from apps.store.clock import StoreClock
from apps.store.mongo import connect

log = structlog.get_logger(__name__)

T = TypeVar("T")

UNAUTHORIZED = 4401
"""Close code of clients without a session in force."""

MAX_INBOUND_BYTES = 4096
"""Clients have nothing to say but their token."""


@dataclass(frozen=True)
class Timing:
    """Intervals of the process, in seconds.

    Attributes:
        ping: between two `{"ping": n, "clients": m}`.
        token: in which a client that showed no token when connecting has to send it.
        recheck: between two checks that the sessions of connected clients are still in force,
            where nothing tells that one has ended.
        throttle: between two messages of a throttled event.
        farewell: in which clients have to take their last messages when the process stops.
    """

    ping: float = 5.0
    token: float = 5.0
    recheck: float = 60.0
    throttle: float = 5.0
    farewell: float = 2.0


class WebsocketServer:
    """Send every message of the bus to every client it is meant for.

    Args:
        feed: the bus.
        sessions: who may connect; None lets everybody in, as Superdesk does.
        host: address to listen at.
        port: port to listen at; 0 takes a free one.
        timing: intervals.
        buffer: messages that may wait for one slow client before it is cut off.
        monotonic: seconds that never run backwards, for the throttle.
        nobody: reads what is told to connections without a token; None where no stage is hidden.
    """

    def __init__(
        self,
        feed: ChannelFeed,
        sessions: ActiveSessions | None,
        host: str,
        port: int,
        *,
        timing: Timing | None = None,
        buffer: int = 256,
        monotonic: Callable[[], float] = time.monotonic,
        nobody: Callable[[], Awaitable[Viewer]] | None = None,
    ) -> None:
        self._feed = feed
        self._sessions = sessions
        self._host = host
        self._port = port
        self._timing = timing or Timing()
        self._buffer = buffer
        self._nobody = nobody
        self._clients = Fanout(
            Throttle(interval=self._timing.throttle, monotonic=monotonic), self._note_end
        )
        self._ends = 0
        self._has_ended = asyncio.Event()

    async def run(
        self, stop: asyncio.Event, started: Callable[[int], None] = lambda port: None
    ) -> None:
        """Serve until `stop` is set, then close the connections of the clients.

        Args:
            stop: ends the process.
            started: told the port as soon as clients can connect.

        Raises:
            OSError: the address cannot be listened at.
        """
        async with self._listen() as server:
            async with asyncio.TaskGroup() as tasks:
                background = [
                    tasks.create_task(work)
                    for work in (self._forward(), self._ping(), self._recheck())
                ]
                started(_port_of(server))
                await stop.wait()
                await _cancel(background)
            await self._take_leave()

    def _listen(self) -> Server:
        return serve(
            self._welcome,
            self._host,
            self._port,
            max_size=MAX_INBOUND_BYTES,
            close_timeout=self._timing.farewell,
            # Messages are small; compressing each one for each client costs more than it saves.
            compression=None,
        )

    async def _welcome(self, connection: ServerConnection) -> None:
        """Serve one connection from its opening to its end."""
        ends = self._ends
        try:
            token, viewer = await self._authenticate(connection)
        except _Refused as refusal:
            await connection.close(refusal.code, str(refusal))
            return
        except ConnectionClosed:
            return
        assert connection.request is not None
        arguments = subscription(connection.request.path)
        client = Client(connection, arguments, token, viewer, self._buffer)
        self._clients.add(client)
        if ends != self._ends:
            # It may have been the session of this one, after that was looked up.
            self._has_ended.set()
        try:
            await client.run()
        finally:
            self._clients.discard(client)

    async def _authenticate(self, connection: ServerConnection) -> tuple[str | None, Viewer | None]:
        """Return the client's token, None where none is asked for, and whose it is.

        Raises:
            _Refused: no token in time, no session in force, or sessions cannot be looked up.
            ConnectionClosed: the client went away.
        """
        if self._sessions is None:
            return None, await self._current(self._read_nobody)
        token, sessions = await self._token_of(connection), self._sessions
        try:
            active = await self._current(lambda: sessions.active([token]))
        except SessionsUnavailable as error:
            log.warning("websocket.client_refused", error=str(error))
            raise _Refused("sessions cannot be looked up", CloseCode.TRY_AGAIN_LATER) from error
        if token not in active:
            raise _Refused("no session in force for this token")
        return token, active[token]

    async def _current(self, read: Callable[[], Awaitable[T]]) -> T:
        """Return what `read` returns; read again if the bus told of other hidden stages meanwhile.

        From then on the bus keeps it up to date.
        """
        while True:
            known = self._clients.changes
            found = await read()
            if known == self._clients.changes:
                return found

    async def _read_nobody(self) -> Viewer | None:
        """Return what is told to connections without a token; None where it cannot be read."""
        if self._nobody is None:
            return Viewer.nobody(())
        try:
            return await self._nobody()
        except SessionsUnavailable as error:
            log.warning("websocket.stages_unknown", error=str(error))
            return None

    async def _token_of(self, connection: ServerConnection) -> str:
        assert connection.request is not None
        headers = connection.request.headers.get_all("Authorization")
        token = credentials.from_request(connection.request.path, headers)
        if token is None:
            # Browsers cannot set headers, and a token in the address ends up in access logs.
            try:
                async with asyncio.timeout(self._timing.token):
                    token = credentials.from_message(await connection.recv())
            except TimeoutError:
                raise _Refused("no token in time") from None
        if not token:
            raise _Refused("no token")
        return token

    def _note_end(self) -> None:
        """A session has ended, or one may have, unheard."""
        self._ends += 1
        self._has_ended.set()

    async def _recheck(self) -> None:
        """Cut off clients whose session has ended since they connected.

        What is hidden from the others is read again: a message of the bus may have been lost.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._timing.recheck):
                    await self._has_ended.wait()
            self._has_ended.clear()
            clients, sessions = list(self._clients), self._sessions
            if sessions is None:
                nobody = await self._current(self._read_nobody)
                for client in clients:
                    client.viewer = nobody
                continue
            tokens = {client.token for client in clients if client.token}
            try:
                active = await self._current(lambda: sessions.active(tokens))  # noqa: B023
            except SessionsUnavailable as error:
                # Nothing is known against the clients: they stay until sessions can be read.
                log.warning("websocket.sessions_unchecked", error=str(error))
                continue
            for client in clients:
                client.viewer = active.get(client.token or "")
                if client.viewer is None:
                    client.close(UNAUTHORIZED, "session ended")

    async def _take_leave(self) -> None:
        """Send what the throttle still holds and close all connections."""
        self._clients.drain()
        leaving = list(self._clients)
        for client in leaving:
            client.close(CloseCode.GOING_AWAY, "server is stopping")
        try:
            async with asyncio.timeout(self._timing.farewell):
                await asyncio.gather(*(client.wait_closed() for client in leaving))
        except TimeoutError:
            for client in self._clients:
                client.cut()

    async def _forward(self) -> None:
        """Fan out the messages of the bus."""
        async with aclosing(self._feed.messages(self._note_end)) as messages:
            async for data in messages:
                self._clients.receive(data)
                # A burst comes without a pause: let the clients' writers keep up with it.
                await asyncio.sleep(0)

    async def _ping(self) -> None:
        """Show clients, and proxies between, that the connection is alive."""
        count = 0
        while True:
            await asyncio.sleep(self._timing.ping)
            self._clients.send({"ping": count, "clients": len(self._clients)})
            count += 1


class _Refused(Exception):
    """The connection is closed with `code` and this text as the reason."""

    def __init__(self, reason: str, code: int = UNAUTHORIZED) -> None:
        super().__init__(reason)
        self.code = code


async def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel `tasks` and wait until they have ended.

    Asks again where a task goes on: in Python 3.11 `asyncio.wait_for`, which the Redis client
    writes with, swallows a cancellation that meets the end of what it waits for.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


def _port_of(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


async def serve_forever(config: Mapping[str, Any]) -> None:
    """Run the server that `config` describes until SIGTERM or SIGINT.

    Args:
        config: all settings, with `MONGO_URI` and `REDIS_URL` filled in.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    feed = ChannelFeed.connect(config["REDIS_URL"], config["NOTIFICATION_CHANNEL"])
    expires_after = timedelta(minutes=config["SESSION_EXPIRY_MINUTES"])
    sessions = MongoSessions.connect(config["MONGO_URI"], config["MONGO_DBNAME"], expires_after)
    server = WebsocketServer(
        feed,
        sessions if config["WEBSOCKET_REQUIRE_TOKEN"] else None,
        config["WSHOST"],
        config["WSPORT"],
        nobody=sessions.nobody,
    )
    try:
        await server.run(stop, lambda port: log.info("websocket.serving", port=port))
    finally:
        await feed.close()
        await sessions.close()


def main() -> None:
    """Read the settings and serve. Exit status 2 tells of wrong settings."""
    try:
        config = settings.load()
        _require(config, "REDIS_URL", "MONGO_URI")
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    configure_logs(config["LOG_LEVEL"])
    clock = StoreClock()
    db = connect(config, [clock])
    notes = ProcessNotes(clock, "websocket")
    heartbeat = ProcessHeartbeat(db, notes, config["REDIS_URL"]).start()
    try:
        asyncio.run(serve_forever(config))
    finally:
        heartbeat.stop()
        db.client.close()


def _require(config: Mapping[str, Any], *names: str) -> None:
    """Raise a `ConfigurationError` that names the settings among `names` that are missing."""
    missing = [name for name in names if not config[name]]
    if missing:
        raise ConfigurationError(f"{', '.join(missing)}: the websocket process needs an address")


if __name__ == "__main__":
    main()
