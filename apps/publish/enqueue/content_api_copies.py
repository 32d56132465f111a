"""The content API's copies of the items of one batch (routing contract 9)."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from apps.content_api.backlog import CopyBacklog
from apps.content_api.copies import Copy, build_copy
from apps.core.vocabulary import WITHDRAWING_ACTIONS
from apps.publish.enqueue.enqueue_service import Recipient
from apps.publish.enqueue.formatting import ItemFormats
from apps.publish.enqueue.shipment import Shipment
from apps.routing.filters.content_filters import FilterSet
from apps.routing.filters.fields import ItemView

logger = logging.getLogger(__name__)


@dataclass
class Copied:
    """What became of copies.

    Attributes:
        waiting: keys of those that the store did not take yet.
        faults: key to why there is no copy.
    """

    waiting: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)


class BatchCopies:
    """Collects the copies of one batch and stores them together.

    Args:
        backlog: stores them, at once or later.
        filters: some of them keep items out of the content API.
        now: time of the batch.
    """

    def __init__(self, backlog: CopyBacklog, filters: FilterSet, now: datetime) -> None:
        self._backlog = backlog
        self._filters = filters
        self._now = now
        self._copies: list[Copy] = []
        self._copied = Copied()

    def add(
        self, shipment: Shipment, recipients: Iterable[Recipient], formats: ItemFormats
    ) -> None:
        """Note the copy of an item: every item gets one, also when nobody may read it."""
        if self._stays_out(shipment):
            return
        # Who gets a package for destinations alone that take it whole has no use of its list.
        enabled = (r for r in recipients if r.api_enabled and not r.only_packaged)
        readers = [recipient.subscriber.id for recipient in enabled]
        try:
            ninjs = formats.content_api_document()
        except Exception as error:
            # An item that has no copy must still be delivered; its rows say why.
            logger.exception("item %s could not be copied", shipment.item["item_id"])
            self._copied.faults[shipment.copy_key] = f"The item could not be copied: {error}"
            return
        copy = build_copy(shipment.item, ninjs, readers, shipment.copy_key, self._now)
        self._copies.append(copy)

    def _stays_out(self, shipment: Shipment) -> bool:
        if shipment.action in WITHDRAWING_ACTIONS:
            # A kill reaches whatever is there; what was only scheduled never was.
            return bool(shipment.item.get("only_scheduled"))
        return self._filters.blocks_api(ItemView(shipment.item, self._now))

    def store(self) -> Copied:
        """Store what was noted; return what became of it."""
        self._copied.waiting |= self._backlog.store(self._copies)
        self._copies.clear()
        return self._copied
