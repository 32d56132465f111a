"""CloudEvents around deliveries, apart from how they are sent."""

import json
from base64 import b64decode
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.deliveries import build_delivery
from transmitters.cloud_events import Envelope, enveloped

SOURCE = "https://news.example.com/api"


def test_binary_formats_travel_as_base64() -> None:
    """JSON format 3.1.1: data that is no text is `data_base64`."""
    zipped = b"PK\x03\x04\xff\xfe"
    delivery = build_delivery(body=zipped, media_type="application/zip")
    body, _headers = enveloped(delivery, Envelope.STRUCTURED, SOURCE)
    event = json.loads(body)
    assert zipped == b64decode(event["data_base64"])
    assert "data" not in event


@pytest.mark.parametrize("body", [b"{broken", b"\xff"])
def test_json_that_is_none_breaks_no_event(body: bytes) -> None:
    """Rows may hold what others wrote."""
    written, _headers = enveloped(build_delivery(body=body), Envelope.STRUCTURED, SOURCE)
    assert {"data", "data_base64"} & json.loads(written).keys()


@given(st.text(min_size=1))
def test_headers_hold_any_id(item_id: str) -> None:
    """HTTP binding 3.1.3.2: what headers cannot hold is percent-encoded."""
    delivery = build_delivery(item_id=item_id)
    body, headers = enveloped(delivery, Envelope.BINARY, SOURCE)
    subject = headers["ce-subject"]
    assert subject.isascii()
    assert subject.isprintable()
    assert not set(subject) & set(' "')
    assert item_id.encode(errors="replace").decode() == unquote(subject)
    assert delivery.body == body
