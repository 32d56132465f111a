"""Calls of stored procedures, their values, and connection strings (delivery contract 5.5)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.deliveries import build_delivery
from transmitters.odbc_call import (
    Call,
    call_of,
    connection_string_of,
    hosts_of,
    options_of,
    procedure_of,
    secrets_in,
    unknown_options_of,
)


def call(item: dict[str, Any], **config: Any) -> Call:
    """Return the call of a procedure with an item."""
    body = json.dumps(item).encode()
    return call_of({"stored_procedure": "dbo.store", **config}, build_delivery(body=body))


class TestByName:
    """As SQL Server is called."""

    def test_values_are_bound(self) -> None:
        statement, values = call({"headline": "O'Brien", "urgency": 3}).by_name()

        assert statement == (
            "SET NOCOUNT ON; DECLARE @ret int; "
            "EXEC @ret = dbo.store @headline=?, @urgency=?; SELECT @ret"
        )
        assert values == ["O'Brien", 3]

    def test_defaults_are_left_to_the_procedure(self) -> None:
        """What is null, zero, false or empty is not named."""
        item = {"a": None, "b": 0, "c": "", "d": False, "e": [], "f": {}, "g": 0.0, "h": "x"}
        statement, values = call(item).by_name()

        assert "EXEC @ret = dbo.store @h=?;" in statement
        assert values == ["x"]

    def test_without_values(self) -> None:
        statement, values = call({}).by_name()

        assert "EXEC @ret = dbo.store; SELECT @ret" in statement
        assert values == []

    def test_only_parameters(self) -> None:
        """Where they are named, others of the item are left out; the key may be one."""
        item = {"headline": "x", "a-b": "y", "body": "z"}
        statement, values = call(item, parameters="body idempotency_key missing").by_name()

        assert "EXEC @ret = dbo.store @body=?, @idempotency_key=?;" in statement
        assert values == ["z", build_delivery().key]

    def test_key_of_the_item(self) -> None:
        """Comes before that of the delivery."""
        _, values = call({"idempotency_key": "own"}, parameters=["idempotency_key"]).by_name()

        assert values == ["own"]

    @pytest.mark.parametrize("key", ["a-b", "1a", "a b", "a=1--", "", "é", "a\n", "@a"])
    def test_key_that_is_no_name(self, key: str) -> None:
        """Nothing of an item gets into a statement."""
        with pytest.raises(ValueError, match="cannot be the name of a parameter"):
            call({key: "x"}).by_name()

    @given(
        item=st.dictionaries(st.text(), st.none() | st.text() | st.integers() | st.booleans()),
        parameters=st.lists(st.text()),
    )
    def test_no_value_is_in_the_statement(self, item: Any, parameters: Any) -> None:
        """Whatever items and configs hold, a statement is made of names."""
        try:
            made = call(item, parameters=parameters)
            statements = [made.by_name(), made.by_position()]
        except ValueError:
            return
        for statement, values in statements:
            assert set(statement) <= set(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ @=?,;.(){}"
            )
            assert statement.count("?") == len(values)


class TestByPosition:
    def test_every_parameter_has_a_place(self) -> None:
        made = call({"b": 0, "a": "x"}, parameters=["a", "b", "c"])

        assert made.by_position() == ("{CALL dbo.store(?, ?, ?)}", ["x", 0, None])

    def test_nothing_is_guessed(self) -> None:
        with pytest.raises(ValueError, match="parameters is missing"):
            call({"a": 1}).by_position()


class TestProcedure:
    @pytest.mark.parametrize(
        "name", ["p", "dbo.p", "db..p", "server.db.dbo.p", " p ", "p_1", "p$x", "sp#1"]
    )
    def test_name(self, name: str) -> None:
        assert procedure_of({"stored_procedure": name}) == name.strip()

    @pytest.mark.parametrize(
        "name",
        [
            *("p;x", "p x", "p(1)", "[p]", '"p"', ".p", "p.", "a...b", "1p", "p--", "p'", "p\nq"),
            *("pé", "a.b.c.d.e", 5, None, "", [], {"a": 1}),
        ],
    )
    def test_what_is_none(self, name: Any) -> None:
        with pytest.raises(ValueError, match="stored_procedure"):
            procedure_of({"stored_procedure": name})


class TestConnectionString:
    @pytest.mark.parametrize(
        ("text", "options"),
        [
            ("A=1;B=2", [("a", "1"), ("b", "2")]),
            (" A = 1 ;; b=2; ", [("a", "1"), ("b", "2")]),
            (
                "Driver={My; driver}};x};PWD={a}}b;c=d}",
                [("driver", "My; driver};x"), ("pwd", "a}b;c=d")],
            ),
            ("PWD=;UID=x", [("pwd", ""), ("uid", "x")]),
            ("PWD=a=b;UID=x", [("pwd", "a=b"), ("uid", "x")]),
        ],
    )
    def test_options(self, text: str, options: Any) -> None:
        assert options_of(text) == options

    @pytest.mark.parametrize("text", ["x", "{a}", "a={b", "=x", "a={b}c;d=e", "a=1;b"])
    def test_what_is_none(self, text: str) -> None:
        """No text shows any of it."""
        with pytest.raises(ValueError, match=r"^connection_string is not made of"):
            options_of(text)

    @pytest.mark.parametrize(
        "text",
        ["Driver=/x/y.so", "DRIVER={/x/y.so}", "Driver=..\\y.dll", "FileDSN=x", "A=1;SAVEFILE={x}"],
    )
    def test_files(self, text: str) -> None:
        """None are loaded, read or written."""
        with pytest.raises(ValueError, match="connection_string"):
            connection_string_of({"connection_string": text})

    @pytest.mark.parametrize(
        ("text", "hosts"),
        [
            ("Driver=x;Server=db.example", ["db.example"]),
            ("Server=tcp:db.example,1433;Failover_Partner=two", ["db.example", "two"]),
            (r"SERVER=db.example\WIRE;UID=x", ["db.example"]),
            ("Servername=db.example:5432;Host={10.0.0.1}", ["db.example", "10.0.0.1"]),
            ("Server=[::1]", ["::1"]),
            ("Server=fe80::1,1433", ["fe80::1"]),
            ("DSN=wire;Server=", []),
            ("Servername=db.example,10.0.0.1", ["db.example", "10.0.0.1"]),
            ("Servername=db.example:1,two:2,5432,2130706433", ["db.example", "two", "2130706433"]),
        ],
    )
    def test_hosts(self, text: str, hosts: list[str]) -> None:
        assert hosts_of(text) == hosts

    @pytest.mark.parametrize("option", ["pqopt", "DBQ", "DSN", "Dbname", "Socket", "new one"])
    def test_options_that_may_name_a_server(self, option: str) -> None:
        """Are told from those of which it is known.

        Delivery contract G6.
        """
        text = f"Driver=x;Server=db.example;Port=1;UID=a;PWD=b;{option}={{host=10.0.0.1}}"

        assert unknown_options_of(text) == [option.lower()]

    def test_secrets(self) -> None:
        """The whole, and each value that is secret by itself, as it is and as it was written."""
        text = "Driver={x};UID=desk;PWD={s3}}cret};Token=abcdef;Password=ab;SSLMode=require"

        assert list(secrets_in(text)) == [text, "s3}cret", "s3}}cret", "abcdef", "abcdef"]
        assert list(secrets_in("")) == []
        assert list(secrets_in("UID=x;PWD={broken")) == ["UID=x;PWD={broken", "PWD={broken"]
