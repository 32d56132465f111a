"""Connections to MongoDB."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.codec_options import CodecOptions
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from pymongo.monitoring import CommandListener

DUPLICATE_KEY = 11000

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(tz_aware=True)
"""Dates come back with their zone, so that no rule ever compares naive times."""


def connect(
    settings: Mapping[str, Any], listeners: Sequence[CommandListener] = ()
) -> Database[dict[str, Any]]:
    """Return the database that `settings` name. Connects on first use.

    Args:
        settings: `MONGO_URI` and `MONGO_DBNAME`.
        listeners: pymongo command listeners, for benchmarks.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings["MONGO_URI"],
        serverSelectionTimeoutMS=5000,
        event_listeners=list(listeners),
        appname="wiredesk",
    )
    return client.get_database(settings["MONGO_DBNAME"], codec_options=CODEC)


def content_database(
    db: Database[dict[str, Any]],
    settings: Mapping[str, Any],
    listeners: Sequence[CommandListener] = (),
) -> Database[dict[str, Any]]:
    """Return the database of the content API: the main one, unless settings name another.

    Args:
        db: the main database.
        settings: CONTENTAPI_MONGO_URI and CONTENTAPI_MONGO_DBNAME.
        listeners: pymongo command listeners, for benchmarks.
    """
    if not settings["CONTENTAPI_MONGO_URI"]:
        return db
    own = {name: settings[f"CONTENTAPI_{name}"] for name in ("MONGO_URI", "MONGO_DBNAME")}
    return connect(own, listeners)


def raise_unless_duplicates(error: BulkWriteError) -> None:
    """Let duplicates of a bulk insert pass: they show that an earlier run got that far.

    Raises:
        BulkWriteError: `error`, when anything else went wrong too.
    """
    details = error.details or {}
    if details.get("writeConcernErrors") or any(
        problem.get("code") != DUPLICATE_KEY for problem in details.get("writeErrors", ())
    ):
        raise error
