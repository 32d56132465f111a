"""The worker processes: `celery -A apps.worker worker`, one program with `--beat`."""

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any

import structlog
from celery import Task
from celery.signals import (
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)
from celery.states import SUCCESS
from celery.worker import state as worker_state

import settings as settings_module
from apps.celery import WORKER_SECONDS, create_celery
from apps.core.logs import configure_logs
from apps.core.memory import settle_memory
from apps.core.stopping import ASKED, FAILED, GracefulStop
from apps.graph.build import Graph, build_graph
from apps.monitoring.processes import ProcessHeartbeat, ProcessNotes
from apps.processes.programs import PRIORITY, SITES
from apps.store.clock import StoreClock

COLD = "Cold"
"""What Celery calls an end that waits for nothing."""
MARGIN_SECONDS = 2.0
"""What the main process waits for the others beyond their time."""
LOOK_SECONDS = 1.0
"""Time between two looks at the process with the schedule, and before it counts as lost: who ends
all processes of a worker may reach that one first."""
SCHEDULE_LOST = signal.SIGUSR2
"""What the main process tells itself then."""

log = structlog.get_logger(__name__)

SETTINGS = settings_module.load()
CLOCK = StoreClock()
PROCESS = ProcessNotes(CLOCK, "worker")
configure_logs(SETTINGS["LOG_LEVEL"])


@cache
def graph() -> Graph:
    """Return the services of this process; connects at first use, which is after the fork.

    From then on the process tells that it is alive, and a signal only asks it to end.
    """
    services = build_graph(SETTINGS, clock=CLOCK, process=PROCESS)
    heartbeat = ProcessHeartbeat(services.db, PROCESS, SETTINGS["REDIS_URL"]).start()

    @worker_process_shutdown.connect(weak=False)
    def finish(**_: Any) -> None:
        # It is there until all that it has begun is done.
        services.transmit.close()
        heartbeat.stop()
        services.close()

    GracefulStop(SETTINGS["GRACEFUL_STOP_SECONDS"], is_watched=True).install()
    settle_memory()
    return services


def ask_children() -> None:
    """Let the processes that carry out tasks know that they are to end."""
    signal_children(signal.SIGTERM)


def end_hard() -> None:
    """End this process and those that carry out its tasks as they are."""
    signal_children(signal.SIGKILL)
    os._exit(FAILED)


def signal_children(number: int) -> None:
    """Send a signal to the processes that carry out tasks."""
    for worker in WORKERS:
        # Other pools than that of processes have none, one that is only starting has none yet.
        for pid in worker.pool.info.get("processes") or () if worker.pool else ():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


WORKERS: list[Any] = []
"""The worker of this process, if it is the main one."""
STOP = GracefulStop(
    SETTINGS["GRACEFUL_STOP_SECONDS"] + MARGIN_SECONDS, tell=ask_children, end=end_hard
)
"""Of the process that watches the others; it comes after them."""


@celeryd_after_setup.connect
def remember(instance: Any, **_: Any) -> None:
    """Remember the worker, which knows its processes."""
    WORKERS.append(instance)


@worker_shutting_down.connect
def stop(how: str, **_: Any) -> None:
    """Pass on that the worker is to end. Celery tells its main process only."""
    if how == COLD:
        end_hard()
    STOP.ask()
    # The next signal is for this as well, not for what Celery does then.
    STOP.install()


@worker_ready.connect
def watch_schedule(**_: Any) -> None:
    """Look after the process with the schedule, if the worker has one.

    Celery does not: without it the worker would go on, and wait for tasks that nobody starts. It
    ends instead, as if it had been asked to, and whatever supervises it starts it anew.
    """
    beat = WORKERS[0].beat
    # Sent whenever the worker has connected to the broker.
    if beat is not None and signal.getsignal(SCHEDULE_LOST) is not end_without_schedule:
        signal.signal(SCHEDULE_LOST, end_without_schedule)
        Thread(target=wait_for_end, args=(beat,), name="schedule-watch", daemon=True).start()


def wait_for_end(beat: Any) -> None:
    """Wait until the process with the schedule has ended; end the worker, too, if it has to."""
    while beat.is_alive():
        time.sleep(LOOK_SECONDS)
    if not ASKED.wait(LOOK_SECONDS):
        log.error("worker.schedule_lost", status=beat.exitcode)
        os.kill(os.getpid(), SCHEDULE_LOST)


def end_without_schedule(*_: Any) -> None:
    """Finish what has begun, and end with a status that tells of a failure."""
    if not ASKED.is_set():
        STOP.ask()
        STOP.install()
        worker_state.should_stop = FAILED


@celeryd_init.connect
def name_process(options: Mapping[str, Any], **_: Any) -> None:
    """Name the process after what it serves, before it forks."""
    names = {SITES: SITES, PRIORITY: "priority"}
    served = [name.removeprefix(SETTINGS["CELERY_PREFIX"]) for name in options.get("queues") or ()]
    if len(served) == 1:
        PROCESS.name = names.get(served[0], PROCESS.name)


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


celery = create_celery(SETTINGS, graph, broker_seconds=WORKER_SECONDS)
