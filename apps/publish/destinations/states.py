"""How a destination does, in plain words (delivery contract 7.1)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of, text_of
from apps.core.registry import Registry
from apps.core.service import Document
from apps.lanes.claims import Pause, pause_of
from apps.lanes.health import health_of
from apps.publish.destinations.connection_tests import has_test
from apps.publish.destinations.older_rows import OlderRows
from apps.publish.destinations.rotation import is_signed
from apps.publish.destinations.service import Target
from apps.publish.queue.lane_state import DISABLED, HELD_TO, because_of, held_to
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE, USERS
from apps.store.indexes import WAITING_ROWS
from transmitters.base import Transmitter

MOST = 1000
"""Deliveries that are counted at most."""


class State(StrEnum):
    """`state` of a destination; of several that hold, the first one."""

    DISABLED = "disabled"
    PAUSED = "paused"
    INACTIVE = "inactive"
    OPEN = "open"
    FAILING = "failing"
    HOLDING = "holding"
    OK = "ok"


MESSAGES: Mapping[State, str] = {
    State.DISABLED: "Disabled since {since}: {because} Nothing is sent, withdrawals neither.",
    State.PAUSED: "Paused by {by} since {since}. Nothing is sent, withdrawals neither.",
    State.INACTIVE: "The subscriber is inactive: nothing is sent. {because}",
    State.OPEN: "{failures} attempts in a row have failed, the first at {since}. It is left alone "
    "until {open_until}.",
    State.FAILING: "Failing since {since}: {failures} attempts in a row.",
    State.HOLDING: "{held} older deliveries are held back.",
    State.OK: "Nothing keeps deliveries back.",
}
AFTER_SUCCESS = "Deliveries get through."
AFTER_FAILURE = "Nothing keeps deliveries back, but the last one failed."
MEND = "See `last_failure`. Mend what it names, then resend what has failed."
"""Of one that is `ok`, where something was delivered last, or failed for a reason of ours."""

NEXT_STEPS: Mapping[State, str] = {
    State.DISABLED: "See that the receiver works, then POST enable.",
    State.PAUSED: "POST resume to let it go on.",
    State.INACTIVE: "Make the subscriber active.",
    State.OPEN: "See `last_failure`. What waits goes out by itself once the receiver answers.",
    State.FAILING: "See `last_failure`. What is worth it is tried again by itself.",
    State.HOLDING: 'POST resume with {"older": "send"} or {"older": "cancel"}.',
    State.OK: "",
}


class DestinationStates:
    """Tells how destinations do.

    Args:
        db: the database.
        clock: source of time.
        older_rows: finds deliveries that have become old.
        registry: delivery types by name.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        older_rows: OlderRows,
        registry: Registry[Transmitter],
    ) -> None:
        self._lanes = db[PUBLISH_LANES]
        self._rows = db[PUBLISH_QUEUE]
        self._users = db[USERS]
        self._clock = clock
        self._older_rows = older_rows
        self._registry = registry

    def of(self, target: Target) -> Document:
        """Return how one destination does; two commands, four at most."""
        lane = self._lanes.find_one({"_id": target.lane}) or {}
        pause, is_active = pause_of(lane), bool(target.subscriber.get("is_active"))
        waits = {"lane": target.lane, "state": WAITING_ROWS}
        waiting = self._rows.count_documents(waits, limit=MOST)
        held = 0
        if waiting and (pause or not is_active or lane.get(HELD_TO) is not None):
            held = self._older_rows.count(target.lane, MOST)
        user = self._user(pause)
        shown = state_of(target, lane, self._clock.precise(), held=held, user=user)
        return {**shown, **self._actions(target, lane), "waiting": waiting, "held": held}

    def all(self, targets: Sequence[Target]) -> list[Document]:
        """Return how several destinations do, without counting what waits there; one command."""
        ids = [target.lane for target in targets]
        lanes = {lane["_id"]: lane for lane in self._lanes.find({"_id": {"$in": ids}})}
        now = self._clock.precise()
        found = ((target, lanes.get(target.lane, {})) for target in targets)
        return [{**state_of(t, lane, now), **self._actions(t, lane)} for t, lane in found]

    def _actions(self, target: Target, lane: Mapping[str, Any]) -> Document:
        """Return what can be done with a destination now."""
        actions = [*_ways_on(target, lane)]
        cls = self._registry.find(text_of(target.destination, "delivery_type"))
        if cls is not None and has_test(cls):
            actions.append("test")
        if cls is not None and is_signed(cls):
            actions.append("rotate_secret")
        if not target.is_removed:
            actions.append("replay")
        return {"_actions": actions}

    def _user(self, pause: Pause | None) -> Document | None:
        by = pause.about.get("by") if pause else None
        user = find_by_id(self._users, by, {"display_name": 1}) if by else None
        return user and {"_id": user["_id"], "name": user.get("display_name")}


def state_of(
    target: Target,
    lane: Mapping[str, Any],
    now: datetime,
    *,
    held: int | None = None,
    user: Mapping[str, Any] | None = None,
) -> Document:
    """Return how a destination does.

    Args:
        lane: the document of its lane, empty where nothing was ever sent.
        held: deliveries that are older than those that are sent without being asked for; None
            where they were not counted.
        user: who has paused it, where that is known.
    """
    is_active = bool(target.subscriber.get("is_active"))
    closed = object_of(target.subscriber, "last_closed")
    pause, health = pause_of(lane), health_of(lane)
    open_until = object_of(lane, "breaker").get("open_until")
    is_open = open_until is not None and open_until > now
    since, because = health.get("since"), ""
    holds = held_to(lane) is not None if held is None else held > 0
    if pause is not None:
        state = State.DISABLED if pause.reason == DISABLED else State.PAUSED
        since, because = pause.about.get("at"), because_of(pause)
    elif not is_active:
        state = State.INACTIVE
        since, because = closed.get("closed_at"), text_of(closed, "message")
    elif is_open:
        state = State.OPEN
    elif since is not None:
        state = State.FAILING
    else:
        state = State.HOLDING if holds else State.OK
    known = {
        "since": since,
        "because": because or None,
        "open_until": open_until if is_open else None,
        "failures": health.get("failures") or 0,
    }
    message, next_step = MESSAGES[state], NEXT_STEPS[state]
    if state is State.OK:
        message, next_step = _last_outcome(health)
    words = {"by": (user or {}).get("name") or "a user", "held": "Some" if held is None else held}
    return {
        "_id": target.id,
        "subscriber": target.subscriber["_id"],
        **{key: target.destination.get(key) for key in ("name", "delivery_type", "format")},
        "state": state,
        "message": filled(message, **{**known, "because": because, **words}).strip(),
        "next_step": next_step,
        **known,
        "paused_by": user,
        "last_failure": health.get("failure") or None,
        "last_success_at": health.get("success_at"),
        "next_attempt_at": lane.get("wake_at") if pause is None and is_active else None,
    }


def _last_outcome(health: Mapping[str, Any]) -> tuple[str, str]:
    """Return message and next step of a destination that nothing is wrong with in itself."""
    failed_at, success_at = object_of(health, "failure").get("at"), health.get("success_at")
    if failed_at and (not success_at or failed_at > success_at):
        return AFTER_FAILURE, MEND
    return (AFTER_SUCCESS if success_at else MESSAGES[State.OK]), NEXT_STEPS[State.OK]


def _ways_on(target: Target, lane: Mapping[str, Any]) -> list[str]:
    """Return which of `pause`, `resume` and `enable` can be done now."""
    pause = pause_of(lane)
    if pause is not None:
        return ["enable" if pause.reason == DISABLED else "resume"]
    wanted = {"pause": not target.is_removed, "resume": held_to(lane) is not None}
    return [name for name, is_allowed in wanted.items() if is_allowed]


def filled(text: str, **values: Any) -> str:
    """Return a text with values in their places, times as people read them."""
    shown = {name: _shown(value) for name, value in values.items()}
    return text.format(**shown)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return "-" if value is None else str(value)
