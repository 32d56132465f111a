"""The worker processes: `celery -A apps.worker worker`, one program with `--beat`."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from celery import Task
from celery.signals import celeryd_init, setup_logging, task_postrun, task_prerun
from celery.states import SUCCESS

import settings as settings_module
from apps.celery import create_celery
from apps.core.logs import configure_logs
from apps.core.memory import settle_memory
from apps.graph.build import Graph, build_graph
from apps.monitoring.processes import ProcessHeartbeat, ProcessNotes
from apps.processes.programs import SITES
from apps.store.clock import StoreClock

SETTINGS = settings_module.load()
CLOCK = StoreClock()
PROCESS = ProcessNotes(CLOCK, "worker")
configure_logs(SETTINGS["LOG_LEVEL"])


@cache
def graph() -> Graph:
    """Return the services of this process; connects at first use, which is after the fork.

    From then on the process tells that it is alive.
    """
    services = build_graph(SETTINGS, clock=CLOCK, process=PROCESS)
    ProcessHeartbeat(services.db, PROCESS, SETTINGS["REDIS_URL"]).start()
    settle_memory()
    return services


@celeryd_init.connect
def name_process(options: Mapping[str, Any], **_: Any) -> None:
    """Name the process after what it serves, before it forks."""
    if list(options.get("queues") or ()) == [SETTINGS["CELERY_PREFIX"] + SITES]:
        PROCESS.name = SITES


@task_prerun.connect
def note_start(task: Task, **_: Any) -> None:
    """Note that this process works on a task."""
    PROCESS.task_started(task.name)


@task_postrun.connect
def note_end(task: Task, state: str, **_: Any) -> None:
    """Note that a task has ended."""
    PROCESS.task_ended(task.name, failed=state != SUCCESS)


@setup_logging.connect
def configure_worker_logs(**_: Any) -> None:
    """Keep the form of log lines: Celery sets up handlers of its own unless told not to."""
    configure_logs(SETTINGS["LOG_LEVEL"])


celery = create_celery(SETTINGS, graph)
