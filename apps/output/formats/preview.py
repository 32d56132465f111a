"""Formats items outside of routing: for previews and exports. Draws no sequence number."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.database import Database

from apps.archive.visibility import check_may_see
from apps.core.caller import Caller
from apps.core.documents import objects_of
from apps.core.errors import BadRequest, NotFound
from apps.core.service import Document
from apps.publish.enqueue.formatting import ItemFormatting
from apps.publish.enqueue.references import References
from apps.publish.enqueue.subscribers import compile_subscriber
from apps.routing.subscribers.stored_destinations import shown_destination
from apps.store.by_id import find_by_id
from apps.store.collections import ARCHIVE, SUBSCRIBERS
from formatters.base import Formatted, Formatter

NOT_FORMATTED = "Error in formatting article: {}"


class ItemPreview:
    """Formats items of the archive as they stand.

    Args:
        db: the database.
        formatting: builds the formats of items.
    """

    def __init__(self, db: Database[Document], formatting: ItemFormatting) -> None:
        self._db = db
        self._formatting = formatting

    def by_class(self, name: str) -> type[Formatter] | None:
        """Return the formatter of this class name, None where there is none."""
        return next((cls for cls in self._formatting.formatters if cls.public_name() == name), None)

    def for_subscriber(
        self, item_id: str, subscriber_id: str, format: str, caller: Caller
    ) -> tuple[type[Formatter], Formatted]:
        """Return an item as a subscriber would get it.

        Args:
            format: as in `destination.format`, or a class name. The first destination that has it
                says how the output differs.
            caller: who asks.

        Raises:
            NotFound: no such item, subscriber or format.
            Forbidden: the caller may not see the item.
            BadRequest: the item cannot be written in this format.
        """
        item = self._db[ARCHIVE].find_one({"_id": item_id})
        if item is None:
            raise NotFound(f"Item {item_id} not found")
        check_may_see(item, caller)
        subscriber = find_by_id(self._db[SUBSCRIBERS], subscriber_id)
        if subscriber is None:
            raise NotFound(f"Subscriber {subscriber_id} not found")
        formatter = self._formatting.formatters.find(format) or self.by_class(format)
        if formatter is None:
            raise NotFound(f"Formatter {format} not found")
        return formatter, self.format(item, formatter, self.references([item]), subscriber)

    def references(self, items: Sequence[Document]) -> References:
        """Return what formats need to know of `items`, read at once."""
        return self._formatting.references(items)

    def format(
        self,
        item: Document,
        formatter: type[Formatter],
        references: References,
        subscriber: Document | None = None,
    ) -> Formatted:
        """Return the first part of an item in a format, with sequence number 0.

        Args:
            references: holds what the item refers to.
            subscriber: who would receive it; None for nobody in particular.

        Raises:
            BadRequest: the item cannot be written in this format.
        """
        row = {**item, "item_id": item["_id"]}
        formats = self._formatting.formats_of(row, references)
        if not formatter.can_format(row):
            reason = f"{formatter.type} takes no items of type {item.get('type')}"
            raise BadRequest(NOT_FORMATTED.format(reason))
        config = _config(subscriber or {}, formatter)
        recipient = compile_subscriber(subscriber) if subscriber else None
        try:
            first, *_others = formats.payloads(formatter, config, "", 0, recipient)
        except Exception as error:
            # Whatever a format stumbles over in an unfinished item is for the editor to see.
            raise BadRequest(NOT_FORMATTED.format(error)) from error
        return first.formatted


def _config(subscriber: Mapping[str, Any], formatter: type[Formatter]) -> Mapping[str, Any]:
    """Return the config, without secrets, of the first destination with this format."""
    for destination in objects_of(subscriber, "destinations"):
        if destination.get("format") == formatter.type:
            config: Mapping[str, Any] = shown_destination(destination)["config"]
            return config
    return {}
