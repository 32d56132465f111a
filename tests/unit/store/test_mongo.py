"""Options of connections, errors that lie in the state of the server (store contract 1, 2)."""

from typing import Any

import bson
import pytest
from bson.datetime_ms import DatetimeMS
from pymongo import MongoClient
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    DuplicateKeyError,
    ExecutionTimeout,
    NotPrimaryError,
    OperationFailure,
    ServerSelectionTimeoutError,
    WriteError,
    WTimeoutError,
)

from apps.store.mongo import CODEC, client_options, is_away, is_outage


def client(uri: str) -> MongoClient[dict[str, Any]]:
    return MongoClient(uri, connect=False, **client_options(uri))


@pytest.mark.parametrize(
    "uri", ["mongodb://a/", "mongodb://a:1,b:2/wd?replicaSet=rs&retryReads=false"]
)
def test_what_is_answered_is_held_by_a_majority(uri: str) -> None:
    """Unless the address says otherwise."""
    with client(uri) as found:
        concern = {"w": "majority", "j": True, "wtimeout": 10_000}
        assert found.write_concern.document == concern
        assert found.read_preference.mongos_mode == "primary"
        assert found.read_concern.level == "local"
        assert found.options.retry_writes


@pytest.mark.parametrize(
    ("given", "concern"),
    [
        ("w=1", {"w": 1, "j": True, "wtimeout": 10_000}),
        ("journal=false", {"w": "majority", "j": False, "wtimeout": 10_000}),
        ("JOURNAL=false&WTIMEOUTMS=5", {"w": "majority", "j": False, "wtimeout": 5}),
    ],
)
def test_the_address_has_the_last_word(given: str, concern: dict[str, Any]) -> None:
    """Each option for itself, whatever its case."""
    uri = f"mongodb://u:p%40@a/?readPreference=secondary&retryWrites=false&{given}"
    with client(uri) as found:
        assert found.write_concern.document == concern
        assert found.read_preference.mongos_mode == "secondary"
        assert not found.options.retry_writes


CONCERN = [{"code": 64, "errmsg": "waiting for replication timed out"}]


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("gone"),
        NotPrimaryError("not primary", {"code": 10107}),
        ServerSelectionTimeoutError("nobody"),
        ExecutionTimeout("too long", 50),
        WTimeoutError("too few", 64),
        WriteError("interrupted", 11602),
        OperationFailure("cursor", 43),
        BulkWriteError({"writeErrors": [], "writeConcernErrors": CONCERN}),
        BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": CONCERN}),
        BulkWriteError({"writeErrors": [{"code": 11602}], "writeConcernErrors": []}),
    ],
)
def test_errors_that_may_pass(error: Any) -> None:
    """No primary, no majority, no time: no document is to blame."""
    assert is_away(error)
    assert is_outage(error)


@pytest.mark.parametrize(
    "error",
    [
        DuplicateKeyError("there", 11000),
        OperationFailure("bad query", 2),
        BulkWriteError({"writeErrors": [{"code": 11000}], "writeConcernErrors": []}),
        BulkWriteError({"writeErrors": [{"code": 28}], "writeConcernErrors": CONCERN}),
    ],
)
def test_errors_that_stay(error: Any) -> None:
    """What is wrong with the command itself is so the next time, too."""
    assert not is_away(error)


@pytest.mark.parametrize(("milliseconds", "year"), [(10**15, 9999), (-(10**15), 1)])
def test_dates_that_python_has_no_form_for_can_be_read(milliseconds: int, year: int) -> None:
    """As the nearest date: one of them in a document must not stop a list of many."""
    stored = bson.encode({"at": DatetimeMS(milliseconds)})

    read = bson.decode(stored, CODEC)["at"]

    assert (read.year, read.tzinfo is None) == (year, False)


def test_texts_that_are_no_utf_8_can_be_read() -> None:
    stored = bson.encode({"a": "xyz"}).replace(b"xyz", b"x\xffz")

    assert bson.decode(stored, CODEC) == {"a": "x\ufffdz"}
