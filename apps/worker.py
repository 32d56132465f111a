"""The worker processes: `celery -A apps.worker worker`, one program with `--beat`."""

from functools import cache
from typing import Any

from celery.signals import setup_logging

import settings as settings_module
from apps.celery import create_celery
from apps.core.logs import configure_logs
from apps.core.memory import settle_memory
from apps.graph.build import Graph, build_graph

SETTINGS = settings_module.load()
configure_logs(SETTINGS["LOG_LEVEL"])


@cache
def graph() -> Graph:
    """Return the services of this process; connects at first use, which is after the fork."""
    services = build_graph(SETTINGS)
    settle_memory()
    return services


@setup_logging.connect
def configure_worker_logs(**_: Any) -> None:
    """Keep the form of log lines: Celery sets up handlers of its own unless told not to."""
    configure_logs(SETTINGS["LOG_LEVEL"])


celery = create_celery(SETTINGS, graph)
