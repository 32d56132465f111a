"""Claims on lanes: which are due, and who serves them.

Delivery contract C1 to C4, P1. A lane is leased by one process at a time, and each lease has a
higher token than all before. Whatever is written to the work of a lane carries the token, and
nothing touches work that a later lease has marked, so a process that lost its lease changes
nothing.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import ReturnDocument
from pymongo.collection import Collection

from apps.core.clock import Clock
from apps.core.service import Document

URGENT_IN_A_ROW = 4
DUE_LANES = 100
INCOMPLETE = "incomplete"
"""Owner of a lane that was given back before all its work was."""
LARGEST_TOKEN = 2**62
"""Tokens stay below, so that they can rise."""


@dataclass(frozen=True)
class Lane:
    """A lane that this process has leased.

    Attributes:
        token: goes with every write of the lane's work.
        wakes: wake-ups seen; when there are more at release, work has come meanwhile.
        careful: take one thing at a time: the last delivery was slow, or a process died here.
        orphaned: the lease of a process that died was taken over.
        failing: administrators were notified that deliveries fail, and nothing has succeeded since.
        asked_at, granted_at: when the lease was asked for, and when it was there, by the monotonic
            clock. The lease is counted from the former; a renewal after the latter extends it.
    """

    id: str
    token: int
    wakes: int
    careful: bool
    orphaned: bool
    failing: bool = False
    asked_at: float = 0.0
    granted_at: float = 0.0


class LaneClaims:
    """Leases lanes.

    Args:
        lanes: the collection of lanes of this kind.
        clock: source of time.
        lease: how long a claim is good for without being renewed.
        owner: name of this process's run, unique.
    """

    def __init__(
        self, lanes: Collection[Document], clock: Clock, lease: timedelta, owner: str
    ) -> None:
        self._lanes = lanes
        self._clock = clock
        self._lease = lease
        self.owner = owner

    def due(self) -> list[str]:
        """Return ids of lanes with something due, in the order in which to try them."""
        now = self._clock.precise()
        found = self._lanes.find({"wake_at": {"$lte": now}}, {"urgent": 1, "lease_until": 1})
        lanes = found.sort("wake_at", 1).limit(DUE_LANES)
        free = [
            lane
            for lane in lanes
            if not isinstance(until := lane.get("lease_until"), datetime) or until < now
        ]
        return interleaved(
            [lane["_id"] for lane in free if lane.get("urgent")],
            [lane["_id"] for lane in free if not lane.get("urgent")],
        )

    def lease(self, lane_id: str) -> Lane | None:
        """Lease a lane, or return None when another process has it; one command."""
        asked_at = time.monotonic()
        now = self._clock.precise()
        before = self._lanes.find_one_and_update(
            {"_id": lane_id, "$or": [{"lease_until": None}, {"lease_until": {"$lt": now}}]},
            {
                "$set": {"lease_owner": self.owner, "lease_until": now + self._lease},
                "$inc": {"claim_token": 1},
            },
            return_document=ReturnDocument.BEFORE,
        )
        if before is None:
            return None
        return Lane(
            id=lane_id,
            token=int(before.get("claim_token") or 0) + 1,
            wakes=int(before.get("wakes") or 0),
            careful=bool(before.get("careful")),
            orphaned=before.get("lease_owner") is not None,
            failing=bool(before.get("failing")),
            asked_at=asked_at,
            granted_at=time.monotonic(),
        )

    def renew(self) -> None:
        """Extend all leases of this run; one command."""
        until = self._clock.precise() + self._lease
        self._lanes.update_many({"lease_owner": self.owner}, {"$set": {"lease_until": until}})

    def rise_above(self, lane: Lane, work: Sequence[Mapping[str, Any]]) -> bool:
        """Whether one of `work` was marked under a later lease than this one; seldom a command.

        Where nobody has leased the lane since, its document is older than its work: the store has
        lost it, or others wrote the work. The lane is then given back, to go on from the token of
        the work; this lease is over.

        Raises:
            ValueError: no lane can go on from there.
        """
        latest = max(map(token_of, work), default=-1)
        if latest <= lane.token:
            return False
        if latest >= LARGEST_TOKEN:
            raise ValueError("claim_token is too large")
        own = {"_id": lane.id, "claim_token": lane.token}
        free = {"lease_owner": INCOMPLETE, "lease_until": None, "wake_at": self._clock.precise()}
        self._lanes.update_one(own, {"$set": {**free, "claim_token": latest}})
        return True

    def fields(self, lane: Lane, now: datetime) -> Document:
        """Return what a piece of work gets that is taken under the lease of its lane."""
        return {
            "lease_owner": self.owner,
            "lease_until": now + self._lease,
            "claim_token": lane.token,
        }

    def release(
        self,
        lane: Lane,
        *,
        more: bool,
        next_due: datetime | None,
        careful: bool,
        incomplete: bool = False,
    ) -> None:
        """Give the lane back and say when it is due again; one command.

        Args:
            incomplete: work may still be marked as taken; the next process that leases the
                lane takes it over as from a process that died.
        """
        now = self._clock.precise()
        owner = INCOMPLETE if incomplete else None
        free = {"lease_owner": owner, "lease_until": None, "careful": careful}
        own = {"_id": lane.id, "claim_token": lane.token}
        if not more:
            quiet = _quiet({**free, "urgent": False}, next_due)
            if self._lanes.update_one({**own, "wakes": lane.wakes}, quiet).matched_count:
                return
        self._lanes.update_one(own, {"$set": {**free, "wake_at": now}})


def _quiet(fields: Document, next_due: datetime | None) -> Document:
    """Return the update of a lane that waits: until `next_due`, or for the next wake-up."""
    if next_due:
        return {"$set": {**fields, "wake_at": next_due}}
    # Taken away, not null: `$min` of a wake-up would leave a null as it is.
    return {"$set": fields, "$unset": {"wake_at": 1}}


def interleaved(urgent: list[str], normal: list[str]) -> list[str]:
    """Return urgent lanes first, a normal one after every four of them (delivery contract P1)."""
    order: list[str] = []
    left = list(normal)
    for number, lane in enumerate(urgent, start=1):
        order.append(lane)
        if number % URGENT_IN_A_ROW == 0 and left:
            order.append(left.pop(0))
    return order + left


def token_of(row: Mapping[str, Any]) -> int:
    """Return the token of the lease under which work was last marked; -1 where it never was."""
    token = row.get("claim_token")
    return token if isinstance(token, int) else -1
