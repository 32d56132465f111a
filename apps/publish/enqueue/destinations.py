"""Destinations of subscribers as routing sees them: read once for all items of a batch."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bson import encode
from bson.raw_bson import RawBSONDocument

from apps.core.service import Document
from apps.routing.subscribers.stored_destinations import (
    CONTENT_API_DESTINATION,
    config_of,
    is_content_api,
    lane_id,
    shown_destination,
)

logger = logging.getLogger(__name__)

CONTENT_API_SHOWN = shown_destination(CONTENT_API_DESTINATION)


@dataclass(frozen=True, eq=False)
class Destination:
    """A destination of one subscriber.

    Attributes:
        shown: as rows show it, without secrets. All rows share it; nobody may change it.
        stored: the same, as it is written into rows: encoded once.
        lane: id of the lane that its deliveries go through.
        takes_whole_packages: it takes packages with their members inside.
    """

    shown: Document
    lane: str
    takes_whole_packages: bool = False

    @cached_property
    def stored(self) -> RawBSONDocument:
        return RawBSONDocument(encode(self.shown))

    @property
    def is_content_api(self) -> bool:
        return self.shown is CONTENT_API_SHOWN

    @property
    def id(self) -> str:
        return str(self.shown["_id"])

    @property
    def name(self) -> Any:
        return self.shown["name"]


def own_destinations(subscriber_id: Any, stored: Any) -> tuple[Destination, ...]:
    """Return the destinations in the list of a subscriber; the content API is none of its own.

    Lists may come from elsewhere: what cannot be read is left out, and harms nobody else.
    """
    found = []
    for destination in stored if isinstance(stored, (list, tuple)) else ():
        if isinstance(destination, Mapping) and not is_content_api(destination):
            try:
                found.append(_destination(subscriber_id, destination))
            except TypeError as error:
                name = destination.get("name")
                logger.warning("destination %s of %s is left out: %s", name, subscriber_id, error)
    return tuple(found)


def _destination(subscriber_id: Any, stored: Mapping[str, Any]) -> Destination:
    """Return a destination.

    Raises:
        TypeError: it has no id of its own, and holds what none can be made of.
    """
    shown = shown_destination(stored)
    whole = bool(config_of(stored).get("packaged"))
    return Destination(shown, lane_id(subscriber_id, shown["_id"]), whole)


def content_api_of(subscriber_id: Any) -> Destination:
    """Return the destination that stands for a subscriber's reading of the content API."""
    return Destination(CONTENT_API_SHOWN, lane_id(subscriber_id, CONTENT_API_SHOWN["_id"]))
