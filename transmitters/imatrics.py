"""Delivery type `imatrics`: articles for the tagging service of that name."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, ClassVar
from urllib.parse import urlsplit

from apps.core.clock import Clock, SystemClock
from apps.core.errors import DeliveryError, PermanentFailure, TemporaryFailure
from apps.core.userinfo import without_userinfo
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
from transmitters.http_client import Answer, HTTPClient
from transmitters.http_connections import NoAnswer
from transmitters.http_push import (
    LONGEST_CAUSE,
    NO_SUCH_METHOD,
    REFUSES_SENDER,
    WORTH_REPEATING,
    retry_after,
)

CODE = 20000
STORED = 200
"""What the service answers to an article that it has stored."""


class IMatricsTransmitter(Transmitter):
    """POST each item to the service of the settings, which keeps articles by their `uuid`.

    Connections are kept between deliveries; one instance may be used by several threads. Every
    request is bounded by the HTTP time-outs of the settings. Delivery contract 5.7.

    Args:
        client: shared by several destinations, who then do not close it; if None one that
            shares its connections with all others of the process.
        clock: what dates in `Retry-After` are compared with.
    """

    type = "imatrics"
    name = "imatrics"
    fields = ()
    mode = Mode.APPEND
    errors: ClassVar[dict[int, str]] = {CODE: "iMatrics publish error"}

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

    def send(self, delivery: Delivery) -> Receipt:
        """Have the article stored.

        Raises:
            TemporaryFailure: no answer, one that may change, or the service is not set up.
            PermanentFailure: refused, or the setting is no address.
        """
        headers = self._headers(delivery, self._authorization())
        answer = self._asked("POST", headers, delivery.body)
        if answer.status != STORED:
            raise self._refusal(answer)
        return Receipt(status=answer.status)

    def preview(self, delivery: Delivery) -> Preview:
        self._authorization()
        headers = self._headers(delivery, f"Basic {MASK}")
        address = without_userinfo(self._address())
        return Preview(delivery.body, delivery.media_type, address, headers)

    def test_connection(self) -> str:
        """Ask for the head of the address: no article is sent."""
        headers = {"Authorization": self._authorization()}
        answer = self._asked("HEAD", headers)
        is_failing = answer.status >= 500 and answer.status != NO_SUCH_METHOD
        if answer.status in REFUSES_SENDER or is_failing:
            raise self._refusal(answer)
        return f"the service answers {answer.status} to HEAD"

    def _headers(self, delivery: Delivery, authorization: str) -> dict[str, str]:
        return {
            "Content-Type": delivery.media_type,
            "Accept": "application/json",
            "Authorization": authorization,
            "webhook-id": delivery.key,
        }

    def close(self) -> None:
        if self._owns_client:
            self._client.close()

    def secrets(self) -> Iterator[str]:
        yield from super().secrets()
        user, key = self.settings.imatrics_user, self.settings.imatrics_key
        if key:
            yield key
            yield _basic(user or "", key)

    def _asked(self, method: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        try:
            return self._client.request(method, self._address(), headers=headers, body=body)
        except NoAnswer as error:
            kind = PermanentFailure if error.permanent else TemporaryFailure
            raise self._failure(kind, str(error)) from error

    def _address(self) -> str:
        base = (self.settings.imatrics_url or "").strip()
        if not base:
            text = "the service is not set up (IMATRICS_BASE_URL)"
            raise self._failure(TemporaryFailure, text, is_ours=True)
        with suppress(ValueError):
            parts = urlsplit(base)
            if parts.scheme in ("http", "https") and parts.hostname:
                return f"{base.rstrip('/')}/article/store"
        text = "IMATRICS_BASE_URL is not an http or https address"
        raise self._failure(PermanentFailure, text, is_ours=True)

    def _authorization(self) -> str:
        user, key = self.settings.imatrics_user, self.settings.imatrics_key
        if not user or not key:
            text = "there are no credentials (IMATRICS_USER, IMATRICS_KEY)"
            raise self._failure(TemporaryFailure, text, is_ours=True)
        return f"Basic {_basic(user, key)}"

    def _refusal(self, answer: Answer) -> DeliveryError:
        status = answer.status
        cause = f"Error storing article {status}: {answer.text}"
        if 400 <= status < 500 and status not in WORTH_REPEATING:
            return self._failure(PermanentFailure, cause, response_status=status)
        wait = retry_after(answer.headers.get("Retry-After"), self._clock.now())
        return self._failure(TemporaryFailure, cause, response_status=status, retry_after=wait)

    def _failure(
        self, kind: Callable[..., DeliveryError], cause: str, **details: Any
    ) -> DeliveryError:
        shown = self.redact(cause)[:LONGEST_CAUSE]
        return kind(CODE, "PublishIMatricsError", self.errors[CODE], shown, **details)


def _basic(user: str, key: str) -> str:
    # What is no UTF-8 in the environment is sent as it stands there.
    return b64encode(f"{user}:{key}".encode(errors="surrogateescape")).decode()
