"""Lanes: which destinations have something due, and who is delivering to them.

A lane is one destination of one subscriber. Its document in `publish_lanes` says when something
is due next (`wake_at`); producers of rows move that forward, the transmit run moves it back when it
finds nothing more. `wakes` counts the former, so that a wake-up in between is never lost.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pymongo import UpdateMany, UpdateOne
from pymongo.database import Database

from apps.core.service import Document
from apps.store.collections import PUBLISH_LANES


def wake(db: Database[Document], lanes: Mapping[str, bool], now: datetime) -> None:
    """Make `lanes` due; one command, two where some of them are new. Called after their rows are
    stored.

    Args:
        lanes: lane id to whether it holds something urgent.
    """
    if not lanes:
        return
    alike: dict[bool, list[str]] = {}
    for lane, urgent in sorted(lanes.items()):
        alike.setdefault(urgent, []).append(lane)
    known = db[PUBLISH_LANES].bulk_write(
        [UpdateMany({"_id": {"$in": ids}}, _due(now, urgent)) for urgent, ids in alike.items()],
        ordered=False,
    )
    if known.matched_count < len(lanes):
        # To wake those up twice that are there does no harm.
        db[PUBLISH_LANES].bulk_write(
            [
                UpdateOne({"_id": lane}, _due(now, urgent), upsert=True)
                for urgent, ids in alike.items()
                for lane in ids
            ],
            ordered=False,
        )


def _due(now: datetime, urgent: bool) -> Document:
    return {"$min": {"wake_at": now}, "$max": {"urgent": urgent}, "$inc": {"wakes": 1}}


def lanes_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, bool]:
    """Return the lanes of `rows`, each with whether one of its rows is urgent."""
    lanes: dict[str, bool] = {}
    for row in rows:
        lanes[row["lane"]] = lanes.get(row["lane"], False) or bool(row.get("priority"))
    return lanes
