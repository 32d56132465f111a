"""The Celery application, built from the tasks that the packages register."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import Celery
from kombu.transport.redis import Channel

from apps.core.modules import modules_named
from apps.core.tasks import TASKS, Broker, Periodic

BROKER = {
    "socket_connect_timeout": 1,
    # A wake-up that cannot be sent at once is dropped: requests do not wait for the broker.
    "max_retries": 0,
    "interval_start": 0,
    # Nothing is kept in Redis until a task has ended: a worker that loses Redis meanwhile would try
    # to acknowledge over a connection that is gone, and end of that.
    "ack_emulation": False,
}


WORKER_SECONDS = 5
"""Most seconds that a worker waits for an answer of the broker, which it asks for messages."""
REQUEST_SECONDS = 2
"""The same for who only wakes tasks up: more than a busy machine takes to read an answer."""

# Nor does a worker put back what it has not done: it may have lost Redis, or be about to end.
Channel.do_restore = False


def create_celery(
    settings: Mapping[str, Any],
    graph: Callable[[], Any],
    *,
    broker_seconds: float = REQUEST_SECONDS,
) -> Celery:
    """Return the Celery application and make it the current one. Connects to nothing.

    The database is the only record of work: tasks are wake-ups that carry nothing, may be lost
    and may come twice.

    Args:
        settings: CELERY_BROKER_URL, CELERY_TASK_ALWAYS_EAGER, CELERY_PREFIX, and those that tasks
            name.
        graph: returns the object graph of the process.
        broker_seconds: longest wait for an answer of the broker.
    """
    prefix = settings["CELERY_PREFIX"]
    tasks = registered_tasks()
    app = Celery("wiredesk", set_as_current=True)
    app.conf.update(
        wiredesk_graph=graph,
        wiredesk_broker=Broker(),
        broker_url=settings["CELERY_BROKER_URL"],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={**BROKER, "socket_timeout": broker_seconds},
        task_always_eager=settings["CELERY_TASK_ALWAYS_EAGER"],
        task_default_queue=f"{prefix}default",
        task_routes={name: {"queue": prefix + task.queue} for name, task in tasks.items()},
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
            for name, task in tasks.items()
            if task.setting is None or settings.get(task.setting)
        },
    )
    app.set_default()
    return app


def registered_tasks() -> Mapping[str, Periodic]:
    """Return every task by name, those of all modules called `tasks`."""
    for _ in modules_named("tasks"):
        pass
    return TASKS


def queues() -> list[str]:
    """Return the Celery queues that tasks wait in, without CELERY_PREFIX."""
    return sorted({"default", *(task.queue for task in registered_tasks().values())})
