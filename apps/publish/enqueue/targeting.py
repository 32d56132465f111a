"""Whom an item is aimed at (routing contract 7.1)."""

from dataclasses import dataclass
from enum import Enum

from apps.core.vocabulary import SubscriberType
from apps.routing.filters.fields import Document
from apps.routing.products.matching import Restriction, read_restriction, target_value

_EVERY_KIND = frozenset({SubscriberType.DIGITAL, SubscriberType.WIRE})
"""What a subscriber of type `all` is at once."""


class Eligibility(Enum):
    """What targeting says of a subscriber."""

    ELIGIBLE = "eligible"
    """Its products decide."""
    DIRECT = "direct"
    """It is named, and gets the item whatever its products say."""
    DROPPED = "dropped"


@dataclass(frozen=True)
class Targets:
    """The targets of one item, read once.

    Attributes:
        subscribers: ids in `target_subscribers` as text.
        types: restriction by `target_types`, or None.
        has_regions: whether there are `target_regions`; products decide on those.
    """

    subscribers: frozenset[str]
    types: Restriction | None
    has_regions: bool

    @classmethod
    def of(cls, item: Document) -> "Targets":
        """Read the targets of `item`; null lists are empty.

        Raises:
            KeyError: an entry lacks its key (`_id`; `qcode`, `allow`). Nobody can tell who is
                meant, so the item must not be routed (routing contract 8.1).
        """
        subscribers = item.get("target_subscribers") or ()
        return cls(
            frozenset(str(target_value(entry, "_id")) for entry in subscribers),
            read_restriction(item.get("target_types")),
            read_restriction(item.get("target_regions")) is not None,
        )

    def eligibility(self, subscriber_id: str, subscriber_type: str) -> Eligibility:
        """Return what the targets say of a subscriber.

        Args:
            subscriber_id: its id as text.
            subscriber_type: see `SubscriberType`.
        """
        if subscriber_id in self.subscribers:
            return Eligibility.DIRECT
        if not self.subscribers and self.types is None:
            return Eligibility.ELIGIBLE
        if self.types is not None and _admits(self.types, subscriber_type):
            return Eligibility.ELIGIBLE
        return Eligibility.ELIGIBLE if self.has_regions else Eligibility.DROPPED


def _admits(types: Restriction, subscriber_type: str) -> bool:
    """Return whether `types` lets a type in; `all` counts as digital and as wire."""
    if subscriber_type != SubscriberType.ALL:
        return types.admits(subscriber_type)
    if types.allowed:
        return not types.allowed.isdisjoint({SubscriberType.ALL, *_EVERY_KIND})
    return SubscriberType.ALL not in types.denied and not types.denied >= _EVERY_KIND
