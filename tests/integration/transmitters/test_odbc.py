"""Delivery type `ODBC` against a PostgreSQL, by way of a gate on loopback."""

import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import pytest

from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.publish.transmit.destinations import TransmitterPool
from tests.suites.transmitter_suite import (
    KeyFarSide,
    KeySuite,
    NetworkFarSide,
    NetworkSuite,
    TransmitterSuite,
)
from tests.support.deliveries import build_delivery, build_destination, build_settings
from tests.support.odbc_database import Database
from tests.support.tcp_gate import Gate, TCPGate
from transmitters import build_registry, connections
from transmitters.base import Delivery, Receipt, TransmitSettings
from transmitters.odbc import MOST_STUCK, ODBCTransmitter

pytestmark = pytest.mark.peers

NUMBERS = (0, 1, -5, 2**31 - 1)


class DatabaseSide(NetworkFarSide, KeyFarSide):
    """A database, and the gate before it."""

    def __init__(self, database: Database, gate: TCPGate) -> None:
        self.database = database
        self.gate = gate

    @property
    def config(self) -> dict[str, Any]:
        return self.database.config(port=self.gate.port)

    def documents(self) -> Mapping[str, bytes]:
        rows = self.database.stored("key", "guid", "version", "type")
        return {
            key: json.dumps(dict(zip(("guid", "version", "type"), values, strict=True))).encode()
            for key, *values in rows
        }

    def keys(self) -> list[str]:
        return [key for (key,) in self.database.ask("select key from calls order by place")]

    def accept(self) -> None:
        self.gate.turn(Gate.OPEN)
        self.database.behave()

    def fail_for_now(self) -> None:
        self.database.behave("fail")

    def refuse(self) -> None:
        self.database.behave("refuse")

    def hang(self) -> None:
        self.gate.turn(Gate.HANG)

    def reset(self) -> None:
        self.gate.turn(Gate.RESET)

    def fail_saying(self, text: str) -> None:
        self.database.behave("fail", text)

    def stop(self) -> None:
        self.gate.close()

    def assert_let_go(self) -> None:
        self.gate.wait_for_connections(0)
        self.database.wait_for_sessions(0)


@pytest.fixture(scope="module")
def shared(postgresql: dict[str, Any]) -> Iterator[Database]:
    """A database of this module."""
    with closing(Database(postgresql)) as database:
        yield database


@pytest.fixture
def database(shared: Database) -> Database:
    """The database, with nothing in it."""
    shared.clear()
    return shared


@pytest.fixture
def gate(postgresql: dict[str, Any]) -> Iterator[TCPGate]:
    with TCPGate(postgresql["port"]) as gate:
        yield gate


class TestSuite(TransmitterSuite, NetworkSuite, KeySuite):
    transmitter_class = ODBCTransmitter

    @pytest.fixture
    def far_side(self, database: Database, gate: TCPGate) -> DatabaseSide:
        return DatabaseSide(database, gate)

    @pytest.fixture
    def settings(self) -> TransmitSettings:
        return build_settings(odbc_publish=True, odbc_timeout=20.0)

    def build(self, settings: TransmitSettings, config: Mapping[str, Any]) -> ODBCTransmitter:
        is_impatient = settings.http_total_timeout < 10
        own = build_settings(odbc_publish=True, odbc_timeout=1.0 if is_impatient else 20.0)
        return ODBCTransmitter(build_destination("ODBC", **config), own)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "O'Brien",
            "Zoë 新聞 🙂",
            'back\\slash "?" {x} $1 -- ;',
            "\r\n.\r\n\t",
            "x" * 1_000_000,
        ],
    )
    def test_bytes_are_untouched(
        self, transmitter: ODBCTransmitter, far_side: DatabaseSide, text: str
    ) -> None:
        """Those of values: the item itself does not travel."""
        transmitter.send(build_delivery(body=json.dumps({"guid": text, "version": "2"}).encode()))

        assert [(text, "2")] == far_side.database.stored("guid", "version")


@pytest.fixture
def far_side(database: Database, gate: TCPGate) -> DatabaseSide:
    return DatabaseSide(database, gate)


def build(config: Mapping[str, Any], **settings: Any) -> ODBCTransmitter:
    """Return a transmitter that is allowed to send."""
    own = {"odbc_publish": True, "odbc_timeout": 20.0, **settings}
    return ODBCTransmitter(build_destination("ODBC", **config), build_settings(**own))


def send(config: Mapping[str, Any], delivery: Delivery | None = None, **settings: Any) -> Receipt:
    """Deliver once, by a transmitter of its own."""
    with closing(build(config, **settings)) as sender:
        return sender.send(delivery or build_delivery())


def send_item(config: Mapping[str, Any], **item: Any) -> Receipt:
    """Deliver an item that has these values."""
    return send(config, build_delivery(body=json.dumps(item).encode()))


def failing(config: Mapping[str, Any], *more: Any, **settings: Any) -> DeliveryError:
    """Return the failure of a delivery."""
    with pytest.raises(DeliveryError) as caught:
        send(config, *more, **settings)
    assert caught.value.code == 12000
    return caught.value


class TestValues:
    """What arrives of an item (delivery scenario 37)."""

    def test_by_position(self, database: Database) -> None:
        """In the order of the parameters, whatever the order of the item."""
        send_item(database.config(), urgency=3, body="B", guid="G", share=0.5, other="-")

        assert [("G", "B", 3, 0.5)] == database.stored("guid", "body", "urgency", "share")

    @pytest.mark.parametrize("parameters", [" guid, version ", "guid;version", "guid\nversion"])
    def test_parameters_as_text(self, database: Database, parameters: str) -> None:
        config = database.config(parameters=parameters, stored_procedure="store_two")

        assert send_item(config, guid="G", version="4").message == "returned G4"

    @pytest.mark.parametrize("number", NUMBERS)
    def test_numbers(self, database: Database, number: int) -> None:
        send_item(database.config(), urgency=number, share=number / 7)

        assert [(number, number / 7)] == database.stored("urgency", "share")

    def test_no_value(self, database: Database) -> None:
        """What is null or not there is NULL; what is empty is empty."""
        send_item(database.config(), guid=None, body="")

        assert [(None, None, "", None)] == database.stored("guid", "version", "body", "urgency")

    def test_long_text(self, database: Database) -> None:
        text = "Zoë " * 2_000_000
        send_item(database.config(), body=text)

        assert [(len(text), text[-9:])] == database.stored("length(body)", "right(body, 9)")

    def test_what_no_driver_binds(self, database: Database) -> None:
        """NUL, at which drivers end a text, is left out; half a character is replaced."""
        item = b'{"guid": "a\\u0000b", "body": "c\\ud800d", "version": 1180591620717411303424}'
        send(database.config(), build_delivery(body=item))

        assert [("ab", "c\ufffdd", str(2**70))] == database.stored("guid", "body", "version")

    def test_structures(self, database: Database) -> None:
        """Are bound as JSON."""
        subject = [{"name": "Häfen", "qcode": "1\0"}]
        send_item(database.config(), body=subject, version={}, type=True)

        ((body, version, kind),) = database.stored("body", "version", "type")
        assert json.loads(body) == subject
        assert (version, kind) == ("{}", "1")

    def test_texts_for_numbers(self, database: Database) -> None:
        """The database makes of them what it can."""
        send_item(database.config(), urgency="3", version=2)

        assert [(3, "2")] == database.stored("urgency", "version")

    def test_nothing_is_pasted(self, database: Database) -> None:
        """Values are no part of the statement, nor are keys."""
        text = "'); drop table stored; --"
        send_item(database.config(), guid=text, **{text: text})

        assert [(text,)] == database.stored("guid")


class TestProcedure:
    @pytest.mark.parametrize("name", ["store", "public.store"])
    def test_names(self, database: Database, name: str) -> None:
        receipt = send(database.config(stored_procedure=name))

        assert receipt.message == "returned urn:newsml:example.com:2026:story"

    def test_without_value(self, database: Database) -> None:
        receipt = send(database.config(stored_procedure="says_nothing", parameters="guid"))

        assert receipt.message == "returned 1"

    def test_rows(self, database: Database) -> None:
        """Of many rows the first one counts, and the connection goes on to work."""
        with closing(build(database.config(stored_procedure="noisy", parameters="guid"))) as sender:
            for _ in range(2):
                assert sender.send(build_delivery()).message == "returned 1"

    def test_is_in_a_transaction(self, far_side: DatabaseSide) -> None:
        """What fails leaves nothing."""
        far_side.fail_for_now()
        failing(far_side.config)

        assert far_side.documents() == {}

    def test_unknown(self, database: Database) -> None:
        """Somebody may make it."""
        failure = failing(database.config(stored_procedure="no_such"))

        assert isinstance(failure, TemporaryFailure)
        assert "function no_such" in failure.cause
        assert "(SQL" not in failure.cause

    @pytest.mark.parametrize(
        ("item", "said"),
        [
            ({"urgency": "high"}, "invalid input syntax for type integer"),
            ({"urgency": 2**40}, "out of range for type integer"),
        ],
    )
    def test_value_that_does_not_fit(self, database: Database, item: Any, said: str) -> None:
        """Never will."""
        failure = failing(database.config(), build_delivery(body=json.dumps(item).encode()))

        assert isinstance(failure, PermanentFailure)
        assert failure.is_receiver_up
        assert said in failure.cause


class TestRefusedHere:
    """What is not even asked of a database."""

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"stored_procedure": "store; drop table stored"}, "stored_procedure is no name"),
            ({"stored_procedure": "store(1)"}, "stored_procedure is no name"),
            ({"stored_procedure": "store\0"}, "stored_procedure is no name"),
            ({"stored_procedure": "störe"}, "stored_procedure is no name"),
            ({"parameters": "guid, a-b"}, "parameters has 'a-b'"),
            ({"parameters": ["guid", 5]}, "parameters has 5"),
            ({"parameters": {"a": 1}}, "parameters has"),
            ({"parameters": None}, "parameters is missing"),
            ({"parameters": []}, "parameters is missing"),
            ({"connection_string": "garbage"}, "connection_string is not made of"),
            ({"connection_string": "Driver=/tmp/evil.so;Server=x"}, "no file"),
            ({"connection_string": "Driver={x};FILEDSN=/etc/passwd"}, "must not have filedsn"),
            ({"connection_string": "SaveFile=/tmp/x;Driver={x}"}, "must not have savefile"),
        ],
    )
    def test_config(self, database: Database, changes: Any, said: str) -> None:
        failure = failing(database.config(**changes))

        assert isinstance(failure, PermanentFailure)
        assert said in failure.cause

    @pytest.mark.parametrize("body", [b"", b"[]", b"null", b'"x"', b"<nitf/>", b"\xff", b"5"])
    def test_item(self, database: Database, body: bytes) -> None:
        failure = failing(database.config(), build_delivery(body=body))

        assert isinstance(failure, PermanentFailure)
        assert "no JSON object" in failure.cause

    @pytest.mark.parametrize(
        "string", ["Driver={No Such Driver};Server=127.0.0.1", "DSN=no_such_source"]
    )
    def test_driver_that_is_not_installed(self, database: Database, string: str) -> None:
        """The row fails, and says which there are."""
        failure = failing(database.config(connection_string=string))

        assert isinstance(failure, PermanentFailure)
        assert "install the driver" in failure.cause
        assert "PostgreSQL Unicode" in failure.cause

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({}, "address of 127.0.0.1 is not allowed"),
            ({"server": "localhost"}, "address of localhost is not allowed"),
            ({"server": "tcp:10.1.2.3,1433"}, "address of 10.1.2.3 is not allowed"),
            ({"server": "203.0.113.1,127.0.0.1"}, "address of"),
            ({"server": "93.184.215.14,2130706433"}, "address of 2130706433 is not allowed"),
            ({"server": "93.184.215.14;pqopt={hostaddr=127.0.0.1}"}, "has pqopt, which may name"),
            ({"server": ""}, "names no server"),
        ],
    )
    def test_private_addresses(self, database: Database, changes: Any, said: str) -> None:
        """Are refused where the settings say so, unless their network is allowed."""
        failure = failing(database.config(**changes), allow_private_addresses=False)
        assert isinstance(failure, PermanentFailure)
        assert said in failure.cause

    def test_allowed_network(self, database: Database) -> None:
        networks = ("127.0.0.0/8",)
        send(database.config(), allow_private_addresses=False, allowed_networks=networks)

        assert len(database.stored("guid")) == 1


class TestConnection:
    def test_is_kept(self, far_side: DatabaseSide) -> None:
        """For the next delivery, with no transaction open."""
        with closing(build(far_side.config)) as sender:
            for number in range(3):
                sender.send(build_delivery(key=str(number)))
                far_side.database.wait_for_sessions(1, "idle")
            assert far_side.gate.accepted == 1
        far_side.assert_let_go()

    def test_is_not_kept_for_long(
        self, far_side: DatabaseSide, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(connections, "IDLE_SECONDS", 0.05)
        with closing(build(far_side.config)) as sender:
            sender.send(build_delivery())
            far_side.assert_let_go()

    def test_that_has_ended_meanwhile(self, far_side: DatabaseSide) -> None:
        """As when the database was started anew: another one is opened within the attempt."""
        with closing(build(far_side.config)) as sender:
            sender.send(build_delivery(key="first"))
            ((process, _),) = far_side.database.sessions()
            far_side.database.ask("select pg_terminate_backend(?)", process)
            far_side.database.wait_for_sessions(0)
            sender.send(build_delivery(key="second"))

        assert ["first", "second"] == far_side.keys()
        assert far_side.gate.accepted == 2

    def test_threads_share_an_instance(self, far_side: DatabaseSide) -> None:
        """Deliveries sent at the same time all arrive whole."""
        deliveries = [
            build_delivery(key=f"key{n}", body=json.dumps({"guid": f"{n}" * 2000}).encode())
            for n in range(40)
        ]
        with closing(build(far_side.config)) as sender, ThreadPoolExecutor(8) as pool:
            list(pool.map(sender.send, deliveries))

        found = dict(far_side.database.stored("key", "guid"))
        assert {f"key{n}": f"{n}" * 2000 for n in range(40)} == found
        far_side.assert_let_go()

    def test_wrong_password(self, database: Database) -> None:
        """Somebody may set it right."""
        failure = failing(database.config(pwd="wrong-one"))

        assert isinstance(failure, TemporaryFailure)
        assert "password authentication failed" in failure.cause
        assert "wrong-one" not in str(failure)

    def test_is_closed_with_its_pool(self, far_side: DatabaseSide) -> None:
        """As when a worker ends, or the config changes."""
        own = {"odbc_publish": True, "odbc_timeout": 20.0}
        pool = TransmitterPool(build_registry(), build_settings(**own))
        sender = pool.get("lane", build_destination("ODBC", **far_side.config))
        sender.send(build_delivery())
        far_side.database.wait_for_sessions(1)

        pool.close()
        far_side.assert_let_go()

    @pytest.mark.parametrize(
        "share", [0.02, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995]
    )
    def test_that_is_cut(self, far_side: DatabaseSide, share: float) -> None:
        """At any byte: the item is there whole or not at all, and once after the repeat."""
        item = build_delivery(body=json.dumps({"guid": "G", "body": "x" * 20_000}).encode())
        send(far_side.config, item)
        far_side.gate.wait_for_connections(0)
        whole = far_side.gate.passed
        far_side.database.clear()

        self.cut(far_side, item, int(whole * share))

    def test_that_is_cut_at_its_end(self, far_side: DatabaseSide) -> None:
        """Where the call is made, and not committed: what was accepted is there."""
        send(far_side.config)
        far_side.gate.wait_for_connections(0)
        whole = far_side.gate.passed
        for left in range(0, 200, 11):
            far_side.database.clear()
            self.cut(far_side, build_delivery(), whole - left)

    def cut(self, far_side: DatabaseSide, delivery: Delivery, position: int) -> None:
        """Deliver by a connection that breaks, and again by one that does not."""
        is_accepted = False
        far_side.gate.cut_after(position)
        with suppress(TemporaryFailure):
            send(far_side.config, delivery)
            is_accepted = True
        far_side.database.wait_for_sessions(0)
        stored = far_side.database.stored("key", "coalesce(length(body), 0)")
        wanted = [(delivery.key, len(json.loads(delivery.body).get("body", "")))]
        assert stored == wanted or (stored == [] and not is_accepted)

        far_side.accept()
        send(far_side.config, delivery)
        assert far_side.database.stored("key", "coalesce(length(body), 0)") == wanted


class TestTime:
    def test_procedure_that_does_not_end(self, far_side: DatabaseSide) -> None:
        """Its time is over: it is stopped, and has left nothing."""
        far_side.database.behave("sleep")
        with closing(build(far_side.config, odbc_timeout=0.5)) as sender:
            with pytest.raises(TemporaryFailure, match=r"not answered within 0\.5 s"):
                sender.send(build_delivery())
            far_side.assert_let_go()
            far_side.accept()
            assert far_side.documents() == {}

    def test_others_go_on(self, far_side: DatabaseSide, database: Database) -> None:
        """One database that hangs holds up nobody else."""
        far_side.hang()
        with ThreadPoolExecutor(1) as pool, closing(build(far_side.config)) as hung:
            hanging = pool.submit(hung.send, build_delivery(key="hanging"))
            _wait_until(lambda: far_side.gate.connections == 1)
            send(database.config(), build_delivery(key="other"))
            assert [("other",)] == database.stored("key")
            assert not hanging.done()
            far_side.accept()
            hanging.result(20)

    def test_database_that_hangs_in_the_middle(self, far_side: DatabaseSide) -> None:
        """Nothing is committed once the time is over, whenever it answers."""
        with closing(build(far_side.config)) as sender:
            sender.send(build_delivery(key="first"))
            sender.settings = replace(sender.settings, odbc_timeout=0.5)
            far_side.hang()
            with pytest.raises(TemporaryFailure):
                sender.send(build_delivery(key="second"))
            far_side.accept()
            far_side.assert_let_go()

        assert [("first",)] == far_side.database.stored("key")

    def test_calls_that_do_not_end_are_few(self, far_side: DatabaseSide) -> None:
        """Others are not made before one of them has ended."""
        far_side.hang()
        sender = build({**far_side.config}, odbc_timeout=0.05)
        for _ in range(MOST_STUCK):
            with pytest.raises(TemporaryFailure, match="not answered"):
                sender.send(build_delivery())
        for _ in range(3):
            with pytest.raises(TemporaryFailure, match="have not ended"):
                sender.send(build_delivery())
        _wait_until(lambda: far_side.gate.accepted == MOST_STUCK)

        far_side.accept()
        far_side.assert_let_go()
        sender.close()


def _wait_until(holds: Any, timeout: float = 60.0) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
