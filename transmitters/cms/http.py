"""HTTP to CMS sites: JSON and streamed files; tells whether a request may have arrived."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import IO, Any
from uuid import uuid4

from apps.core import json
from transmitters.http_client import Answer, HTTPClient
from transmitters.http_connections import NoAnswer

CHUNK = 1 << 16
LARGEST_ANSWER = 10 << 20
"""Bytes of an answer that are read."""
SECONDS_OF_A_QUICK_LOSS = 5.0
"""A site that keeps us waiting longer is not asked again at once."""


@dataclass(frozen=True)
class SiteAnswer:
    """What a site answered.

    Attributes:
        headers: names match in any case.
        data: the body as JSON; None where it is none, or is cut short.
        text: the start of the body.
    """

    status: int
    headers: Mapping[str, str]
    data: Any
    text: str = ""

    @property
    def is_json(self) -> bool:
        return self.data is not None

    @property
    def date(self) -> datetime | None:
        """The time at the site; None where the answer does not tell it."""
        try:
            found = parsedate_to_datetime(self.headers.get("Date", ""))
            return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
        except (ValueError, OverflowError, TypeError, IndexError):
            return None


@dataclass(frozen=True)
class FilePart:
    """A file of a multipart form.

    Attributes:
        open: opens it from the start.
        length: bytes.
    """

    name: str
    filename: str
    mime: str
    length: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


class MultipartBody:
    """A form with one file, as a stream whose length is known: the file is never held whole.

    Args:
        fields: names and values, in this order, before the file.
    """

    def __init__(self, fields: Sequence[tuple[str, str]], file: FilePart) -> None:
        self._boundary = uuid4().hex
        self._file = file
        mark = f"--{self._boundary}\r\n"
        texts = [
            f'{mark}Content-Disposition: form-data; name="{_quoted(name)}"\r\n\r\n{value}\r\n'
            for name, value in fields
        ]
        texts.append(
            f'{mark}Content-Disposition: form-data; name="{_quoted(file.name)}"; '
            f'filename="{_quoted(file.filename)}"\r\nContent-Type: {file.mime}\r\n\r\n'
        )
        self._head = "".join(texts).encode()
        self._tail = f"\r\n--{self._boundary}--\r\n".encode()

    @property
    def headers(self) -> dict[str, str]:
        """Headers of a request with this body."""
        length = len(self._head) + self._file.length + len(self._tail)
        return {
            "Content-Type": f"multipart/form-data; boundary={self._boundary}",
            "Content-Length": str(length),
        }

    def __iter__(self) -> Iterator[bytes]:
        yield self._head
        with self._file.open() as stream:
            while chunk := stream.read(CHUNK):
                yield chunk
        yield self._tail


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


class SiteClient:
    """Send requests to one site.

    Args:
        http: connections, time-outs and allowed addresses; any number of sites may share it.
        uploads: the same with the time-outs of uploads.
        before: called before every request: waits where the site's limit asks for it.
        after: called with every answer.
    """

    def __init__(
        self,
        http: HTTPClient,
        uploads: HTTPClient | None = None,
        *,
        before: Callable[[], None] = lambda: None,
        after: Callable[[SiteAnswer], None] = lambda answer: None,
    ) -> None:
        self._http = http
        self._uploads = uploads or http
        self._before = before
        self._after = after

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        form: MultipartBody | None = None,
    ) -> SiteAnswer:
        """Send one request and return what was answered, whatever its status.

        Redirects are not followed. A GET that was lost at once, say on a connection that the site
        had closed, is sent a second time; nothing else is repeated.

        Args:
            data: sent as JSON.
            form: sent as a form, streamed.

        Raises:
            NoAnswer: no whole answer came; it says whether the request may have arrived.
        """
        started_at = monotonic()
        try:
            return self._send(method, url, headers or {}, data, form)
        except NoAnswer as error:
            is_quick = monotonic() - started_at < SECONDS_OF_A_QUICK_LOSS
            if method != "GET" or error.permanent or not is_quick:
                raise
        return self._send(method, url, headers or {}, data, form)

    def _send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        data: Any,
        form: MultipartBody | None,
    ) -> SiteAnswer:
        self._before()
        sent = {"Accept": "application/json", **headers}
        body: bytes | MultipartBody | None = form
        if form is not None:
            sent |= form.headers
        elif data is not None:
            sent["Content-Type"] = "application/json"
            body = json.dumps(data)
        client = self._uploads if form is not None else self._http
        answer = client.request(method, url, headers=sent, body=body, keep_bytes=LARGEST_ANSWER)
        if answer.broken:
            raise NoAnswer(f"the answer broke off: {answer.broken}", may_have_arrived=True)
        found = SiteAnswer(answer.status, answer.headers, _parsed(answer), answer.text[:2000])
        self._after(found)
        return found


def _parsed(answer: Answer) -> Any:
    try:
        return json.loads(answer.text)
    except ValueError:
        return None
