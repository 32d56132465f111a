"""How a destination does, in plain words (delivery contract 7.1)."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.service import Document
from apps.core.vocabulary import WAITING_ROW_STATES
from apps.lanes.claims import Pause, pause_of
from apps.lanes.health import health_of
from apps.publish.destinations.older_rows import OlderRows
from apps.publish.destinations.service import Target
from apps.publish.queue.lane_state import DISABLED, HELD_TO, because_of
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE, USERS

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
    State.INACTIVE: "The subscriber is inactive: nothing is sent.",
    State.OPEN: "Failing since {since}: {failures} attempts in a row. "
    "It is left alone until {open_until}.",
    State.FAILING: "Failing since {since}: {failures} attempts in a row.",
    State.HOLDING: "{held} older deliveries are held back.",
    State.OK: "Deliveries get through.",
}
NEXT_STEPS: Mapping[State, str] = {
    State.DISABLED: "See that the receiver works, then POST enable.",
    State.PAUSED: "POST resume to let it go on.",
    State.INACTIVE: "Make the subscriber active.",
    State.OPEN: "See what the receiver says in `reason`. What waits goes out by itself once it "
    "answers.",
    State.FAILING: "See what the receiver says in `reason`. What failed is tried again by itself.",
    State.HOLDING: 'POST resume with {"older": "send"} or {"older": "cancel"}.',
    State.OK: "",
}


class DestinationStates:
    """Tells how destinations do.

    Args:
        db: the database.
        clock: source of time.
        older_rows: finds deliveries that have become old.
    """

    def __init__(self, db: Database[Document], clock: Clock, older_rows: OlderRows) -> None:
        self._lanes = db[PUBLISH_LANES]
        self._rows = db[PUBLISH_QUEUE]
        self._users = db[USERS]
        self._clock = clock
        self._older_rows = older_rows

    def of(self, target: Target) -> Document:
        """Return how one destination does; two commands, four at most."""
        lane = self._lanes.find_one({"_id": target.lane}) or {}
        waits = {"lane": target.lane, "state": {"$in": list(WAITING_ROW_STATES)}}
        waiting = self._rows.count_documents(waits, limit=MOST)
        pause = pause_of(lane)
        is_active = bool(target.subscriber.get("is_active"))
        held = 0
        if waiting and (pause or not is_active or lane.get(HELD_TO) is not None):
            held = self._older_rows.count(target.lane, MOST)
        shown = state_of(lane, self._clock.precise(), is_active=is_active, held=held)
        shown["paused_by"] = user = self._user(pause)
        values = {**shown, "held": held, "by": (user or {}).get("name")}
        shown["message"] = filled(shown["message"], **values)
        return {
            "_id": target.id,
            "subscriber": target.subscriber["_id"],
            **{key: target.destination.get(key) for key in ("name", "delivery_type", "format")},
            **shown,
            "waiting": waiting,
            "held": held,
        }

    def _user(self, pause: Pause | None) -> Document | None:
        by = pause.about.get("by") if pause else None
        user = find_by_id(self._users, by, {"display_name": 1}) if by else None
        return user and {"_id": user["_id"], "name": user.get("display_name")}


def state_of(lane: Mapping[str, Any], now: datetime, *, is_active: bool, held: int) -> Document:
    """Return how the destination of a lane does.

    Args:
        lane: its document, empty where nothing was ever sent.
        is_active: whether its subscriber is.
        held: deliveries that are older than those that are sent without being asked for.
    """
    pause, health = pause_of(lane), health_of(lane)
    open_until = object_of(lane, "breaker").get("open_until")
    is_open = open_until is not None and open_until > now
    since, failure = health.get("since"), health.get("failure") or None
    if pause is not None:
        state = State.DISABLED if pause.reason == DISABLED else State.PAUSED
        since = pause.about.get("at")
    elif not is_active:
        state = State.INACTIVE
    elif is_open:
        state = State.OPEN
    elif since is not None:
        state = State.FAILING
    else:
        state = State.HOLDING if held else State.OK
    return {
        "state": state,
        "message": MESSAGES[state],
        "next_step": NEXT_STEPS[state],
        "since": since,
        "because": because_of(pause) if pause and state is State.DISABLED else None,
        "open_until": open_until if is_open else None,
        "failures": health.get("failures") or 0,
        "last_failure": failure,
        "last_success_at": health.get("success_at"),
        "next_attempt_at": lane.get("wake_at") if pause is None and is_active else None,
    }


def filled(text: str, **values: Any) -> str:
    """Return a text with values in their places, times as people read them."""
    shown = {name: _shown(value) for name, value in values.items()}
    return text.format(**shown)


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} UTC"
    return "-" if value is None else str(value)
