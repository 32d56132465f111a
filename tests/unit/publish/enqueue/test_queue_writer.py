"""Queue rows as they are noted, before anything is stored."""

from datetime import UTC, datetime
from typing import Any

import pytest

from apps.core.clock import SystemClock
from apps.core.vocabulary import PublishingAction
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.queue_rows import OutgoingItem
from apps.publish.enqueue.queue_writer import QueueWriter
from apps.publish.enqueue.references import References
from apps.publish.enqueue.subscribers import Recipient, compile_subscriber
from formatters import FormatSettings, build_registry

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
SETTINGS = {"MAX_VALUE_OF_PUBLISH_SEQUENCE": 9999, "CONTENTAPI_ENABLED": False}
STORE: Any = None
"""Nothing is stored."""


def recipient(name: str, kind: str, *formats: str) -> Recipient:
    destinations = [{"_id": text, "name": text, "format": text} for text in formats]
    document = {"_id": name, "is_active": True, "subscriber_type": kind}
    return Recipient(compile_subscriber({**document, "destinations": destinations}), (), False)


def formats_of(item: dict[str, Any]) -> ItemFormats:
    def no_rules() -> Any:
        raise AssertionError("nobody asks for products")

    references = References(STORE, [], no_rules)
    return ItemFormats(item, references, build_registry(), FormatSettings(), NOW)


def writer() -> QueueWriter:
    return QueueWriter(STORE, SystemClock(), STORE, SETTINGS)


def test_says_what_became_of_each_destination() -> None:
    """What no format writes is told, and who takes no such items gets none."""
    item = {"_id": "r", "item_id": "i", "type": "picture"}
    queue, formats = writer(), formats_of(item)
    recipients = [
        recipient("both", "digital", "ninjs", "unknown"),
        recipient("wire", "wire", "ninjs"),
        recipient("none", "digital"),
    ]

    served = queue.add(
        OutgoingItem(item, PublishingAction.PUBLISHED), recipients, [formats] * len(recipients)
    )

    assert [len(each.drafts) for each in served] == [1, 0, 0]
    assert [each.skipped for each in served] == [["unknown: no formatter unknown"], [], []]
    assert [each.takes_type for each in served] == [True, False, True]
    assert queue.count == 1


def test_an_item_that_breaks_something_goes_to_nobody() -> None:
    """Nobody may get what is not on record as received: a kill would not find them."""
    item = {"_id": "r", "item_id": "i"}
    queue, formats = writer(), formats_of(item)
    recipients = [recipient("first", "digital", "ninjs"), recipient("second", "wire", "ninjs")]

    with pytest.raises(KeyError):
        queue.add(
            OutgoingItem(item, PublishingAction.CORRECTED), recipients, [formats] * len(recipients)
        )

    assert queue.count == 0
