"""Services for tests, on an empty database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import pytest
from celery import Celery
from pymongo import DeleteMany, MongoClient
from pymongo.database import Database

from apps.celery import create_celery
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from apps.notifications import bus
from apps.store import mongo

_indexed: set[tuple[str, ...]] = set()
"""Databases that have their indexes: emptying a collection leaves them there."""

_current: list[Graph] = []
"""The services that tasks reach: those of the test that runs."""

PATIENCE_SECONDS = 20
"""How long a notification may take: requests drop it sooner, which a busy machine makes them do."""

ADDRESSES = ("MONGO_URI", "MONGO_DBNAME", "CONTENTAPI_MONGO_URI", "CONTENTAPI_MONGO_DBNAME")


class LentClient(MongoClient[Document]):
    """A connection that tests use one after the other, and that stays open between them."""

    def close(self) -> None:
        """Leave it open for the next test."""


@contextmanager
def lent_connections(uri: str) -> Iterator[None]:
    """Let all services on the MongoDB at `uri` share a connection: each opens three otherwise.

    Services with command listeners have connections of their own.
    """
    lent: list[LentClient] = []

    def connect(address: str, **options: Any) -> MongoClient[Document]:
        if address != uri or options["event_listeners"]:
            return MongoClient(address, **options)
        if not lent:
            lent.append(LentClient(address, **options))
        return lent[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mongo, "MongoClient", connect)
        yield
    for client in lent:
        MongoClient.close(client)


def empty(db: Database[Document]) -> None:
    """Delete every document of a database: one command, however many collections it has."""
    names = db.list_collection_names()
    if names:
        db.client.bulk_write([DeleteMany({}, namespace=f"{db.name}.{name}") for name in names])


def serve_tasks(graph: Graph) -> None:
    """Let tasks that are woken from here on, or run at once, reach `graph`."""
    names = ("CELERY_BROKER_URL", "CELERY_TASK_ALWAYS_EAGER", "CELERY_PREFIX")
    celery = _celery(**{name: graph.settings[name] for name in names})
    celery.set_current()
    celery.set_default()
    _current[:] = [graph]


@cache
def _celery(**settings: Any) -> Celery:
    return create_celery(settings, lambda: _current[0])


@contextmanager
def empty_services(settings: Mapping[str, Any], **options: Any) -> Iterator[Graph]:
    """Yield services on a database whose collections are all empty.

    Args:
        settings: as `settings.load` returns them.
        options: of `build_graph`.
    """
    database = tuple(str(settings[name]) for name in ADDRESSES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bus, "SOCKET_TIMEOUT_SECONDS", PATIENCE_SECONDS)
        built = build_graph(settings, has_indexes=database in _indexed, **options)
    _indexed.add(database)
    try:
        empty(built.db)
        serve_tasks(built)
        yield built
    finally:
        built.close()
