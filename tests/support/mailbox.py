"""A mail server on loopback that keeps what it is given."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from enum import Enum
from threading import Condition, Event, Thread
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword

HOST = "127.0.0.1"
TAKEN = "250 OK"


class Stage(Enum):
    """Where in a conversation a server may stop to behave."""

    ASKED = "is asked for an address"
    OFFERED = "has the mail, which it then forgets"
    KEPT = "has kept the mail"


class Mailbox:
    """A real SMTP server on a free port.

    Args:
        answer: reply to each recipient, from its address; takes all unless given.
        tls: what is turned to with STARTTLS.
        always_tls: TLS is spoken from the first byte instead.
        user: name and password without which nothing is taken.
        takes_unicode: whether addresses may have other characters than ASCII.

    Attributes:
        content_answer: reply to each mail.
        goodbye: reply to whoever takes leave.
        hangs: where it says nothing more.
        resets: where it breaks the connection.
        conversations: how many there were.
    """

    def __init__(
        self,
        answer: Callable[[str], str] = lambda address: TAKEN,
        tls: ssl.SSLContext | None = None,
        *,
        always_tls: bool = False,
        user: tuple[str, str] | None = None,
        takes_unicode: bool = True,
    ) -> None:
        self.answer = answer
        self.tls = tls
        self.always_tls = always_tls
        self.user = user
        self.takes_unicode = takes_unicode
        self.content_answer = TAKEN
        self.goodbye = "221 Bye"
        self.hangs: Stage | None = None
        self.resets: Stage | None = None
        self.conversations = 0
        self.open = 0
        self.left = Condition()
        self.senders: list[str | None] = []
        self.received: list[tuple[list[str], EmailMessage]] = []
        self._loop = asyncio.new_event_loop()
        self._transports: list[asyncio.BaseTransport] = []
        self._thread = Thread(target=self._loop.run_forever, daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def recipients(self) -> list[list[str]]:
        """The addresses of each mail, in order of arrival."""
        return [to for to, _ in self.received]

    def only(self) -> EmailMessage:
        """Return the one mail that came."""
        ((_, message),) = self.received
        return message

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Envelope, address: str, options: Any
    ) -> str:
        await self._stumble(Stage.ASKED, server)
        is_admitted = self.user is None or session.authenticated
        reply = self.answer(address) if is_admitted else "530 5.7.0 Authentication required"
        if reply == TAKEN:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        await self._stumble(Stage.OFFERED, server)
        if self.content_answer != TAKEN:
            return self.content_answer
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.senders.append(envelope.mail_from)
        self.received.append((list(envelope.rcpt_tos), message))
        await self._stumble(Stage.KEPT, server)
        return TAKEN

    async def handle_QUIT(self, server: Any, session: Any, envelope: Envelope) -> str:
        return self.goodbye

    async def _stumble(self, stage: Stage, server: Any) -> None:
        if self.hangs is stage:
            await asyncio.Event().wait()
        if self.resets is stage:
            server.transport.abort()
            await asyncio.Event().wait()

    def admits(self, login: LoginPassword) -> bool:
        return self.user == (login.login.decode(), login.password.decode())

    def stop(self) -> None:
        """Be down from now on."""
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(timeout=10)

    def wait_until_left(self) -> None:
        """Wait until every client has hung up; fails the test if one does not."""
        with self.left:
            assert self.left.wait_for(lambda: self.open == 0, timeout=10)

    def __enter__(self) -> Self:
        listening = self._loop.create_server(
            lambda: _Conversation(self, self._transports),
            HOST,
            0,
            ssl=self.tls if self.always_tls else None,
        )
        self._server = self._loop.run_until_complete(listening)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        self._loop.close()

    async def _hang_up(self) -> None:
        """Stop listening and end the conversations, so that nothing of them is left."""
        self._server.close()
        for transport in self._transports:
            transport.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)


class _Conversation(SMTP):
    """One connection; named, because asking the resolver for a name may take long."""

    def __init__(self, mailbox: Mailbox, transports: list[asyncio.BaseTransport]) -> None:
        super().__init__(
            mailbox,
            hostname="mail.example.com",
            tls_context=None if mailbox.always_tls else mailbox.tls,
            enable_SMTPUTF8=mailbox.takes_unicode,
            auth_require_tls=False,
            authenticator=lambda *found: AuthResult(
                success=mailbox.admits(found[-1]), handled=False
            ),
        )
        self._mailbox = mailbox
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._mailbox.conversations += 1
        with self._mailbox.left:
            self._mailbox.open += 1
        self._transports.append(transport)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        with self._mailbox.left:
            self._mailbox.open -= 1
            self._mailbox.left.notify_all()


@contextmanager
def bad_mail_server(says: str, every: float = 0.05) -> Iterator[int]:
    """Run a server that greets nobody as it should; yields its port.

    Args:
        says: sent again and again for as long as somebody listens; empty says nothing.
        every: seconds between two times.
    """
    ended = Event()
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, suppress(OSError):
                    while not ended.wait(every):
                        connection.sendall(says.encode())

    thread = Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(timeout=5)
