"""Destinations of subscribers, one at a time (delivery contract 7.1)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from pymongo.database import Database

from apps.core.documents import objects_of
from apps.core.errors import NotFound
from apps.core.service import Document
from apps.publish.queue.lane_state import HELD_TO
from apps.routing.subscribers.stored_destinations import destination_id, lane_id
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISH_LANES, SUBSCRIBERS

NO_SUBSCRIBER = "There is no subscriber {}. GET /subscribers lists all."
NO_DESTINATION = (
    "Subscriber {0} has no destination {1}. GET /subscribers/{0}/destinations lists all."
)
NO_ACTION = "There is no action {}. There are: {}"


@dataclass(frozen=True)
class Target:
    """A destination that something is asked of, as stored.

    Attributes:
        subscriber: who has it.
        destination: with its secrets, as they are encrypted.
        id: of the destination.
        lane: id of its lane.
        is_removed: the subscriber does not have it any more.
    """

    subscriber: Document
    destination: Document
    id: str
    lane: str
    is_removed: bool = False

    @property
    def name(self) -> str:
        """What people call it."""
        return str(self.destination.get("name") or self.id)


@dataclass(frozen=True)
class Action:
    """Something that can be done with a destination.

    Attributes:
        run: does it with a target and the body of the request, for a caller, and returns the
            answer. It raises `Conflict` where the state of the destination does not allow it.
        fields: what the body may hold, each of a type.
        of_removed: whether it can be done with a destination that its subscriber does not have any
            more, and that holds deliveries.
        is_once: whether a repeat with the same idempotency key gets the first answer, and nothing
            is done. In place of the caller, `run` is told of the request.
    """

    run: Callable[[Target, Mapping[str, Any], Any], Document]
    fields: Mapping[str, type] = field(default_factory=dict)
    of_removed: bool = False
    is_once: bool = False


class DestinationsService:
    """Finds destinations, and has actions done with them.

    Args:
        db: the database.
        actions: by name.
    """

    def __init__(self, db: Database[Document], actions: Mapping[str, Action]) -> None:
        self._subscribers = db[SUBSCRIBERS]
        self._lanes = db[PUBLISH_LANES]
        self._actions = dict(actions)

    def action(self, name: str) -> Action:
        """Return an action.

        Raises:
            NotFound: there is none of that name.
        """
        if name not in self._actions:
            raise NotFound(NO_ACTION.format(name, ", ".join(sorted(self._actions))))
        return self._actions[name]

    def targets(self, subscriber: str) -> list[Target]:
        """Return the destinations of a subscriber; one command.

        Raises:
            NotFound: there is no such subscriber.
        """
        owner = self._owner(subscriber)
        return [_target(owner, stored) for stored in objects_of(owner, "destinations")]

    def target(self, subscriber: str, destination: str, *, or_removed: bool = False) -> Target:
        """Return a destination of a subscriber; one command, two for one that was removed.

        Args:
            subscriber, destination: their ids.
            or_removed: it may be one that the subscriber does not have any more, where its
                deliveries are kept from going.

        Raises:
            NotFound: there is none.
        """
        owner = self._owner(subscriber)
        for stored in objects_of(owner, "destinations"):
            if destination_id(stored) == destination:
                return _target(owner, stored)
        removed = _target(owner, {"_id": destination})
        kept = {
            "_id": removed.lane,
            "$or": [{"paused.reason": {"$ne": None}}, {HELD_TO: {"$ne": None}}],
        }
        if or_removed and self._lanes.find_one(kept, {"_id": 1}):
            return replace(removed, is_removed=True)
        raise NotFound(NO_DESTINATION.format(subscriber, destination))

    def _owner(self, subscriber: str) -> Document:
        owner = find_by_id(self._subscribers, subscriber)
        if owner is None:
            raise NotFound(NO_SUBSCRIBER.format(subscriber))
        return owner


def _target(subscriber: Document, destination: Document) -> Target:
    id_ = destination_id(destination)
    return Target(subscriber, destination, id_, lane_id(subscriber["_id"], id_))
