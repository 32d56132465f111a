"""What the document of a lane of the wire says besides what the engine knows of it."""

from collections.abc import Mapping
from typing import Any

from apps.core.documents import text_of
from apps.core.vocabulary import WITHDRAWING_ACTIONS
from apps.lanes.claims import Pause, pause_of

PAUSED = "paused"
"""Reason of the pause of a lane that a user has asked for."""
DISABLED = "disabled"
"""Reason of the pause of a lane whose destination has failed for too long."""
HELD_TO = "held_to"
"""Field of a lane: `order_no` up to which it holds deliveries back that have become old."""


def held_to(lane: Mapping[str, Any]) -> int | None:
    """Return the `order_no` up to which a lane holds deliveries back; None for none."""
    value = lane.get(HELD_TO)
    return value if isinstance(value, int) else None


def because_of(pause: Pause) -> str:
    """Return why a lane was disabled, for people."""
    return text_of(pause.about, "because")


def why_waiting(
    lane: Mapping[str, Any],
    row: Mapping[str, Any],
    destination: str,
    subscriber: Mapping[str, Any] | None,
) -> str:
    """Return why a row waits that is not sent whatever its time, for people; empty for others.

    Args:
        lane: the document of its lane.
        row: pending, or waiting for a retry.
        destination: its name.
        subscriber: with `name` and `is_active`; None where there is none: then the row fails.
    """
    if pause := pause_of(lane):
        if pause.reason == DISABLED:
            return f"Destination {destination} is disabled: {because_of(pause)} POST enable there."
        return f"Destination {destination} is paused. POST resume there."
    if subscriber is not None and not subscriber.get("is_active"):
        return f"Subscriber {subscriber.get('name')} is inactive. Make it active."
    last, place = held_to(lane), row.get("order_no")
    is_withdrawal = row.get("publishing_action") in WITHDRAWING_ACTIONS
    if last is not None and isinstance(place, int) and place <= last and not is_withdrawal:
        return (
            f"Destination {destination} holds older deliveries back. "
            'POST resume there with {"older": "send"} or {"older": "cancel"}.'
        )
    return ""
