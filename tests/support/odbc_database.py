"""A database whose procedures keep what they are called with, as tests of ODBC want them to."""

import time
from importlib import import_module
from typing import Any
from uuid import uuid4

PROCEDURES = """
create table stored (
    place serial, key text, guid text, version text, type text, body text, urgency int, share float
);
create table calls (place serial, key text);
create table behaviour (word text, says text);
create function store_two(guid text, version text) returns text
language sql as 'select guid || version';
create function says_nothing(guid text) returns void language sql as '';
create function noisy(guid text) returns setof int language sql as 'select generate_series(1, 500)';
create function store(
    key text, guid text, version text, type text, body text, urgency int, share float
) returns text language plpgsql as $$
declare
    wanted record;
begin
    insert into calls(key) values (store.key);
    insert into stored(key, guid, version, type, body, urgency, share)
        select store.key, store.guid, store.version, store.type,
            store.body, store.urgency, store.share
        where not exists (select 1 from stored s where s.key = store.key);
    select * into wanted from behaviour;
    if wanted.word = 'fail' then
        raise exception using errcode = '55000', message = wanted.says;
    elsif wanted.word = 'refuse' then
        raise exception using errcode = '22023', message = wanted.says;
    elsif wanted.word = 'sleep' then
        perform pg_sleep(60);
    end if;
    return coalesce(store.guid, 'none');
end $$;
"""
PARAMETERS = ["idempotency_key", "guid", "version", "type", "body", "urgency", "share"]


def quoted(value: str) -> str:
    """Return a value as it stands in a connection string, whatever it holds."""
    return "{" + value.replace("}", "}}") + "}"


class Database:
    """A database of its own on a server.

    Args:
        server: what the peer says of it.
    """

    def __init__(self, server: dict[str, Any]) -> None:
        self._odbc = import_module("pyodbc")
        self._odbc.pooling = False
        self.server = server
        self.name = f"wire_{uuid4().hex}"
        self._admin = self.connect("postgres")
        self._admin.execute(f"create database {self.name}")
        self._own = self.connect(self.name)
        self._own.execute(PROCEDURES)

    def connect(self, name: str) -> Any:
        """Return a connection that commits each statement."""
        return self._odbc.connect(self.connection_string(database=name), autocommit=True)

    def connection_string(self, **changes: Any) -> str:
        """Return a connection string to this database."""
        options = {
            "driver": quoted(self.server["driver"]),
            "server": "127.0.0.1",
            "port": self.server["port"],
            "database": self.name,
            "uid": self.server["user"],
            "pwd": quoted(self.server["password"]),
            **changes,
        }
        return ";".join(f"{key}={value}" for key, value in options.items())

    def config(self, **changes: Any) -> dict[str, Any]:
        """Return the config of a destination that calls `store`."""
        options = {key: changes.pop(key) for key in ("server", "port", "pwd") if key in changes}
        return {
            "connection_string": self.connection_string(**options),
            "stored_procedure": "public.store",
            "parameters": PARAMETERS,
            **changes,
        }

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        return [tuple(row) for row in self._own.execute(query, *values).fetchall()]

    def do(self, statement: str, *values: Any) -> None:
        """Carry out a statement."""
        self._own.execute(statement, *values)

    def behave(self, word: str = "", says: str = "") -> None:
        """Have the procedure accept, `fail`, `refuse` or `sleep`, from now on."""
        self.do("delete from behaviour")
        if word:
            self.do("insert into behaviour values (?, ?)", word, says or word)

    def stored(self, *columns: str) -> list[tuple[Any, ...]]:
        """Return columns of what was stored, in order."""
        return self.ask(f"select {', '.join(columns)} from stored order by place")

    def sessions(self) -> list[tuple[Any, ...]]:
        """Return process and state of the sessions of others."""
        return self.ask(
            "select pid, state from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )

    def wait_for_sessions(self, count: int, state: str = "%", timeout: float = 60.0) -> None:
        """Wait until others have exactly `count` sessions in a state.

        Raises:
            AssertionError: they have another number after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            found = [one for one in self.sessions() if state in ("%", one[1])]
            if len(found) == count:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"the sessions are {self.sessions()}")
            time.sleep(0.02)

    def clear(self) -> None:
        """Remove what was stored, and accept."""
        self.do("truncate stored, calls, behaviour")

    def close(self) -> None:
        """Remove the database."""
        self._own.close()
        self._admin.execute(f"drop database {self.name} with (force)")
        self._admin.close()
