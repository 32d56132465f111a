"""What is being done in a lane, noted on its document instead of on each piece of work.

Delivery contract C8, C9. A kind that takes work in batches notes what it takes under the token of
its lease (`LaneClaims.note`): one write, however much it is. The note stands until the lane is
given back, and outlives a process that dies; whatever is written to the work later carries the
token, or a later one, which tells what is over.

Work that waits may be changed by others than the holder of the lease, if they keep it back
meanwhile (`kept_back`). The document of the lane decides who was first.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne
from pymongo.collection import Collection

from apps.core.documents import object_of
from apps.core.service import Document
from apps.store.batches import parts


def token_of(work: Mapping[str, Any]) -> int:
    """Return the token of the lease under which work was last written; -1 where it never was."""
    token = work.get("claim_token")
    return token if isinstance(token, int) else -1


@dataclass(frozen=True)
class Sending:
    """The note of a lane.

    Attributes:
        token: of the lease under which it was made.
        at: when.
        ids: of the work.
        pointless: ids of other work, which the holder of the lease may be calling off.
    """

    token: int
    at: datetime
    ids: frozenset[Any]
    pointless: frozenset[Any] = frozenset()

    def includes(self, work: Mapping[str, Any]) -> bool:
        """Whether work, which waits as stored, is being done. Nothing says how far that is."""
        return work["_id"] in self.ids and token_of(work) < self.token


def sending_of(lane: Mapping[str, Any]) -> Sending | None:
    """Return the note of a lane's document; None where nothing is being done."""
    note = object_of(lane, "sending")
    if not note:
        return None
    # Work of others may have ids that cannot be looked for; none such is ever started.
    ids, pointless = (
        frozenset(id_ for id_ in note.get(name) or () if isinstance(id_, Hashable))
        for name in ("ids", "pointless")
    )
    return Sending(note["token"], note["at"], ids, pointless)


def all_sending(lanes: Collection[Document]) -> list[Sending]:
    """Return the notes of all lanes, whether their processes are alive or not; one command."""
    # Those that were given back have no owner.
    held = lanes.find({"lease_owner": {"$gt": ""}}, {"sending": 1})
    return [note for lane in held if (note := sending_of(lane)) is not None]


@dataclass(frozen=True)
class Noted:
    """What the document of a lane said when something was noted on it.

    Attributes:
        at: when that was.
        kept_back: ids of work that others are changing: it is not to be started.
        abandoned: ids of the entries of those who began that so long ago that they must be dead,
            each with the ids of its work.
        has_changed: others have changed work of the lane since it was leased: what was read of it
            may be outdated.
    """

    at: datetime
    kept_back: frozenset[Any]
    abandoned: Mapping[Any, Sequence[Any]]
    has_changed: bool


@contextmanager
def kept_back(
    lanes: Collection[Document], work: Mapping[str, Sequence[Any]], now: datetime
) -> Iterator[dict[str, Sending]]:
    """Let nobody start work while it is changed; three commands, or none.

    The work is to be read before, and changed only if it is still as it was read, `claim_token`
    included. Whoever dies amid this has changed all of it, some or nothing; then the holder of the
    lease lets the work go on after a while, by writing its token on it.

    Args:
        lanes: their collection.
        work: lane id to ids of what is to be changed there.
        now: the current time.

    Yields:
        By lane, the notes of those that have one: what it includes has been started, and goes on.
    """
    if not work:
        yield {}
        return
    entry = ObjectId()
    lanes.bulk_write(
        [
            UpdateOne(
                {"_id": lane},
                {"$push": {"kept_back": {"_id": entry, "ids": list(ids), "at": now}}},
                # A lane that is not there yet may be leased in a moment.
                upsert=True,
            )
            for lane, ids in work.items()
        ],
        ordered=False,
    )
    try:
        found = (
            lane
            for ids in parts(sorted(work))
            for lane in lanes.find({"_id": {"$in": ids}}, {"sending": 1})
        )
        yield {lane["_id"]: note for lane in found if (note := sending_of(lane)) is not None}
    finally:
        gone = {"$pull": {"kept_back": {"_id": entry}}, "$inc": {"changes": 1}}
        lanes.bulk_write([UpdateOne({"_id": lane}, gone) for lane in work], ordered=False)
