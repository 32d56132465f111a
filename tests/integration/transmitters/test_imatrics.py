"""Delivery type `imatrics` against a look-alike of the service."""

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

import orjson
import pytest

from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from tests.suites.transmitter_suite import (
    KeyFarSide,
    KeySuite,
    NetworkFarSide,
    NetworkSuite,
    ThreadSafeSuite,
    TransmitterSuite,
)
from tests.support.deliveries import (
    build_delivery,
    build_destination,
    build_settings,
    impatient_settings,
)
from tests.support.imatrics_service import KEY, PATH, USER, IMatricsService, basic
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from transmitters.base import TransmitSettings
from transmitters.imatrics import IMatricsTransmitter

ARTICLE = {
    "uuid": "urn:newsml:example.com:2026:story",
    "createdTimestamp": "2026-03-04T11:00:00+00:00",
    "latestVersionTimestamp": "2026-03-04T12:00:00+00:00",
    "publicationTimestamp": "2026-03-04T12:00:00+00:00",
    "authors": ["Zoë Nováková"],
    "language": "en",
    "pubStatus": True,
    "headline": "Harbour reopens",
    "preamble": "",
    "dateline": "PORT",
    "body": ["All clear."],
    "concepts": [{"type": "topic", "title": "Storms", "uuid": "c-1"}],
}


class Service(NetworkFarSide, KeyFarSide):
    """A service that takes any bytes, and tells articles apart by the key of their delivery."""

    def __init__(self, receiver: HTTPReceiver) -> None:
        self.receiver = receiver
        self.kept: dict[str, bytes] = {}
        self.accept()

    @property
    def config(self) -> dict[str, Any]:
        return {}

    def documents(self) -> Mapping[str, bytes]:
        return self.kept

    def keys(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self.receiver.requests]

    def accept(self) -> None:
        def keep(request: Received) -> Reply:
            if request.method == "POST":
                self.kept[request.headers["webhook-id"]] = request.body
            return 200

        self.receiver.answer(keep)

    def fail_for_now(self) -> None:
        self.receiver.answer(lambda _: 503)

    def refuse(self) -> None:
        self.receiver.answer(lambda _: 400)

    def hang(self) -> None:
        self.receiver.answer(lambda _: Fault.HANG)

    def reset(self) -> None:
        self.receiver.answer(lambda _: Fault.RESET)

    def fail_saying(self, text: str) -> None:
        self.receiver.answer(lambda _: (500, {}, text.encode()))

    def stop(self) -> None:
        self.receiver.close()

    def assert_let_go(self) -> None:
        self.receiver.wait_for_connections(0)


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    with HTTPReceiver() as receiver:
        yield receiver


def build(
    receiver: HTTPReceiver, base: TransmitSettings | None = None, **changes: Any
) -> IMatricsTransmitter:
    """Return a transmitter to the receiver, of which the settings tell."""
    service = {
        "imatrics_url": f"{receiver.url}/api",
        "imatrics_user": USER,
        "imatrics_key": KEY,
    }
    settings = replace(base or build_settings(), **{**service, **changes})
    return IMatricsTransmitter(build_destination("imatrics"), settings)


class TestSuite(TransmitterSuite, NetworkSuite, KeySuite, ThreadSafeSuite):
    transmitter_class = IMatricsTransmitter

    @pytest.fixture
    def far_side(self, receiver: HTTPReceiver) -> Service:
        return Service(receiver)

    @pytest.fixture(autouse=True)
    def _receiver_of_settings(self, receiver: HTTPReceiver) -> None:
        self.receiver = receiver

    def build(self, settings: TransmitSettings, config: Mapping[str, Any]) -> IMatricsTransmitter:
        return build(self.receiver, settings)

    @pytest.mark.parametrize("value", ["imatrics", "ftp://127.0.0.1/", "http://", "http://[1"])
    def test_bad_config_is_permanent(
        self, far_side: Any, settings: TransmitSettings, value: Any
    ) -> None:
        """There is no config; a setting that is no address is told as one."""
        with pytest.raises(PermanentFailure) as caught:
            send(self.receiver, imatrics_url=value)
        assert "IMATRICS_BASE_URL" in caught.value.cause


@pytest.fixture
def service(receiver: HTTPReceiver) -> IMatricsService:
    """The service itself."""
    service = IMatricsService()
    receiver.answer(service)
    return service


def send(receiver: HTTPReceiver, article: Any = ARTICLE, **changes: Any) -> int | None:
    """Deliver an article, and return the status of the answer."""
    base = changes.pop("base", None)
    with closing(build(receiver, base, **changes)) as sender:
        return sender.send(build_delivery(body=orjson.dumps(article))).status


def failing(receiver: HTTPReceiver, reply: Reply, **changes: Any) -> DeliveryError:
    """Return the failure that a reply leads to."""
    receiver.answer([reply])
    with pytest.raises(DeliveryError) as caught:
        send(receiver, base=impatient_settings(), **changes)
    return caught.value


class TestService:
    """As the service wants it."""

    def test_article_is_stored(self, receiver: HTTPReceiver, service: IMatricsService) -> None:
        assert send(receiver) == 200

        assert {ARTICLE["uuid"]: ARTICLE} == service.articles

    @pytest.mark.parametrize("tail", ["", "/", "//", "  "])
    def test_address(self, receiver: HTTPReceiver, service: IMatricsService, tail: str) -> None:
        """Whether the setting ends in a slash or not."""
        send(receiver, imatrics_url=f"{receiver.url}/api{tail}")

        assert [PATH] == [request.path for request in receiver.requests]

    @pytest.mark.parametrize("status", [200, 404, 405, 501])
    def test_connection_test_asks_for_the_head_alone(
        self, receiver: HTTPReceiver, status: int
    ) -> None:
        """Whoever takes no HEAD is there all the same."""
        receiver.answer(lambda request: status)
        settings = TransmitSettings(imatrics_url=receiver.url, imatrics_user=USER, imatrics_key=KEY)

        with closing(IMatricsTransmitter(build_destination("imatrics"), settings)) as transmitter:
            assert str(status) in transmitter.test_connection()

        assert [(request.method, request.body) for request in receiver.requests] == [("HEAD", b"")]

    def test_newer_version_replaces(self, receiver: HTTPReceiver, service: IMatricsService) -> None:
        """By its uuid."""
        send(receiver)
        send(receiver, {**ARTICLE, "headline": "Harbour closes again"})

        assert [a["headline"] for a in service.articles.values()] == ["Harbour closes again"]

    @pytest.mark.parametrize(
        ("changes", "status"),
        [({"imatrics_key": "other"}, 401), ({"imatrics_url": "{url}/v2"}, 404)],
    )
    def test_refused(
        self, receiver: HTTPReceiver, service: IMatricsService, changes: Any, status: int
    ) -> None:
        """For good, and with what the service says."""
        changes = {name: value.format(url=receiver.url) for name, value in changes.items()}
        with pytest.raises(PermanentFailure) as caught:
            send(receiver, **changes)

        assert caught.value.response_status == status
        assert caught.value.cause.startswith(f"Error storing article {status}: ")

    @pytest.mark.parametrize("article", [[], {}, {**ARTICLE, "pubStatus": "yes"}, "text", None])
    def test_no_article(
        self, receiver: HTTPReceiver, service: IMatricsService, article: Any
    ) -> None:
        """What another format has made."""
        with pytest.raises(PermanentFailure):
            send(receiver, article)

        assert service.articles == {}


class TestAnswers:
    @pytest.mark.parametrize("status", [201, 202, 204, 301, 302, 408, 425, 429, 500, 503, 599])
    def test_tried_again(self, receiver: HTTPReceiver, status: int) -> None:
        """Only 200 says that the article is stored."""
        failure = failing(receiver, status)

        assert isinstance(failure, TemporaryFailure)
        assert failure.response_status == status

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422])
    def test_given_up(self, receiver: HTTPReceiver, status: int) -> None:
        assert isinstance(failing(receiver, status), PermanentFailure)

    @pytest.mark.parametrize("status", [429, 503])
    def test_waits_as_asked(self, receiver: HTTPReceiver, status: int) -> None:
        failure = failing(receiver, (status, {"Retry-After": "120"}, b""))

        assert failure.retry_after == 120

    @pytest.mark.parametrize(
        "fault", [Fault.CLOSE, Fault.CLOSE_MID_HEADERS, Fault.NOT_HTTP, Fault.SLOW_HEADERS]
    )
    def test_no_answer(self, receiver: HTTPReceiver, fault: Fault) -> None:
        assert isinstance(failing(receiver, fault), TemporaryFailure)

    @pytest.mark.parametrize(
        "fault", [Fault.RESET_MID_BODY, Fault.INVALID_CHUNK, Fault.ENDLESS_BODY, Fault.SLOW_BODY]
    )
    def test_status_decides(self, receiver: HTTPReceiver, fault: Fault) -> None:
        """Whatever comes of the body behind a 200."""
        receiver.answer([fault])

        assert send(receiver, base=impatient_settings()) == 200


class TestSettings:
    @pytest.mark.parametrize("name", ["imatrics_url", "imatrics_user", "imatrics_key"])
    def test_not_set_up(self, receiver: HTTPReceiver, name: str) -> None:
        """Waits until it is; nothing is sent without credentials."""
        for value in (None, ""):
            with pytest.raises(TemporaryFailure) as caught:
                send(receiver, **{name: value})
            assert "IMATRICS_" in caught.value.cause
            assert caught.value.is_ours

        assert receiver.requests == []

    def test_preview(self, receiver: HTTPReceiver) -> None:
        """Shows all but the credentials."""
        with closing(build(receiver)) as sender:
            preview = sender.preview(build_delivery())

        assert preview.address == f"{receiver.url}{PATH}"
        assert preview.headers["Authorization"] == "Basic ****"
        assert preview.headers["webhook-id"] == build_delivery().key
        assert receiver.requests == []

    def test_private_addresses(self, receiver: HTTPReceiver) -> None:
        """Are refused where the settings say so, as by other types."""
        with pytest.raises(PermanentFailure) as caught:
            send(receiver, allow_private_addresses=False)

        assert "is not allowed" in caught.value.cause

    def test_no_key_is_shown(self, receiver: HTTPReceiver) -> None:
        """Neither as it is nor as HTTP writes it, nor where settings are logged."""
        said = f"{KEY} {basic(USER, KEY)}"
        failure = failing(receiver, (500, {}, said.encode()))

        assert failure.cause == "Error storing article 500: **** ****"
        with closing(build(receiver)) as sender:
            assert KEY not in repr(sender.settings)
