"""What commands share: settings with stores that answer, and the services on top of them."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

import settings as settings_module
from apps.embedded.stores import resolve_stores
from apps.graph import Graph, build_graph
from apps.tasks import create_celery


@contextmanager
def stored_settings(overrides: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Yield the settings with the addresses of both stores, embedded ones where none are set."""
    settings = settings_module.load(overrides)
    stores, close = resolve_stores(
        settings["MONGO_URI"], settings["REDIS_URL"], Path(settings["DATA_DIR"])
    )
    addresses = {"MONGO_URI": stores.mongo_uri, "REDIS_URL": stores.redis_url}
    try:
        yield settings_module.load({**(overrides or {}), **addresses})
    finally:
        close()


@contextmanager
def services(overrides: Mapping[str, Any] | None = None) -> Iterator[Graph]:
    """Yield the services, as a command works with them."""
    with stored_settings(overrides) as settings:
        configure_logs(settings["LOG_LEVEL"])
        graph = build_graph(settings)
        create_celery(settings, lambda: graph)
        try:
            yield graph
        finally:
            graph.close()


def configure_logs(level: str) -> None:
    """Write one JSON line per event to standard error, from `level` on."""
    logging.basicConfig(level=level, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("celery").setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(default=str),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level)),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
