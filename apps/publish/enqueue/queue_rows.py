"""Rows of the delivery queue, from the published row that they come from to what is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

import structlog

from apps.core.clock import moment_of
from apps.core.documents import object_of
from apps.core.errors import FormatError, WiredeskError
from apps.core.ids import object_id
from apps.core.service import Document
from apps.core.vocabulary import WITHDRAWING_ACTIONS, PublishingAction, RowState
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.subscribers import Recipient, SubscriberDestination
from apps.publish.queue.rows import RowKey, new_row
from formatters.base import Formatter

log = structlog.get_logger(__name__)

FIRST_RETRY = timedelta(minutes=1)
"""Wait before an item that could not be formatted is tried again (delivery contract 2.1)."""


@dataclass(frozen=True)
class OutgoingItem:
    """A published row that goes out, by the usual routing or by a resend.

    Attributes:
        row: the published row.
        action: publishing action of its queue rows.
        resend_id: the resend that asked for it; empty for the usual routing.
    """

    row: Mapping[str, Any]
    action: PublishingAction
    resend_id: str = ""

    @cached_property
    def fields(self) -> Document:
        """The fields that all of its queue rows share."""
        row = self.row
        fields: Document = {
            "item_id": row["item_id"],
            "item_version": row.get("_current_version"),
            "publishing_action": self.action,
            "unique_name": row.get("unique_name"),
            "headline": row.get("headline"),
            "content_type": row.get("type"),
            "publish_schedule": row.get("publish_schedule"),
            "published_in_package": row.get("published_in_package"),
            "ingest_provider": row.get("ingest_provider"),
            "trace_id": self.resend_id or str(row["_id"]),
        }
        if self.resend_id:
            fields["resend_id"] = object_id(self.resend_id)
            # By this the transmit run recognises a repeat of what something newer is out of.
            fields["publish_sequence_no"] = row.get("publish_sequence_no")
        else:
            fields["published_at"] = self._published_at
        return fields

    @property
    def _published_at(self) -> datetime | None:
        """When it was published; of what was scheduled, the time that it was scheduled for."""
        settings = object_of(self.row, "schedule_settings")
        scheduled_for = settings.get("utc_publish_schedule") or self.row.get("publish_schedule")
        times = (moment_of(time) for time in (self.row.get("_created"), scheduled_for))
        return max(filter(None, times), default=None)

    @property
    def copy_key(self) -> str:
        """The key of its copy in the backlog of the content API."""
        # A story that is sent again names the media that go along with the same resend.
        if self.resend_id:
            return f"{self.resend_id}:{self.row['item_id']}"
        return str(self.row["_id"])

    def row_key(self, subscriber_id: str, destination_id: str, part: int) -> str:
        """Return the idempotency key of a queue row.

        Args:
            part: number of the piece, where the format makes several.
        """
        return RowKey(
            item_id=self.row["item_id"],
            item_version=int(self.row.get("_current_version") or 1),
            subscriber_id=subscriber_id,
            destination_id=destination_id,
            publishing_action=self.action,
            part=part,
            resend_id=self.resend_id,
        ).text


class RowDraft(NamedTuple):
    """A queue row before it is numbered and formatted.

    It becomes several rows where the format makes several parts.

    Attributes:
        recipient: who receives it; `destination` is one of its destinations.
    """

    item: OutgoingItem
    recipient: Recipient
    destination: SubscriberDestination
    formatter: type[Formatter]
    formats: ItemFormats

    def rows(self, number: int, now: datetime) -> list[Document]:
        """Return the rows, formatted; one row that says why where that is not possible.

        It is `failed` when the format refuses the item, `retrying` when something else broke: then
        the item is formatted before it is sent.

        Args:
            number: `published_seq_num`.
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
            log.exception("item.not_formatted", item=self.item.row["item_id"])
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
        recipient, destination = self.recipient, self.destination
        subscriber = recipient.subscriber
        return {
            **new_row(now),
            **self.item.fields,
            "subscriber_id": subscriber.id,
            "codes": list(recipient.codes),
            "destination": destination.shown,
            "lane": destination.lane,
            "idempotency_key": self.item.row_key(subscriber.key, destination.id, part),
            "published_seq_num": number,
            "associated_items": list(recipient.associated),
            # A withdrawal overtakes everything else that waits for its destination.
            "priority": subscriber.priority or self.item.action in WITHDRAWING_ACTIONS,
            **fields,
        }


def _unformatted(formatter: type[Formatter], cause: str) -> Document:
    """Return the fields of a row that could not be formatted (formats contract 1.5)."""
    message = f"{formatter.error_code} {formatter.error_text}: {cause}"
    return {"state": RowState.FAILED, "error_message": message}
