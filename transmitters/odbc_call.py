"""What a destination of the type `ODBC` calls, with which values, by which connection string."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.core.documents import text_of
from transmitters.base import Delivery
from transmitters.media_references import parsed

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PROCEDURE = re.compile(r"[A-Za-z_][A-Za-z0-9_$#]*(\.{1,2}[A-Za-z_][A-Za-z0-9_$#]*){0,3}")
SEPARATORS = re.compile(r"[,;\s]+")
KEY = "idempotency_key"
"""Among `parameters`: the key of the delivery, unless the item has a value of that name."""
UNBINDABLE = re.compile(r"[\ud800-\udfff]")
LONGEST_SHOWN = 60
"""Characters of a wrong name in an error text."""
LARGEST = 1 << 63
"""Whole numbers from here on are bound as text."""

OPTION = re.compile(
    r"[\s;]*(?P<key>[^=;{}]+?)\s*=\s*(?P<value>\{(?:[^}]|\}\})*\}|[^;{]*)\s*(?:;|\Z)"
)
FILE_OPTIONS = ("filedsn", "savefile")
"""They have the driver manager read and write any file."""
HOSTS = frozenset(
    {"server", "servername", "host", "hostname", "address", "addr", "data source", "datasource"}
    | {"network address", "failover_partner", "failoverpartner"}
)
PLAIN_OPTIONS = HOSTS | frozenset(
    {"driver", "database", "db", "port", "portnumber", "uid", "user", "user id", "username"}
    | {"pwd", "password", "encrypt", "trustservercertificate", "trusted_connection", "sslmode"}
    | {"charset", "clientcharset", "tds_version", "app", "application name", "wsid", "language"}
    | {"connection timeout", "connect_timeout", "timeout", "applicationintent", "option"}
    | {"multisubnetfailover", "mars_connection", "no_ssps", "no_prompt", "fetch", "usedeclarefetch"}
)
"""Options of which it is known whether they name a server."""
LARGEST_PORT = 65535
SECRET = re.compile("pwd|pass|secret|token|key")
"""In the names of options whose values are secret."""
SHORTEST_SECRET = 4
"""Characters; to mask what is shorter would garble every text."""


@dataclass(frozen=True)
class Call:
    """A call of a stored procedure with values of an item.

    Attributes:
        parameters: keys of the item, in the order in which the procedure takes their values.
    """

    procedure: str
    parameters: tuple[str, ...]
    item: Mapping[str, Any]

    def by_name(self) -> tuple[str, list[Any]]:
        """Return the statement and its values for SQL Server.

        What has no value, and what is zero, false or empty, is left to the procedure's defaults.

        Raises:
            ValueError: a key of the item cannot be the name of a parameter.
        """
        given = {name: self.item.get(name) for name in self.parameters or self.item}
        given = {name: value for name, value in given.items() if value}
        if wrong := [name for name in given if not NAME.fullmatch(name)]:
            raise ValueError(f"the key {_shown(wrong[0])} cannot be the name of a parameter")
        arguments = ", ".join(f"@{name}=?" for name in given)
        call = f"EXEC @ret = {self.procedure} {arguments}".rstrip()
        statement = f"SET NOCOUNT ON; DECLARE @ret int; {call}; SELECT @ret"
        return statement, [bindable(value) for value in given.values()]

    def by_position(self) -> tuple[str, list[Any]]:
        """Return the statement and its values for any database.

        Raises:
            ValueError: nobody has said which parameters the procedure has.
        """
        if not self.parameters:
            raise ValueError("parameters is missing: only SQL Server takes values by their names")
        marks = ", ".join("?" for _ in self.parameters)
        values = [bindable(self.item.get(name)) for name in self.parameters]
        return f"{{CALL {self.procedure}({marks})}}", values


def call_of(config: Mapping[str, Any], delivery: Delivery) -> Call:
    """Return what is to be called for a delivery.

    Raises:
        ValueError: the config cannot be used, or the formatted item is no JSON object.
    """
    procedure, parameters = procedure_of(config), parameters_of(config)
    item = parsed(delivery.body)
    if not isinstance(item, dict):
        raise ValueError("the item is no JSON object, whose values a procedure could take")
    if KEY in parameters:
        item.setdefault(KEY, delivery.key)
    return Call(procedure, parameters, item)


def procedure_of(config: Mapping[str, Any]) -> str:
    """Return the procedure of a destination.

    Raises:
        ValueError: there is none, or it is no name of one.
    """
    name = text_of(config, "stored_procedure").strip()
    if not name:
        raise ValueError("stored_procedure is missing")
    if not PROCEDURE.fullmatch(name):
        raise ValueError(
            "stored_procedure is no name: letters, digits and _, with dots between parts"
        )
    return name


def parameters_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys whose values the procedure takes, in order.

    Raises:
        ValueError: one is no name.
    """
    value = config.get("parameters")
    if value is None:
        return ()
    names = value if isinstance(value, list) else SEPARATORS.split(str(value).strip())
    names = [name for name in names if name != ""]
    if wrong := [name for name in names if not isinstance(name, str) or not NAME.fullmatch(name)]:
        raise ValueError(f"parameters has {_shown(wrong[0])}, which is no name")
    return tuple(names)


def _shown(value: Any) -> str:
    """Return the start of a value: the reason behind it has to find room, too."""
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def bindable(value: Any) -> Any:
    """Return a JSON value as drivers bind it.

    Texts lose NUL, at which drivers and databases end them. Objects and lists are bound as JSON.
    """
    if isinstance(value, dict | list):
        value = json.dumps(value, ensure_ascii=False)
    if isinstance(value, str):
        return UNBINDABLE.sub("\ufffd", value.replace("\0", ""))
    if isinstance(value, int) and not -LARGEST <= value < LARGEST:
        return str(value)
    return value


def connection_string_of(config: Mapping[str, Any]) -> str:
    """Return the connection string of a destination.

    Raises:
        ValueError: there is none, or it cannot be used. No text shows any of it.
    """
    text = text_of(config, "connection_string").strip()
    if not text:
        raise ValueError("connection_string is missing")
    for key, value in options_of(text):
        if key in FILE_OPTIONS:
            raise ValueError(f"connection_string must not have {key}")
        if key == "driver" and not set(value).isdisjoint("/\\"):
            raise ValueError("connection_string has to name a driver that is installed, no file")
    return text


def options_of(connection_string: str) -> list[tuple[str, str]]:
    """Return the options of a connection string, in order, their names in lower case.

    Raises:
        ValueError: it is none.
    """
    found, position = [], 0
    text = connection_string.rstrip("; \t\r\n")
    while position < len(text):
        option = OPTION.match(text, position)
        if option is None:
            raise ValueError("connection_string is not made of <name>=<value>;")
        value = option["value"].strip()
        if value.startswith("{"):
            value = value[1:-1].replace("}}", "}")
        found.append((option["key"].lower(), value))
        position = option.end()
    return found


def hosts_of(connection_string: str) -> list[str]:
    """Return the names and addresses of servers in a connection string.

    Raises:
        ValueError: it is none.
    """
    options = options_of(connection_string)
    return [h for key, value in options if key in HOSTS and value.strip() for h in _hosts(value)]


def unknown_options_of(connection_string: str) -> list[str]:
    """Return the options of a connection string that could make its driver connect anywhere.

    Raises:
        ValueError: it is none.
    """
    return [key for key, _ in options_of(connection_string) if key not in PLAIN_OPTIONS]


def _hosts(value: str) -> Iterator[str]:
    """Yield the servers of a value: some drivers take several, others a port behind a comma."""
    text = re.sub(r"^(tcp|np|lpc|admin):", "", value.strip(), flags=re.IGNORECASE)
    for number, part in enumerate(text.split(",")):
        host = part.partition("\\")[0].strip()
        if number and host.isdecimal() and int(host[:6]) <= LARGEST_PORT:
            continue
        if host.count(":") == 1:
            host = host.partition(":")[0]
        yield host.strip("[]")


def secrets_in(connection_string: str) -> Iterator[str]:
    """Yield a connection string, and those of its values that are secret by themselves."""
    if not connection_string:
        return
    yield connection_string
    try:
        options = options_of(connection_string)
    except ValueError:
        yield from (part for part in connection_string.split(";") if SECRET.search(part.lower()))
        return
    for key, value in options:
        if SECRET.search(key) and len(value) >= SHORTEST_SECRET:
            yield value
            # As it stands in the connection string.
            yield value.replace("}", "}}")
