"""What the processes of an installation do: each writes a document, and those that end leave none.

Delivery contract 14.3. A process notes in memory what it does, and a thread of it writes that every
few seconds, so the work itself costs no command.
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from threading import Event, Lock, Thread
from typing import Any

import pymongo
import structlog
from bson import ObjectId
from pymongo.database import Database
from pymongo.errors import PyMongoError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from apps.core.clock import Clock
from apps.core.service import Document
from apps.store.collections import PROCESSES

log = structlog.get_logger(__name__)

EVERY_SECONDS = 10
ALIVE = timedelta(seconds=30)
"""A process that has written nothing for longer is gone, or cannot reach the store."""
KEPT_FOR = timedelta(minutes=5)
"""How long the document of a process stays that has ended."""
LONGEST_RUN = timedelta(minutes=15)
"""A task that runs for longer is taken for one that hangs."""
REDIS_SECONDS = 1.0
FAREWELL_SECONDS = 2.0
"""Longest wait, twice, of a process that ends for what it says last."""

MONGO, REDIS = "mongo", "redis"


class ProcessNotes:
    """What this process does; threads share it.

    Args:
        clock: source of time.
        name: of its program; may be set until the process writes its document.
        monotonic: seconds that never run backwards.
    """

    def __init__(
        self,
        clock: Clock,
        name: str = "",
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._clock = clock
        self._monotonic = monotonic
        self._started_at = clock.precise()
        self._claimed_at: datetime | None = None
        self._tasks: dict[str, Document] = {}
        self._reached: dict[str, float] = {}
        self._lock = Lock()

    def task_started(self, name: str) -> None:
        """Note that a task begins."""
        with self._lock:
            known = self._tasks.setdefault(name, {"name": name})
            known.update({"started_at": self._clock.precise(), "is_running": True})

    def task_ended(self, name: str, *, failed: bool) -> None:
        """Note that a task has ended."""
        now = self._clock.precise()
        with self._lock:
            known = self._tasks.setdefault(name, {"name": name, "started_at": now})
            known.update({"ended_at": now, "is_running": False, "has_failed": failed})

    def claimed(self) -> None:
        """Note that deliveries that are due were looked for, and found or not."""
        self._claimed_at = self._clock.precise()

    def reached(self, store: str) -> None:
        """Note that a store has answered."""
        self._reached[store] = self._monotonic()

    def silent_seconds(self, store: str) -> float:
        """Return for how long a store has not answered; 0 where nobody asks it now and then."""
        reached = self._reached.get(store)
        return 0.0 if reached is None else self._monotonic() - reached

    def document(self) -> Document:
        """Return what the document of the process says."""
        now = self._clock.precise()
        with self._lock:
            return {
                "name": self.name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_at": self._started_at,
                "beat_at": now,
                "claimed_at": self._claimed_at,
                "tasks": [dict(task) for task in self._tasks.values()],
                "expires_at": now + KEPT_FOR,
            }


class ProcessHeartbeat:
    """Writes the document of this process every few seconds, and asks whether Redis is there.

    Args:
        db: the database.
        notes: what is written.
        redis_url: address of Redis.
    """

    def __init__(self, db: Database[Document], notes: ProcessNotes, redis_url: str) -> None:
        self._collection = db[PROCESSES]
        self._notes = notes
        self._redis = redis_client(redis_url)
        self._id = ObjectId()
        self._has_ended = Event()
        self._thread = Thread(target=self._run, name="process-heartbeat", daemon=True)

    def start(self) -> "ProcessHeartbeat":
        """Begin; a process that has forked begins after that."""
        for store in (MONGO, REDIS):
            self._notes.reached(store)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End, and take the document away; who is killed leaves it to expire."""
        self._has_ended.set()
        self._thread.join(FAREWELL_SECONDS)
        try:
            with pymongo.timeout(FAREWELL_SECONDS):
                self._collection.delete_one({"_id": self._id})
        except PyMongoError as error:
            log.warning("heartbeat.not_removed", error=str(error))
        self._redis.close()

    def beat(self) -> None:
        """Write the document once."""
        try:
            change = {"$set": self._notes.document()}
            self._collection.update_one({"_id": self._id}, change, upsert=True)
            self._notes.reached(MONGO)
        except PyMongoError as error:
            log.warning("heartbeat.not_written", error=str(error))
        if answers(self._redis):
            self._notes.reached(REDIS)

    def _run(self) -> None:
        self.beat()
        while not self._has_ended.wait(EVERY_SECONDS):
            self.beat()


def redis_client(url: str) -> Redis:
    """Return a client that waits a second at most, and connects when it is used."""
    return Redis.from_url(
        url,
        socket_connect_timeout=REDIS_SECONDS,
        socket_timeout=REDIS_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )


def answers(redis: Redis) -> bool:
    """Whether Redis answers."""
    try:
        return bool(redis.ping())
    except (RedisError, OSError):
        return False


def processes(db: Database[Document], now: datetime) -> list[Document]:
    """Return the documents of the processes that are alive; one command."""
    return list(db[PROCESSES].find({"beat_at": {"$gt": now - ALIVE}}).sort("started_at", 1))


def last_claim(found: list[Document]) -> datetime | None:
    """Return when any of the processes has last looked for deliveries that are due."""
    return max(filter(None, (process.get("claimed_at") for process in found)), default=None)


def tasks_of(found: list[Document]) -> Mapping[str, datetime]:
    """Return when each task was last at work in any of the processes.

    One that still runs is at work as long as its process writes its document, but for `LONGEST_RUN`
    at most.
    """
    latest: dict[str, datetime] = {}
    for process in found:
        for task in process.get("tasks") or ():
            at = worked_at(task, process["beat_at"])
            latest[task["name"]] = max(at, latest.get(task["name"], at))
    return latest


def worked_at(task: Mapping[str, Any], beat_at: datetime) -> datetime:
    """Return when a task was last seen at work."""
    started_at: datetime = task["started_at"]
    if task.get("is_running"):
        return beat_at if beat_at - started_at < LONGEST_RUN else started_at
    return task.get("ended_at") or started_at
