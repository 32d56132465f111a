"""Counts of deliveries: per destination and hour, and per delivery type since the beginning.

Delivery contract 14.2. The hours are for people and are removed when they are old. Prometheus
needs counts that never fall, so those of the types stay.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

import structlog
from pymongo import UpdateOne
from pymongo.database import Database
from pymongo.errors import BulkWriteError, PyMongoError

from apps.core.clock import Clock
from apps.core.service import Document
from apps.store.collections import DELIVERY_COUNTERS

log = structlog.get_logger(__name__)

ATTEMPT_MS = (10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000)
"""Milliseconds of an attempt: upper ends of the steps in which attempts are counted."""
DELIVERED_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 900, 3600, 14_400)
"""Seconds from publication to delivery: upper ends of the steps."""
BEYOND = "more"
"""Name of the step above the last one."""
WRITE_SECONDS = 1.0
"""Longest time that a process keeps counts to itself."""


@dataclass(frozen=True)
class Attempted:
    """One attempt, as it is counted.

    Attributes:
        lane: of the row.
        subscriber_id, destination_id: whose lane it is.
        type: delivery type, one of those that are installed.
        outcome: state that the row got.
        ms: how long it took; None where nobody knows.
        is_delivered, is_failed: whether the row has ended well, or for good without.
        seconds: from publication to delivery; None where it is not delivered.
    """

    lane: str
    subscriber_id: Any
    destination_id: str
    type: str
    outcome: str
    ms: int | None
    is_delivered: bool = False
    is_failed: bool = False
    seconds: float | None = None

    def counts(self) -> dict[str, float]:
        """Return what is added to the counts, by name; a dot goes a level down."""
        counts: dict[str, float] = {
            "attempts": 1,
            "delivered": int(self.is_delivered),
            "failed": int(self.is_failed),
            f"outcomes.{self.outcome}": 1,
        }
        if self.ms is not None:
            counts[f"ms.steps.{step_of(self.ms, ATTEMPT_MS)}"] = 1
            counts["ms.sum"] = self.ms
        if self.seconds is not None:
            counts[f"seconds.steps.{step_of(self.seconds, DELIVERED_SECONDS)}"] = 1
            counts["seconds.sum"] = self.seconds
        return counts


def step_of(value: float, bounds: Iterable[int]) -> str:
    """Return the name of the step that a value is counted in."""
    return next((str(bound) for bound in bounds if value <= bound), BEYOND)


class DeliveryCounters:
    """Counts attempts in memory, and writes the counts at most once a second: one command.

    Used by several threads. A process that is killed takes with it what it has not written.

    Args:
        db: the database.
        clock: source of time.
        kept_for: age after which the counts of an hour are removed.
        monotonic: seconds that never run backwards.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        kept_for: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._collection = db[DELIVERY_COUNTERS]
        self._clock = clock
        self._kept_for = kept_for
        self._monotonic = monotonic
        self._lock = Lock()
        self._waiting: dict[str, _Counted] = {}
        self._since = 0.0

    def add(self, attempts: Iterable[Attempted]) -> None:
        """Count attempts; write what is counted when it is time."""
        hour = self._clock.precise().replace(minute=0, second=0, microsecond=0)
        with self._lock:
            if not self._waiting:
                self._since = self._monotonic()
            for attempt in attempts:
                counts = attempt.counts()
                for counted in (self._of_hour(attempt, hour), _of_type(attempt)):
                    self._waiting.setdefault(counted.id, counted).add(counts)
            is_time = self._monotonic() - self._since >= WRITE_SECONDS
        if is_time:
            self.write()

    def write(self) -> None:
        """Write what is counted. What cannot be written is kept for the next time."""
        with self._lock:
            waiting, self._waiting = list(self._waiting.values()), {}
        if not waiting:
            return
        unwritten = waiting
        try:
            self._collection.bulk_write([each.update() for each in waiting], ordered=False)
            return
        except BulkWriteError as error:
            # Another process may have made the same document in this moment.
            unwritten = [waiting[e["index"]] for e in (error.details or {}).get("writeErrors", ())]
        except PyMongoError as error:
            log.warning("counters.not_written", error=str(error))
        with self._lock:
            for counted in unwritten:
                self._waiting.setdefault(counted.id, replace(counted, counts={})).add(
                    counted.counts
                )

    def _of_hour(self, attempt: Attempted, hour: datetime) -> "_Counted":
        about = {
            "lane": attempt.lane,
            "subscriber_id": attempt.subscriber_id,
            "destination_id": attempt.destination_id,
            "type": attempt.type,
            "hour": hour,
            "expires_at": hour + self._kept_for,
        }
        return _Counted(f"{attempt.lane} {hour:%Y-%m-%dT%H}", about)


@dataclass(frozen=True)
class _Counted:
    """What is to be added to one document.

    Attributes:
        about: what the document says besides its counts.
    """

    id: str
    about: Mapping[str, Any]
    counts: dict[str, float] = field(default_factory=dict)

    def add(self, counts: Mapping[str, float]) -> None:
        for name, count in counts.items():
            self.counts[name] = self.counts.get(name, 0) + count

    def update(self) -> UpdateOne:
        change = {"$inc": self.counts, "$setOnInsert": self.about}
        return UpdateOne({"_id": self.id}, change, upsert=True)


def _of_type(attempt: Attempted) -> _Counted:
    return _Counted(f"type {attempt.type}", {"type": attempt.type})


def totals(db: Database[Document]) -> list[Document]:
    """Return the counts of all delivery types since the beginning; one command."""
    return list(db[DELIVERY_COUNTERS].find({"hour": None}).sort("_id", 1))
