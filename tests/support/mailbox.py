"""A mail server on loopback that keeps what it is given."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

from aiosmtpd.smtp import SMTP, Envelope

HOST = "127.0.0.1"
TAKEN = "250 OK"


class Mailbox:
    """A real SMTP server on a free port.

    Args:
        answer: reply to each recipient, from its address; takes all unless given.
        tls: what is turned to with STARTTLS.

    Attributes:
        goodbye: reply to whoever takes leave.
    """

    def __init__(
        self,
        answer: Callable[[str], str] = lambda address: TAKEN,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer
        self.tls = tls
        self.goodbye = "221 Bye"
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
        reply = self.answer(address)
        if reply == TAKEN:
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        self.received.append((list(envelope.rcpt_tos), message))
        return TAKEN

    async def handle_QUIT(self, server: Any, session: Any, envelope: Envelope) -> str:
        return self.goodbye

    def __enter__(self) -> Self:
        listening = self._loop.create_server(lambda: _Conversation(self, self._transports), HOST, 0)
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
        super().__init__(mailbox, hostname="mail.example.com", tls_context=mailbox.tls)
        self._transports = transports

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transports.append(transport)
        super().connection_made(transport)


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
