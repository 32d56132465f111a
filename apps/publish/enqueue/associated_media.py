"""Media that are sent again with the item that holds them (routing contract 8.6).

Whoever gets a story may lack its pictures: they came before it was a subscriber, or before it had a
product for them.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from apps.core.service import Document
from apps.core.vocabulary import MEDIA_TYPES, Operation, State
from apps.publish.enqueue.references import associations_of
from apps.store.collections import PUBLISHED

Item = Mapping[str, Any]

FOLLOWING = (Operation.CORRECT, Operation.BEING_CORRECTED)
WITHDRAWALS = (Operation.KILL, Operation.TAKEDOWN, Operation.UNPUBLISH)
LIVE = (State.PUBLISHED, State.CORRECTED, State.BEING_CORRECTED)


class When(StrEnum):
    """Setting PUBLISH_ASSOCIATIONS_RESEND: with what associated media are sent again."""

    NEW = "new"
    """New stories, not their corrections and updates."""
    UPDATES = "updates"
    """New stories and their updates."""
    CORRECTIONS = "corrections"
    """Everything but withdrawals."""


def is_due(item: Item, when: Any) -> bool:
    """Whether associated media are sent with this version of an item.

    Args:
        when: see `When`; anything else is never.
    """
    if item.get("operation") in WITHDRAWALS:
        return False
    is_correction = item.get("operation") in FOLLOWING
    if when == When.CORRECTIONS:
        return True
    if when == When.UPDATES:
        return not is_correction
    return bool(when == When.NEW and not is_correction and not item.get("rewrite_of"))


def media_ids(item: Item) -> Iterator[str]:
    """Yield the ids of associated media that did not go out with the item anyway, each once."""
    seen = set()
    for _key, held in associations_of(item):
        is_ours = held.get("_fetchable") is not False and held.get("type") in MEDIA_TYPES
        id_ = held.get("_id")
        if is_ours and isinstance(id_, str) and not held.get("is_queued") and id_ not in seen:
            seen.add(id_)
            yield id_


class SentAlong:
    """The media that the items of one batch take along.

    Args:
        rows: newest published row of each, by item id.
        when: setting PUBLISH_ASSOCIATIONS_RESEND.
    """

    def __init__(self, rows: Mapping[str, Document], when: Any) -> None:
        self.rows = rows
        self._when = when

    @classmethod
    def load(cls, db: Database[Document], items: Iterable[Item], when: Any) -> "SentAlong":
        """Read the media of `items`; one command, none where there are none."""
        due = [item for item in items if is_due(item, when)]
        wanted = sorted({media for item in due for media in media_ids(item)})
        newest: dict[str, Document] = {}
        if wanted:
            last = {"item_id": {"$in": wanted}, "last_published_version": True}
            for row in db[PUBLISHED].find(last).sort("publish_sequence_no", 1):
                newest[row["item_id"]] = row
        return cls(newest, when)

    def of(self, item: Item) -> Iterator[Document]:
        """Yield the published rows to send to the recipients of `item`.

        Media that something newer is on its way of are left to that, and those that went through
        the same action as the item.
        """
        if not is_due(item, self._when):
            return
        mark = {"item_id": item["item_id"], "version": item.get("_current_version")}
        for media in media_ids(item):
            row = self.rows.get(media)
            if row is None or row.get("state") not in LIVE or row.get("published_with") == mark:
                continue
            if (row.get("publish_sequence_no") or 0) < (item.get("publish_sequence_no") or 0):
                yield row
