"""Whether an installation works: each part with what is known of it, and what to do.

`ready` tells whether everything that deliveries need works now. `live` tells whether this process
should be started again: not for what is wrong with others, and not for what passes.

Delivery contract 14.5.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

import pymongo
import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.clock import Clock
from apps.core.service import Document
from apps.monitoring.processes import (
    MONGO,
    REDIS,
    ProcessNotes,
    answers,
    last_claim,
    processes,
    redis_client,
    tasks_of,
)

log = structlog.get_logger(__name__)

SILENT_SECONDS = 60
"""Age of the last tick, and of the last look for deliveries, at which something is wrong."""
LIVE_SECONDS = 300
"""Time without an answer of a store after which a process should be started again."""
MONGO_SECONDS = 2.0
"""Longest wait for MongoDB."""

IS_MONGO_UP = "See that MongoDB runs and that MONGO_URI names it."
IS_REDIS_UP = "See that Redis runs and that REDIS_URL names it. Deliveries wait for the next tick."
IS_WORKER_UP = "See that a worker with --beat runs (manage.py run worker), and what its log says."
IS_TRANSMIT_UP = "See in the log of the workers what holds up apps.publish.transmit.transmit."
START_AGAIN = "Start this process again if the store is there."


@dataclass(frozen=True)
class Part:
    """What is known of one part.

    Attributes:
        message: in plain words.
        next_step: what to do; empty where it works.
    """

    name: str
    is_ok: bool
    message: str
    next_step: str = ""


@dataclass(frozen=True)
class Report:
    """What is known of all parts."""

    parts: tuple[Part, ...]

    @property
    def is_ok(self) -> bool:
        return all(part.is_ok for part in self.parts)

    @property
    def document(self) -> Document:
        """The report as clients read it."""
        shown = [{k: v for k, v in asdict(part).items() if v != ""} for part in self.parts]
        return {"is_ok": self.is_ok, "parts": shown}


class Health:
    """Tells how the installation and this process are.

    Args:
        db: the database.
        clock: source of time.
        notes: what this process does.
        redis_url: address of Redis.
        has_workers: false where tasks run inside requests.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        notes: ProcessNotes,
        redis_url: str,
        *,
        has_workers: bool = True,
    ) -> None:
        self._db = db
        self._clock = clock
        self._notes = notes
        self._redis = redis_client(redis_url)
        self._has_workers = has_workers

    def live(self) -> Report:
        """Return how this process is; asks nobody, so it answers whatever hangs."""
        parts = [Part("process", True, "The process answers.")]
        for store, name in ((MONGO, "MongoDB"), (REDIS, "Redis")):
            silent = self._notes.silent_seconds(store)
            if silent < LIVE_SECONDS:
                parts.append(Part(store, True, f"This process has reached {name} lately."))
            else:
                text = f"This process has not reached {name} for {in_words(silent)}."
                parts.append(Part(store, False, text, START_AGAIN))
        return Report(tuple(parts))

    def ready(self) -> Report:
        """Return how the installation is; one command, and a word with Redis."""
        now = self._clock.precise()
        found: list[Document] | None = None
        mongo = Part(MONGO, True, "MongoDB answers.")
        try:
            with pymongo.timeout(MONGO_SECONDS):
                found = processes(self._db, now)
        except PyMongoError as error:
            log.warning("health.mongo_away", error=str(error))
            mongo = Part(MONGO, False, "MongoDB does not answer.", IS_MONGO_UP)
        is_up = answers(self._redis)
        redis = Part(
            REDIS,
            is_up,
            "Redis answers." if is_up else "Redis does not answer.",
            "" if is_up else IS_REDIS_UP,
        )
        return Report((mongo, redis, *self._work(found, now)))

    def _work(self, found: list[Document] | None, now: datetime) -> tuple[Part, ...]:
        """Return how the workers are, where that is known."""
        if not self._has_workers:
            return (Part("tick", True, "Tasks run inside requests; there are no workers."),)
        if found is None:
            unknown = "Only MongoDB tells; it does not answer."
            return tuple(Part(name, False, unknown, IS_MONGO_UP) for name in ("tick", "claim"))
        worked_at = max(tasks_of(found).values(), default=None)
        return (
            _recent("tick", "A task has run", worked_at, now, IS_WORKER_UP),
            _recent(
                "claim", "Due deliveries were looked for", last_claim(found), now, IS_TRANSMIT_UP
            ),
        )


def _recent(name: str, what: str, at: datetime | None, now: datetime, next_step: str) -> Part:
    if at is None:
        text = f"No process says that this has happened lately: {what[0].lower()}{what[1:]}."
        return Part(name, False, text, next_step)
    age = max((now - at).total_seconds(), 0.0)
    is_ok = age < SILENT_SECONDS
    return Part(name, is_ok, f"{what} {in_words(age)} ago.", "" if is_ok else next_step)


def in_words(seconds: float) -> str:
    """Return a time for people: seconds below two minutes, then minutes, then hours."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
