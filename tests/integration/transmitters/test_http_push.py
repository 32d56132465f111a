"""Delivery type `http_push` against a receiver on loopback."""

import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from apps.core.clock import SystemClock
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from tests.suites.transmitter_suite import (
    KeyFarSide,
    KeySuite,
    NetworkFarSide,
    NetworkSuite,
    ThreadSafeSuite,
    TransmitterSuite,
)
from tests.support.certificates import self_signed
from tests.support.deliveries import (
    BODY,
    MediaStore,
    build_delivery,
    build_destination,
    build_settings,
    impatient_settings,
)
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from transmitters.base import MediaFile, TransmitSettings
from transmitters.http_client import HTTPClient
from transmitters.http_push import (
    LONGEST_WAIT,
    SECONDS_REMEMBERED,
    HTTPPushTransmitter,
    retry_after,
)

TOKEN = "123456789"
SECRETS = tuple("whsec_" + b64encode(bytes([n]) * 32).decode() for n in range(2))
NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)


class StoppedClock:
    """A clock that stands at noon."""

    def now(self) -> datetime:
        return NOON

    def precise(self) -> datetime:
        return NOON


class Timer:
    """Seconds that move when told."""

    now = 50.0

    def __call__(self) -> float:
        return self.now


class PushReceiver(NetworkFarSide, KeyFarSide):
    """A receiver that keeps what it accepts by `webhook-id`."""

    def __init__(self, receiver: HTTPReceiver) -> None:
        self._receiver = receiver
        self._documents: dict[str, bytes] = {}
        self.accept()

    @property
    def config(self) -> dict[str, Any]:
        return {
            "resource_url": f"http://desk:planted-password@127.0.0.1:{self._receiver.port}/push",
            "secret_token": "planted-token",
            "signature_v1": " ".join(SECRETS),
        }

    def documents(self) -> Mapping[str, bytes]:
        return self._documents

    def keys(self) -> list[str]:
        return [request.headers["webhook-id"] for request in self._receiver.requests]

    def accept(self) -> None:
        def keep(request: Received) -> Reply:
            if request.method == "POST":
                self._documents[request.headers["webhook-id"]] = request.body
            return 200

        self._receiver.answer(keep)

    def fail_for_now(self) -> None:
        self._receiver.answer(lambda _: 503)

    def refuse(self) -> None:
        self._receiver.answer(lambda _: 400)

    def hang(self) -> None:
        self._receiver.answer(lambda _: Fault.HANG)

    def reset(self) -> None:
        self._receiver.answer(lambda _: Fault.RESET)

    def fail_saying(self, text: str) -> None:
        self._receiver.answer(lambda _: (500, {}, text.encode()))

    def stop(self) -> None:
        self._receiver.close()

    def assert_let_go(self) -> None:
        self._receiver.wait_for_connections(0)


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    with HTTPReceiver() as receiver:
        yield receiver


class TestSuite(TransmitterSuite, NetworkSuite, KeySuite, ThreadSafeSuite):
    transmitter_class = HTTPPushTransmitter

    @pytest.fixture
    def far_side(self, receiver: HTTPReceiver) -> PushReceiver:
        return PushReceiver(receiver)


class Push:
    """Send to one receiver with different configurations; closes what it has built."""

    def __init__(self, receiver: HTTPReceiver) -> None:
        self.receiver = receiver
        self.built: list[HTTPPushTransmitter] = []

    def to(self, settings: TransmitSettings | None = None, **config: Any) -> HTTPPushTransmitter:
        """Return a transmitter to `/push`, with `/assets` for media if `assets` is true."""
        if config.pop("assets", False):
            config["assets_url"] = f"{self.receiver.url}/assets"
        config.setdefault("resource_url", f"{self.receiver.url}/push")
        destination = build_destination("http_push", **config)
        transmitter = HTTPPushTransmitter(
            destination, settings or build_settings(), clock=StoppedClock()
        )
        self.built.append(transmitter)
        return transmitter

    def failing(self, reply: Reply) -> DeliveryError:
        """Return the error that one reply leads to."""
        self.receiver.answer([reply])
        settings = impatient_settings() if isinstance(reply, Fault) else None
        with pytest.raises(DeliveryError) as caught:
            self.to(settings).send(build_delivery())
        return caught.value


@pytest.fixture
def push(receiver: HTTPReceiver) -> Iterator[Push]:
    push = Push(receiver)
    yield push
    for transmitter in push.built:
        transmitter.close()


class TestItem:
    """What arrives at `resource_url`."""

    def test_request(self, push: Push) -> None:
        """One POST with the formatted bytes, their type, and what the sender accepts."""
        receipt = push.to().send(build_delivery())
        (request,) = push.receiver.requests

        assert receipt.status == 200
        assert (request.method, request.path, request.body) == ("POST", "/push", BODY)
        assert request.headers["content-type"] == "application/json"
        assert request.headers["accept"] == "application/json"

    def test_other_formats(self, push: Push) -> None:
        """Any format can be pushed; its type goes with it and nothing is parsed."""
        push.to(assets=True).send(
            build_delivery(body=b"<nitf/>", media_type="application/nitf+xml")
        )
        (request,) = push.receiver.requests

        assert (request.body, request.headers["content-type"]) == (
            b"<nitf/>",
            "application/nitf+xml",
        )

    def test_without_secrets(self, push: Push) -> None:
        """Without secrets there is no signature; id and time are there all the same."""
        push.to().send(build_delivery(key="key1"))
        headers = push.receiver.requests[0].headers

        assert "x-superdesk-signature" not in headers
        assert "webhook-signature" not in headers
        assert headers["webhook-id"] == "key1"
        assert headers["webhook-timestamp"] == str(int(NOON.timestamp()))

    @pytest.mark.parametrize("body", [b"test payload", b"", "Zoë 🙂".encode(), b"\xff\x00"])
    def test_superdesk_signature(self, push: Push, body: bytes) -> None:
        """The signature is the HMAC-SHA1 of the bytes that arrived."""
        push.to(secret_token=TOKEN).send(build_delivery(body=body))
        (request,) = push.receiver.requests
        digest = hmac.new(TOKEN.encode(), request.body, "sha1").hexdigest()

        assert request.headers["x-superdesk-signature"] == f"sha1={digest}"

    def test_vector_on_the_wire(self, push: Push) -> None:
        """The test vector of delivery contract 5.1 holds on the wire."""
        push.to(secret_token=TOKEN).send(build_delivery(body=b"test payload"))

        assert (
            push.receiver.requests[0].headers["x-superdesk-signature"]
            == "sha1=8be62a607898504f87559cb52dc23f9ebee65a21"
        )

    @pytest.mark.parametrize("known", SECRETS)
    def test_standard_webhook(self, receiver: HTTPReceiver, known: str) -> None:
        """The official verifier accepts the request with either secret, old header and new."""
        destination = build_destination(
            "http_push",
            resource_url=receiver.url,
            secret_token=TOKEN,
            signature_v1=" ".join(SECRETS),
        )
        transmitter = HTTPPushTransmitter(destination, build_settings(), clock=SystemClock())
        transmitter.send(build_delivery())
        transmitter.close()
        (request,) = receiver.requests

        assert Webhook(known).verify(request.body, dict(request.headers)) == orjson.loads(BODY)
        assert "x-superdesk-signature" in request.headers

    def test_bad_webhook_secret(self, push: Push) -> None:
        """A secret that cannot sign is permanent, is not shown, and nothing is sent."""
        with pytest.raises(PermanentFailure, match="signature_v1") as caught:
            push.to(signature_v1="whsec_planted").send(build_delivery())

        assert "planted" not in str(caught.value)
        assert push.receiver.requests == []

    @pytest.mark.parametrize(
        "url", ["", "ftp://127.0.0.1/", "file:///etc/passwd", "http://", "//x", "http://[", 7, None]
    )
    def test_bad_address(self, push: Push, url: object) -> None:
        """An address that is not http or https is permanent."""
        with pytest.raises(PermanentFailure, match="resource_url is not an http") as caught:
            push.to(resource_url=url).send(build_delivery())

        assert caught.value.code == 14000

    def test_shared_client_stays_open(self, receiver: HTTPReceiver) -> None:
        """Destinations that share a client share connections; closing one leaves them open."""
        client = HTTPClient(build_settings())
        destination = build_destination("http_push", resource_url=receiver.url)
        for _ in range(3):
            transmitter = HTTPPushTransmitter(destination, build_settings(), client)
            transmitter.send(build_delivery())
            transmitter.close()

        assert receiver.accepted == 1
        client.close()


def item(*media: str, attachments: tuple[str, ...] = ()) -> bytes:
    """Return a story with a picture that has these renditions."""
    renditions = {f"r{n}": {"media": media_id} for n, media_id in enumerate(media)}
    return orjson.dumps(
        {
            "guid": "urn:newsml:example.com:2026:story",
            "attachments": [{"media": media_id} for media_id in attachments],
            "associations": {"featuremedia": {"renditions": renditions}},
        }
    )


def form_of(request: Received) -> tuple[dict[str, str], dict[str, tuple[str, str, bytes]]]:
    """Return fields and files of a form, read by somebody else's parser."""
    _, fields, files = FormDataParser().parse(
        BytesIO(request.body),
        "multipart/form-data",
        int(request.headers["content-length"]),
        parse_options_header(request.headers["content-type"])[1],
    )
    parts = {}
    for name, file in files.items():
        parts[name] = (str(file.filename), str(file.mimetype), file.read())
        file.close()
    return fields.to_dict(), parts


class Assets:
    """Answers of a receiver that keeps media, as `/assets/<id>` and `/assets`."""

    def __init__(self, *there: str) -> None:
        self.there = set(there)

    def __call__(self, request: Received) -> Reply:
        if request.method == "GET":
            return 200 if request.path.removeprefix("/assets/") in self.there else 404
        if request.path == "/assets":
            fields, _ = form_of(request)
            self.there.add(fields["media_id"])
            return 201
        return 200


def steps(receiver: HTTPReceiver) -> list[str]:
    return [f"{request.method} {request.path}" for request in receiver.requests]


class TestMedia:
    """What arrives at `assets_url`, before the item."""

    store = MediaStore(
        pic=MediaFile("pic.png", "image/png", b"\x89PNG"), doc=MediaFile("doc", None, b"%PDF")
    )

    def test_missing_media_are_uploaded_first(self, push: Push) -> None:
        """Media that the receiver lacks are posted as a form, then the item."""
        push.receiver.answer(Assets())
        delivery = build_delivery(body=item("pic"), open_media=self.store.open)
        push.to(assets=True).send(delivery)
        upload = push.receiver.requests[1]

        assert steps(push.receiver) == ["GET /assets/pic", "POST /assets", "POST /push"]
        assert form_of(upload) == ({"media_id": "pic"}, {"media": ("pic", "image/png", b"\x89PNG")})
        assert upload.body.index(b'name="media_id"') < upload.body.index(b'name="media"')

    def test_unknown_content_type(self, push: Push) -> None:
        """Media of unknown type go as JPEG, as receivers expect."""
        push.receiver.answer(Assets())
        delivery = build_delivery(body=item(attachments=("doc",)), open_media=self.store.open)
        push.to(assets=True).send(delivery)
        _, files = form_of(push.receiver.requests[1])

        assert files["media"] == ("doc", "image/jpeg", b"%PDF")

    def test_present_media_are_not_uploaded(self, push: Push) -> None:
        """Media that the receiver has are neither read nor sent."""
        store = MediaStore()
        push.receiver.answer(Assets("pic"))
        push.to(assets=True).send(build_delivery(body=item("pic"), open_media=store.open))

        assert steps(push.receiver) == ["GET /assets/pic", "POST /push"]
        assert store.opened == []

    def test_known_media_are_not_asked_for_again(self, push: Push) -> None:
        """An instance asks once for media that are there, whether found or uploaded."""
        push.receiver.answer(Assets("pic"))
        transmitter = push.to(assets=True)
        delivery = build_delivery(body=item("pic", "doc"), open_media=self.store.open)
        for _ in range(3):
            transmitter.send(delivery)

        assert steps(push.receiver) == [
            "GET /assets/pic",
            "GET /assets/doc",
            "POST /assets",
            *["POST /push"] * 3,
        ]

    def test_known_media_are_asked_for_again_later(self, receiver: HTTPReceiver) -> None:
        """A receiver may have lost them by then."""
        receiver.answer(Assets("pic"))
        timer = Timer()
        destination = build_destination(
            "http_push", resource_url=f"{receiver.url}/push", assets_url=f"{receiver.url}/assets"
        )
        transmitter = HTTPPushTransmitter(destination, build_settings(), timer=timer)
        for later in (0, SECONDS_REMEMBERED - 1, SECONDS_REMEMBERED):
            timer.now = 50.0 + later
            transmitter.send(build_delivery(body=item("pic"), open_media=self.store.open))
        transmitter.close()

        asked, sent = "GET /assets/pic", "POST /push"
        assert steps(receiver) == [asked, sent, sent, asked, sent]

    def test_without_assets_url(self, push: Push) -> None:
        """Without `assets_url` only the item is sent."""
        push.to().send(build_delivery(body=item("pic"), open_media=self.store.open))

        assert steps(push.receiver) == ["POST /push"]

    def test_signatures_of_uploads(self, push: Push) -> None:
        """The whole form is signed; the question is not; an upload has an id of its own."""
        push.receiver.answer(Assets())
        delivery = build_delivery(key="key1", body=item("pic"), open_media=self.store.open)
        push.to(assets=True, secret_token=TOKEN, signature_v1=SECRETS[0]).send(delivery)
        question, upload, _ = push.receiver.requests
        digest = hmac.new(TOKEN.encode(), upload.body, "sha1").hexdigest()

        assert upload.headers["x-superdesk-signature"] == f"sha1={digest}"
        assert re.fullmatch(r"key1-[0-9a-f]{16}", upload.headers["webhook-id"])
        assert upload.headers["webhook-signature"].startswith("v1,")
        assert "x-superdesk-signature" not in question.headers
        assert "webhook-id" not in question.headers

    def test_upload_fails(self, push: Push) -> None:
        """While an upload fails the item waits; the retry uploads only what is still missing."""
        store = MediaStore(pic=self.store.files["pic"], second=MediaFile("s", "image/gif", b"GIF"))
        assets = Assets()
        full = [(500, {}, b"no space")]

        def fail_second(request: Received) -> Reply:
            if full and b"GIF" in request.body:
                return full.pop()
            return assets(request)

        push.receiver.answer(fail_second)
        delivery = build_delivery(body=item("pic", "second"), open_media=store.open)
        with pytest.raises(TemporaryFailure) as caught:
            push.to(assets=True).send(delivery)
        before = len(push.receiver.requests)
        push.to(assets=True).send(delivery)

        assert caught.value.cause == "Error pushing media file second 500: no space"
        assert caught.value.code == 14002
        assert steps(push.receiver)[before:] == [
            "GET /assets/pic",
            "GET /assets/second",
            "POST /assets",
            "POST /push",
        ]

    @pytest.mark.parametrize(
        ("status", "kind", "code"),
        [
            (403, PermanentFailure, 14001),
            (405, PermanentFailure, 14001),
            (302, TemporaryFailure, 14000),
            (503, TemporaryFailure, 14002),
        ],
    )
    def test_question_fails(
        self, push: Push, status: int, kind: type[DeliveryError], code: int
    ) -> None:
        """Any answer to the question but 2xx and 404 is an error by its class; no item is sent."""
        push.receiver.answer(lambda _: status)
        with pytest.raises(kind, match="media file pic") as caught:
            push.to(assets=True).send(build_delivery(body=item("pic")))

        assert caught.value.code == code
        assert len(push.receiver.requests) == 1

    def test_media_not_stored(self, push: Push) -> None:
        """Media that are not in the store cannot be sent: permanent, and the item stays back."""
        push.receiver.answer(Assets())
        with pytest.raises(PermanentFailure, match="gone: it is not stored here"):
            push.to(assets=True).send(build_delivery(body=item("gone")))

        assert "POST /push" not in steps(push.receiver)

    def test_media_id_in_path(self, push: Push) -> None:
        """Ids are quoted in the path, but for the slashes that stores use in them."""
        push.receiver.answer(Assets())
        store = MediaStore(**{"2026/a b?.jpg": MediaFile("x", "image/jpeg", b"x")})
        transmitter = push.to(assets_url=f"{push.receiver.url}/assets/")
        push.receiver.answer(lambda r: 404 if r.method == "GET" else 201)
        transmitter.send(build_delivery(body=item("2026/a b?.jpg"), open_media=store.open))

        assert steps(push.receiver)[0] == "GET /assets/2026/a%20b%3F.jpg"

    @pytest.mark.parametrize("url", ["ftp://127.0.0.1/", "assets"])
    def test_bad_assets_url(self, push: Push, url: str) -> None:
        """A bad `assets_url` is permanent, and no item is sent without its media."""
        with pytest.raises(PermanentFailure, match="assets_url"):
            push.to(assets_url=url).send(build_delivery())

        assert push.receiver.requests == []


class TestPackages:
    """Members of a package at a destination that wants packages whole."""

    @pytest.mark.parametrize(
        ("inside_package", "packaged", "expected"),
        [
            (None, False, True),
            (None, True, True),
            ("urn:package", False, True),
            ("urn:package", True, False),
        ],
    )
    def test_skip(
        self, push: Push, inside_package: str | None, packaged: bool, expected: bool
    ) -> None:
        """A member is left to its package only where the destination wants packages whole."""
        push.to(packaged=packaged).send(build_delivery(inside_package=inside_package))

        assert bool(push.receiver.requests) is expected

    def test_media_of_a_member(self, push: Push) -> None:
        """The media of a member are sent, though the member is not."""
        push.receiver.answer(Assets())
        delivery = build_delivery(
            body=item("pic"), open_media=TestMedia.store.open, inside_package="urn:package"
        )
        receipt = push.to(assets=True, packaged=True).send(delivery)

        assert steps(push.receiver) == ["GET /assets/pic", "POST /assets"]
        assert receipt.message == "sent inside its package"


TEMPORARY = {408: 14001, 425: 14001, 429: 14001, 301: 14000, 302: 14000, 303: 14000, 304: 14000,
             307: 14000, 308: 14000, 500: 14002, 501: 14002, 502: 14002, 503: 14002, 504: 14002,
             600: 14002}  # fmt: skip
CLASS_NAMES = {
    14000: "PublishHTTPPushError Error 14000 - HTTP push publish error:",
    14001: "PublishHTTPPushClientError Error 14001 - HTTP push publish client error:",
    14002: "PublishHTTPPushServerError Error 14002 - HTTP push publish server error:",
}


LONG = (Fault.SLOW_BODY, Fault.ENDLESS_BODY)
CUT = (Fault.RESET_MID_BODY, Fault.INVALID_CHUNK)


class TestOutcomes:
    """What each answer means (delivery contract 5.1)."""

    @pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 299])
    def test_success(self, push: Push, status: int) -> None:
        """Every 2xx is success."""
        push.receiver.answer([status])

        assert push.to().send(build_delivery()).status == status

    @pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 499])
    def test_permanent(self, push: Push, status: int) -> None:
        """Client errors are permanent."""
        error = push.failing((status, {"Retry-After": "5"}, b"because"))

        assert isinstance(error, PermanentFailure)
        assert (error.code, error.response_status, error.retry_after) == (14001, status, None)
        assert str(error) == f"{CLASS_NAMES[14001]}Error pushing item {status}: because"

    @pytest.mark.parametrize(("status", "code"), TEMPORARY.items())
    def test_temporary(self, push: Push, status: int, code: int) -> None:
        """Server errors, redirects and the three client errors that pass are temporary."""
        error = push.failing(status)

        assert isinstance(error, TemporaryFailure)
        assert (error.code, error.response_status, error.retry_after) == (code, status, None)
        assert str(error).startswith(f"{CLASS_NAMES[code]}Error pushing item {status}: ")

    def test_status_99(self, push: Push) -> None:
        """A status that is none is no answer: temporary."""
        error = push.failing(99)

        assert isinstance(error, TemporaryFailure)
        assert (error.code, error.response_status) == (14000, None)

    def test_redirect_names_its_target(self, push: Push) -> None:
        """A redirect is told with its target, without the query that may hold a key."""
        error = push.failing((302, {"Location": "https://x.example/push?key=1"}, b""))

        assert error.cause == (
            "Error pushing item 302: redirect to https://x.example/push is not followed"
        )

    @pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in LONG + CUT])
    def test_faults(self, push: Push, fault: Fault) -> None:
        """An answer that is missing, or whose headers are incomplete, is temporary."""
        error = push.failing(fault)

        assert isinstance(error, TemporaryFailure)
        assert str(error).startswith(f"{CLASS_NAMES[14000]}Error pushing item")

    @pytest.mark.parametrize("fault", LONG + CUT)
    def test_status_decides(self, push: Push, fault: Fault) -> None:
        """An answer of 200 has said all that matters, whatever comes of its body."""
        push.receiver.answer([fault])

        assert push.to(impatient_settings()).send(build_delivery()).status == 200

    def test_long_text_is_cut(self, push: Push) -> None:
        """The text of an error has at most 1 000 characters."""
        error = push.failing((500, {}, "ä".encode() * 9000))

        assert len(error.cause) == 1000
        assert error.cause.startswith("Error pushing item 500: ää")

    def test_text_is_not_utf8(self, push: Push) -> None:
        """An answer in another encoding is shown as far as it can be read."""
        assert "caf\ufffd" in push.failing((400, {}, b"caf\xe9")).cause

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
    def test_retry_after(self, push: Push, status: int) -> None:
        """Temporary answers may ask for a time."""
        assert push.failing((status, {"Retry-After": "120"}, b"")).retry_after == 120

    def test_bad_certificate_is_permanent(self, tmp_path: Path) -> None:
        """A certificate that is not valid is permanent."""
        server, _ = self_signed(tmp_path)
        with HTTPReceiver(tls=server) as receiver:
            destination = build_destination("http_push", resource_url=receiver.url)
            with pytest.raises(PermanentFailure, match="certificate of 127") as caught:
                HTTPPushTransmitter(destination, build_settings()).send(build_delivery())

        assert caught.value.code == 14000

    def test_refused_address_is_permanent(self, receiver: HTTPReceiver) -> None:
        """A private address is permanent where the settings refuse it."""
        destination = build_destination("http_push", resource_url=receiver.url)
        settings = build_settings(allow_private_addresses=False)
        with pytest.raises(PermanentFailure, match="not allowed"):
            HTTPPushTransmitter(destination, settings).send(build_delivery())

        assert receiver.requests == []


class TestRetryAfter:
    """How long a receiver may ask us to wait."""

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("0", 0),
            ("120", 120),
            (" 7 ", 7),
            ("21600", LONGEST_WAIT),
            ("21601", LONGEST_WAIT),
            ("9" * 5000, LONGEST_WAIT),
            (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90),
            ("Wed, 04 Mar 2026 13:01:00 +0100", 60),
            ("Wed, 04 Mar 2026 12:01:00 -0000", 60),
            (format_datetime(NOON - timedelta(days=1)), 0),
            (format_datetime(NOON + timedelta(days=1)), LONGEST_WAIT),
            (None, None),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("1e3", None),
            ("٣", None),
            ("nan", None),
            ("Wed, 99 Mar 2026 12:01:00 GMT", None),
        ],
    )
    def test_values(self, header: str | None, seconds: float | None) -> None:
        """Seconds and dates count, up to six hours; junk counts as absent."""
        assert retry_after(header, NOON) == seconds

    @given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ [-+]\d+"))
    def test_junk(self, header: str) -> None:
        """Whatever the header, the answer is a wait within bounds or none."""
        seconds = retry_after(header, NOON)

        assert seconds is None or 0 <= seconds <= LONGEST_WAIT
