"""The one rule of embargoes: until when an item may not be shown.

An item can be under the newsroom's own embargo (`embargo`, its UTC value in
`schedule_settings.utc_embargo`) and under one that it came in with (`embargoed`). The later counts.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apps.core.clock import moment_of
from apps.core.documents import object_of

EMBARGO_FIELDS = frozenset({"embargo", "embargoed", "schedule_settings"})
"""Fields of an item that `embargo_of` reads."""
EMBARGO_MOMENTS = ("embargo", "embargoed", "schedule_settings.utc_embargo")
"""Paths of the moments in them."""


def embargo_of(item: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return until when `item` is under an embargo; None where there is none, or it is over.

    Args:
        item: as stored.
        now: the current time. Aware.
    """
    own = object_of(item, "schedule_settings").get("utc_embargo") or item.get("embargo")
    ends = (moment_of(value) for value in (own, item.get("embargoed")))
    return max((end for end in ends if end is not None and end > now), default=None)
