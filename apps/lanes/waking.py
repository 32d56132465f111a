"""Makes lanes due.

A lane's document says when something is due next (`wake_at`): code that adds work moves that
forward, the run moves it back when it finds nothing more. `wakes` counts the former, so that a
wake-up in between is never lost.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pymongo import UpdateMany, UpdateOne
from pymongo.collection import Collection

from apps.core.service import Document


def wake(
    lanes: Collection[Document],
    wanted: Mapping[str, bool],
    due_at: datetime,
    *,
    probe: bool = False,
) -> None:
    """Make lanes due; one command, two where some of them are new. Called after their work is
    stored.

    Args:
        lanes: the collection of lanes of this kind.
        wanted: lane id to whether it holds something urgent.
        due_at: when; a lane that is due earlier stays so.
        probe: try the receiver then, even if the breaker of the lane is open.
    """
    if not wanted:
        return
    by_urgency: dict[bool, list[str]] = {}
    for lane, urgent in sorted(wanted.items()):
        by_urgency.setdefault(urgent, []).append(lane)
    known = lanes.bulk_write(
        [
            UpdateMany({"_id": {"$in": ids}}, _due(due_at, urgent, probe))
            for urgent, ids in by_urgency.items()
        ],
        ordered=False,
    )
    if known.matched_count < len(wanted):
        # Waking those that are there twice does no harm.
        lanes.bulk_write(
            [
                UpdateOne({"_id": lane}, _due(due_at, urgent, probe), upsert=True)
                for urgent, ids in by_urgency.items()
                for lane in ids
            ],
            ordered=False,
        )


def resume(lanes: Collection[Document], ids: Iterable[str], now: datetime) -> None:
    """End the pauses of lanes, and try them now; one command.

    A pause that a process asks for meanwhile, for what it did before, is void.
    """
    due = _due(now, urgent=False, probe=True)
    due["$inc"] = {**due["$inc"], "resumes": 1}
    lanes.update_many({"_id": {"$in": sorted(ids)}}, {**due, "$unset": {"paused": 1}})


def _due(due_at: datetime, urgent: bool, probe: bool) -> Document:
    due: Document = {"$min": {"wake_at": due_at}, "$max": {"urgent": urgent}, "$inc": {"wakes": 1}}
    return {**due, "$set": {"probe": True}} if probe else due
