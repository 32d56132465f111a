"""Delivery type `amazon_sqs_fifo` against moto, by way of a receiver on loopback."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from apps.core.caller import Caller
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
    BODY,
    build_delivery,
    build_destination,
    build_settings,
    impatient_settings,
)
from tests.support.receivers import Fault, HTTPReceiver, Received, Reply
from tests.support.sqs_queue import KEYS, SQSQueue
from transmitters.amazon_sqs_fifo import (
    LONGEST_MESSAGE,
    SQSTransmitter,
    _session,
    deduplication_id,
)
from transmitters.base import Delivery, Receipt, TransmitSettings

SEND = "AmazonSQS.SendMessage"


def refusal(status: int, code: str, text: str = "no") -> Reply:
    """Return an answer as the service refuses a request."""
    return status, {}, json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": text}).encode()


class QueueSide(NetworkFarSide, KeyFarSide):
    """A queue, and the receiver on the way to it."""

    def __init__(self, queue: SQSQueue, receiver: HTTPReceiver) -> None:
        self.queue = queue
        self.receiver = receiver
        self.accept()

    @property
    def config(self) -> dict[str, Any]:
        return self.queue.config(endpoint_url=self.receiver.url)

    def documents(self) -> Mapping[str, bytes]:
        return {one["MessageId"]: one["Body"].encode() for one in self.queue.messages()}

    def keys(self) -> list[str]:
        sent = [r for r in self.receiver.requests if r.headers["x-amz-target"] == SEND]
        return [request.json()["MessageDeduplicationId"] for request in sent]

    def accept(self) -> None:
        self.receiver.answer(self.queue.forward)

    def fail_for_now(self) -> None:
        self.receiver.answer(lambda _: 503)

    def refuse(self) -> None:
        self.receiver.answer(lambda _: refusal(400, "InvalidMessageContents"))

    def hang(self) -> None:
        self.receiver.answer(lambda _: Fault.HANG)

    def reset(self) -> None:
        self.receiver.answer(lambda _: Fault.RESET)

    def fail_saying(self, text: str) -> None:
        self.receiver.answer(lambda _: refusal(500, "InternalError", text))

    def stop(self) -> None:
        self.receiver.close()

    def assert_let_go(self) -> None:
        self.receiver.wait_for_connections(0)


@pytest.fixture
def receiver() -> Iterator[HTTPReceiver]:
    with HTTPReceiver() as receiver:
        yield receiver


@pytest.fixture
def queue(moto: str) -> SQSQueue:
    return SQSQueue(moto)


@pytest.fixture
def far_side(queue: SQSQueue, receiver: HTTPReceiver) -> QueueSide:
    return QueueSide(queue, receiver)


class TestSuite(TransmitterSuite, NetworkSuite, KeySuite, ThreadSafeSuite):
    transmitter_class = SQSTransmitter

    @pytest.fixture
    def far_side(self, queue: SQSQueue, receiver: HTTPReceiver) -> QueueSide:
        return QueueSide(queue, receiver)

    @pytest.mark.parametrize(
        "body", [b"\r\n.\r\n\t", "Zoë 新聞 🙂".encode(), b"x" * 1_000_000, b'"\\u0000"']
    )
    def test_bytes_are_untouched(
        self, transmitter: SQSTransmitter, far_side: QueueSide, body: bytes
    ) -> None:
        """Those of texts: a message is nothing else."""
        transmitter.send(build_delivery(body=body))

        assert [body] == list(far_side.documents().values())


def send(
    config: Mapping[str, Any],
    delivery: Delivery | None = None,
    settings: TransmitSettings | None = None,
) -> Receipt:
    """Deliver once, by a transmitter of its own."""
    destination = build_destination("amazon_sqs_fifo", **config)
    with closing(SQSTransmitter(destination, settings or build_settings())) as sender:
        return sender.send(delivery or build_delivery())


def failing(config: Mapping[str, Any], *more: Any) -> DeliveryError:
    """Return the failure of a delivery."""
    with pytest.raises(DeliveryError) as caught:
        send(config, *more)
    return caught.value


class TestMessage:
    """What a reader of the queue gets."""

    def test_message(self, queue: SQSQueue) -> None:
        receipt = send(queue.config())

        (message,) = queue.messages()
        assert message["Body"].encode() == BODY
        assert message["Attributes"]["MessageGroupId"] == "wire"
        assert message["Attributes"]["MessageDeduplicationId"] == build_delivery().key
        assert (receipt.status, receipt.external_id) == (200, message["MessageId"])

    def test_order(self, queue: SQSQueue) -> None:
        """Messages of the group are read as they were sent."""
        for number in range(12):
            body = str(number).encode()
            send(queue.config(), build_delivery(key=f"key{number}", body=body))

        assert [str(number) for number in range(12)] == queue.bodies()

    def test_repeat_is_dropped(self, queue: SQSQueue, far_side: QueueSide) -> None:
        """By the queue itself, also where the answer was lost (delivery scenario 36)."""

        def lose(request: Received) -> Reply:
            queue.forward(request)
            return Fault.RESET

        config = {**far_side.config, "queue_name": queue.url}
        far_side.receiver.answer(lose)
        failure = failing(config)
        far_side.accept()
        send(config, build_delivery(attempt=2))

        assert (failure.code, type(failure)) == (15000, TemporaryFailure)
        assert len(queue.messages()) == 1
        assert far_side.keys() == [build_delivery().key] * 2

    @pytest.mark.parametrize("key", ["k" * 129, "two words", "clé", "", "\ud800"])
    def test_key_that_is_no_id(self, queue: SQSQueue, key: str) -> None:
        """Gets one that is, the same on every retry."""
        for attempt in (1, 2):
            send(queue.config(), build_delivery(key=key, attempt=attempt))

        (message,) = queue.messages()
        assert message["Attributes"]["MessageDeduplicationId"] == deduplication_id(key)
        assert len(deduplication_id(key)) == 64

    def test_queue_is_asked_for_once(self, queue: SQSQueue, far_side: QueueSide) -> None:
        destination = build_destination("amazon_sqs_fifo", **far_side.config)
        with closing(SQSTransmitter(destination, build_settings())) as sender:
            for number in range(3):
                sender.send(build_delivery(key=str(number)))

        targets = [request.headers["x-amz-target"] for request in far_side.receiver.requests]
        assert ["AmazonSQS.GetQueueUrl", SEND, SEND, SEND] == targets
        assert far_side.receiver.accepted == 1

    def test_queue_by_its_url(self, queue: SQSQueue, far_side: QueueSide) -> None:
        """Nothing is asked for, and the service is where the URL says."""
        send(queue.config(queue_name=queue.url, endpoint_url=""))
        send(
            queue.config(
                queue_name=f"{far_side.receiver.url}/123456789012/{queue.name}", endpoint_url=None
            ),
            build_delivery(key="other"),
        )

        assert len(queue.messages()) == 2
        assert [SEND] == [r.headers["x-amz-target"] for r in far_side.receiver.requests]

    def test_requests_are_signed(self, far_side: QueueSide) -> None:
        """With the keys of the destination, whatever the environment says."""
        send(far_side.config)

        for request in far_side.receiver.requests:
            assert f"Credential={KEYS['access_key_id']}/" in request.headers["authorization"]
            assert "/eu-west-1/sqs/aws4_request" in request.headers["authorization"]
            assert KEYS["secret_access_key"] not in str(request)

    def test_environment_is_not_asked(
        self, queue: SQSQueue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """It may be that of another use of Amazon's services on the same machine."""
        profiles = tmp_path / "config"
        profiles.write_text("[profile other]\nregion = no where\nsqs =\n  endpoint_url = x\n")
        for name, value in {
            "AWS_CONFIG_FILE": str(profiles),
            "AWS_PROFILE": "missing",
            "AWS_DEFAULT_REGION": "no where",
            "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
            "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:1",
            "AWS_SESSION_TOKEN": "other",
            "AWS_USE_FIPS_ENDPOINT": "true",
            "AWS_USE_DUALSTACK_ENDPOINT": "true",
            "AWS_CA_BUNDLE": "/nowhere",
            "HTTP_PROXY": "http://127.0.0.1:1",
        }.items():
            monkeypatch.setenv(name, value)
        _session.cache_clear()

        send(queue.config())

        assert len(queue.messages()) == 1
        _session.cache_clear()


class TestWithoutSending:
    def test_preview(self, queue: SQSQueue) -> None:
        destination = build_destination("amazon_sqs_fifo", **queue.config())
        preview = SQSTransmitter(destination, build_settings()).preview(build_delivery())

        assert (preview.body, preview.address) == (BODY, queue.name)
        assert preview.headers == {
            "MessageGroupId": "wire",
            "MessageDeduplicationId": build_delivery().key,
        }
        assert queue.messages() == []

    def ask(self, config: Mapping[str, Any]) -> str:
        """Return what a test of the connection says."""
        destination = build_destination("amazon_sqs_fifo", **config)
        with closing(SQSTransmitter(destination, build_settings())) as sender:
            return sender.test_connection()

    def test_connection_is_tested(self, queue: SQSQueue) -> None:
        """By name or by URL."""
        for config in (queue.config(), queue.config(queue_name=queue.url)):
            assert self.ask(config) == "the service knows the queue"
        for name in ("none.fifo", f"{queue.url}x"):
            with pytest.raises(TemporaryFailure, match="does not exist"):
                self.ask(queue.config(queue_name=name))

    def test_user_who_may_only_send(self, far_side: QueueSide, queue: SQSQueue) -> None:
        far_side.receiver.answer(lambda _: refusal(400, "AccessDeniedException"))

        said = self.ask({**far_side.config, "queue_name": queue.url})
        assert said == "the service answers, and does not let the user look at the queue"
        with pytest.raises(TemporaryFailure):
            self.ask(far_side.config)


class TestRefusedHere:
    """What no queue takes is not sent."""

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            (b"", "empty"),
            (b"x" * (LONGEST_MESSAGE + 1), "1048577 bytes"),
            (b"\xff\xfe", "no text"),
            (b"a\x00b", "U+0000"),
            ("\ufffe".encode(), "U+FFFE"),
            (b"\xed\xa0\x80", "no text"),
        ],
    )
    def test_body(self, far_side: QueueSide, body: bytes, said: str) -> None:
        """Code 15002 (delivery scenario 36)."""
        failure = failing(far_side.config, build_delivery(body=body))

        assert (failure.code, type(failure)) == (15002, PermanentFailure)
        assert said in failure.cause
        assert far_side.receiver.requests == []

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("region", "eu west"),
            ("region", "x.evil.example/"),
            ("message_group_id", "two words"),
            ("message_group_id", "g" * 129),
            ("endpoint_url", "ftp://127.0.0.1"),
            ("endpoint_url", "127.0.0.1"),
            ("endpoint_url", "http://[1"),
            ("queue_name", "ftp://127.0.0.1/1/q"),
        ],
    )
    def test_config(self, queue: SQSQueue, name: str, value: str) -> None:
        """By the delivery, and when the subscriber is saved."""
        config = queue.config(**{"endpoint_url": None, name: value})
        failure = failing(config)

        assert (failure.code, type(failure)) == (15002, PermanentFailure)
        assert failure.cause.startswith(name)
        if name != "queue_name":
            assert [name] == list(SQSTransmitter.config_issues(config, Caller()))

    def test_config_that_is_right(self, queue: SQSQueue) -> None:
        """Nothing is wrong with it, nor with what may come later."""
        assert SQSTransmitter.config_issues(queue.config(), Caller()) == {}
        assert SQSTransmitter.config_issues({}, Caller()) == {}

    def test_private_addresses(self, queue: SQSQueue) -> None:
        """Are refused where the settings say so, whatever names them."""
        settings = build_settings(allow_private_addresses=False)
        by_url = queue.config(endpoint_url=None, queue_name=queue.url)
        for config in (queue.config(), by_url):
            failure = failing(config, None, settings)
            assert (failure.code, type(failure)) == (15000, PermanentFailure)

    def test_without_boto3(self, queue: SQSQueue, monkeypatch: pytest.MonkeyPatch) -> None:
        """The row fails, and says what to install."""
        monkeypatch.setitem(sys.modules, "botocore.config", None)

        failure = failing(queue.config())

        assert (failure.code, type(failure)) == (15002, PermanentFailure)
        assert failure.is_ours
        assert "pip install -r requirements/sqs.txt" in failure.cause


class TestRefusedThere:
    def test_missing_queue(self, queue: SQSQueue) -> None:
        """Code 15001; it may come (delivery scenario 36)."""
        for config in (
            queue.config(queue_name="none.fifo"),
            queue.config(queue_name=f"{queue.url}x"),
        ):
            failure = failing(config)
            assert (failure.code, type(failure)) == (15001, TemporaryFailure)
            assert failure.response_status == 400
            assert "The specified queue does not exist." in str(failure)

    def test_queue_that_was_made_anew(self, queue: SQSQueue, far_side: QueueSide) -> None:
        """It is asked for again."""
        destination = build_destination("amazon_sqs_fifo", **far_side.config)
        gone = refusal(400, "QueueDoesNotExist")
        with closing(SQSTransmitter(destination, build_settings())) as sender:
            sender.send(build_delivery(key="first"))
            far_side.receiver.answer([gone])
            with pytest.raises(TemporaryFailure):
                sender.send(build_delivery())
            far_side.accept()
            sender.send(build_delivery())

        targets = [request.headers["x-amz-target"] for request in far_side.receiver.requests]
        assert [SEND, "AmazonSQS.GetQueueUrl", SEND] == targets[2:]

    def test_message_too_long_for_the_queue(self, moto: str) -> None:
        """It has a limit of its own."""
        queue = SQSQueue(moto, MaximumMessageSize="1024")
        failure = failing(queue.config(), build_delivery(body=b"x" * 1025))

        assert (failure.code, type(failure)) == (15001, PermanentFailure)
        assert "shorter than 1024 bytes" in failure.cause

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (400, "InvalidMessageContents"),
            (400, "InvalidParameterValue"),
            (400, "MissingParameter"),
            (400, "UnsupportedOperation"),
            (404, "UnknownOperationException"),
            (413, ""),
        ],
    )
    def test_given_up(self, far_side: QueueSide, status: int, code: str) -> None:
        far_side.receiver.answer(lambda _: refusal(status, code))

        failure = failing(far_side.config)
        assert (failure.code, type(failure)) == (15001, PermanentFailure)

    @pytest.mark.parametrize(
        ("status", "code"),
        [
            (400, "AccessDeniedException"),
            (400, "ExpiredTokenException"),
            (400, "InvalidSignatureException"),
            (400, "KmsAccessDenied"),
            (400, "OverLimit"),
            (400, "QueueDeletedRecently"),
            (400, "RequestThrottled"),
            (400, "ThrottlingException"),
            (400, "UnrecognizedClientException"),
            (403, "InvalidClientTokenId"),
            (403, ""),
            (429, ""),
            (302, ""),
            (500, "InternalFailure"),
            (503, "ServiceUnavailable"),
        ],
    )
    def test_tried_again(self, far_side: QueueSide, status: int, code: str) -> None:
        """What the owner of the queue may mend, and what passes by itself."""
        far_side.receiver.answer(lambda _: refusal(status, code))

        failure = failing(far_side.config)
        assert (failure.code, type(failure)) == (15001, TemporaryFailure)
        assert failure.response_status == status

    @pytest.mark.parametrize(
        "body", [b"", b"<html>", b"[]", b'"x"', b'{"__type": 5, "message": {}}', b"\xff", b"null"]
    )
    @pytest.mark.parametrize("status", [400, 503])
    def test_refusal_of_something_else(self, far_side: QueueSide, status: int, body: bytes) -> None:
        """As of a proxy in between."""
        far_side.receiver.answer(lambda _: (status, {}, body))

        failure = failing(far_side.config)
        assert (failure.code, failure.response_status) == (15001, status)

    def test_waits_as_asked(self, far_side: QueueSide) -> None:
        far_side.receiver.answer(lambda _: (503, {"Retry-After": "120"}, b"{}"))

        assert failing(far_side.config).retry_after == 120

    @pytest.mark.parametrize(
        "answer",
        [
            (200, {}, b""),
            (200, {}, b"<html>"),
            (200, {}, b'{"MessageId": 5}'),
            (204, {}, b""),
            Fault.RESET_MID_BODY,
            Fault.INVALID_CHUNK,
            Fault.SLOW_BODY,
        ],
    )
    def test_status_decides(self, far_side: QueueSide, queue: SQSQueue, answer: Reply) -> None:
        """Whatever comes of the body behind a 2xx."""
        far_side.receiver.answer([answer])
        settings = impatient_settings() if isinstance(answer, Fault) else None

        receipt = send({**far_side.config, "queue_name": queue.url}, None, settings)
        assert (receipt.external_id, len(far_side.receiver.requests)) == (None, 1)

    def test_no_url_of_the_queue(self, far_side: QueueSide) -> None:
        far_side.receiver.answer(lambda _: (200, {}, b"{}"))

        failure = failing(far_side.config)
        assert (failure.code, type(failure)) == (15002, TemporaryFailure)

    @pytest.mark.parametrize("fault", [Fault.CLOSE, Fault.CLOSE_MID_HEADERS, Fault.NOT_HTTP])
    def test_no_answer(self, far_side: QueueSide, fault: Fault) -> None:
        """Code 15000."""
        far_side.receiver.answer(lambda _: fault)

        failure = failing(far_side.config)
        assert (failure.code, type(failure)) == (15000, TemporaryFailure)
        # The lane repeats, nobody else does.
        assert len(far_side.receiver.requests) == 1

    def test_nobody_listens(self, far_side: QueueSide) -> None:
        """Code 15000 (delivery scenario 36)."""
        config = far_side.config
        far_side.stop()

        failure = failing(config)
        assert (failure.code, type(failure)) == (15000, TemporaryFailure)
