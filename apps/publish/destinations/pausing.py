"""Pausing a destination, and letting it go on (delivery contract 7.1).

A pause is one of its lane (`apps/lanes`). What a user has paused is resumed, what was disabled is
enabled; either asks what becomes of deliveries that have become old meanwhile.
"""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from apps.core.caller import Caller
from apps.core.clock import Clock
from apps.core.errors import Conflict, SchemaIssues
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.lanes.claims import Pause, pause_of
from apps.lanes.waking import pause, resume
from apps.publish.destinations.older_rows import OlderRows
from apps.publish.destinations.service import Action, Target
from apps.publish.destinations.states import DestinationStates
from apps.publish.queue.lane_state import DISABLED, HELD_TO, PAUSED
from apps.store.collections import PUBLISH_LANES

SEND, CANCEL = "send", "cancel"

IS_PAUSED = "Destination {} is paused already. POST resume to let it go on."
IS_DISABLED = "Destination {} is disabled: nothing is sent there. POST enable to let it go on."
NOT_PAUSED = (
    "Destination {} is not paused, and holds no older deliveries back: there is nothing to resume. "
    "GET it to see how it does."
)
NOT_DISABLED = (
    "Destination {} is not disabled. GET it to see how it does; "
    "POST resume lets one go on that is paused."
)
WRONG_WORD = "must be 'send' or 'cancel'"
TOO_OLD = (
    "{} deliveries to destination {} are older than {} hours. "
    'Repeat the request with {{"older": "send"}} to send them, or {{"older": "cancel"}} to '
    "cancel them."
)


class Pausing:
    """Pauses destinations, resumes and enables them.

    Args:
        db: the database.
        clock: source of time.
        notifier: tells clients.
        older_rows: finds deliveries that have become old.
        states: tells how the destination does afterwards.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        notifier: Notifier,
        older_rows: OlderRows,
        states: DestinationStates,
    ) -> None:
        self._lanes = db[PUBLISH_LANES]
        self._clock = clock
        self._notifier = notifier
        self._older_rows = older_rows
        self._states = states

    @property
    def actions(self) -> dict[str, Action]:
        """What can be done with a destination, by name."""
        return {
            "pause": Action(self.pause),
            "resume": Action(self.resume, {"older": str}, of_removed=True),
            "enable": Action(self.enable, {"older": str}, of_removed=True),
        }

    def pause(self, target: Target, body: Mapping[str, Any], caller: Caller) -> Document:
        """Let nothing be sent until it is resumed; withdrawals neither.

        Raises:
            Conflict: it is paused or disabled already.
        """
        about = {"at": self._clock.now(), "by": caller.user_id}
        if not pause(self._lanes, target.lane, Pause(PAUSED, about=about)):
            paused = pause_of(self._lane(target))
            is_disabled = paused is not None and paused.reason == DISABLED
            raise Conflict((IS_DISABLED if is_disabled else IS_PAUSED).format(target.name))
        return self._answer(target)

    def resume(self, target: Target, body: Mapping[str, Any], caller: Caller) -> Document:
        """Let a destination go on that was paused, or that holds older deliveries back.

        Args:
            body: `older`, what becomes of deliveries that have become old: `send` or `cancel`.

        Raises:
            Conflict: it is neither, or there are older deliveries and nobody says what to do.
        """
        lane = self._lane(target)
        paused = pause_of(lane)
        if paused is not None and paused.reason != PAUSED:
            raise Conflict(IS_DISABLED.format(target.name))
        if paused is None and lane.get(HELD_TO) is None:
            raise Conflict(NOT_PAUSED.format(target.name))
        return self._go_on(target, body, PAUSED if paused else None)

    def enable(self, target: Target, body: Mapping[str, Any], caller: Caller) -> Document:
        """Let a destination go on that was disabled; its failures so far are forgotten.

        Args:
            body: as of `resume`.

        Raises:
            Conflict: it is not, or there are older deliveries and nobody says what to do.
        """
        paused = pause_of(self._lane(target))
        if paused is None or paused.reason != DISABLED:
            raise Conflict(NOT_DISABLED.format(target.name))
        return self._go_on(target, body, DISABLED)

    def _go_on(self, target: Target, body: Mapping[str, Any], reason: str | None) -> Document:
        """End the pause with that reason.

        Raises:
            Conflict: somebody else has ended it, or there are older deliveries and nobody says
                what to do.
        """
        said = body.get("older")
        if said not in (None, SEND, CANCEL):
            raise SchemaIssues({"older": WRONG_WORD})
        canceled = 0
        if said == CANCEL:
            canceled = self._older_rows.cancel(target.lane)
        elif said is None:
            self._ask(target)
        now = self._clock.precise()
        done = resume(self._lanes, [target.lane], now, reason=reason, besides=[HELD_TO])
        if not done:
            raise Conflict(NOT_PAUSED.format(target.name))
        return {**self._answer(target), "canceled": canceled}

    def _ask(self, target: Target) -> None:
        """Ask what becomes of older deliveries.

        Raises:
            Conflict: there are such; with their number.
        """
        older = self._older_rows.of(target.lane)
        if older.count:
            hours = self._older_rows.hours
            message = TOO_OLD.format(older.count, target.name, hours)
            raise Conflict(message, {"held": older.count, "oldest": older.oldest})

    def _lane(self, target: Target) -> Document:
        return self._lanes.find_one({"_id": target.lane}) or {}

    def _answer(self, target: Target) -> Document:
        self._notifier.push("subscriber:update", _id=[target.subscriber["_id"]])
        return self._states.of(target)
