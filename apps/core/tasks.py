"""Celery tasks: how a module registers one, and how a process wakes one up.

A task is registered where it is declared, in the module `tasks` of its package. Nothing here knows
the Celery application: `apps/celery.py` builds it from what is registered.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from celery import Task, shared_task
from celery.schedules import crontab
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

TICK_SECONDS = 10
PAUSE_SECONDS = 5.0
"""How long a broker is left alone after it failed."""


@dataclass(frozen=True)
class Periodic:
    """When and where a task runs.

    Attributes:
        queue: Celery queue.
        seconds: time between two runs that the beat starts.
        hour: of runs that happen once a day, UTC; None for all others.
        setting: name of the one without which the beat does not start it; None for none.
    """

    queue: str
    seconds: int = TICK_SECONDS
    hour: int | None = None
    setting: str | None = None

    @property
    def schedule(self) -> Any:
        """The same for Celery's beat."""
        return self.seconds if self.hour is None else crontab(hour=self.hour, minute=0)


TASKS: dict[str, Periodic] = {}
"""Every task by name, filled by `task`."""


class Run(Protocol):
    """A service of the object graph that is run to the end of its work."""

    def run(self) -> int:
        """Do what is waiting; return how much it was."""
        ...


class Runs(Protocol):
    """The object graph, as far as tasks need it: services with a `run`, by name."""

    def __getattr__(self, name: str) -> Run: ...


class GraphTask(Task):
    """A task that reaches the services of its process."""

    @property
    def graph(self) -> Runs:
        """The object graph, built at first use: after the worker process has forked."""
        build: Callable[[], Runs] = self.app.conf.wiredesk_graph
        return build()


def task(
    name: str,
    queue: str,
    *,
    every: int = TICK_SECONDS,
    hour: int | None = None,
    setting: str | None = None,
) -> Callable[[Callable[[GraphTask], int]], Task]:
    """Return the decorator that registers a function as a periodic Celery task.

    Args:
        name: what the task is called by from outside.
        queue: Celery queue, without CELERY_PREFIX.
        every: seconds between two runs that the beat starts.
        hour: of runs that happen once a day, UTC.
        setting: see `Periodic`.
    """

    def register(function: Callable[[GraphTask], int]) -> Task:
        TASKS[name] = Periodic(queue, every, hour, setting)
        return shared_task(base=GraphTask, bind=True, name=name)(function)

    return register


class Broker:
    """How the broker of a Celery application does; its tasks and the threads of a process share it.

    One that fails is left alone for a while, so that not every request, nor every wake-up of one,
    waits for it.

    Args:
        monotonic: seconds that never run backwards.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._next_attempt = float("-inf")

    def is_paused(self) -> bool:
        """Whether it has failed just now."""
        return self._monotonic() < self._next_attempt

    def failed(self) -> None:
        """Note that it has not taken a message, at the end of the attempt: that may have waited."""
        self._next_attempt = self._monotonic() + PAUSE_SECONDS


def wake_up(task: Task) -> Callable[[], None]:
    """Return a function that starts `task` as soon as a worker is free.

    A broker that is down or hangs costs one tick: the beat starts the task anyway.
    """

    def start() -> None:
        broker: Broker = task.app.conf.wiredesk_broker
        if broker.is_paused():
            return
        try:
            task.apply_async(expires=TICK_SECONDS, retry=False)
        except OperationalError as error:
            broker.failed()
            log.warning("wake_up.lost", task=task.name, error=str(error))

    return start
