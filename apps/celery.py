"""Celery: the application, its schedule, and how tasks reach the services."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from celery import Celery, Task
from celery.schedules import crontab
from kombu.exceptions import OperationalError

log = structlog.get_logger(__name__)

TICK_SECONDS = 10


@dataclass(frozen=True)
class Periodic:
    """When and where a task runs.

    Attributes:
        queue: Celery queue.
        seconds: time between two runs that the beat starts.
        hour: of runs that happen once a day, UTC; None for all others.
    """

    queue: str
    seconds: int = TICK_SECONDS
    hour: int | None = None

    @property
    def schedule(self) -> Any:
        """The same for Celery's beat."""
        return self.seconds if self.hour is None else crontab(hour=self.hour, minute=0)


TASKS = {
    "apps.publish.enqueue.enqueue_published": Periodic("publish"),
    "apps.publish.transmit.transmit": Periodic("publish"),
    "apps.mail.send_mails": Periodic("default", 60),
    "apps.archive.content_expiry": Periodic("expiry", 30 * 60),
    "content_api.commands.item_expiry": Periodic("expiry", 24 * 3600, hour=2),
    "apps.legal_archive.import_legal_archive": Periodic("legal", 3 * 60),
    "apps.legal_archive.import_legal_publish_queue": Periodic("legal", 5 * 60),
}
"""Every task by name."""
TASK_QUEUES = {name: task.queue for name, task in TASKS.items()}
"""Task name to the Celery queue it runs in."""
TASK_MODULES = [
    "apps.publish.enqueue.tasks",
    "apps.publish.transmit.tasks",
    "apps.mail.tasks",
    "apps.retention.expiry.tasks",
    "apps.retention.legal_archive.tasks",
    "apps.content_api.tasks",
]


BROKER = {
    "socket_connect_timeout": 1,
    "socket_timeout": 5,
    # A wake-up that cannot be sent at once is dropped: requests do not wait for the broker.
    "max_retries": 0,
    "interval_start": 0,
}


class Run(Protocol):
    """Something that is run to the end of its work."""

    def run(self) -> int:
        """Do what is waiting; return how much it was."""
        ...


class Services(Protocol):
    """What tasks need of the object graph."""

    @property
    def enqueue(self) -> Run: ...

    @property
    def transmit(self) -> Run: ...

    @property
    def outbox(self) -> Run: ...

    @property
    def expiry(self) -> Run: ...

    @property
    def content_api_expiry(self) -> Run: ...

    @property
    def legal_items(self) -> Run: ...

    @property
    def legal_queue(self) -> Run: ...


class GraphTask(Task):
    """A task that reaches the services of its process."""

    @property
    def graph(self) -> Services:
        """The services, built at first use: after the worker process has forked."""
        build: Callable[[], Services] = self.app.conf.wiredesk_graph
        return build()


def create_celery(settings: Mapping[str, Any], graph: Callable[[], Services]) -> Celery:
    """Return the Celery application and make it the current one. Connects to nothing.

    The database is the only record of work: tasks are wake-ups that carry nothing, may be lost
    and may come twice.

    Args:
        settings: CELERY_BROKER_URL, CELERY_TASK_ALWAYS_EAGER, CELERY_PREFIX.
        graph: returns the services of the process.
    """
    prefix = settings["CELERY_PREFIX"]
    app = Celery("wiredesk", include=TASK_MODULES, set_as_current=True)
    app.conf.update(
        wiredesk_graph=graph,
        broker_url=settings["CELERY_BROKER_URL"],
        broker_connection_retry_on_startup=True,
        broker_transport_options=BROKER,
        task_always_eager=settings["CELERY_TASK_ALWAYS_EAGER"],
        task_default_queue=f"{prefix}default",
        task_routes={name: {"queue": prefix + queue} for name, queue in TASK_QUEUES.items()},
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        timezone="UTC",
        beat_schedule={
            f"{name}:tick": {
                "task": name,
                "schedule": task.schedule,
                "options": {"expires": task.seconds},
            }
            for name, task in TASKS.items()
        },
    )
    app.set_default()
    return app


def wake_up(task: Task) -> Callable[[], None]:
    """Return a function that starts `task` as soon as a worker is free.

    A broker that is down costs one tick: the beat starts the task anyway.
    """

    def start() -> None:
        try:
            task.apply_async(expires=TICK_SECONDS, retry=False)
        except OperationalError as error:
            log.warning("wake_up.lost", task=task.name, error=str(error))

    return start
