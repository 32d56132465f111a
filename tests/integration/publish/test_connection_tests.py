"""Tests of destinations, against real servers (delivery contract 7.2)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.destinations import connection_tests
from tests.support.clients import Client
from tests.support.ftp_server import FTPReceiver, files_in
from tests.support.mailbox import Mailbox
from tests.support.newsdesk import Newsdesk
from tests.support.newsroom import file_in, push
from tests.support.receivers import Fault, HTTPReceiver
from tests.support.sftp_server import SFTPReceiver

PLANTED = "planted-9f0a"


@pytest.fixture
def settings(settings: dict[str, Any]) -> dict[str, Any]:
    """A receiver that says nothing is waited for as long as a busy machine needs, and no longer."""
    return {**settings, "HTTP_PUSH_TIMEOUT": (5, 5)}


def destination(type: str, **config: Any) -> Document:
    return {"_id": "d", "name": "Daily", "format": "ninjs", "delivery_type": type, "config": config}


def asked(desk: Newsdesk, wanted: Document) -> Any:
    """Return the answer to a test of a destination."""
    subscriber = desk.newsroom.subscriber("s", wanted)
    return desk.client.post(f"subscribers/{subscriber}/destinations/{wanted['_id']}/test", {})


def outcome(desk: Newsdesk, wanted: Document) -> Document:
    answer = asked(desk, wanted)
    assert answer.status_code == 200, answer.text
    assert PLANTED not in answer.text
    return dict(answer.get_json())


def failed(desk: Newsdesk, wanted: Document) -> Document:
    """Return what has failed, which says whose destination it is, and what to do."""
    found = outcome(desk, wanted)
    assert found["is_ok"] is False
    assert found["message"].startswith(f"Destination {wanted['name']}: ")
    assert found["next_step"].endswith("test it again.")
    return found


class TestHTTPPush:
    @pytest.mark.parametrize("status", [200, 204, 400, 404, 405, 415, 422, 429, 501])
    def test_asks_for_no_more_than_the_head(
        self, desk: Newsdesk, receiver: HTTPReceiver, status: int
    ) -> None:
        """Whoever takes POST only may refuse that. Nothing is posted, whatever is answered."""
        receiver.answer(lambda request: status)
        wanted = push(receiver.url, secret_token=PLANTED, assets_url=f"{receiver.url}/assets")

        found = outcome(desk, wanted)

        assert {(r.method, r.body) for r in receiver.requests} == {("HEAD", b"")}
        assert found["is_ok"] is True
        assert len(receiver.requests) == 2
        signature = {"x-superdesk-signature", "webhook-id", "webhook-timestamp"}
        assert all(signature <= request.headers.keys() for request in receiver.requests)

    @pytest.mark.parametrize(
        ("reply", "said"),
        [
            (401, "refuses who sends"),
            (403, "refuses who sends"),
            (410, "410"),
            (500, "500"),
            (503, "503"),
            ((302, {"Location": "/elsewhere"}, b""), "redirect to /elsewhere"),
            (Fault.CLOSE, "without an answer"),
            (Fault.RESET, "reset"),
            (Fault.NOT_HTTP, "not HTTP"),
            (Fault.HANG, "timed out"),
        ],
        ids=str,
    )
    def test_says_what_would_keep_deliveries_away(
        self, desk: Newsdesk, receiver: HTTPReceiver, reply: Any, said: str
    ) -> None:
        receiver.answer(lambda request: reply)

        found = failed(desk, push(receiver.url, secret_token=PLANTED))

        assert said in found["message"]

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"resource_url": "http://user:planted-9f0a@127.0.0.1:9/"}, "refused"),
            ({"resource_url": "http://nowhere.invalid/planted-9f0a"}, "nowhere.invalid"),
            ({"resource_url": "ftp://x"}, "not an http or https address"),
            ({"resource_url": "http://127.0.0.1:9", "signature_v1": PLANTED}, "signature_v1"),
        ],
        ids=str,
    )
    def test_says_what_is_wrong_with_the_destination(
        self, desk: Newsdesk, config: Document, said: str
    ) -> None:
        assert said in failed(desk, destination("http_push", **config))["message"]


class TestFile:
    def test_leaves_nothing_behind(self, desk: Newsdesk, tmp_path: Path) -> None:
        assert outcome(desk, file_in(tmp_path))["is_ok"] is True
        assert list(tmp_path.iterdir()) == []

    def test_says_that_there_is_no_directory(self, desk: Newsdesk, tmp_path: Path) -> None:
        found = failed(desk, {**file_in(tmp_path / "missing"), "name": "Daily"})

        assert "No such file or directory" in found["message"]


@pytest.fixture
def ftp(tmp_path: Path) -> Iterator[FTPReceiver]:
    with FTPReceiver(tmp_path) as server:
        yield server


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[SFTPReceiver]:
    with SFTPReceiver(tmp_path) as server:
        yield server


class TestUploads:
    def test_ftp_logs_in_and_tries_both_directories(
        self, desk: Newsdesk, ftp: FTPReceiver, tmp_path: Path
    ) -> None:
        """No file has a name that others pick up, and none stays."""
        wanted = {**ftp.config, "path": "in", "push_associated": True, "associated_path": "media"}

        assert outcome(desk, destination("ftp", **wanted))["is_ok"] is True

        assert files_in(tmp_path) == {}
        assert len(ftp.names("STOR")) == 2
        assert all(name.startswith(".test-") for name in ftp.names("STOR"))
        assert ftp.names("RNTO") == []
        ftp.assert_no_connections()

    @pytest.mark.parametrize(
        ("behaviour", "said"),
        [
            ({"PASS": "530 planted-9f0a is wrong."}, "check username and password: 530"),
            ({"STOR": "553 Not here."}, "553"),
            ({"DELE": "550 Not allowed."}, "cannot be removed"),
            ({"CONNECT": "421 Too many."}, "421"),
        ],
        ids=str,
    )
    def test_ftp_says_what_the_server_does_not_do(
        self, desk: Newsdesk, ftp: FTPReceiver, behaviour: Mapping[str, str], said: str
    ) -> None:
        ftp.behave(**behaviour)
        config = {**ftp.config, "password": PLANTED} if "PASS" in behaviour else ftp.config

        assert said in failed(desk, destination("ftp", **config))["message"]
        ftp.assert_no_connections()

    def test_sftp_logs_in_and_writes(
        self, desk: Newsdesk, sftp: SFTPReceiver, tmp_path: Path
    ) -> None:
        assert outcome(desk, destination("sftp", **sftp.config))["is_ok"] is True

        assert files_in(tmp_path) == {}
        assert "write" in sftp.requests
        sftp.assert_no_connections()

    def test_sftp_shows_the_host_key_that_is_missing(
        self, desk: Newsdesk, sftp: SFTPReceiver
    ) -> None:
        """Whoever sets the destination up learns it before the first delivery fails."""
        config = {**sftp.config, "host_key": ""}

        found = failed(desk, destination("sftp", **config))

        assert sftp.config["host_key"].split()[1] in found["message"]


class TestEmail:
    def config(self, box: Mailbox, **more: Any) -> Document:
        server = {
            "host": "127.0.0.1",
            "port": box.port,
            "security": "none",
            "sender": "a@x.example",
        }
        return {"recipients": "a@one.example; b@one.example", **server, **more}

    def test_offers_no_mail(self, desk: Newsdesk) -> None:
        with Mailbox() as box:
            found = outcome(desk, destination("email", **self.config(box)))

            assert found["is_ok"] is True
            assert (box.conversations, box.received, box.senders) == (1, [], [])

    def test_says_that_the_login_is_refused(self, desk: Newsdesk) -> None:
        with Mailbox(user=("desk", "right")) as box:
            login = {"username": "desk", "password": PLANTED}
            found = failed(desk, destination("email", **self.config(box, **login)))

        assert "535" in found["message"] or "not support" in found["message"]

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"recipients": "nobody"}, "no address: nobody"),
            ({"recipients": ""}, "Recipient could not be found"),
            ({"sender": "x"}, "the sender x is no address"),
            ({"port": 9}, "cannot connect"),
        ],
        ids=str,
    )
    def test_says_what_is_wrong_with_the_destination(
        self, desk: Newsdesk, config: Document, said: str
    ) -> None:
        with Mailbox() as box:
            found = failed(desk, destination("email", **self.config(box, **config)))

        assert said in found["message"]


class TestBounds:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "HTTP_PUSH_TIMEOUT": (5, 30)}

    @pytest.fixture
    def slow(self, monkeypatch: Any, receiver: HTTPReceiver) -> Iterator[Callable[[], None]]:
        """A receiver that answers when it is told to; tests wait for less than for that."""
        release = Event()

        def answer(request: Any) -> int:
            release.wait(30)
            return 200

        receiver.answer(answer)
        monkeypatch.setattr(connection_tests, "SECONDS", 0.05)
        yield release.set
        release.set()

    def test_nobody_waits_for_long(
        self, desk: Newsdesk, receiver: HTTPReceiver, slow: Callable[[], None]
    ) -> None:
        """Whatever the receiver does."""
        assert "no outcome within" in failed(desk, {**push(receiver.url), "name": "x"})["message"]

    def test_few_are_tested_at_a_time(
        self, desk: Newsdesk, receiver: HTTPReceiver, slow: Callable[[], None]
    ) -> None:
        """Those that nobody waits for any more are counted, too."""
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        path = f"subscribers/{subscriber}/destinations/push/test"

        codes = [desk.client.post(path, {}).status_code for _ in range(5)]
        busy = desk.client.post(path, {})

        assert codes == [200] * connection_tests.AT_ONCE + [429]
        assert busy.headers["Retry-After"] == "5"


class TestRefusals:
    @pytest.mark.parametrize("type", ["PublicArchive", "wordpress", "content_api"])
    def test_of_types_without_a_test(self, desk: Newsdesk, type: str) -> None:
        answer = asked(desk, destination(type))

        assert answer.status_code == 409
        assert type in answer.get_json()["_message"]

    def test_of_a_body(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))
        path = f"subscribers/{subscriber}/destinations/push/test"

        assert desk.client.post(path, {"write": True}).status_code == 400
        assert receiver.requests == []

    def test_without_the_privilege(
        self, desk: Newsdesk, editor: Client, receiver: HTTPReceiver
    ) -> None:
        subscriber = desk.newsroom.subscriber("s", push(receiver.url))

        answer = editor.post(f"subscribers/{subscriber}/destinations/push/test", {})

        assert (answer.status_code, receiver.requests) == (403, [])

    def test_of_a_secret_that_no_key_opens(self, desk: Newsdesk, receiver: HTTPReceiver) -> None:
        wanted = push(receiver.url, secret_token="enc:v1:nonsense")

        found = outcome(desk, wanted)

        assert (found["is_ok"], receiver.requests) == (False, [])
        assert "secret_token" in found["message"]


def test_what_waits_is_left_alone(desk: Newsdesk, graph: Graph, receiver: HTTPReceiver) -> None:
    """Neither rows nor the lane know of a test, not even of one that fails."""
    receiver.answer(lambda request: 503)
    subscriber = desk.newsroom.subscriber("s", push(receiver.url))
    desk.published()
    graph.enqueue.run()
    before = desk.rows(), list(desk.db["publish_lanes"].find())

    desk.client.post(f"subscribers/{subscriber}/destinations/push/test", {})

    assert (desk.rows(), list(desk.db["publish_lanes"].find())) == before


class TestGuard:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "TRANSMIT_ALLOW_PRIVATE_ADDRESSES": False}

    def test_addresses_that_are_not_allowed_are_not_asked(
        self, desk: Newsdesk, receiver: HTTPReceiver
    ) -> None:
        """The guard of deliveries is that of tests."""
        found = failed(desk, {**push(receiver.url), "name": "Daily"})

        assert "is not allowed" in found["message"]
        assert receiver.requests == []

    @pytest.mark.parametrize(
        ("type", "config", "key"),
        [
            ("http_push", {"resource_url": "http://2130706433/push"}, "resource_url"),
            (
                "http_push",
                {"resource_url": "http://x.example", "assets_url": "http://[::1]/"},
                "assets_url",
            ),
            ("ftp", {"host": "localhost"}, "host"),
            ("sftp", {"host": "0x7f.1"}, "host"),
            ("email", {"recipients": "a@example.com", "host": "169.254.169.254"}, "host"),
            ("amazon_sqs_fifo", {"endpoint_url": "https://[::ffff:10.0.0.1]:9"}, "endpoint_url"),
        ],
        ids=str,
    )
    def test_addresses_that_are_not_allowed_are_not_saved(
        self, desk: Newsdesk, type: str, config: Document, key: str
    ) -> None:
        """What needs no look-up is told at once, whatever the notation (delivery contract G3)."""
        stored = desk.newsroom.subscriber("s", is_active=False)
        changes = {"destinations": [destination(type, **config)]}

        answer = desk.client.patch(f"subscribers/{stored}", changes)

        assert answer.status_code == 400
        issue = answer.get_json()["_issues"]["destinations"]["0"]["config"][key]
        assert "is not allowed" in issue
        assert "Name a host that is" in issue
