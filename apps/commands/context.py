"""Shared by commands: settings with stores that answer, and the services on top of them."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

import settings as settings_module
from apps.celery import create_celery
from apps.core.logs import configure_logs
from apps.core.stopping import ASKED, graceful_stop
from apps.graph.build import Graph, build_graph
from apps.processes.embedded.stores import resolve_stores

STOPPED = "Asked to end: what was begun is finished. The same command does the rest."

Thing = TypeVar("Thing")


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


@contextmanager
def stoppable_services(told: str = STOPPED) -> Iterator[Graph]:
    """Yield the services, as a command works with them that carries something out for long.

    A signal asks it to end: what it has begun is finished.

    Args:
        told: what it says when it was asked.
    """
    with services() as graph, graceful_stop(graph.settings["GRACEFUL_STOP_SECONDS"]):
        yield graph
    if told and ASKED.is_set():
        click.echo(told, err=True)


def until_asked(things: Iterable[Thing]) -> Iterator[Thing]:
    """Yield things to work on, one at a time, until the process is asked to end."""
    for thing in things:
        if ASKED.is_set():
            return
        yield thing
