"""Real processes that route and deliver, made to be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from apps.celery import queues
from apps.processes.embedded.children import start
from apps.processes.embedded.stores import StoreAddresses
from apps.processes.programs import SITES
from tests.support.processes import children, command_line, has_open

ROOT = Path(__file__).parents[2]
PLAIN_WORKER = [
    *("-m", "celery", "-A", "apps.worker", "worker", "--pool", "prefork", "-c", "2"),
    *("--loglevel", "WARNING"),
]
"""Of the wire, without the schedule of tasks; serves every queue but that of CMS sites."""
BEAT = ["-m", "celery", "-A", "apps.worker", "beat", "--loglevel", "WARNING"]
"""The schedule of tasks."""
WORKER = [*PLAIN_WORKER, "--beat"]
"""Both in one."""
SITES_WORKER = [*PLAIN_WORKER, "--beat"]
"""Of CMS sites, with the schedule of tasks."""
RUN = ["-m", "tests.support.pipeline_run"]


def settings_of(
    stores: StoreAddresses, database: str, redis_url: str, **others: Any
) -> dict[str, Any]:
    """Return settings of processes that share a database, and tell nobody else what they do.

    Args:
        others: settings that matter to the test.
    """
    return {
        "MONGO_URI": stores.mongo_uri,
        "MONGO_DBNAME": database,
        "REDIS_URL": redis_url,
        "NOTIFICATION_CHANNEL": f"test_{uuid4().hex}",
        **others,
    }


@contextmanager
def process(
    arguments: list[str], settings: Mapping[str, Any], directory: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python process in a group of its own; whatever is left of it is killed at the end.

    Args:
        arguments: of the interpreter.
        settings: as environment variables.
        directory: for its log and files.
    """
    environment = {name: str(value) for name, value in settings.items()}
    own = []
    if "worker" in arguments:
        served = [SITES] if arguments is SITES_WORKER else [q for q in queues() if q != SITES]
        own += ["-Q", ",".join(f"{settings.get('CELERY_PREFIX', '')}{queue}" for queue in served)]
    if "beat" in arguments or "--beat" in arguments:
        own += ["--schedule", str(directory / "beat")]
    command = [sys.executable, *arguments, *own]
    child = start(command, directory / "log", {**environment, "PYTHONPATH": str(ROOT)})
    try:
        yield child
    finally:
        kill(child)


def pool(parent: int) -> list[int]:
    """Return the ids of the processes that do the tasks of a worker.

    They get them through pipes; the schedule of tasks, which is a child as well, has none.
    """
    return [pid for pid in children(parent) if _is_celery(pid) and has_open(pid, "pipe:")]


def _is_celery(pid: int) -> bool:
    return b"celery" in command_line(pid)


def kill(child: subprocess.Popen[bytes]) -> None:
    """End a process and its group at once, as `kill -9` does."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    if child.stdin:
        child.stdin.close()
