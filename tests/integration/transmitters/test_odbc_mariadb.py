"""Delivery type `ODBC` against a MariaDB: other drivers have other weak points."""

import json
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from typing import Any

import pytest

from apps.core.errors import TemporaryFailure
from tests.support.deliveries import build_delivery, build_destination, build_settings
from transmitters.odbc import ODBCTransmitter

pytestmark = pytest.mark.peers

PROCEDURES = (
    "create table stored (guid text, body longtext, urgency int, share double)",
    "create procedure store(guid text, body longtext, urgency int, share double) begin"
    " insert into stored values (guid, body, urgency, share); select 'kept'; end",
    "create procedure late(guid text) begin insert into stored(guid) values (guid);"
    " select 1; signal sqlstate '45000' set message_text = 'too late'; end",
)


@pytest.fixture
def database(mariadb: dict[str, Any]) -> Iterator[Any]:
    """A connection to a database with these procedures."""
    odbc = import_module("pyodbc")
    odbc.pooling = False
    with closing(odbc.connect(mariadb["connection_string"], autocommit=True)) as connection:
        connection.execute("create or replace database wire character set utf8mb4")
        connection.execute("use wire")
        for statement in PROCEDURES:
            connection.execute(statement)
        yield connection


def build(mariadb: dict[str, Any], **config: Any) -> ODBCTransmitter:
    """Return a transmitter that calls `store`."""
    config = {
        **mariadb,
        "stored_procedure": "store",
        "parameters": ["guid", "body", "urgency", "share"],
        **config,
    }
    settings = build_settings(odbc_publish=True, odbc_timeout=60.0)
    return ODBCTransmitter(build_destination("ODBC", **config), settings)


@pytest.mark.parametrize(
    "item",
    [
        {"guid": "O'Brien", "body": 'back\\slash "?" {x}', "urgency": 3, "share": 0.5},
        {"guid": "Zoë 新聞 🙂", "body": "", "urgency": 0, "share": -1.5},
        {"guid": None, "body": None, "urgency": None, "share": None},
        {"guid": "long", "body": "Zoë 新聞 🙂" * 50_000, "urgency": 1, "share": 1.0},
        {"guid": "long", "body": "x" * 1_000_000, "urgency": 1, "share": 1.0},
    ],
    ids=["signs", "unicode", "null", "long unicode", "long"],
)
def test_values_arrive(mariadb: dict[str, Any], database: Any, item: dict[str, Any]) -> None:
    """Long ones, too, which the driver garbles where nobody takes care."""
    with closing(build(mariadb)) as sender:
        receipt = sender.send(build_delivery(body=json.dumps(item).encode()))

    assert receipt.message == "returned kept"
    (stored,) = database.execute("select guid, body, urgency, share from stored").fetchall()
    assert tuple(item.values()) == tuple(stored)


def test_error_behind_a_result(mariadb: dict[str, Any], database: Any) -> None:
    """Is one, and leaves nothing."""
    sender = build(mariadb, stored_procedure="late", parameters="guid")
    with closing(sender), pytest.raises(TemporaryFailure, match="too late"):
        sender.send(build_delivery())

    assert database.execute("select guid from stored").fetchall() == []


def test_connection_is_kept(mariadb: dict[str, Any], database: Any) -> None:
    """Results of one call do not get in the way of the next."""
    with closing(build(mariadb)) as sender:
        for _ in range(3):
            sender.send(build_delivery(body=b'{"guid": "G"}'))

    assert database.execute("select count(*) from stored").fetchone()[0] == 3
