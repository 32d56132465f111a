"""Services for tests, on an empty database."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pymongo import DeleteMany
from pymongo.database import Database

from apps.core.service import Document
from apps.graph.build import Graph, build_graph

_indexed: set[tuple[str, ...]] = set()
"""Databases that have their indexes: emptying a collection leaves them there."""

ADDRESSES = ("MONGO_URI", "MONGO_DBNAME", "CONTENTAPI_MONGO_URI", "CONTENTAPI_MONGO_DBNAME")


def empty(db: Database[Document]) -> None:
    """Delete every document of a database: one command, however many collections it has."""
    names = db.list_collection_names()
    if names:
        db.client.bulk_write([DeleteMany({}, namespace=f"{db.name}.{name}") for name in names])


@contextmanager
def empty_services(settings: Mapping[str, Any], **options: Any) -> Iterator[Graph]:
    """Yield services on a database whose collections are all empty.

    Args:
        settings: as `settings.load` returns them.
        options: of `build_graph`.
    """
    database = tuple(str(settings[name]) for name in ADDRESSES)
    built = build_graph(settings, has_indexes=database in _indexed, **options)
    _indexed.add(database)
    try:
        empty(built.db)
        yield built
    finally:
        built.close()
