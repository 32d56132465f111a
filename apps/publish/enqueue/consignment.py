"""One item for one destination of one subscriber, before it is formatted."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from apps.core.errors import FormatError, WiredeskError
from apps.core.ids import object_id
from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS, PublishingAction, RowState
from apps.publish.enqueue.enqueue_service import Recipient
from apps.publish.enqueue.formatting import ItemFormats, Payload, encoded_item
from apps.publish.enqueue.matching import Subscriber
from apps.publish.queue.rows import RowKey, lane_id, new_row
from formatters.base import Formatter

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(minutes=1)
"""When what could not be formatted is tried again first (delivery contract 2.1)."""


@dataclass(frozen=True)
class Consignment:
    """What becomes one row of the delivery queue, or several where a format makes several parts.

    Attributes:
        item: the published row.
        action: what the recipient is told.
        recipient: who receives it; its destinations are not all meant.
        destination: as rows show it, without secrets.
        resend_id: the resend that asked for it; empty for the usual routing.
    """

    item: Mapping[str, Any]
    action: PublishingAction
    recipient: Recipient
    destination: Document
    formatter: type[Formatter]
    formats: ItemFormats
    resend_id: str = ""

    @property
    def subscriber(self) -> Subscriber:
        return self.recipient.subscriber

    @property
    def sequence(self) -> str:
        """Key of the counter that numbers the subscriber's deliveries."""
        return f"subscribers_{self.subscriber.id}"

    @property
    def lane(self) -> str:
        return lane_id(self.subscriber.id, self.destination["_id"])

    def rows(self, number: int, now: datetime) -> list[Document]:
        """Return the rows, formatted; one row that says why where that is not possible.

        It is `failed` when the format refuses the item, `retrying` when something else broke: then
        the item is formatted before it is sent.

        Args:
            number: the delivery's `published_seq_num`.
        """
        try:
            payloads = self.formats.payloads(
                self.formatter, self.destination["config"], self.lane, number, self.subscriber
            )
        except FormatError as error:
            return [self._row(0, number, now, **_unformatted(self.formatter, error.cause))]
        except WiredeskError as error:
            return [self._row(0, number, now, **_unformatted(self.formatter, str(error)))]
        except Exception as error:
            # A format that breaks on an item must not keep it from other destinations.
            logger.exception("item %s could not be formatted", self.item["item_id"])
            again = {
                "state": RowState.RETRYING,
                "retry_attempt": 1,
                "next_retry_attempt_at": now + FIRST_RETRY,
                "unformatted": True,
            }
            refused = _unformatted(self.formatter, repr(error))
            return [self._row(0, number, now, **{**refused, **again})]
        return [
            self._row(part, number, now, payload_id=payload.id, **_sent(payload))
            for part, payload in enumerate(payloads)
        ]

    def _row(self, part: int, number: int, now: datetime, **fields: Any) -> Document:
        item, subscriber = self.item, self.subscriber
        key = RowKey(
            item_id=item["item_id"],
            item_version=int(item.get("_current_version") or 1),
            subscriber_id=subscriber.id,
            destination_id=self.destination["_id"],
            publishing_action=self.action,
            part=part,
            resend_id=self.resend_id,
        )
        row: Document = {
            "item_id": item["item_id"],
            "item_version": item.get("_current_version"),
            "subscriber_id": subscriber.id,
            "codes": list(self.recipient.codes),
            "destination": self.destination,
            "lane": self.lane,
            "idempotency_key": key.text,
            "published_seq_num": number,
            "publishing_action": self.action,
            "unique_name": item.get("unique_name"),
            "headline": item.get("headline"),
            "content_type": item.get("type"),
            "publish_schedule": item.get("publish_schedule"),
            "published_in_package": item.get("published_in_package"),
            "ingest_provider": item.get("ingest_provider"),
            "associated_items": list(self.recipient.associated),
            # A withdrawal overtakes everything else that waits for its destination.
            "priority": bool(subscriber.priority) or self.action in WITHDRAWING_ACTIONS,
        }
        if self.resend_id:
            row["resend_id"] = object_id(self.resend_id)
            # By this the transmit run tells a repeat that something newer has come in the way of.
            row["publish_sequence_no"] = item.get("publish_sequence_no")
        return new_row(now, **{**row, **fields})


def _sent(payload: Payload) -> Document:
    """Return what a row says of its body: the encoding of text, or the id of a binary."""
    binary = encoded_item(payload)
    if binary:
        return {**binary, "formatted_item": ""}
    return {"item_encoding": payload.formatted.encoding}


def _unformatted(formatter: type[Formatter], cause: str) -> Document:
    """Return what a row says that could not be formatted (formats contract 1.5)."""
    message = f"{formatter.error_code} {formatter.error_text}: {cause}"
    return {"state": RowState.FAILED, "error_message": message}
