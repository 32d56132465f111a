"""Connections to MongoDB."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pymongo
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
    WriteError,
)
from pymongo.monitoring import CommandListener, ServerHeartbeatListener

DUPLICATE_KEY = 11000

TOO_LARGE = frozenset({10334, 17419})
"""Codes of documents that would be larger than MongoDB takes."""

OF_DOCUMENTS = frozenset({1, 2, 9, 14, 28, 40, 52, 56}) | TOO_LARGE
"""Codes with which MongoDB fails over what a document holds, or over its size."""

AWAY = frozenset(
    # Network errors and time-outs between the members of a replica set.
    {6, 7, 89, 202, 262, 9001}
    # No primary, or one that has just changed.
    | {91, 133, 134, 189, 10058, 10107, 11600, 11601, 11602, 13388, 13435, 13436}
    # Cursors and plans that ended with it, locks, no room left.
    | {24, 43, 46, 112, 175, 237, 14031}
    # Not enough members to acknowledge a write.
    | {64, 100}
)
"""Codes of errors that lie in the state of the server and not in what was asked of it."""

CODEC: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True,
    datetime_conversion=DatetimeConversion.DATETIME_CLAMP,
    unicode_decode_error_handler="replace",
)
"""Dates come back with their zone, so that no rule ever compares naive times. A date or a text that
Python has no form for comes back as the nearest one: a document that holds one can be read.
"""

CLIENT_OPTIONS: Mapping[str, Any] = {
    "serverSelectionTimeoutMS": 5000,
    # What was answered survives the loss of any one machine, and of the power of a single one.
    "w": "majority",
    "journal": True,
    # A set that has lost its majority answers with an error, not never.
    "wTimeoutMS": 10_000,
    "readPreference": "primary",
    "readConcernLevel": "local",
}
"""Options of every connection, unless its address says otherwise (store contract 1)."""


UNLIMITED_SECONDS = 3600
"""Stands for no limit, of which the driver knows none inside of a client that has one."""


def client_options(uri: str, answer_seconds: float | None = None) -> dict[str, Any]:
    """Return the options of a client beside those that its address `uri` gives.

    Args:
        answer_seconds: longest wait for one answer, where there is such.
    """
    options = dict(CLIENT_OPTIONS)
    if answer_seconds is not None:
        options["timeoutMS"] = int(answer_seconds * 1000)
    given = {name.lower() for name, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True)}
    return {n: value for n, value in options.items() if n.lower() not in given}


def without_limit(db: Database[dict[str, Any]]) -> AbstractContextManager[None]:
    """Return a context in which answers may take as long as they need, also of a limited client.

    Raises:
        PyMongoError: the store is away. In the context the driver would wait for it, too.
    """
    if db.client.options.timeout is None:
        return nullcontext()
    db.command("ping")
    return pymongo.timeout(UNLIMITED_SECONDS)


def connect(
    settings: Mapping[str, Any],
    listeners: Sequence[CommandListener | ServerHeartbeatListener] = (),
    answer_seconds: float | None = None,
) -> Database[dict[str, Any]]:
    """Return the database that `settings` name. Connects on first use.

    Args:
        settings: `MONGO_URI` and `MONGO_DBNAME`.
        listeners: pymongo listeners: of commands, for benchmarks, and of the server's time.
        answer_seconds: how long each operation may take, repeats by the driver included. Then it
            raises a `PyMongoError` of which `is_away` holds, and may still be carried out.
    """
    client: MongoClient[dict[str, Any]] = MongoClient(
        settings["MONGO_URI"],
        **client_options(settings["MONGO_URI"], answer_seconds),
        event_listeners=list(listeners),
        appname="wiredesk",
    )
    return client.get_database(settings["MONGO_DBNAME"], codec_options=CODEC)


def other_database(
    db: Database[dict[str, Any]],
    uri: str | None,
    name: str | None,
    listeners: Sequence[CommandListener] = (),
    answer_seconds: float | None = None,
) -> Database[dict[str, Any]]:
    """Return the database of a part of the server: the main one, unless settings name another.

    Args:
        db: the main database.
        uri: the server; None is the main one.
        name: the database there; None is the main one, too.
        listeners: pymongo command listeners, for benchmarks.
        answer_seconds: see `connect`.
    """
    if uri:
        return connect({"MONGO_URI": uri, "MONGO_DBNAME": name}, listeners, answer_seconds)
    return db.client.get_database(name, codec_options=CODEC) if name else db


def is_away(error: PyMongoError) -> bool:
    """Whether the store did not answer, or could not vouch for its answer: it may do so later.

    What was asked for may have been done all the same, in part or as a whole.
    """
    if isinstance(error, ConnectionFailure | WriteConcernError | ExecutionTimeout):
        return True
    if isinstance(error, BulkWriteError):
        details = error.details or {}
        problems = details.get("writeErrors") or ()
        codes = {problem.get("code") for problem in problems} - {DUPLICATE_KEY}
        return codes <= AWAY if codes else bool(details.get("writeConcernErrors"))
    return isinstance(error, OperationFailure) and error.code in AWAY


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


def is_outage(error: BaseException) -> bool:
    """Whether the store itself is in trouble, so that no other document would fare better.

    Not where one document is to blame: by its size, or by a value that an operator cannot change.
    """
    if not isinstance(error, PyMongoError):
        return False
    if is_away(error):
        return True
    if isinstance(error, BulkWriteError | WriteError):
        return False
    return isinstance(error, OperationFailure) and error.code not in OF_DOCUMENTS
