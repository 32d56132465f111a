"""Delivery type `ODBC` where there is no database (delivery contract 5.5)."""

import sys
from pathlib import Path
from typing import Any

import pytest

from apps.core.caller import Caller
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from tests.support.deliveries import BODY, build_delivery, build_destination, build_settings
from transmitters.odbc import ODBCTransmitter

CONFIG = {
    "connection_string": "Driver={None};Server=127.0.0.1;PWD=planted-password",
    "stored_procedure": "store",
    "parameters": ["guid"],
}


def build(**settings: Any) -> ODBCTransmitter:
    """Return a transmitter to no database."""
    settings = {"odbc_publish": True, **settings}
    return ODBCTransmitter(build_destination("ODBC", **CONFIG), build_settings(**settings))


def failing(**settings: Any) -> DeliveryError:
    """Return the failure of a delivery."""
    with pytest.raises(DeliveryError) as caught:
        build(**settings).send(build_delivery())
    assert caught.value.code == 12000
    assert caught.value.is_ours
    return caught.value


class TestWithout:
    def test_setting(self) -> None:
        """Nothing is called (delivery scenario 37)."""
        failure = failing(odbc_publish=False)

        assert isinstance(failure, PermanentFailure)
        assert str(failure) == (
            "PublishODBCError Error 12000 - ODBC publish error:"
            "delivery by ODBC is off (ODBC_PUBLISH)"
        )

    def test_pyodbc(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The row fails, and says what to install."""
        monkeypatch.setitem(sys.modules, "pyodbc", None)
        failure = failing()

        assert isinstance(failure, PermanentFailure)
        assert "pip install -r requirements/odbc.txt" in failure.cause

    def test_driver_manager(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """pyodbc is there, and the library that it needs is not."""
        said = "libodbc.so.2: cannot open shared object file: No such file or directory"
        (tmp_path / "pyodbc.py").write_text(f"raise ImportError({said!r})")
        monkeypatch.delitem(sys.modules, "pyodbc", raising=False)
        monkeypatch.syspath_prepend(tmp_path)
        failure = failing()

        assert isinstance(failure, PermanentFailure)
        assert "libodbc.so.2" in failure.cause
        assert "apt-get install unixodbc" in failure.cause


def test_preview() -> None:
    """Nothing needs to be installed, or allowed, for that."""
    preview = build(odbc_publish=False).preview(build_delivery())

    assert (preview.body, preview.address) == (BODY, "store")
    assert "planted-password" not in str(vars(preview))


class Error(Exception):
    """What stands in for pyodbc's."""


class FakeODBC:
    """A driver manager that refuses with a state and a text."""

    Error = Error

    @staticmethod
    def drivers() -> list[str]:
        return []


class FakeServer(FakeODBC):
    """A database that keeps what it is asked, by the name of its product.

    Args:
        results: rows of each result of a call; None for one without rows.
    """

    SQL_DBMS_NAME = 17

    def __init__(self, product: str, *results: list[tuple[Any, ...]] | None) -> None:
        self.product = product
        self.results = results
        self.asked: list[Any] = []
        self.timeout = 0

    def connect(self, text: str, **options: Any) -> "FakeServer":
        self.asked.append(("connect", options))
        return self

    def getinfo(self, kind: int) -> str:
        return self.product

    def cursor(self) -> "FakeServer":
        return self

    def execute(self, statement: str, values: list[Any]) -> None:
        self.asked.append((statement, values))
        self.left = list(self.results)

    @property
    def description(self) -> bool:
        return self.left[0] is not None

    def fetchone(self) -> tuple[Any, ...] | None:
        return self.left[0][0] if self.left[0] else None

    def nextset(self) -> bool:
        self.left.pop(0)
        return bool(self.left)

    def commit(self) -> None:
        self.asked.append("commit")

    def close(self) -> None:
        self.asked.append("close")


@pytest.mark.parametrize("product", ["Microsoft SQL Server", "SQL Server"])
def test_sql_server_is_called_by_name(monkeypatch: pytest.MonkeyPatch, product: str) -> None:
    """As its own driver and FreeTDS call it; the last result is the value of the procedure."""
    server = FakeServer(product, None, [("a row",)], [], [(7,)])
    monkeypatch.setitem(sys.modules, "pyodbc", server)  # type: ignore[arg-type]
    sender = build()
    receipt = sender.send(build_delivery())
    sender.close()

    assert receipt.message == "returned 7"
    assert server.pooling is False
    assert server.asked == [
        ("connect", {"timeout": 60, "autocommit": False}),
        (
            "SET NOCOUNT ON; DECLARE @ret int; EXEC @ret = store @guid=?; SELECT @ret",
            ["urn:newsml:example.com:2026:story"],
        ),
        "commit",
        "close",
    ]


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        *((state, TemporaryFailure) for state in ("08001", "08S01", "28000", "40001", "42000")),
        *((state, TemporaryFailure) for state in ("42883", "53300", "55P03", "57014", "HYT00")),
        *((state, TemporaryFailure) for state in ("HY000", "P0001", "", "01000")),
        *((state, PermanentFailure) for state in ("07002", "21S01", "22001", "22P02", "23505")),
        *((state, PermanentFailure) for state in ("0A000", "HYC00", "IM001", "IM002")),
    ],
)
def test_outcome_by_state(state: str, kind: type[DeliveryError]) -> None:
    """What does not fit will never; the rest somebody may mend."""
    error = Error(state, f"[{state}] no\n\tPWD=planted-password   here (-1) (SQLExecDirectW)")
    failure = build()._refusal(FakeODBC, error)

    assert type(failure) is kind
    assert failure.cause.startswith(f"[{state}] no PWD=**** here")
    assert "(SQL" not in failure.cause


@pytest.mark.parametrize(
    ("changes", "issues"),
    [
        ({}, set()),
        ({"stored_procedure": None, "parameters": None}, set()),
        ({"stored_procedure": "", "parameters": ""}, set()),
        ({"stored_procedure": "a b"}, {"stored_procedure"}),
        ({"stored_procedure": 5, "parameters": "a-b"}, {"stored_procedure", "parameters"}),
        ({"parameters": [None]}, {"parameters"}),
        ({"parameters": {"a": "b"}}, {"parameters"}),
    ],
)
def test_config_is_checked(changes: Any, issues: set[str]) -> None:
    """When the subscriber is saved; what is missing may come later."""
    assert set(ODBCTransmitter.config_issues({**CONFIG, **changes}, Caller())) == issues
