"""What receivers do with several versions of an item (delivery contract O0)."""

from typing import Any

import pytest

from apps.core.registry import Registry
from apps.publish.transmit.destinations import mode_of
from apps.routing.subscribers.stored_destinations import lane_id
from transmitters import BUILT_IN
from transmitters.base import Mode, Transmitter

REGISTRY: Any = Registry.of("transmitter", Transmitter, BUILT_IN)
DOCUMENTS = ("File", "ftp", "sftp", "email", "ODBC", "amazon_sqs_fifo", "imatrics")


@pytest.mark.parametrize(
    ("delivery_type", "mode"),
    [
        ("http_push", Mode.REPLACE),
        *((name, Mode.APPEND) for name in DOCUMENTS),
        ("PublicArchive", Mode.APPEND),
        ("nobody knows it", Mode.APPEND),
        (None, Mode.APPEND),
    ],
)
def test_modes(delivery_type: str | None, mode: Mode) -> None:
    """A type that keeps the newest by `guid` replaces; others, and unknown ones, append."""
    destination = {"_id": "one", "name": "one", "delivery_type": delivery_type}
    lane = lane_id("subscriber", "one")

    assert mode_of(lane, {"destinations": [destination]}, REGISTRY) is mode


def test_of_what_is_gone() -> None:
    """A subscriber or a destination that is not there any more counts as one that appends."""
    lane = lane_id("subscriber", "one")

    assert mode_of(lane, None, REGISTRY) is Mode.APPEND
    assert mode_of(lane, {"destinations": []}, REGISTRY) is Mode.APPEND
