"""One publish request, and the publication of each item that goes out with it."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Protocol

from apps.archive.associations import associations_with_ids, stored_items
from apps.archive.packages import Packages, is_package, member_ids
from apps.archive.places import Place
from apps.core.caller import Caller
from apps.core.service import Document
from apps.core.vocabulary import Operation
from apps.core.workflow import Action
from apps.publish.content.collaborators import Collaborators

PUBLISHED_SEQUENCE = "published_item_sequence_no"
NO_FIELDS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Outgoing:
    """An item that has gone out: as stored, and what the publication changed."""

    item: Mapping[str, Any]
    changes: Mapping[str, Any]


class PublishRequest:
    """What the publications of one request share: an item, what it holds, the packages around it.

    Each read is made once.

    Args:
        caller: who publishes.
        collaborators: of the publish services.
        sent: associations in the body of the request.

    Attributes:
        items: stored items by id, as far as they were needed.
        related: keys of associations, of the item and of what it holds, that are related content.
        started: ids of the items whose publication has begun; none begins twice.
        outgoing: what has gone out, by id.
        validator: validation, with the rules of these items once they have been read.
    """

    def __init__(
        self, caller: Caller, collaborators: Collaborators, sent: Mapping[str, Any] = NO_FIELDS
    ) -> None:
        self.caller = caller
        self.sent = dict(sent)
        self.packages = Packages(collaborators.db, collaborators.legal_db)
        self.items: dict[str, Document] = {}
        self.related: frozenset[str] = frozenset()
        self.started: list[str] = []
        self.outgoing: dict[str, Outgoing] = {}
        self.validator = collaborators.validator
        self._db = collaborators.db
        self._places = collaborators.places
        self._sequences = collaborators.sequences
        self._known_places: dict[tuple[Any, Any], Place] = {}
        self._numbers: deque[int] = deque()

    def load_members(self, package: Mapping[str, Any]) -> None:
        """Read all items that a package holds, at any depth, and what those hold."""
        if is_package(package) and any(member_ids(package.get("groups"))):
            self.items.update(self.packages.below([package]))
            self.load_associated(list(self.items.values()))

    def load_associated(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Read the items that are associated with `items`; no command when all are known."""
        ids = {held["_id"] for item in items for _, held in associations_with_ids(item)}
        self.items.update(stored_items(self._db, ids - self.items.keys()))

    def place(self, task: Mapping[str, Any]) -> Place:
        """Return the place that `task` names."""
        key = (task.get("desk"), task.get("stage"))
        if key not in self._known_places:
            self._known_places[key] = self._places.of(task)
        return self._known_places[key]

    def reserve(self, count: int) -> None:
        """Draw what is missing for the numbers of `count` more publications, at once."""
        missing = count - len(self._numbers)
        if missing > 0:
            first = self._sequences.draw(PUBLISHED_SEQUENCE, missing)
            self._numbers.extend(range(first, first + missing))

    def number(self) -> int:
        """Return the next publication's number; later ones are higher."""
        self.reserve(1)
        return self._numbers.popleft()


@dataclass(frozen=True)
class Publication:
    """One operation on one item, from its checks until it is stored.

    Attributes:
        original: the item as stored.
        updates: what will be stored; checks read it, stamps add to it.
        request: what this publication shares with others of the same request.
        operation: what is written to the item as its operation.
        action: the workflow action that the state must allow.
        act: the `act` of the validators to use.
        now: the time of the publication.
        place: desk and stage of the item.
        body: `body_html` of the request; a withdrawal puts its notice before it.
        scripts: broadcast scripts that are told of it.
    """

    original: Document
    updates: Document
    request: PublishRequest
    operation: Operation
    action: Action
    act: str
    now: datetime
    place: Place
    body: str = ""
    scripts: list[Document] = field(default_factory=list)

    @property
    def caller(self) -> Caller:
        """Who publishes."""
        return self.request.caller

    @property
    def item(self) -> Document:
        """The item as it would be stored."""
        return {**self.original, **self.updates}

    @property
    def acts(self) -> set[str]:
        """The `act`s of the validators that the item and what it holds are checked with."""
        return {self.act, "auto_publish"} if self.updates.get("auto_publish") else {self.act}

    @property
    def is_correction(self) -> bool:
        return self.operation == Operation.CORRECT

    @property
    def is_requested(self) -> bool:
        """Whether the request names this item; the others go out with it."""
        started = self.request.started
        return not started or started[0] == self.original["_id"]


class NestedPublishing(Protocol):
    """Publishes items that go out with another one, which has been checked."""

    def publish_nested(
        self,
        operation: Operation,
        updates: Document,
        original: Document,
        request: PublishRequest,
        row: Mapping[str, str] = NO_FIELDS,
    ) -> Document:
        """Publish an item without further checks.

        Args:
            operation: picks the publish service.
            updates: what changes at the item besides.
            original: the item as stored.
            request: the request that it goes out with.
            row: fields that only its published row gets.

        Returns:
            The item as stored.

        Raises:
            EtagMismatch: the item was written since `original` was read.
        """
        ...
