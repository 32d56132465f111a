"""The HTTP client against receivers that are slow, broken or somewhere else."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import self_signed
from tests.support.deliveries import build_settings, impatient_settings
from tests.support.receivers import Fault, HTTPReceiver, Received
from transmitters.connections import MOST_LOOKUPS
from transmitters.http_client import Answer, HTTPClient
from transmitters.http_connections import NoAnswer

DRAINED_BYTES, KEPT_BYTES = 1 << 20, 20_000
BOUND = 10.0
"""Seconds that no attempt may exceed under `impatient_settings`."""


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    with HTTPReceiver() as receiver:
        yield receiver


@pytest.fixture
def client() -> Iterator[HTTPClient]:
    client = HTTPClient(build_settings())
    yield client
    client.close()


@pytest.fixture
def impatient() -> Iterator[HTTPClient]:
    client = HTTPClient(impatient_settings())
    yield client
    client.close()


def post(client: HTTPClient, url: str, body: bytes = b"{}") -> Answer:
    return client.request("POST", url, headers={"X-Test": "1"}, body=body)


class TestRequest:
    """What goes out and what comes back."""

    def test_request(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """Method, path, query, headers and body arrive as given."""
        post(client, f"{receiver.url}/a/b?c=d", b"body")
        (request,) = receiver.requests

        assert (request.method, request.path, request.body) == ("POST", "/a/b?c=d", b"body")
        assert request.headers["x-test"] == "1"

    def test_answer(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """Status, headers and text come back whatever the status."""
        receiver.answer([(418, {"X-Reason": "Teapot"}, "Tée".encode())])
        answer = post(client, receiver.url)

        assert (answer.status, answer.headers["x-reason"], answer.text) == (418, "Teapot", "Tée")

    def test_user_and_password(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """A user name and password in the address become basic authentication."""
        post(client, receiver.url.replace("http://", "http://desk:p%40ss@"))

        assert receiver.requests[0].headers["authorization"] == "Basic ZGVzazpwQHNz"
        assert receiver.requests[0].headers["host"] == f"127.0.0.1:{receiver.port}"

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_redirects_are_not_followed(
        self, client: HTTPClient, receiver: HTTPReceiver, status: int
    ) -> None:
        """A redirect is an answer like others; nothing is sent to where it points."""
        receiver.answer([(status, {"Location": f"{receiver.url}/elsewhere"}, b"")])
        answer = post(client, f"{receiver.url}/here")

        assert answer.status == status
        assert [request.path for request in receiver.requests] == ["/here"]

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    def test_no_retries(self, client: HTTPClient, receiver: HTTPReceiver, status: int) -> None:
        """One call is one request, even where the receiver asks for another."""
        receiver.answer([(status, {"Retry-After": "0"}, b"")])
        post(client, receiver.url)

        assert len(receiver.requests) == 1

    def test_text_is_cut(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """Only the start of a long answer is kept, and the connection stays."""
        receiver.answer([(500, {}, b"x" * DRAINED_BYTES), 200])
        answer = post(client, receiver.url)
        post(client, receiver.url)

        assert answer.text == "x" * KEPT_BYTES
        assert receiver.accepted == 1

    def test_compressed_answer_is_not_unpacked(
        self, client: HTTPClient, receiver: HTTPReceiver
    ) -> None:
        """A compressed answer is not unpacked: it might be a bomb."""
        receiver.answer([(500, {"Content-Encoding": "gzip"}, b"\x1f\x8bjunk")])

        assert post(client, receiver.url).text.endswith("junk")

    @pytest.mark.parametrize(
        "url", ["http://", "nothing", "http://[::1", "http://a:99999/", "http://a b/", "ftp://a/"]
    )
    def test_bad_address(self, client: HTTPClient, url: str) -> None:
        """An address that can never work is a permanent failure."""
        with pytest.raises(NoAnswer) as caught:
            post(client, url)

        assert caught.value.permanent

    def test_bad_header(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """A header that would split the request is refused."""
        with pytest.raises(NoAnswer) as caught:
            client.request("POST", receiver.url, headers={"A": "b\r\nC: d"}, body=b"")

        assert caught.value.permanent


class TestConnections:
    """How many connections, and when they are let go."""

    def test_kept_between_requests(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """Requests one after another share a connection, whatever their status."""
        receiver.answer([200, 404, 500, 204, 302])
        for _ in range(6):
            post(client, receiver.url)

        assert receiver.accepted == 1

    def test_closed_by_the_receiver(self, client: HTTPClient) -> None:
        """A connection that the receiver closed while it was idle is replaced."""
        with HTTPReceiver(lambda _: (200, {"Connection": "close"}, b"{}")) as receiver:
            for _ in range(3):
                assert post(client, receiver.url).status == 200

    def test_bounded_per_host(self, receiver: HTTPReceiver) -> None:
        """Threads wait for a connection instead of opening more than the setting allows."""
        client = HTTPClient(build_settings(connections_per_host=2))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: post(client, receiver.url), range(80)))

        assert len(receiver.requests) == 80
        assert receiver.accepted <= 2
        client.close()

    def test_bounded_for_the_process(self, receiver: HTTPReceiver) -> None:
        """However many destinations are at a host, they share its connections."""
        settings = build_settings(connections_per_host=2)
        clients = [HTTPClient.of_process(settings) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda client: post(client, receiver.url), clients * 5))

        assert len(receiver.requests) == 40
        assert receiver.accepted <= 2
        clients.pop().close()
        post(clients[0], receiver.url)
        assert receiver.accepted <= 2
        for client in clients:
            client.close()
        receiver.wait_for_connections(0)

    @pytest.mark.parametrize("fault", Fault)
    def test_none_is_lost(self, receiver: HTTPReceiver, fault: Fault) -> None:
        """After any fault the only connection allowed is free for the next request."""
        client = HTTPClient(impatient_settings(connections_per_host=1, http_total_timeout=5.0))
        receiver.answer([fault])
        with suppress(NoAnswer):
            post(client, receiver.url)

        assert post(client, receiver.url).status == 200
        client.close()

    def test_busy(self, receiver: HTTPReceiver) -> None:
        """A thread that gets no connection within the time gives up, to be repeated."""
        client = HTTPClient(
            build_settings(connections_per_host=1, http_read_timeout=2, http_total_timeout=0.3)
        )
        pool = client._pools.connection_from_url(receiver.url)
        taken = pool._get_conn()
        with pytest.raises(NoAnswer, match="busy") as caught:
            post(client, receiver.url)
        pool._put_conn(taken)

        assert not caught.value.permanent
        client.close()

    def test_close(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """Closing lets go of every connection; a second time does nothing."""
        post(client, receiver.url)
        client.close()
        client.close()

        receiver.wait_for_connections(0)


class TestFaults:
    """Every fault ends in bounded time, told in plain words (delivery contract 5.1)."""

    @pytest.mark.parametrize(
        ("fault", "text"),
        [
            (Fault.HANG, "timed out"),
            (Fault.SLOW_HEADERS, "timed out"),
            (Fault.CLOSE, "closed without an answer"),
            (Fault.RESET, "Connection reset by peer"),
            (Fault.CLOSE_MID_HEADERS, "broke off inside its headers"),
            (Fault.NOT_HTTP, "the answer is not HTTP"),
        ],
    )
    def test_no_answer(
        self, impatient: HTTPClient, receiver: HTTPReceiver, fault: Fault, text: str
    ) -> None:
        """Without a whole header there is no answer; the failure is temporary."""
        receiver.answer([fault])
        started = time.monotonic()

        with pytest.raises(NoAnswer, match=text) as caught:
            post(impatient, f"{receiver.url}/push?key=hidden")
        assert time.monotonic() - started < BOUND
        assert not caught.value.permanent
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize("fault", [Fault.RESET_MID_BODY, Fault.INVALID_CHUNK])
    def test_broken_body(self, client: HTTPClient, receiver: HTTPReceiver, fault: Fault) -> None:
        """A body that breaks off leaves status and text, marked as broken."""
        receiver.answer([fault])
        answer = post(client, receiver.url)

        assert answer.status == 200
        assert answer.broken

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Length": "10, 20"},
            {"Content-Length": "2", "content-length": "7"},
            {"Content-Length": "-5"},
            {"Content-Length": "many"},
            {"Content-Length": "5", "Transfer-Encoding": "chunked"},
            {"Transfer-Encoding": "gzip, chunked"},
        ],
        ids=str,
    )
    def test_badly_framed_body(self, receiver: HTTPReceiver, headers: dict[str, str]) -> None:
        """Whatever the headers say of the body, the status is that of the answer."""
        client = HTTPClient(impatient_settings())
        receiver.answer([(200, headers, b"{}")])

        assert post(client, receiver.url).status == 200
        assert post(client, receiver.url, b"next").status == 200
        client.close()

    @pytest.mark.parametrize("status", [100, 102, 103])
    def test_announcements(self, client: HTTPClient, receiver: HTTPReceiver, status: int) -> None:
        """What only announces an answer is none: the answer is not taken for the next one."""
        receiver.answer([(status, {"Content-Length": ""}, b"HTTP/1.1 503 No\r\nA: b\r\n\r\n"), 201])

        assert post(client, receiver.url).status == 503
        assert post(client, receiver.url).status == 201

    def test_announcements_without_end(self, impatient: HTTPClient) -> None:
        """They end with the attempt."""

        def announce(listener: socket.socket) -> None:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                while True:
                    connection.sendall(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")

        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
            pool.submit(announce, listener)
            with pytest.raises(NoAnswer, match=r"timed out|took too long"):
                post(impatient, address_of(listener))

    def test_switching_protocols(self, client: HTTPClient, receiver: HTTPReceiver) -> None:
        """Nothing is sent any more on a connection that speaks something else now."""
        receiver.answer([(101, {"Upgrade": "x"}, b""), 200])

        assert [post(client, receiver.url).status for _ in range(2)] == [101, 200]
        assert receiver.accepted == 2

    @pytest.mark.parametrize("fault", [Fault.SLOW_BODY, Fault.ENDLESS_BODY])
    def test_long_body(self, impatient: HTTPClient, receiver: HTTPReceiver, fault: Fault) -> None:
        """A body that is too long or too slow costs the connection, not the answer."""
        receiver.answer([fault])
        started = time.monotonic()
        answer = post(impatient, receiver.url)

        assert time.monotonic() - started < BOUND
        assert (answer.status, answer.broken) == (200, "")
        assert 0 < len(answer.text) <= KEPT_BYTES
        receiver.wait_for_connections(0)

    def test_refused(self, client: HTTPClient) -> None:
        """A port where nobody listens is a temporary failure that names it."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        with pytest.raises(NoAnswer, match=f"127.0.0.1:{port}: Connection refused") as caught:
            post(client, f"http://127.0.0.1:{port}/")
        assert not caught.value.permanent

    def test_receiver_that_does_not_read(self, impatient: HTTPClient) -> None:
        """A receiver that takes no data does not hold a large upload for ever."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            started = time.monotonic()
            with pytest.raises(NoAnswer, match="timed out"):
                post(impatient, address_of(listener), b"x" * 20_000_000)

        assert time.monotonic() - started < BOUND

    def test_upload_longer_than_connecting(self, receiver: HTTPReceiver) -> None:
        """The time-out of connecting does not bound the sending of a large body."""
        client = HTTPClient(build_settings(http_connect_timeout=0.3))
        body = b"x" * 20_000_000  # more than the sockets of both ends keep
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
            listening = pool.submit(_read_slowly, listener, len(body), 0.6)
            answer = post(client, address_of(listener), body)

        assert answer.status == 200
        assert listening.result() >= 0.6
        client.close()


def address_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def _read_slowly(listener: socket.socket, size: int, pause: float) -> float:
    """Answer one request of `size` bytes after a pause in the middle; return how long it took."""
    connection, _ = listener.accept()
    started = time.monotonic()
    with connection:
        seen = len(connection.recv(10))
        time.sleep(pause)
        while seen < size:
            seen += len(connection.recv(1 << 16))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    return time.monotonic() - started


Resolver = Callable[..., list[Any]]


def resolver(*addresses: str) -> tuple[Resolver, list[str]]:
    """Return a name service that answers each question with the next address, and its log."""
    asked: list[str] = []

    def resolve(host: str, port: int, **options: Any) -> list[Any]:
        address = addresses[min(len(asked), len(addresses) - 1)]
        asked.append(host)
        return socket.getaddrinfo(address, port, **options)

    return resolve, asked


class TestAddresses:
    """Where connections may go."""

    def test_private_refused(self, receiver: HTTPReceiver) -> None:
        """With the guard on, loopback is refused for good, and nothing connects."""
        client = HTTPClient(build_settings(allow_private_addresses=False))

        with pytest.raises(NoAnswer, match="not allowed") as caught:
            post(client, receiver.url)
        assert caught.value.permanent
        assert receiver.accepted == 0

    def test_private_allowed_by_network(self, receiver: HTTPReceiver) -> None:
        """A network on the list is reached in spite of the guard."""
        client = HTTPClient(
            build_settings(allow_private_addresses=False, allowed_networks=("127.0.0.0/8",))
        )

        assert post(client, receiver.url).status == 200
        client.close()

    def test_name_of_private_address(self, receiver: HTTPReceiver) -> None:
        """A public name that leads to a private address is refused."""
        resolve, _ = resolver("127.0.0.1")
        client = HTTPClient(build_settings(allow_private_addresses=False), resolve=resolve)

        with pytest.raises(NoAnswer, match=r"address of news\.example is not allowed"):
            post(client, f"http://news.example:{receiver.port}/")
        assert receiver.accepted == 0

    def test_rebinding(self, receiver: HTTPReceiver) -> None:
        """The address that was checked is the one connected to: a name is asked for once.

        Delivery contract G2.
        """
        resolve, asked = resolver("127.0.0.1", "127.0.0.2")
        client = HTTPClient(
            build_settings(allow_private_addresses=False, allowed_networks=("127.0.0.1/32",)),
            resolve=resolve,
        )
        first = post(client, f"http://news.example:{receiver.port}/")
        client.close()

        assert first.status == 200
        assert asked == ["news.example"]
        with pytest.raises(NoAnswer, match="not allowed"):
            post(client, f"http://news.example:{receiver.port}/")

    def test_refused_addresses_beside_others(self) -> None:
        """Where one of several addresses is allowed and does not answer, that may pass."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]

        def resolve(host: str, port: int, **options: Any) -> list[Any]:
            return [
                *socket.getaddrinfo("127.0.0.1", port, **options),
                *socket.getaddrinfo("10.0.0.1", port, **options),
            ]

        client = HTTPClient(
            build_settings(allow_private_addresses=False, allowed_networks=("127.0.0.1/32",)),
            resolve=resolve,
        )
        with pytest.raises(NoAnswer, match="Connection refused") as caught:
            post(client, f"http://news.example:{port}/")
        assert not caught.value.permanent

    def test_name_service_that_hangs(self) -> None:
        """A look-up ends with the attempt, and what does not end is bounded in number.

        Delivery contract G7.
        """
        ended = threading.Event()

        def resolve(host: str, port: int, **options: Any) -> list[Any]:
            ended.wait()
            return []

        client = HTTPClient(impatient_settings(), resolve=resolve)
        with ThreadPoolExecutor(MOST_LOOKUPS + 8) as pool:
            asked = [
                pool.submit(post, client, f"http://news{n}.example/")
                for n in range(MOST_LOOKUPS + 8)
            ]
            said = sorted(str(attempt.exception()).partition(": ")[2] for attempt in asked)
        ended.set()

        assert set(said) == {"timed out", f"{MOST_LOOKUPS} other look-ups have not ended"}
        assert said.count("timed out") == MOST_LOOKUPS

    def test_next_address_is_tried(self, receiver: HTTPReceiver) -> None:
        """When the first address of a host refuses, the next is tried."""

        def resolve(host: str, port: int, **options: Any) -> list[Any]:
            # Nobody listens on that port at the second loopback address.
            return [
                *socket.getaddrinfo("127.0.0.2", port, **options),
                *socket.getaddrinfo("127.0.0.1", port, **options),
            ]

        client = HTTPClient(build_settings(), resolve=resolve)

        assert post(client, f"http://news.example:{receiver.port}/").status == 200
        client.close()

    @pytest.mark.parametrize("found", [[], socket.gaierror(-2, "Name or service not known")])
    def test_unknown_host(self, found: Any) -> None:
        """A host without an address is temporary: name services fail too."""

        def resolve(*_: Any, **__: Any) -> list[Any]:
            if isinstance(found, Exception):
                raise found
            return list(found)

        with pytest.raises(NoAnswer, match=r"news\.example") as caught:
            post(HTTPClient(build_settings(), resolve=resolve), "http://news.example/")
        assert not caught.value.permanent

    def test_host_that_is_no_name(self, client: HTTPClient) -> None:
        """A host that cannot be a name is permanent."""
        with pytest.raises(NoAnswer) as caught:
            post(client, f"http://{'a' * 70}.example/")

        assert caught.value.permanent


class TestTLS:
    """Certificates."""

    def test_trusted(self, tmp_path: Path) -> None:
        """A receiver with a trusted certificate is reached, on one connection."""
        server, trust = self_signed(tmp_path)
        client = HTTPClient(build_settings(), tls=trust)
        with HTTPReceiver(tls=server) as receiver:
            statuses = [post(client, receiver.url, b"x" * 100_000).status for _ in range(3)]
            client.close()

            assert statuses == [200, 200, 200]
            assert [len(request.body) for request in receiver.requests] == [100_000] * 3
            assert receiver.accepted == 1

    @pytest.mark.parametrize(
        ("certificate", "trusted", "reason"),
        [
            ({}, False, "self-signed certificate"),
            ({"days": -1}, True, "certificate has expired"),
            ({"address": "127.0.0.9"}, True, "IP address mismatch"),
        ],
    )
    def test_bad_certificate(
        self, tmp_path: Path, certificate: dict[str, Any], trusted: bool, reason: str
    ) -> None:
        """A certificate that is not valid is permanent, and no request is sent."""
        server, trust = self_signed(tmp_path, **certificate)
        client = HTTPClient(build_settings(), tls=trust if trusted else None)
        with HTTPReceiver(tls=server) as receiver:
            with pytest.raises(NoAnswer, match=reason) as caught:
                post(client, receiver.url)

            assert caught.value.permanent
            assert receiver.requests == []

    @pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_HEADERS])
    def test_time_is_bounded(self, tmp_path: Path, fault: Fault) -> None:
        """The time of an attempt is bounded over TLS as well."""
        server, trust = self_signed(tmp_path)
        client = HTTPClient(impatient_settings(), tls=trust)
        with HTTPReceiver([fault], tls=server) as receiver:
            started = time.monotonic()
            with pytest.raises(NoAnswer, match="timed out"):
                post(client, receiver.url)

        assert time.monotonic() - started < BOUND

    def test_hanging_handshake(self, impatient: HTTPClient) -> None:
        """A receiver that never answers the handshake is a temporary failure in bounded time."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            started = time.monotonic()
            with pytest.raises(NoAnswer, match="timed out") as caught:
                post(impatient, f"https://127.0.0.1:{listener.getsockname()[1]}/")

        assert time.monotonic() - started < BOUND
        assert not caught.value.permanent

    def test_plain_receiver(self, impatient: HTTPClient, receiver: HTTPReceiver) -> None:
        """HTTPS to a receiver that speaks plain HTTP is a failure of TLS, told as such."""
        with pytest.raises(NoAnswer, match=r"TLS with|broke|timed out") as caught:
            post(impatient, receiver.url.replace("http://", "https://"))

        assert not caught.value.permanent


def test_deadlines_of_threads_are_their_own() -> None:
    """A slow request in one thread does not shorten the time of another thread's."""
    client = HTTPClient(build_settings(http_read_timeout=4.0, http_total_timeout=4.0))

    def answer(request: Received) -> Any:
        return Fault.HANG if request.path == "/slow" else 200

    with HTTPReceiver(answer) as receiver, ThreadPoolExecutor(2) as pool:
        slow = pool.submit(post, client, f"{receiver.url}/slow")
        receiver.wait_for(1)
        while not slow.done():
            assert post(client, f"{receiver.url}/quick").status == 200

        assert post(client, f"{receiver.url}/quick").status == 200
        assert isinstance(slow.exception(), NoAnswer)
    client.close()
