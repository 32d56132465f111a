"""`highlights`, and marks of items for them and for desks (resources contract 23)."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from apps.archive.actions.base import ActionContext, retry_when_overtaken
from apps.archive.journal.follow_ups import change
from apps.archive.visibility import audience, audience_of_id
from apps.core.caller import Caller
from apps.core.errors import Conflict, NotFound
from apps.core.ids import id_forms, same_id
from apps.core.notifier import Audience
from apps.core.service import Document, ResourceService
from apps.core.vocabulary import Operation
from apps.store.collections import ARCHIVE, HIGHLIGHTS, PUBLISHED

MARKED_IN = (ARCHIVE, PUBLISHED)
"""Collections whose documents carry marks."""

BUSY = "The item is being written by others. Try again."


class HighlightsService(ResourceService):
    """Named selections of items."""

    resource = "highlights"

    def delete(self, document: Document, caller: Caller) -> None:
        """Unmark all items, then remove the highlight: a repeated request finishes the rest."""
        marks = [{"highlights": form} for form in id_forms(document["_id"])]
        for collection, marked in product(MARKED_IN, marks):
            self.db[collection].update_many(marked, {"$pull": marked})
        super().delete(document, caller)


@dataclass(frozen=True)
class Mark:
    """A mark that was turned.

    Attributes:
        id: what the item is marked for.
        entries: all marks of the item afterwards.
        is_on: whether the item has it now.
        history: what the item's history says of it.
    """

    id: Any
    entries: list[Any]
    is_on: bool
    history: Mapping[str, Any]


class MarksService(ResourceService):
    """Turns marks of items; the items keep version and etag.

    Args:
        context: of the editor's actions.

    Attributes:
        field: of the item, a list of marks.
        event: told to clients.
    """

    field: str
    event: str

    def __init__(self, context: ActionContext) -> None:
        super().__init__(context.db, context.clock)
        self._context = context

    @abstractmethod
    def turned(
        self, request: Mapping[str, Any], item: Mapping[str, Any], caller: Caller
    ) -> Iterator[Mark]:
        """Yield what the request makes of the item's marks, one after the other."""

    def create(self, documents: list[Document], caller: Caller) -> list[Any]:
        for document in documents:
            document["_id"] = self._turn(document, caller)
        return [document["_id"] for document in documents]

    def audience(self, document: Document, original: Document | None = None) -> Audience:
        return audience_of_id(self.db, document["_id"])

    def _turn(self, request: Mapping[str, Any], caller: Caller) -> str | None:
        """Turn the marks and return the item's id, or None when there is no such item.

        Raises:
            Conflict: others keep writing the item.
        """
        try:
            item, marks = retry_when_overtaken(
                lambda: self._turn_once(request, caller), Conflict(BUSY)
            )
        except NotFound:
            return None
        self._tell(item, marks)
        return str(item["_id"])

    def _turn_once(self, request: Mapping[str, Any], caller: Caller) -> tuple[Document, list[Mark]]:
        item = self._context.readable_item(request["marked_item"], caller)
        marks = list(self.turned(request, item, caller))
        self._store(item, marks, caller)
        return item, marks

    def _store(self, item: Document, marks: list[Mark], caller: Caller) -> None:
        updates = {self.field: marks[-1].entries}
        rows: Document = {"item_id": item["_id"]}
        if all(mark.is_on for mark in marks):
            # A mark is for what the item is now; without it, no version keeps it.
            rows["_current_version"] = item.get("_current_version")
        journal = self._context.journal
        note = journal.action(
            [
                change(PUBLISHED, rows, updates),
                *(
                    self._context.history(
                        Operation.MARK if mark.is_on else Operation.UNMARK,
                        item,
                        mark.history,
                        caller,
                    )
                    for mark in marks
                ),
            ]
        )
        journal.write(updates, item, note, [self.field])

    def _tell(self, item: Mapping[str, Any], marks: list[Mark]) -> None:
        for mark in marks:
            self._context.notifier.push(
                self.event,
                audience=audience([item]),
                marked=int(mark.is_on),
                item_id=str(item["_id"]),
                mark_id=str(mark.id),
            )


class HighlightMarksService(MarksService):
    """POST `/marked_for_highlights`."""

    resource = "marked_for_highlights"
    field = "highlights"
    event = "item:highlights"

    def turned(
        self, request: Mapping[str, Any], item: Mapping[str, Any], caller: Caller
    ) -> Iterator[Mark]:
        entries = list(item.get(self.field) or ())
        wanted = list(dict.fromkeys(request["highlights"]))
        found = self.db[HIGHLIGHTS].find({"_id": {"$in": wanted}}, {"name": 1})
        names = {row["_id"]: row.get("name") for row in found}
        for highlight in wanted:
            left = [entry for entry in entries if not same_id(entry, highlight)]
            is_on = len(left) == len(entries)
            entries = [*left, highlight] if is_on else left
            history = {"highlight_id": highlight, "highlight_name": names.get(highlight)}
            yield Mark(highlight, entries, is_on, history)


class DeskMarksService(MarksService):
    """POST `/marked_for_desks`."""

    resource = "marked_for_desks"
    field = "marked_desks"
    event = "item:marked_desks"

    def turned(
        self, request: Mapping[str, Any], item: Mapping[str, Any], caller: Caller
    ) -> Iterator[Mark]:
        # Ids are text in these marks, unlike everywhere else.
        desk = str(request["marked_desk"])
        entries = list(item.get(self.field) or ())
        left = [entry for entry in entries if not same_id(entry.get("desk_id"), desk)]
        is_on = len(left) == len(entries)
        if is_on:
            left.append(
                {
                    "desk_id": desk,
                    "user_marked": str(caller.user_id or ""),
                    "date_marked": self.clock.now(),
                }
            )
        yield Mark(desk, left, is_on, {"desk_id": desk})
