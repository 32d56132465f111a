"""Delivery type `amazon_sqs_fifo`: items as messages of a FIFO queue of Amazon's."""

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from hashlib import sha256
from threading import Lock
from typing import Any, ClassVar
from urllib.parse import SplitResult, urlsplit

from apps.core.caller import Caller
from apps.core.clock import Clock, SystemClock
from apps.core.documents import object_of, text_of
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.registry import Field
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
from transmitters.extras import MissingExtra, imported
from transmitters.http_client import Answer, HTTPClient
from transmitters.http_connections import NoAnswer
from transmitters.http_push import LONGEST_CAUSE, WORTH_REPEATING, retry_after
from transmitters.media_references import parsed
from transmitters.networks import hosts_in

CONNECTION, CLIENT, MESSAGE = 15000, 15001, 15002
NAME = "PublishAmazonSQSError"
EXTRA = "sqs"
LONGEST_MESSAGE = 1 << 20
"""Bytes of a message that a queue may take; many take less, and say so."""
ID = re.compile("[!-~]{1,128}")
"""Of groups, and by which repeats are known."""
REGION = re.compile(r"[a-z0-9-]{1,63}")
UNTRANSPORTABLE = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no message may hold: characters that XML 1.0 does not know."""
MAY_PASS = re.compile(
    "AccessDenied|Credential|Expired|Kms|NonExistentQueue|OptInRequired|OverLimit|QueueDeletedRecently"
    "|QueueDoesNotExist|Signature|Throttl|TooManyRequests|Token|UnrecognizedClient"
)
"""In the codes of refusals that are of the queue or its owner's rights, which somebody may mend."""
PERMISSIONS = frozenset({401, 403})


class SQSTransmitter(Transmitter):
    """Send each item as a message of one group, so that all of them are read in order.

    boto3 writes and signs the requests; they are sent as those of other delivery types, with the
    same bounds and to allowed addresses only. One instance may be used by several threads.
    Delivery contract 5.6.

    Args:
        client: shared by several destinations, who then do not close it; if None one that
            shares its connections with all others of the process.
        clock: what dates in `Retry-After` are compared with.
    """

    type = "amazon_sqs_fifo"
    name = "Amazon SQS FIFO"
    fields = (
        Field("region", "Region of the queue, such as eu-west-1.", required=True),
        Field("access_key_id", "Key of a user that may send to it.", required=True, secret=True),
        Field("secret_access_key", "Secret of that key.", required=True, secret=True),
        Field("queue_name", "Name of the queue (`<name>.fifo`), or its URL.", required=True),
        Field("message_group_id", "Messages of a group are read in order.", required=True),
        Field("endpoint_url", "Address of the service; that of the region when empty."),
    )
    mode = Mode.APPEND
    errors: ClassVar[dict[int, str]] = {
        CONNECTION: "Amazon SQS publish connection error",
        CLIENT: "Amazon SQS publish client error",
        MESSAGE: "Amazon SQS publish sendMessage error",
    }

    def __init__(
        self,
        destination: Destination,
        settings: TransmitSettings,
        client: HTTPClient | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(destination, settings)
        self._owns_client = client is None
        self._client = client or HTTPClient.of_process(settings)
        self._clock = clock or SystemClock()
        self._lock = Lock()
        self._sqs: Any = None
        self._queue_url = ""

    def send(self, delivery: Delivery) -> Receipt:
        """Send the message; the queue drops one whose key it has had in the last five minutes.

        Raises:
            TemporaryFailure: no answer, or the service refuses what may be mended there.
            PermanentFailure: the message or the destination cannot be used.
        """
        try:
            body, group = message_of(delivery), group_of(self.destination.config)
            sqs = self._service()
        except (MissingExtra, ValueError) as error:
            raise self._unsent(error) from None
        answer = self._call(
            sqs.send_message,
            QueueUrl=self._queue(sqs),
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=deduplication_id(delivery.key),
        )
        return Receipt(
            status=int(answer["ResponseMetadata"]["HTTPStatusCode"]),
            external_id=text_of(answer, "MessageId") or None,
        )

    def test_connection(self) -> str:
        """Ask the service for the queue; no message is sent."""
        try:
            group_of(self.destination.config)
            sqs = self._service()
            name = line_of(self.destination.config, "queue_name")
        except (MissingExtra, ValueError) as error:
            raise self._unsent(error) from None
        if "://" not in name:
            self._queue(sqs)
            return "the service knows the queue"
        try:
            self._call(sqs.get_queue_attributes, QueueUrl=name, AttributeNames=["QueueArn"])
        except DeliveryError as error:
            if "AccessDenied" not in error.cause:
                raise
            # Who may send need not be able to look.
            return "the service answers, and does not let the user look at the queue"
        return "the service knows the queue"

    def preview(self, delivery: Delivery) -> Preview:
        config = self.destination.config
        try:
            body, group = message_of(delivery), group_of(config)
            queue = line_of(config, "queue_name")
        except ValueError as error:
            raise self._failure(PermanentFailure, MESSAGE, str(error)) from None
        key = deduplication_id(delivery.key)
        attributes = {"MessageGroupId": group, "MessageDeduplicationId": key}
        return Preview(body.encode(), delivery.media_type, queue, attributes)

    @classmethod
    def config_issues(cls, config: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        return unusable(config, CHECKS)

    @classmethod
    def hosts(cls, config: Mapping[str, Any]) -> Mapping[str, Iterable[str]]:
        return hosts_in(config, "endpoint_url", "queue_name")

    def close(self) -> None:
        if self._owns_client:
            self._client.close()

    # Where to.

    def _service(self) -> Any:
        """Return a client of the service, which is made once: that takes long.

        Raises:
            MissingExtra: boto3 is not installed.
            ValueError: the config cannot be used.
        """
        with self._lock:
            if self._sqs is None:
                self._sqs = self._connected()
            return self._sqs

    def _connected(self) -> Any:
        config = self.destination.config
        options = {
            "region_name": region_of(config),
            "aws_access_key_id": line_of(config, "access_key_id"),
            "aws_secret_access_key": line_of(config, "secret_access_key"),
            "endpoint_url": endpoint_of(config),
            "config": imported("botocore.config", EXTRA).Config(
                # Failures are the lane's to repeat, and the destination alone says where to.
                retries={"total_max_attempts": 1, "mode": "standard"},
                ignore_configured_endpoint_urls=True,
                use_fips_endpoint=False,
                use_dualstack_endpoint=False,
            ),
        }
        exceptions = imported("botocore.exceptions", EXTRA)
        try:
            with _making:
                sqs = _session().client("sqs", **options)
        except exceptions.BotoCoreError as error:
            raise ValueError(str(error)) from None
        sqs.meta.events.register("before-send.sqs", self._sent)
        return sqs

    def _queue(self, sqs: Any) -> str:
        """Return the URL of the queue, which is asked for once."""
        name = line_of(self.destination.config, "queue_name")
        if "://" in name:
            return name
        with self._lock:
            known = self._queue_url
        if known:
            return known
        url = text_of(self._call(sqs.get_queue_url, QueueName=name), "QueueUrl")
        if not url:
            text = "the service does not say where the queue is"
            raise self._failure(TemporaryFailure, MESSAGE, text)
        with self._lock:
            self._queue_url = url
        return url

    # Requests.

    def _call(self, operation: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
        """Call the service, and tell what goes wrong without a cause that shows secrets."""
        exceptions = imported("botocore.exceptions", EXTRA)
        try:
            answer: Mapping[str, Any] = operation(**arguments)
        except NoAnswer as error:
            kind = PermanentFailure if error.permanent else TemporaryFailure
            raise self._failure(kind, CONNECTION, str(error)) from None
        except exceptions.ClientError as error:
            raise self._refusal(error.response) from None
        except exceptions.BotoCoreError as error:
            raise self._failure(PermanentFailure, MESSAGE, str(error)) from None
        return answer

    def _sent(self, request: Any, **_: Any) -> Any:
        """Send a request that botocore has signed, in place of botocore."""
        headers = {
            name: value.decode() if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
        }
        answer = self._client.request(
            request.method, request.url, headers=headers, body=request.body
        )
        response = imported("botocore.awsrequest", EXTRA).AWSResponse
        return response(request.url, answer.status, answer.headers, RawBody(understood(answer)))

    def _refusal(self, response: Mapping[str, Any]) -> DeliveryError:
        """Return what a refusal of the service comes to."""
        said, about = object_of(response, "Error"), object_of(response, "ResponseMetadata")
        code, status = text_of(said, "Code"), int(about.get("HTTPStatusCode") or 0)
        if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
            with self._lock:
                self._queue_url = ""
        cause = f"{status} {code}: {text_of(said, 'Message')}"
        is_refused = 400 <= status < 500 and status not in PERMISSIONS | WORTH_REPEATING
        if is_refused and not MAY_PASS.search(code):
            return self._failure(PermanentFailure, CLIENT, cause, response_status=status)
        wait = retry_after(
            text_of(object_of(about, "HTTPHeaders"), "retry-after"), self._clock.now()
        )
        return self._failure(
            TemporaryFailure, CLIENT, cause, response_status=status, retry_after=wait
        )

    def _unsent(self, error: Exception) -> DeliveryError:
        """Return what it comes to that there is nothing to send, or nothing to send it with."""
        is_ours = isinstance(error, MissingExtra)
        return self._failure(PermanentFailure, MESSAGE, str(error), is_ours=is_ours)

    def _failure(
        self, kind: Callable[..., DeliveryError], code: int, cause: str, **details: Any
    ) -> DeliveryError:
        shown = self.redact(cause)[:LONGEST_CAUSE]
        return kind(code, NAME, self.errors[code], shown, **details)


class RawBody:
    """A body that has been read, as botocore reads one."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self) -> Iterator[bytes]:
        yield self._data


_making = Lock()
"""Sessions are used by one thread at a time to make clients, which any number may use."""


@cache
def _session() -> Any:
    """Return what clients of the process are made of: it has read the service's description.

    It reads no profile, which may be for another use of Amazon's services on this machine.

    Raises:
        MissingExtra: boto3 is not installed.
    """
    nowhere = (None, None, os.devnull, None)
    files = {"profile": (None,) * 4, "config_file": nowhere, "credentials_file": nowhere}
    core = imported("botocore.session", EXTRA).Session(session_vars=files)
    return imported("boto3.session", EXTRA).Session(botocore_session=core)


def message_of(delivery: Delivery) -> str:
    """Return the formatted item as the text of a message.

    Raises:
        ValueError: it cannot be one.
    """
    size = len(delivery.body)
    if not size:
        raise ValueError("the item is empty, and no message may be")
    if size > LONGEST_MESSAGE:
        raise ValueError(f"the item has {size} bytes, and no message more than {LONGEST_MESSAGE}")
    try:
        body = delivery.body.decode()
    except UnicodeDecodeError:
        raise ValueError("the item is no text, and every message is") from None
    if found := UNTRANSPORTABLE.search(body):
        raise ValueError(f"the item has U+{ord(found[0]):04X}, which no message may hold")
    return body


def line_of(config: Mapping[str, Any], name: str) -> str:
    """Return a value of the config.

    Raises:
        ValueError: there is none.
    """
    value = config.get(name)
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise ValueError(f"{name} is missing")


def group_of(config: Mapping[str, Any]) -> str:
    """Return the group of a destination's messages.

    Raises:
        ValueError: there is none, or it cannot be one.
    """
    group = line_of(config, "message_group_id")
    if not ID.fullmatch(group):
        raise ValueError("message_group_id is not 1 to 128 letters, digits and punctuation marks")
    return group


def region_of(config: Mapping[str, Any]) -> str:
    """Return the region of a destination's queue.

    Raises:
        ValueError: there is none, or it is no name.
    """
    region = line_of(config, "region")
    if not REGION.fullmatch(region):
        raise ValueError("region is no name of a region")
    return region


def endpoint_of(config: Mapping[str, Any]) -> str | None:
    """Return the address of the service, None for that of the region.

    Raises:
        ValueError: it is no address.
    """
    if url := text_of(config, "endpoint_url").strip():
        return address_of(url, "endpoint_url").geturl()
    queue = line_of(config, "queue_name")
    if "://" not in queue:
        return None
    parts = address_of(queue, "queue_name")
    return f"{parts.scheme}://{parts.netloc}"


def address_of(url: str, name: str) -> SplitResult:
    """Return the parts of an address.

    Raises:
        ValueError: it is none.
    """
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname:
            return parts
    raise ValueError(f"{name} is not an http or https address")


CHECKS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "region": region_of,
    "message_group_id": group_of,
    "endpoint_url": endpoint_of,
}
"""By key of the config; they raise ValueError where its value cannot be used."""


def deduplication_id(key: str) -> str:
    """Return the id by which a queue drops repeats: the key, unless that is no id."""
    if ID.fullmatch(key):
        return key
    return sha256(key.encode(errors="replace")).hexdigest()


def understood(answer: Answer) -> bytes:
    """Return the body of an answer as botocore can read it, whatever was answered.

    The status decides: behind a 2xx, what is cut or no JSON stands for nothing.
    """
    found = parsed(answer.text.encode())
    body = found if isinstance(found, dict) else {}
    if 200 <= answer.status < 300:
        said = {name: text_of(body, name) for name in ("QueueUrl", "MessageId")}
    else:
        text = text_of(body, "message") or text_of(body, "Message") or answer.text
        said = {"__type": text_of(body, "__type"), "message": text}
    return json.dumps(said).encode()
