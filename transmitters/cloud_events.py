"""CloudEvents 1.0 around a pushed item (its specification and HTTP protocol binding).

The package `cloudevents` does not do it: it writes JSON data anew, and gives an event without a
time the present one, so that retries would differ.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote

from apps.core import json
from transmitters.base import Delivery

SPEC_VERSION = "1.0"
STRUCTURED_TYPE = "application/cloudevents+json; charset=utf-8"
TYPE_PREFIX = "wiredesk.item."

HEADER_SAFE = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%')
"""Characters that stand for themselves in headers (HTTP binding, 3.1.3.2)."""


class Envelope(StrEnum):
    """`config.envelope`: what an item travels in."""

    NONE = "none"
    STRUCTURED = "cloudevents-structured"
    """The event is the body; the item is a member of it."""
    BINARY = "cloudevents-binary"
    """The body is the item, whatever its format; the event is in headers."""


def enveloped(delivery: Delivery, envelope: Envelope, source: str) -> tuple[bytes, dict[str, str]]:
    """Return what is posted for a delivery: body and headers.

    Args:
        source: who sends: an address.
    """
    content_type = _content_type(delivery.media_type)
    if envelope is Envelope.NONE:
        return delivery.body, {"Content-Type": content_type}
    attributes = _attributes(delivery, source)
    if envelope is Envelope.BINARY:
        headers = {f"ce-{n}": quote(value, safe=HEADER_SAFE) for n, value in attributes.items()}
        return delivery.body, {"Content-Type": content_type, **headers}
    return _structured(delivery, attributes), {"Content-Type": STRUCTURED_TYPE}


def _content_type(media_type: str) -> str:
    # Without it, readers may take text for ASCII.
    return f"{media_type}; charset=utf-8" if media_type.startswith("text/") else media_type


def _attributes(delivery: Delivery, source: str) -> dict[str, str]:
    """Return the context attributes; all of them are the same on every retry."""
    attributes = {
        "specversion": SPEC_VERSION,
        "id": delivery.key,
        "source": source,
        "type": TYPE_PREFIX + (delivery.publishing_action or "published"),
        "subject": delivery.item_id.encode(errors="replace").decode(),
        "itemversion": str(delivery.item_version),
    }
    if delivery.queued_at is not None:
        attributes["time"] = _timestamp(delivery.queued_at)
    return {name: value for name, value in attributes.items() if value}


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _structured(delivery: Delivery, attributes: Mapping[str, str]) -> bytes:
    head: dict[str, Any] = {**attributes, "datacontenttype": delivery.media_type}
    if delivery.media_type.endswith("json") and _is_json(delivery.body):
        # As it was formatted, byte for byte.
        return json.dumps(head)[:-1] + b',"data":' + delivery.body + b"}"
    try:
        return json.dumps({**head, "data": delivery.body.decode("utf-8")})
    except UnicodeDecodeError:
        return json.dumps({**head, "data_base64": b64encode(delivery.body).decode("ascii")})


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True
