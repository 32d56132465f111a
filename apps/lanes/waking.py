"""Makes lanes due.

A lane's document says when something is due next (`wake_at`): code that adds work moves that
forward, the run moves it back when it finds nothing more. `wakes` counts the former, so that a
wake-up in between is never lost.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

from pymongo import UpdateMany, UpdateOne
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError

from apps.core.service import Document
from apps.lanes.claims import Pause
from apps.store.batches import parts


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
            UpdateMany({"_id": {"$in": part}}, _due(due_at, urgent, probe))
            for urgent, ids in by_urgency.items()
            for part in parts(ids)
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


def pause(lanes: Collection[Document], lane_id: str, wanted: Pause) -> bool:
    """Let nothing be done in a lane until it is resumed; one command.

    What a process has begun there by then is finished.

    Returns:
        False where the lane is paused already.
    """
    free = {"_id": lane_id, "paused": None}
    change = {"$set": {"paused": wanted.stored()}, "$inc": {"resumes": 1, "wakes": 1}}
    try:
        lanes.update_one(free, change, upsert=True)
    except DuplicateKeyError:
        return False
    return True


def resume(
    lanes: Collection[Document],
    ids: Iterable[str],
    now: datetime,
    *,
    reason: str | None = None,
    besides: Iterable[str] = (),
) -> int:
    """End the pauses of lanes, and try them now; one command. Return how many lanes there were.

    A pause that a process asks for meanwhile, for what it did before, is void.

    Args:
        reason: only lanes that are paused for it.
        besides: fields of the lanes that end with the pause.
    """
    due = _due(now, urgent=False, probe=True)
    due["$inc"] = {**due["$inc"], "resumes": 1}
    wanted: Document = {"_id": {"$in": sorted(ids)}}
    if reason is not None:
        wanted["paused.reason"] = reason
    ended = dict.fromkeys(("paused", *besides), 1)
    return lanes.update_many(wanted, {**due, "$unset": ended}).matched_count


def _due(due_at: datetime, urgent: bool, probe: bool) -> Document:
    due: Document = {"$min": {"wake_at": due_at}, "$max": {"urgent": urgent}, "$inc": {"wakes": 1}}
    return {**due, "$set": {"probe": True}} if probe else due
