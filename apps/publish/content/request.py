"""What the publications of one request share: an item, what it holds, the packages around it."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from apps.archive.associations import stored_items
from apps.archive.associations import with_ids as associated
from apps.archive.packages import Packages, is_package, member_ids
from apps.archive.places import Place, Places
from apps.core.caller import Caller
from apps.core.service import Document
from apps.store.sequences import Sequences
from apps.validate.validate import ValidateService

PUBLISHED_SEQUENCE = "published_item_sequence_no"


@dataclass(frozen=True)
class Outgoing:
    """An item that has gone out: as stored, and what the action changed."""

    item: Mapping[str, Any]
    changes: Mapping[str, Any]


class Batch:
    """Reads shared by the publications of one request, so that each is made once.

    Attributes:
        caller: who publishes.
        items: stored items by id, as far as they were needed.
        related: keys of associations, of the item and of what it holds, that are related content.
        sent: associations of the request.
        started: ids of the items whose publication has begun; none begins twice.
        outgoing: what has gone out, by id.
        validator: validation with the rules of these items read already; None reads them.
    """

    def __init__(
        self, caller: Caller, packages: Packages, places: Places, sequences: Sequences, db: Any
    ) -> None:
        self.caller = caller
        self.packages = packages
        self.items: dict[str, Document] = {}
        self.related: frozenset[str] = frozenset()
        self.started: list[str] = []
        self.outgoing: dict[str, Outgoing] = {}
        self.sent: Document = {}
        self.validator: ValidateService | None = None
        self._places = places
        self._sequences = sequences
        self._db = db
        self._known_places: dict[tuple[Any, Any], Place] = {}
        self._numbers: deque[int] = deque()

    def load_members(self, package: Mapping[str, Any]) -> None:
        """Read all items that a package holds, at any depth, and what those hold."""
        if is_package(package) and any(member_ids(package.get("groups"))):
            self.items.update(self.packages.below([package]))
            self.load_associated(list(self.items.values()))

    def load_associated(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Read the items that are associated with `items`; no command when all are known."""
        ids = {held["_id"] for item in items for _, held in associated(item)}
        self.items.update(stored_items(self._db, ids - self.items.keys()))

    def place(self, task: Mapping[str, Any]) -> Place:
        """Return the place that `task` names."""
        key = (task.get("desk"), task.get("stage"))
        if key not in self._known_places:
            self._known_places[key] = self._places.of(task)
        return self._known_places[key]

    def reserve(self, count: int) -> None:
        """Draw the numbers of `count` publications at once."""
        first = self._sequences.draw(PUBLISHED_SEQUENCE, count)
        self._numbers.extend(range(first, first + count))

    def provide(self, count: int) -> None:
        """Draw what is missing for `count` more publications."""
        if count > len(self._numbers):
            self.reserve(count - len(self._numbers))

    def number(self) -> int:
        """Return the next publication's number; later ones are higher."""
        if not self._numbers:
            self.reserve(1)
        return self._numbers.popleft()
