"""What an installation runs: web server, worker with its beat, worker of urgent deliveries where it
has a queue of its own, worker of CMS sites, websocket."""

import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from apps.celery import queues
from apps.processes.supervisor import Program

ROOT = Path(__file__).resolve().parent.parent.parent
CONNECT_SECONDS = 0.3
PROGRAMS = ("web", "worker", "priority", "publisher", "websocket")
PRIORITY = "publish_priority"
"""Queue of urgent deliveries. The other worker of the wire serves it, too."""
SITES = "publisher"
"""Queue of the tasks that wait for CMS sites. It has a worker of its own: a slow site takes no slot
from the wire."""


def programs(settings: Mapping[str, Any]) -> list[Program]:
    """Return the programs of an installation.

    Args:
        settings: HOST, PORT, WSHOST, WSPORT, WEB_WORKERS, WEB_THREADS, WORKER_CONCURRENCY,
            GRACEFUL_STOP_SECONDS, PUBLISHER_CONCURRENCY, HIGH_PRIORITY_QUEUE_ENABLED,
            PRIORITY_CONCURRENCY, CELERY_PREFIX, DATA_DIR, PASSWORD_MIN_LENGTH and the addresses of
            both stores.
    """
    environment = {
        name: str(settings[name])
        for name in ("MONGO_URI", "MONGO_DBNAME", "REDIS_URL", "PUBLIC_URL", "SECRET_KEY")
    }
    if settings["PASSWORD_MIN_LENGTH"] is not None:
        environment["PASSWORD_MIN_LENGTH"] = str(settings["PASSWORD_MIN_LENGTH"])
    environment["PYTHONUNBUFFERED"] = "1"
    # The programs import the project from wherever `manage.py` was called.
    environment["PYTHONPATH"] = str(ROOT)
    host, port = settings["HOST"], int(settings["PORT"])
    ws_host, ws_port = settings["WSHOST"], int(settings["WSPORT"])
    listening = {**environment, "WSHOST": ws_host, "WSPORT": str(ws_port)}
    return [
        Program("web", _web(settings), environment, listens(host, port)),
        Program("worker", _wire_worker(settings), environment),
        *(
            [
                Program(
                    "priority", _worker(settings, [PRIORITY], "PRIORITY_CONCURRENCY"), environment
                )
            ]
            if settings["HIGH_PRIORITY_QUEUE_ENABLED"]
            else []
        ),
        Program("publisher", _worker(settings, [SITES], "PUBLISHER_CONCURRENCY"), environment),
        Program("websocket", _websocket(), listening, listens(ws_host, ws_port)),
    ]


def _web(settings: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        _script("gunicorn"),
        "--worker-class=gthread",
        f"--workers={int(settings['WEB_WORKERS'])}",
        f"--threads={int(settings['WEB_THREADS'])}",
        f"--bind={settings['HOST']}:{int(settings['PORT'])}",
        f"--graceful-timeout={int(settings['GRACEFUL_STOP_SECONDS'])}",
        "--no-control-socket",
        "--logger-class=apps.processes.web_logs.WebLogger",
        "app:create_app()",
    )


def _wire_worker(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the command of the worker that also wakes all tasks at their times."""
    served = [queue for queue in queues() if queue != SITES]
    schedule = Path(settings["DATA_DIR"]).resolve() / "beat-schedule"
    return (
        *_worker(settings, served, "WORKER_CONCURRENCY"),
        "--beat",
        f"--schedule={schedule}",
    )


def _worker(
    settings: Mapping[str, Any], served: Iterable[str], concurrency: str
) -> tuple[str, ...]:
    listened = ",".join(settings["CELERY_PREFIX"] + queue for queue in served)
    return (
        _script("celery"),
        "--quiet",
        "--app=apps.worker",
        "worker",
        f"--queues={listened}",
        f"--concurrency={int(settings[concurrency])}",
        "--without-gossip",
        "--without-mingle",
    )


def _websocket() -> tuple[str, ...]:
    return (sys.executable, "-m", "apps.notifications.websocket")


def _script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def listens(host: str, port: int) -> Callable[[], bool]:
    """Return a function that tells whether something listens on `host`:`port`."""

    def check() -> bool:
        try:
            with socket.create_connection((host, port), CONNECT_SECONDS):
                return True
        except OSError:
            return False

    return check
