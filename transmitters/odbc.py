"""Delivery type `ODBC`: items as calls of a stored procedure."""

import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from threading import Lock, Thread
from typing import Any, ClassVar

from apps.core.caller import Caller
from apps.core.documents import text_of
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.registry import Field
from apps.core.sockets import Deadline
from transmitters.base import (
    Delivery,
    Destination,
    Mode,
    Preview,
    Receipt,
    TransmitSettings,
    Transmitter,
    unusable,
)
from transmitters.connections import Dialler, KeptConnection, NotConnected, Resolver
from transmitters.extras import MissingExtra, imported
from transmitters.networks import AddressGuard
from transmitters.odbc_call import (
    Call,
    call_of,
    connection_string_of,
    hosts_of,
    parameters_of,
    procedure_of,
    secrets_in,
    unknown_options_of,
)

CODE = 12000
NAME = "PublishODBCError"
TEXT = "ODBC publish error"
EXTRA = "odbc"
DRIVER_MANAGER = "unixODBC is missing (on Debian: apt-get install unixodbc)"
LONGEST_CAUSE = 1000
"""Characters of an error text."""
LONGEST_ANSWER = 200
"""Characters of what a procedure returns, in the attempt log."""
CLOSE_SECONDS = 5.0
"""Time to take leave of a database, which may be gone."""
MOST_STUCK = 8
"""Calls of one destination that do not end; there are no more before one of them does."""
FINAL = ("07", "0A", "21", "22", "23", "HYC", "IM")
"""How the SQLSTATE of what repeating cannot help begins: values that do not fit, first of all."""
GONE = ("08", "57P", "HY000")
"""How that of connections begins that are there no more; some drivers say no more than HY000."""
NO_DRIVER = ("IM002", "IM003")
NO_FILE = "Can't open lib"
PLACE = re.compile(r"( \(-?\d+\))? \(SQL\w+\)$")
"""Where in its own code pyodbc has met with an error."""


class ODBCTransmitter(Transmitter):
    """Call a procedure with values of each item, in a transaction of its own.

    ODBC has no deadline that every driver keeps. So a thread makes each call, and is left behind
    once the time is over; it commits nothing from then on. A connection is kept for the next
    delivery, but not for long; one instance may be used by several threads. Delivery contract 5.5.

    Args:
        resolve: looks up addresses, where only some are allowed.
    """

    type = "ODBC"
    name = "ODBC"
    fields = (
        Field("connection_string", "As its driver takes it.", required=True, secret=True),
        Field("stored_procedure", "Procedure to call, such as dbo.store_item.", required=True),
        Field(
            "parameters",
            "Keys of the item whose values the procedure takes, in order: a list, or separated by "
            "commas. SQL Server takes all values by their keys when empty.",
        ),
    )
    mode = Mode.APPEND
    errors: ClassVar[dict[int, str]] = {CODE: TEXT}

    def __init__(
        self,
        destination: Destination,
        settings: TransmitSettings,
        resolve: Resolver = socket.getaddrinfo,
    ) -> None:
        super().__init__(destination, settings)
        self._guard = AddressGuard.of(settings)
        self._dialler = Dialler(
            self._guard,
            Deadline(),
            connect_timeout=settings.odbc_timeout,
            read_timeout=settings.odbc_timeout,
            resolve=resolve,
        )
        self._kept = KeptConnection[Session]()
        self._stuck: list[Future[Any]] = []
        self._stuck_lock = Lock()

    def send(self, delivery: Delivery) -> Receipt:
        """Call the procedure, and commit.

        Raises:
            TemporaryFailure: no connection, no time left, or the database refuses.
            PermanentFailure: the values or the destination cannot be used, or something is not
                installed.
        """
        with self._failures() as odbc:
            call = call_of(self.destination.config, delivery)
            answer = self._in_time(lambda attempt: self._answer(odbc, call, attempt))
        return Receipt(message=self.redact(f"returned {answer}")[:LONGEST_ANSWER])

    def test_connection(self) -> str:
        """Log in at the database; nothing is called there."""
        with self._failures() as odbc:
            procedure_of(self.destination.config)
            parameters_of(self.destination.config)
            self._in_time(lambda attempt: self._connected(odbc).close())
        return "the database lets us in"

    @contextmanager
    def _failures(self) -> Iterator[Any]:
        """Yield pyodbc, and turn what goes wrong into failures of deliveries."""
        if not self.settings.odbc_publish:
            text = "delivery by ODBC is off (ODBC_PUBLISH)"
            raise self._failure(PermanentFailure, text, is_ours=True)
        try:
            odbc = imported("pyodbc", EXTRA, system=DRIVER_MANAGER)
        except MissingExtra as error:
            raise self._failure(PermanentFailure, str(error), is_ours=True) from None
        try:
            yield odbc
        except ValueError as error:
            raise self._failure(PermanentFailure, str(error)) from None
        except TimeoutError as error:
            raise self._failure(TemporaryFailure, str(error)) from None
        except NotConnected as error:
            kind = PermanentFailure if error.permanent else TemporaryFailure
            raise self._failure(kind, str(error)) from None
        except odbc.Error as error:
            raise self._refusal(odbc, error) from None

    def preview(self, delivery: Delivery) -> Preview:
        try:
            call = call_of(self.destination.config, delivery)
        except ValueError as error:
            raise self._failure(PermanentFailure, str(error)) from None
        return Preview(delivery.body, delivery.media_type, call.procedure)

    @classmethod
    def config_issues(cls, config: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        return unusable(config, {"stored_procedure": procedure_of, "parameters": parameters_of})

    def close(self) -> None:
        self._kept.close()

    def secrets(self) -> Iterator[str]:
        yield from secrets_in(text_of(self.destination.config, "connection_string").strip())

    # Calls that end in time, whatever the driver does.

    def _in_time(self, work: "Callable[[Attempt], Any]") -> Any:
        """Return what `work` does, which a thread of its own does.

        Raises:
            TimeoutError: it takes too long. What it has not committed by then, it will not.
        """
        with self._stuck_lock:
            self._stuck = [future for future in self._stuck if not future.done()]
            if len(self._stuck) >= MOST_STUCK:
                raise TimeoutError(f"{MOST_STUCK} calls have not ended, though their time is over")
        attempt = Attempt()
        future = in_thread(lambda: work(attempt))
        try:
            return future.result(self.settings.odbc_timeout)
        except TimeoutError:
            if future.done():
                return future.result()
            attempt.give_up()
            with self._stuck_lock:
                self._stuck.append(future)
            seconds = self.settings.odbc_timeout
            raise TimeoutError(f"the database has not answered within {seconds:g} s") from None

    def _answer(self, odbc: Any, call: Call, attempt: "Attempt") -> Any:
        """Make the call and return what the procedure does."""
        kept = self._kept.take()
        if kept is not None:
            try:
                return self._used(kept, call, attempt)
            except odbc.Error as error:
                # It has ended since the last delivery. Nothing was committed by it.
                if attempt.is_committing or not state_of(error).startswith(GONE):
                    raise
        return self._used(self._connected(odbc), call, attempt)

    def _used(self, session: "Session", call: Call, attempt: "Attempt") -> Any:
        """Make the call by a connection, which is kept only if all goes well."""
        try:
            answer = session.run(call, attempt)
            attempt.begin_commit()
            session.commit()
        except BaseException:
            attempt.leave()
            session.close()
            raise
        attempt.leave()
        self._kept.keep(session)
        return answer

    def _connected(self, odbc: Any) -> "Session":
        text = connection_string_of(self.destination.config)
        self._check_addresses(text)
        # Connections are pooled here, where they are closed with what has opened them.
        odbc.pooling = False
        return Session(odbc, text, max(1, int(self.settings.odbc_timeout)))

    def _check_addresses(self, connection_string: str) -> None:
        """Refuse servers that must not be reached, as far as the connection string names them.

        Drivers look names up again, so an operator who refuses private addresses trusts those who
        write connection strings.

        Raises:
            NotConnected: one is not allowed, or none is named.
        """
        if self._guard.allow_private:
            return
        if odd := unknown_options_of(connection_string):
            text = f"connection_string has {odd[0]}, which may name a server that is not checked"
            raise NotConnected(f"{text}; leave it out", permanent=True)
        hosts = hosts_of(connection_string)
        if not hosts:
            text = "connection_string names no server, whose address could be checked"
            raise NotConnected(text, permanent=True)
        for host in hosts:
            self._dialler.check(host)

    # Failures.

    def _refusal(self, odbc: Any, error: Exception) -> DeliveryError:
        """Return what an error of the driver, or of its manager, comes to."""
        state, said = state_of(error), " ".join(str(error.args[-1] if error.args else "").split())
        text = PLACE.sub("", said) or "the driver does not say why"
        if state in NO_DRIVER or NO_FILE in text:
            installed = ", ".join(odbc.drivers()) or "none"
            text = f"{text}; install the driver that connection_string names (found: {installed})"
            return self._failure(PermanentFailure, text, is_ours=True)
        if state.startswith(FINAL):
            return self._failure(PermanentFailure, text, is_receiver_up=True)
        return self._failure(TemporaryFailure, text)

    def _failure(
        self, kind: Callable[..., DeliveryError], cause: str, **details: Any
    ) -> DeliveryError:
        return kind(CODE, NAME, TEXT, self.redact(cause)[:LONGEST_CAUSE], **details)


class Attempt:
    """A call that is under way in a thread of its own."""

    def __init__(self) -> None:
        self.is_committing = False
        self._is_over = False
        self._cursor: Any = None
        self._cursor_lock = Lock()

    def begin(self, cursor: Any) -> None:
        """Say what is to be canceled when the time is over.

        Raises:
            TimeoutError: it is.
        """
        self._check()
        with self._cursor_lock:
            self._cursor = cursor

    def begin_commit(self) -> None:
        """Say that from here on nobody knows what has become of it, until it is committed.

        Raises:
            TimeoutError: the time is over.
        """
        self._check()
        self.is_committing = True

    def leave(self) -> None:
        """Say that there is nothing to cancel."""
        with self._cursor_lock:
            self._cursor = None

    def give_up(self) -> None:
        """Have it commit nothing from here on, and the database stop what it is doing for it."""
        self._is_over = True
        in_thread(self._cancel)

    def _check(self) -> None:
        if self._is_over:
            raise TimeoutError("the time of the attempt is over")

    def _cancel(self) -> None:
        # The lock keeps the cursor alive, not the statement from ending.
        with self._cursor_lock:
            if self._cursor is not None:
                self._cursor.cancel()


class Session:
    """A connection to a database.

    Args:
        odbc: the module pyodbc.
        seconds: for the login, and for statements where the driver knows such a limit.
    """

    def __init__(self, odbc: Any, connection_string: str, seconds: int) -> None:
        self._connection = odbc.connect(connection_string, timeout=seconds, autocommit=False)
        with suppress(odbc.Error):
            self._connection.timeout = seconds
        product = str(self._connection.getinfo(odbc.SQL_DBMS_NAME)).lower()
        self._takes_names = "sql server" in product
        if "maria" in product or "mysql" in product:
            # Their drivers garble long texts of wide characters, and say nothing.
            self._connection.setencoding("utf-8")
        # Never closed between a call and its commit: that a connection broke meanwhile is told to
        # nobody then, and the driver of PostgreSQL has nothing to commit and says that it did.
        self._cursor = self._connection.cursor()

    def run(self, call: Call, attempt: Attempt) -> Any:
        """Call a procedure and return its value; 1 where it has none.

        Raises:
            ValueError: the database cannot be called so.
            TimeoutError: the time of the attempt is over.
        """
        statement, values = call.by_name() if self._takes_names else call.by_position()
        attempt.begin(self._cursor)
        self._cursor.execute(statement, values)
        answer: Any = 1
        # An error behind the first result is told only to who asks for the next one.
        is_more = True
        while is_more:
            attempt.begin(self._cursor)
            row = self._cursor.fetchone() if self._cursor.description else None
            answer = answer if row is None or row[0] is None else row[0]
            is_more = self._cursor.nextset()
        attempt.leave()
        return answer

    def commit(self) -> None:
        self._connection.commit()

    def close(self) -> None:
        """Let go of the connection; one that does not end is left behind."""
        with suppress(Exception):
            in_thread(self._connection.close).result(CLOSE_SECONDS)


def state_of(error: Exception) -> str:
    """Return the SQLSTATE of an error."""
    return str(error.args[0]) if error.args else ""


def in_thread(work: Callable[[], Any]) -> "Future[Any]":
    """Have a thread do something that may never end; it keeps no process alive."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - who waits for it is told
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future
