"""The content API's copies of the items of one batch (routing contract 9)."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from apps.content_api.backlog import CopyBacklog
from apps.content_api.copies import Copy, build_copy
from apps.core.vocabulary import WITHDRAWING_ACTIONS, PublishingAction
from apps.filters.content_filters import FilterSet
from apps.filters.fields import ItemView
from apps.publish.enqueue.enqueue_service import Recipient
from apps.publish.enqueue.formatting import ItemFormats

logger = logging.getLogger(__name__)


def copy_key(row: Mapping[str, Any], resend_id: Any) -> str:
    """Return what names the copying of a published row, or that of a resend."""
    # A story that is sent again names the media that go along with the same resend.
    return f"{resend_id}:{row['item_id']}" if resend_id else str(row["_id"])


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
        self,
        row: Mapping[str, Any],
        action: PublishingAction,
        recipients: Iterable[Recipient],
        formats: ItemFormats,
        key: str,
    ) -> None:
        """Note the copy of a published row: every item gets one, also when nobody may read it.

        Args:
            key: see `copy_key`.
        """
        if self._stays_out(row, action):
            return
        # Who gets a package for destinations alone that take it whole has no use of its list.
        enabled = (r for r in recipients if r.api_enabled and not r.only_packaged)
        readers = [recipient.subscriber.id for recipient in enabled]
        try:
            ninjs = formats.content_api_document()
        except Exception as error:
            # An item that has no copy must still be delivered; its rows say why.
            logger.exception("item %s could not be copied", row["item_id"])
            self._copied.faults[key] = f"The item could not be copied: {error}"
            return
        self._copies.append(build_copy(row, ninjs, readers, key, self._now))

    def _stays_out(self, row: Mapping[str, Any], action: PublishingAction) -> bool:
        if action in WITHDRAWING_ACTIONS:
            # A kill reaches whatever is there; what was only scheduled never was.
            return bool(row.get("only_scheduled"))
        return self._filters.blocks_api(ItemView(row, self._now))

    def store(self) -> Copied:
        """Store what was noted; return what became of it."""
        self._copied.waiting |= self._backlog.store(self._copies)
        self._copies.clear()
        return self._copied
