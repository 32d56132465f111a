"""Services for tests, on an empty database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from celery import Celery
from pymongo import DeleteMany, MongoClient
from pymongo.database import Database
from pymongo.errors import InvalidOperation
from redis import Redis

from apps.celery import create_celery
from apps.core.service import Document
from apps.graph.build import Graph, build_graph
from apps.notifications import bus
from apps.store import mongo
from apps.store.clock import StoreClock

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

    Services with command listeners have connections of their own. Shared ones tell no time.
    """
    lent: list[LentClient] = []

    def connect(address: str, **options: Any) -> MongoClient[Document]:
        watching = [one for one in options["event_listeners"] if not isinstance(one, StoreClock)]
        if address != uri or watching:
            return MongoClient(address, **options)
        if not lent:
            lent.append(LentClient(address, **{**options, "event_listeners": watching}))
        return lent[0]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mongo, "MongoClient", connect)
        yield
    for client in lent:
        MongoClient.close(client)


def empty(db: Database[Document]) -> None:
    """Delete every document of a database: one command, however many collections it has."""
    names = db.list_collection_names()
    if not names:
        return
    try:
        db.client.bulk_write([DeleteMany({}, namespace=f"{db.name}.{name}") for name in names])
    except InvalidOperation:
        # A MongoDB before 8.0 has no such command.
        for name in names:
            db[name].delete_many({})


# Servers that a run is given.


def remove_databases(uri: str, name: str) -> None:
    """Remove all databases of the MongoDB at `uri` whose names begin with `name`."""
    with MongoClient[Document](uri) as client:
        for database in client.list_database_names():
            if database.startswith(name):
                client.drop_database(database)


def in_database(redis_url: str, number: int) -> str:
    """Return the address of a numbered database of the Redis at `redis_url`."""
    return urlunsplit(urlsplit(redis_url)._replace(path=f"/{number}"))


@contextmanager
def borrowed_redis(url: str) -> Iterator[None]:
    """Use a database of a Redis that is somebody else's, and leave it empty.

    Fails the tests when it is not empty to begin with.
    """
    with Redis.from_url(url) as client:
        if client.dbsize():
            pytest.fail(f"The Redis database {url.rpartition('/')[2]} is not empty", pytrace=False)
        yield
        client.flushdb()


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
