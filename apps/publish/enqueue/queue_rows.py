"""One item for one destination of one subscriber, before it is formatted."""

import logging
from datetime import datetime, timedelta
from typing import NamedTuple

from apps.core.errors import FormatError, WiredeskError
from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS, RowState
from apps.publish.enqueue.destinations import Destination
from apps.publish.enqueue.enqueue_service import Recipient
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.shipment import Shipment
from apps.publish.queue.rows import new_row
from formatters.base import Formatter

logger = logging.getLogger(__name__)

FIRST_RETRY = timedelta(minutes=1)
"""When what could not be formatted is tried again first (delivery contract 2.1)."""


class Consignment(NamedTuple):
    """A shipment's share for one destination of one subscriber.

    It becomes a row of the delivery queue, or several where the format makes several parts.

    Attributes:
        recipient: who receives it; its destinations are not all meant.
    """

    shipment: Shipment
    recipient: Recipient
    destination: Destination
    formatter: type[Formatter]
    formats: ItemFormats

    def rows(self, number: int, now: datetime) -> list[Document]:
        """Return the rows, formatted; one row that says why where that is not possible.

        It is `failed` when the format refuses the item, `retrying` when something else broke: then
        the item is formatted before it is sent.

        Args:
            number: the delivery's `published_seq_num`.
        """
        destination = self.destination
        try:
            payloads = self.formats.payloads(
                self.formatter,
                destination.shown["config"],
                destination.lane,
                number,
                self.recipient.subscriber,
            )
        except FormatError as error:
            refused = _unformatted(self.formatter, error.cause)
        except WiredeskError as error:
            refused = _unformatted(self.formatter, str(error))
        except Exception as error:
            # A format that breaks on an item must not keep it from other destinations.
            logger.exception("item %s could not be formatted", self.shipment.item["item_id"])
            again = {
                "state": RowState.RETRYING,
                "retry_attempt": 1,
                "next_retry_attempt_at": now + FIRST_RETRY,
                "unformatted": True,
            }
            refused = {**_unformatted(self.formatter, repr(error)), **again}
        else:
            return [
                self._row(part, number, now, payload.row_fields)
                for part, payload in enumerate(payloads)
            ]
        return [self._row(0, number, now, refused)]

    def _row(self, part: int, number: int, now: datetime, fields: Document) -> Document:
        shipment, recipient, destination = self.shipment, self.recipient, self.destination
        subscriber = recipient.subscriber
        return {
            **new_row(now),
            **shipment.fields,
            "subscriber_id": subscriber.id,
            "codes": list(recipient.codes),
            "destination": destination.stored,
            "lane": destination.lane,
            "idempotency_key": shipment.row_key(subscriber.key, destination.id, part),
            "published_seq_num": number,
            "associated_items": list(recipient.associated),
            # A withdrawal overtakes everything else that waits for its destination.
            "priority": subscriber.priority or shipment.action in WITHDRAWING_ACTIONS,
            **fields,
        }


def _unformatted(formatter: type[Formatter], cause: str) -> Document:
    """Return what a row says that could not be formatted (formats contract 1.5)."""
    message = f"{formatter.error_code} {formatter.error_text}: {cause}"
    return {"state": RowState.FAILED, "error_message": message}
