"""Connections to MongoDB."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import BulkWriteError
from pymongo.monitoring import CommandListener

DUPLICATE_KEY = 11000

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    unicode_decode_error_handler="replace",
)
"""Dates come back with their zone, so that no rule ever compares naive times. One document that
holds a date outside the years 1 to 9999, or text that is none, does not make the others of its
batch unreadable."""


def connect(
    settings: Mapping[str, Any], listeners: Sequence[CommandListener] = ()
) -> Database[dict[str, Any]]:
    """Return the database that `settings` name. Connects on first use.

    Args:
        settings: `MONGO_URI` and `MONGO_DBNAME`.
        listeners: pymongo command listeners, for benchmarks.
    """
    options: dict[str, Any] = {}
    if "serverselectiontimeoutms=" not in settings["MONGO_URI"].lower():
        options["serverSelectionTimeoutMS"] = 5000
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings["MONGO_URI"],
        **options,
        event_listeners=list(listeners),
        appname="wiredesk",
    )
    return client.get_database(settings["MONGO_DBNAME"], codec_options=CODEC)


def other_database(
    db: Database[dict[str, Any]],
    uri: str | None,
    name: str | None,
    listeners: Sequence[CommandListener] = (),
) -> Database[dict[str, Any]]:
    """Return the database of a part of the server: the main one, unless settings name another.

    Args:
        db: the main database.
        uri: the server; None is the main one.
        name: the database there; None is the main one, too.
        listeners: pymongo command listeners, for benchmarks.
    """
    if uri:
        return connect({"MONGO_URI": uri, "MONGO_DBNAME": name}, listeners)
    return db.client.get_database(name, codec_options=CODEC) if name else db


def insert_missing(
    collection: Collection[dict[str, Any]], documents: Sequence[dict[str, Any]]
) -> bool:
    """Insert the documents that are not there yet; one command, none without documents.

    Returns:
        Whether all of them were new.

    Raises:
        BulkWriteError: anything but a duplicate went wrong.
    """
    if not documents:
        return True
    try:
        collection.insert_many(documents, ordered=False)
    except BulkWriteError as error:
        raise_unless_duplicates(error)
        return False
    return True


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
