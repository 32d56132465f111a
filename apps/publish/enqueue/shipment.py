"""An item that goes out, and what all of its deliveries have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.core.ids import object_id
from apps.core.service import Document
from apps.core.vocabulary import PublishingAction
from apps.publish.queue.rows import RowKey


@dataclass(frozen=True)
class Shipment:
    """An item that goes out, by the usual routing or by a resend.

    Attributes:
        item: the published row.
        action: what the recipients are told.
        resend_id: the resend that asked for it; empty for the usual routing.
    """

    item: Mapping[str, Any]
    action: PublishingAction
    resend_id: str = ""

    @cached_property
    def fields(self) -> Document:
        """What all of its rows say."""
        item = self.item
        fields: Document = {
            "item_id": item["item_id"],
            "item_version": item.get("_current_version"),
            "publishing_action": self.action,
            "unique_name": item.get("unique_name"),
            "headline": item.get("headline"),
            "content_type": item.get("type"),
            "publish_schedule": item.get("publish_schedule"),
            "published_in_package": item.get("published_in_package"),
            "ingest_provider": item.get("ingest_provider"),
        }
        if self.resend_id:
            fields["resend_id"] = object_id(self.resend_id)
            # By this the transmit run tells a repeat that something newer has come in the way of.
            fields["publish_sequence_no"] = item.get("publish_sequence_no")
        return fields

    @property
    def copy_key(self) -> str:
        """What names its copy in the content API, in the backlog of those that wait."""
        # A story that is sent again names the media that go along with the same resend.
        if self.resend_id:
            return f"{self.resend_id}:{self.item['item_id']}"
        return str(self.item["_id"])

    def row_key(self, subscriber_id: str, destination_id: str, part: int) -> str:
        """Return the idempotency key of a row; the ids as text."""
        return RowKey(
            item_id=self.item["item_id"],
            item_version=int(self.item.get("_current_version") or 1),
            subscriber_id=subscriber_id,
            destination_id=destination_id,
            publishing_action=self.action,
            part=part,
            resend_id=self.resend_id,
        ).text
