"""Claims on lanes: which are due, and who serves them.

Delivery contract C1 to C4, P1. A lane is leased by one process at a time, and each lease has a
higher token than all before. Whatever is written to the work of a lane carries the token, and
nothing touches work that a later lease has marked, so a process that lost its lease changes
nothing.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from pymongo import ReturnDocument
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.service import Document
from apps.lanes.breaker import Breaker, Circuit
from apps.lanes.health import Health
from apps.lanes.kind import LaneKind
from apps.lanes.sending import Noted, Sending, sending_of, token_of

log = structlog.get_logger(__name__)

DUE_LANES = 100
"""Lanes of one pass, urgent ones apart."""
READ_LANES = 2000
"""Most lanes that are read for a pass: beyond those that may be in it, others are looked for."""
INCOMPLETE = "incomplete"
"""Owner of a lane that was given back before all its work was."""
LARGEST_TOKEN = 2**62
"""Tokens stay below, so that they can rise."""


@dataclass(frozen=True)
class Pause:
    """Rest of a lane.

    Attributes:
        reason: one word for people and programs (`auth`, `rate_limited`).
        until: its end; None where only `resume` ends it.
        about: more that is kept of it, such as who asked for it.
    """

    reason: str
    until: datetime | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

    def stored(self) -> Document:
        """Return what the lane's document keeps of it."""
        return {**self.about, "reason": self.reason, "until": self.until}


@dataclass(frozen=True)
class Lane:
    """A lane that this process has leased.

    Attributes:
        token: goes with every write of the lane's work.
        wakes: wake-ups seen; when there are more at release, work has come meanwhile.
        careful: take one thing at a time: the last delivery was slow, or a process died here.
        orphaned: the lease of a process that died was taken over.
        breaker: what is done in the lane is counted here, see `Breaker.record`.
        health: what gets through and what does not, see `Health.failed`.
        document: the lane's document as it was when it was leased.
        failing: administrators were notified that deliveries fail, and nothing has succeeded since.
        pause: rest that the lane was told to take; the engine keeps to it.
        resumes: how often the lane was paused by others or resumed, seen when it was leased.
        changes: how often others have changed its work, seen when it was leased.
        sending: what an earlier holder of the lease noted, and has not called done.
        asked_at, granted_at: when the lease was asked for, and when it was there, by the monotonic
            clock. The lease is counted from the former; a renewal after the latter extends it.
    """

    id: str
    token: int
    wakes: int
    careful: bool
    orphaned: bool
    breaker: Breaker
    health: Health
    document: Mapping[str, Any] = field(default_factory=dict)
    failing: bool = False
    pause: Pause | None = None
    resumes: int | None = None
    changes: int = 0
    sending: Sending | None = None
    asked_at: float = 0.0
    granted_at: float = 0.0

    def is_paused(self, now: datetime) -> bool:
        """Whether the lane has to rest."""
        return self.pause is not None and (self.pause.until is None or self.pause.until > now)

    def limit(self, most: int) -> int:
        """Return how many things to take: `most`, or one where the lane has to be careful."""
        is_free = self.breaker.circuit is Circuit.CLOSED and not self.careful
        return most if is_free else 1


@dataclass(frozen=True)
class DueLanes:
    """Ids of lanes with something due, in the order in which to serve them.

    Attributes:
        urgent: those that hold something urgent.
        normal: the others.
    """

    urgent: Sequence[str] = ()
    normal: Sequence[str] = ()


@dataclass
class LaneOutcome:
    """Outcome of serving a lane.

    Attributes:
        sent: attempts made.
        more: whether the lane is to be served again at once.
        urgent: whether something urgent is left; None where nobody knows.
        next_due: when something that waits becomes due; an open breaker may serve the lane earlier.
        careful: whether the next claim should take one thing only.
        incomplete: whether work is left that is marked as taken; the next process that leases the
            lane takes it over as from a process that died.
        stalled: whether the receiver let a delivery wait in vain: this run leaves the lane alone.
        pause: nothing is done in the lane until it ends, whatever comes meanwhile.
        counts: what is added to `counts` of the lane's document, by name; a dot goes a level down.
    """

    sent: int = 0
    more: bool = False
    urgent: bool | None = None
    next_due: datetime | None = None
    careful: bool = False
    incomplete: bool = False
    stalled: bool = False
    pause: Pause | None = None
    counts: Mapping[str, float] = field(default_factory=dict)


class LaneClaims:
    """Leases the lanes of one kind.

    Args:
        db: the database.
        clock: source of time.
        kind: which lanes.
        owner: name of this process's run, unique.
    """

    def __init__(self, db: Database[Document], clock: Clock, kind: LaneKind, owner: str) -> None:
        self._lanes = db[kind.lanes]
        self._clock = clock
        self._kind = kind
        self.owner = owner

    def due(self, *, urgent_only: bool = False) -> DueLanes:
        """Return the lanes of the next pass; one command, seldom more.

        Of one group there are at most as many as a run has threads (delivery contract P2): who has
        work in many lanes takes up no other's place.
        """
        now = self._clock.precise()
        if urgent_only:
            return DueLanes(self._in_turns(self._first(now, {"urgent": True})[0]))
        found, is_whole = self._first(now, {})
        normal = [lane for lane in found if not lane.get("urgent")]
        urgent = [lane for lane in found if lane.get("urgent")]
        if not is_whole:
            urgent, _ = self._first(now, {"urgent": True})
        return DueLanes(self._in_turns(urgent), self._in_turns(normal))

    def _first(self, now: datetime, which: Document) -> tuple[list[Document], bool]:
        """Return lanes that are due and free, oldest first, and whether they are all there are."""
        due = {**which, "wake_at": {"$lte": now}, **free_at(now)}
        found = self._lanes.find(due, {"urgent": 1}).sort("wake_at", 1).limit(READ_LANES)
        lanes: list[Document] = []
        taken: Counter[tuple[str, bool]] = Counter()
        read = 0
        with found.batch_size(DUE_LANES):
            for lane in found:
                read += 1
                own = (self._kind.group(lane["_id"]), bool(lane.get("urgent")))
                taken[own] += 1
                if taken[own] <= self._kind.threads:
                    lanes.append(lane)
                if len(lanes) == DUE_LANES:
                    return lanes, False
        return lanes, read < READ_LANES

    def _in_turns(self, lanes: Iterable[Document]) -> list[str]:
        """Return the ids of lanes: the first one of each group, then the second ones, and so on."""
        turns: list[list[str]] = []
        taken: Counter[str] = Counter()
        for lane in lanes:
            group = self._kind.group(lane["_id"])
            if taken[group] == len(turns):
                turns.append([])
            turns[taken[group]].append(lane["_id"])
            taken[group] += 1
        return [lane for turn in turns for lane in turn]

    def lease(self, lane_id: str) -> Lane | None:
        """Lease a lane, or return None when another process has it; one command."""
        asked_at = time.monotonic()
        now = self._clock.precise()
        before = self._lanes.find_one_and_update(
            {"_id": lane_id, **free_at(now)},
            {
                "$set": {"lease_owner": self.owner, "lease_until": now + self._kind.lease},
                "$inc": {"claim_token": 1},
                "$unset": {"probe": 1},
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
            breaker=Breaker(
                self._kind.breaker,
                self._clock,
                before.get("breaker"),
                asked=bool(before.get("probe")),
            ),
            health=Health(
                self._kind.health,
                self._clock,
                object_of(before, "health"),
                resumes=before.get("resumes"),
            ),
            document=before,
            pause=pause_of(before),
            resumes=before.get("resumes"),
            changes=int(before.get("changes") or 0),
            sending=sending_of(before),
            failing=bool(before.get("failing")),
            asked_at=asked_at,
            granted_at=time.monotonic(),
        )

    def renew(self) -> None:
        """Extend all leases of this run; one command."""
        until = self._clock.precise() + self._kind.lease
        self._lanes.update_many({"lease_owner": self.owner}, {"$set": {"lease_until": until}})

    def rise_above(self, lane: Lane, work: Sequence[Mapping[str, Any]]) -> bool:
        """Whether one of `work` was written under this lease or a later one; seldom a command.

        Asked before the lease has written any. Where nobody has leased the lane since, its document
        is older than its work: the store has lost it, or others wrote the work. The lane is then
        given back, to go on from the token of the work; this lease is over.

        Raises:
            ValueError: no lane can go on from there.
        """
        latest = max(map(token_of, work), default=-1)
        if latest < lane.token:
            return False
        if latest >= LARGEST_TOKEN:
            raise ValueError("claim_token is too large")
        own = {"_id": lane.id, "claim_token": lane.token}
        free = {"lease_owner": INCOMPLETE, "lease_until": None, "wake_at": self._clock.precise()}
        self._lanes.update_one(own, {"$set": {**free, "claim_token": latest}})
        return True

    def note(self, lane: Lane, ids: Iterable[Any], pointless: Iterable[Any] = ()) -> Noted | None:
        """Note what is being done in a lane from now on; one command, two when others change work.

        It takes the place of an earlier note, and goes when the lane is given back. What others
        keep back at that moment is not to be started.

        Args:
            pointless: ids of other work of the lane, which is called off after this.

        Returns:
            What the lane said; None when the lease is over, and nothing is noted.
        """
        now = self._clock.precise()
        note = {"token": lane.token, "at": now, "ids": list(ids), "pointless": list(pointless)}
        own = {"_id": lane.id, "claim_token": lane.token, "lease_owner": self.owner}
        update = {"$set": {"sending": note}}
        # Mostly nobody keeps anything back: then there is nothing to read, and a store that carries
        # out findAndModify by reading the collection looks the lane up.
        calm = {"kept_back.0": {"$exists": False}, "changes": lane.changes or {"$in": [None, 0]}}
        if self._lanes.update_one({**own, **calm}, update).matched_count:
            return Noted(at=now, kept_back=frozenset(), abandoned={}, has_changed=False)
        stored = self._lanes.find_one_and_update(
            own, update, {"kept_back": 1, "changes": 1}, return_document=ReturnDocument.AFTER
        )
        if stored is None:
            return None
        entries: list[Document] = stored.get("kept_back") or []
        return Noted(
            at=now,
            kept_back=frozenset(id_ for entry in entries for id_ in entry["ids"]),
            abandoned={e["_id"]: e["ids"] for e in entries if e["at"] < now - self._kind.lease},
            has_changed=int(stored.get("changes") or 0) != lane.changes,
        )

    def let_go_on(self, lane: Lane, abandoned: Iterable[Any]) -> None:
        """Remove the entries of those who kept work back and died; one command.

        Called once the work carries the token: were they alive, they could not change it any more.
        """
        gone = {"kept_back": {"_id": {"$in": list(abandoned)}}}
        self._lanes.update_one({"_id": lane.id, "claim_token": lane.token}, {"$pull": gone})

    def fields(self, lane: Lane, now: datetime) -> Document:
        """Return what a piece of work gets that is taken under the lease of its lane."""
        return {
            "lease_owner": self.owner,
            "lease_until": now + self._kind.lease,
            "claim_token": lane.token,
        }

    def release(self, lane: Lane, outcome: LaneOutcome) -> None:
        """Give the lane back and say when it is due again; one command, two when work has come.

        Where the breaker has closed it is due at once: all that had to wait may go. A pause counts
        unless the lane was paused or resumed since it was leased.
        """
        fields: Document = {
            "lease_owner": INCOMPLETE if outcome.incomplete else None,
            "lease_until": None,
            "careful": outcome.careful,
        }
        if lane.breaker.has_changed:
            fields["breaker"] = lane.breaker.stored()
        if lane.health.has_changed:
            fields["health"] = lane.health.stored()
        if lane.breaker.is_asked:
            # Nothing was tried; who asks for a probe shall have it.
            fields["probe"] = True
        if lane.breaker.has_opened:
            log.warning("lane.breaker_opened", lane=lane.id, until=lane.breaker.open_until)
        done = () if outcome.incomplete else ("sending",)
        own = {"_id": lane.id, "claim_token": lane.token}
        counts = {f"counts.{name}": count for name, count in outcome.counts.items()}
        more: Document = {"$inc": counts} if counts else {}
        ended = (*done, "paused") if lane.pause else done
        if pause := outcome.pause:
            paused = {**fields, "paused": pause.stored()}
            same, rest = {**own, "resumes": lane.resumes}, _resting(paused, pause.until, done)
            if self._lanes.update_one(same, {**rest, **more}).matched_count:
                return
        elif not outcome.more and not lane.breaker.has_closed:
            # Once the time of an open breaker is over, there is a probe to be made.
            open_until = lane.breaker.open_until
            due_at = min(filter(None, (outcome.next_due, open_until)), default=None)
            is_kept = open_until and not outcome.urgent
            urgent: Document = {} if is_kept else {"urgent": bool(outcome.urgent)}
            quiet = _resting({**fields, **urgent}, due_at, ended)
            same = {**own, "wakes": lane.wakes}
            if self._lanes.update_one(same, {**quiet, **more}).matched_count:
                return
        # What it is paused for by now may be another pause than the one that is over.
        again = _resting(fields, self._clock.precise(), done)
        if outcome.more and outcome.urgent is False and lane.document.get("urgent"):
            # The rest of a long queue is not urgent because of a kill that was among it.
            same = {**own, "wakes": lane.wakes}
            calm = {**again, "$set": {**again["$set"], "urgent": False}}
            if self._lanes.update_one(same, {**calm, **more}).matched_count:
                return
        self._lanes.update_one(own, {**again, **more})


def free_at(now: datetime) -> Document:
    """Return the query of lanes that nobody holds."""
    return {"lease_until": {"$not": {"$gte": now}}}


def pause_of(lane: Mapping[str, Any]) -> Pause | None:
    """Return the pause in a lane's document, None where there is none."""
    paused = object_of(lane, "paused")
    if not paused:
        return None
    about = {name: paused[name] for name in paused if name not in ("reason", "until")}
    return Pause(str(paused.get("reason")), paused.get("until"), about)


def _resting(fields: Document, due_at: datetime | None, ended: Iterable[str]) -> Document:
    """Return the update of a lane that rests until `due_at`, or for the next wake-up.

    Args:
        ended: fields of what is over by now.
    """
    gone: Document = dict.fromkeys(ended, 1)
    if due_at:
        fields = {**fields, "wake_at": due_at}
    else:
        # Taken away, not null: `$min` of a wake-up would leave a null as it is.
        gone["wake_at"] = 1
    return {"$set": fields, **({"$unset": gone} if gone else {})}
