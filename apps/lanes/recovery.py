"""Lanes with work that nobody looks after: the net under every other mechanism."""

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.lanes.kind import LaneKind
from apps.lanes.waking import wake


class LostLanes:
    """Wakes lanes of one kind whose work would stay where it is.

    Args:
        db: the database.
        clock: source of time.
        kind: which lanes, and how their work tells that it is taken or waits.
    """

    def __init__(self, db: Database[Document], clock: Clock, kind: LaneKind) -> None:
        self._lanes = db[kind.lanes]
        self._work = db[kind.work]
        self._clock = clock
        self._kind = kind

    def wake_lost(self) -> int:
        """Wake lanes with work in progress that nobody holds; return how many.

        Who leases such a lane next takes the work over. Little is in progress at any time.
        """
        lanes = self._lanes_with(self._kind.in_progress)
        return self._wake(lanes, self._known(lanes))

    def wake_waiting(self) -> int:
        """Wake lanes that hold work that waits and are never due; return how many.

        Reads all that waits, so it runs seldom.
        """
        lanes = self._lanes_with(self._kind.waiting)
        known = self._known(lanes)
        awake = {lane["_id"] for lane in known if lane.get("wake_at") or lane.get("paused")}
        return self._wake(lanes - awake, known)

    def _lanes_with(self, work: Mapping[str, Any]) -> set[str]:
        found = self._work.distinct(self._kind.lane_field, dict(work))
        return {lane for value in found if (lane := self._kind.lane_id(value)) is not None}

    def _known(self, lanes: set[str]) -> list[Document]:
        if not lanes:
            return []
        fields = {"wake_at": 1, "lease_until": 1, "paused": 1}
        return list(self._lanes.find({"_id": {"$in": sorted(lanes)}}, fields))

    def _wake(self, lanes: set[str], known: Sequence[Document]) -> int:
        """Wake those of `lanes` that no process holds."""
        now = self._clock.precise()
        held = {lane["_id"] for lane in known if (lane.get("lease_until") or now) > now}
        wake(self._lanes, dict.fromkeys(lanes - held, False), now)
        return len(lanes - held)
