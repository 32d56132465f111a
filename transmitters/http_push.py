"""Delivery type `http_push`: items and their media as POST requests."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from threading import Lock
from time import monotonic
from typing import Any, ClassVar
from urllib.parse import quote, unquote, urlsplit
from uuid import uuid4

from cachetools import TTLCache
from urllib3.filepost import encode_multipart_formdata

from apps.core.clock import Clock, SystemClock
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.registry import Field
from transmitters.base import (
    MASK,
    Delivery,
    Destination,
    Mode,
    Preview,
    Receipt,
    TransmitSettings,
    Transmitter,
)
from transmitters.cloud_events import Envelope, enveloped
from transmitters.http_client import Answer, HTTPClient
from transmitters.http_connections import NoAnswer
from transmitters.http_signatures import (
    signing_secrets,
    superdesk_signature,
    webhook_signature,
)
from transmitters.media_references import media_references
from transmitters.networks import hosts_in

PUSH, CLIENT, SERVER = 14000, 14001, 14002
NAMES = {
    PUSH: "PublishHTTPPushError",
    CLIENT: "PublishHTTPPushClientError",
    SERVER: "PublishHTTPPushServerError",
}
"""Class names of Superdesk, which clients see at the start of an error message."""

WORTH_REPEATING = frozenset({408, 425, 429})
"""Client errors that pass: time-out, too early, too many requests."""

GONE = 410
NO_SUCH_METHOD = 501
"""Of servers that know no HEAD, as RFC 9110 wants it; those that know it and refuse answer 405."""
"""Answer of a receiver that takes no deliveries any more."""

LONGEST_WAIT = 6 * 3600.0
"""Seconds that a receiver may ask us to wait with `Retry-After`."""
LONGEST_CAUSE = 1000
"""Characters of an error text."""
REFUSES_SENDER = frozenset({401, 403, 407})
"""Answers to a test that say that deliveries would be refused; others may be about its method."""
REFUSED = "the receiver refuses who sends. Check the secrets, and the credentials in the address"
DEFAULT_MEDIA_TYPE = "image/jpeg"
INSIDE = "sent inside its package"
MEDIA_REMEMBERED = 10_000
SECONDS_REMEMBERED = 600.0
"""A receiver may lose its media; after this long it is asked again."""


class HTTPPushTransmitter(Transmitter):
    """POST each item to `resource_url`, after the media it refers to went to `assets_url`.

    Connections are kept between deliveries; one instance may be used by several threads. Every
    request is bounded by the HTTP time-outs of the settings. Delivery contract 5.1.

    Args:
        client: shared by several destinations, who then do not close it; if None one that
            shares its connections with all others of the process.
        clock: source of `webhook-timestamp`.
        timer: seconds that never run backwards.
    """

    type = "http_push"
    name = "HTTP Push"
    fields = (
        Field("resource_url", "Address that items are posted to (http or https).", required=True),
        Field("assets_url", "Address that media are posted to; no media are sent when empty."),
        Field("secret_token", "Key of the `x-superdesk-signature` header.", secret=True),
        Field(
            "envelope",
            "CloudEvents 1.0 around the item: none, cloudevents-structured (the event is the body) "
            "or cloudevents-binary (the event is in headers, so any format can travel).",
            default=Envelope.NONE.value,
        ),
        Field("packaged", "Send packages whole, not their members on their own.", default=False),
        Field(
            "signature_v1",
            "Standard Webhooks secret (`whsec_...`); two, newest first, while changing over. `@` "
            "and seconds since 1970 behind one say until when it is valid.",
            secret=True,
        ),
    )
    mode = Mode.REPLACE
    errors: ClassVar[dict[int, str]] = {
        PUSH: "HTTP push publish error",
        CLIENT: "HTTP push publish client error",
        SERVER: "HTTP push publish server error",
    }

    def __init__(
        self,
        destination: Destination,
        settings: TransmitSettings,
        client: HTTPClient | None = None,
        clock: Clock | None = None,
        timer: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__(destination, settings)
        self._owns_client = client is None
        self._client = client or HTTPClient.of_process(settings)
        self._clock = clock or SystemClock()
        self._there: TTLCache[str, bool] = TTLCache(MEDIA_REMEMBERED, SECONDS_REMEMBERED, timer)
        self._there_lock = Lock()

    def send(self, delivery: Delivery) -> Receipt:
        """Post the media that the receiver lacks, then the item.

        A member of a package goes inside it when the destination wants packages whole, so then
        only its media are sent.

        Raises:
            TemporaryFailure: no answer, or one that may change; `retry_after` as the receiver asks.
            PermanentFailure: refused, or the destination is set up wrongly.
        """
        resource_url, envelope = self._address("resource_url"), self._envelope()
        if self.destination.config.get("assets_url"):
            self._send_media(delivery, self._address("assets_url"))
        if delivery.inside_package and self.destination.config.get("packaged"):
            return Receipt(message=INSIDE)
        body, headers = enveloped(delivery, envelope, self.settings.event_source)
        headers = {**headers, "Accept": "application/json"}
        try:
            answer = self._post(
                resource_url, delivery.key, body, headers, failure="Error pushing item"
            )
        except PermanentFailure as error:
            # Of a media file the same answer says nothing of the receiver.
            error.is_gone = error.response_status == GONE
            raise
        return Receipt(status=answer.status)

    @classmethod
    def hosts(cls, config: Mapping[str, Any]) -> Mapping[str, Iterable[str]]:
        return hosts_in(config, "resource_url", "assets_url")

    def preview(self, delivery: Delivery) -> Preview:
        address, config = self._address("resource_url"), self.destination.config
        body, headers = enveloped(delivery, self._envelope(), self.settings.event_source)
        media = self._media(delivery) if config.get("assets_url") else ()
        if delivery.inside_package and config.get("packaged"):
            return Preview(b"", delivery.media_type, address, media=tuple(media), message=INSIDE)
        headers |= {"Accept": "application/json", **self._named(delivery.key)}
        if MASK in (urlsplit(address).password, urlsplit(address).username):
            headers["Authorization"] = f"Basic {MASK}"
        # A signature would be good for whoever sees it.
        if config.get("secret_token"):
            headers["x-superdesk-signature"] = f"sha1={MASK}"
        if config.get("signature_v1"):
            headers["webhook-signature"] = f"v1,{MASK}"
        return Preview(body, delivery.media_type, address, headers, media=tuple(media))

    def test_connection(self) -> str:
        """Ask for the head of each address, signed: nothing is posted.

        Receivers that take nothing but POST refuse that, and are there all the same.
        """
        said = []
        for name in ("resource_url", "assets_url"):
            if name == "resource_url" or self.destination.config.get(name):
                said.append(self._head(name))
        return "; ".join(said)

    def _head(self, name: str) -> str:
        url = self._address(name)
        headers = self._signed(f"test-{uuid4().hex}", b"")
        failure = f"Error testing {name}"
        answer = self._request("HEAD", url, headers, None, failure)
        if answer.status in REFUSES_SENDER:
            cause = f"{failure} {answer.status}: {REFUSED}"
            raise self._failure(PermanentFailure, CLIENT, cause, response_status=answer.status)
        is_failing = answer.status >= 500 and answer.status != NO_SUCH_METHOD
        if answer.status == GONE or is_failing or 300 <= answer.status < 400:
            raise self._refusal(answer, failure)
        if answer.status < 300:
            return f"{name} answers"
        return f"{name} answers {answer.status} to HEAD, which it need not take"

    def close(self) -> None:
        if self._owns_client:
            self._client.close()

    def secrets(self) -> Iterator[str]:
        """Yield the secret fields, and the passwords inside addresses."""
        yield from super().secrets()
        for secret in signing_secrets(str(self.destination.config.get("signature_v1") or "")):
            yield secret.key
        for name in ("resource_url", "assets_url"):
            with suppress(ValueError):
                password = urlsplit(str(self.destination.config.get(name) or "")).password
                yield from {password, unquote(password)} if password else ()

    def _envelope(self) -> Envelope:
        wanted = self.destination.config.get("envelope") or Envelope.NONE
        try:
            return Envelope(wanted)
        except ValueError:
            known = ", ".join(Envelope)
            text = f"envelope {wanted} is unknown; known: {known}"
            raise self._failure(PermanentFailure, PUSH, text) from None

    def _address(self, name: str) -> str:
        url = str(self.destination.config.get(name) or "").strip()
        with suppress(ValueError):
            parts = urlsplit(url)
            if parts.scheme in ("http", "https") and parts.hostname:
                return url
        raise self._failure(PermanentFailure, PUSH, f"{name} is not an http or https address")

    # Media.

    def _send_media(self, delivery: Delivery, assets_url: str) -> None:
        for media_id in self._media(delivery):
            with self._there_lock:
                is_known = media_id in self._there
            if is_known:
                continue
            if not self._is_there(media_id, assets_url):
                self._upload(media_id, delivery, assets_url)
            with self._there_lock:
                self._there[media_id] = True

    def _media(self, delivery: Delivery) -> Iterable[str]:
        return media_references(delivery.body) if delivery.media_type.endswith("json") else ()

    def _is_there(self, media_id: str, assets_url: str) -> bool:
        url = f"{assets_url.rstrip('/')}/{quote(media_id, safe='/:')}"
        failure = f"Error checking media file {media_id}"
        answer = self._request("GET", url, {}, None, failure)
        if answer.status == 404:
            return False
        self._check(answer, failure)
        return True

    def _upload(self, media_id: str, delivery: Delivery, assets_url: str) -> None:
        failure = f"Error pushing media file {media_id}"
        media = delivery.open_media(media_id)
        if media is None:
            raise self._failure(
                PermanentFailure,
                PUSH,
                f"Error pushing media file {media_id}: it is not stored here",
                is_ours=True,
            )
        content_type = media.content_type or DEFAULT_MEDIA_TYPE
        body, form_type = encode_multipart_formdata(
            [("media_id", media_id), ("media", (media_id, media.data, content_type))]
        )
        # A receiver that drops repeats by id must tell the media of an item from the item.
        key = f"{delivery.key}-{sha256(media_id.encode(errors='replace')).hexdigest()[:16]}"
        self._post(assets_url, key, body, {"Content-Type": form_type}, failure=failure)

    # Requests.

    def _post(
        self, url: str, key: str, body: bytes, headers: dict[str, str], *, failure: str
    ) -> Answer:
        answer = self._request("POST", url, {**headers, **self._signed(key, body)}, body, failure)
        self._check(answer, failure)
        return answer

    def _signed(self, key: str, body: bytes) -> dict[str, str]:
        """Return the headers that name the message and prove who sent exactly these bytes."""
        config = self.destination.config
        headers = self._named(key)
        timestamp = int(headers["webhook-timestamp"])
        if token := config.get("secret_token"):
            headers["x-superdesk-signature"] = superdesk_signature(str(token), body)
        if secrets := config.get("signature_v1"):
            try:
                signature = webhook_signature(str(secrets), key, timestamp, body)
            except ValueError:
                # Without its cause: a traceback may show the secret.
                raise self._failure(
                    PermanentFailure,
                    PUSH,
                    "signature_v1 is not a whsec_ secret, or not valid any more",
                ) from None
            headers["webhook-signature"] = signature
        return headers

    def _named(self, key: str) -> dict[str, str]:
        timestamp = int(self._clock.now().timestamp())
        return {"webhook-id": key, "webhook-timestamp": str(timestamp)}

    def _request(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None, failure: str
    ) -> Answer:
        try:
            return self._client.request(method, url, headers=headers, body=body)
        except NoAnswer as error:
            kind = PermanentFailure if error.permanent else TemporaryFailure
            raise self._failure(kind, PUSH, f"{failure}: {error}") from error

    def _check(self, answer: Answer, failure: str) -> None:
        """Raise unless the receiver accepted: 2xx and nothing else, whatever comes behind it."""
        if not 200 <= answer.status < 300:
            raise self._refusal(answer, failure)

    def _refusal(self, answer: Answer, failure: str) -> DeliveryError:
        status, text = answer.status, answer.text
        if 300 <= status < 400:
            # The query of the new address may hold a key.
            target = answer.headers.get("Location", "").partition("?")[0]
            text = f"redirect to {target or 'nowhere'} is not followed"
        cause = f"{failure} {status}: {text}"
        code = CLIENT if 400 <= status < 500 else SERVER if status >= 500 else PUSH
        if code == CLIENT and status not in WORTH_REPEATING:
            return self._failure(PermanentFailure, code, cause, response_status=status)
        wait = retry_after(answer.headers.get("Retry-After"), self._clock.now())
        return self._failure(
            TemporaryFailure, code, cause, response_status=status, retry_after=wait
        )

    def _failure(
        self, kind: Callable[..., DeliveryError], code: int, cause: str, **details: Any
    ) -> DeliveryError:
        shown = self.redact(cause)[:LONGEST_CAUSE]
        return kind(code, NAMES[code], self.errors[code], shown, **details)


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks to wait, at most six hours.

    Args:
        header: seconds or an HTTP date; anything else counts as absent.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return min(max((moment - now).total_seconds(), 0.0), LONGEST_WAIT)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
