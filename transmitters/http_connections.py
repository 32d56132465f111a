"""HTTP connections whose every step is bounded by one deadline and goes to allowed addresses only.

urllib3 bounds each read, not the whole: a peer that sends a byte a second would keep it for ever.
"""

import http.client
import socket
import ssl
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError
from urllib3.response import HTTPResponse

from apps.core.sockets import BoundedSocket
from transmitters.connections import Dialler, NotConnected, bounded, system_certificates


class NoAnswer(HTTPError):
    """No HTTP response came.

    Args:
        text: what happened, for people; names host and port, never a path or a query.
        permanent: repeating cannot help.
        may_have_arrived: the receiver may have got the request.
    """

    def __init__(
        self, text: str, *, permanent: bool = False, may_have_arrived: bool = False
    ) -> None:
        super().__init__(text)
        self.permanent = permanent
        self.may_have_arrived = may_have_arrived


class _Response(http.client.HTTPResponse):
    """A response as the standard library reads it, but for what it would take for another one."""

    def _read_status(self) -> tuple[str, int, str]:
        """Return the status; any that announces another one is read over as 100 is.

        Who took it for the answer would take the answer for that to the next request.
        """
        version, status, reason = super()._read_status()  # type: ignore[misc]
        is_announcement = 100 <= status < 200 and status != http.HTTPStatus.SWITCHING_PROTOCOLS
        return version, http.HTTPStatus.CONTINUE if is_announcement else status, reason

    def begin(self) -> None:
        super().begin()
        said = self.headers.get_all("Content-Length", [])
        lengths = {length.strip() for value in said for length in value.split(",")}
        if len(lengths) > 1:
            # Nobody knows where it ends, which says nothing of its status.
            del self.headers["Content-Length"]
            self.length = None
        if len(lengths) > 1 or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
            self.will_close = True


class DialledConnection(HTTPConnection):
    """A connection that is opened by a `Dialler`."""

    response_class = _Response

    def __init__(self, *args: Any, dialler: Dialler, **options: Any) -> None:
        super().__init__(*args, **options)
        self._dialler = dialler

    def _new_conn(self) -> socket.socket:
        try:
            return self._dialler.dial(self._dns_host, self.port)
        except NotConnected as error:
            raise NoAnswer(str(error), permanent=error.permanent) from error

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]  # as urllib3 has it
        """Return the response once its headers are there.

        Raises:
            ConnectionError: they broke off, which the standard library takes for their end.
        """
        sock = self.sock
        response = super().getresponse()
        if isinstance(sock, BoundedSocket) and sock.ended:
            raise ConnectionError("the answer broke off inside its headers")
        return response


class DialledTLSConnection(DialledConnection, HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self._dialler.bound(self.sock)  # wrapping in TLS has made a new socket


class DialledPool(HTTPConnectionPool):
    ConnectionCls = DialledConnection


class DialledTLSPool(HTTPSConnectionPool):
    ConnectionCls = DialledTLSConnection

    def __init__(self, *args: Any, tls: ssl.SSLContext | None, **options: Any) -> None:
        context = bounded(tls) if tls else system_certificates()
        super().__init__(*args, **{**options, "ssl_context": context})
