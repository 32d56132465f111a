"""What tells one kind of lanes from another: collections and limits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from apps.lanes.breaker import BreakerPolicy
from apps.lanes.health import HealthPolicy
from apps.lanes.retries import RetryPolicy


def text_or_none(value: Any) -> str | None:
    """Return a value that is a text, None for any other."""
    return value if isinstance(value, str) else None


@dataclass(frozen=True)
class LaneKind:
    """One kind of lanes.

    Attributes:
        name: of its threads.
        lanes: collection of the lanes.
        work: collection of what is done in them.
        in_progress: query of work that a process has taken.
        waiting: query of work that is still to be done.
        lease: how long a claim is good for without being renewed.
        threads: lanes that one run serves at a time.
        retries: when failed work is tried again, and when it is given up.
        lane_field: where a piece of work names its lane.
        lane_id: turns what is there into the id of the lane; None for what names no lane.
        group: names those who share their turns: the lanes of one group never hold up those of
            others, however many they are. Each lane is its own unless said.
        parallel: things done at once in one lane, where its owner lets that be.
        slow_seconds: what takes longer makes its lane careful: the next claim takes one thing.
            Meanwhile another thread takes the place of the one that waits.
        batch_seconds: time after which nothing more of one claim is started.
        breaker: when a receiver counts as down.
        health: when a receiver counts as failing, and when it is given up.
        look_again: wait before a lane is served again that could not be.
        look_for_waiting: time between two looks for lanes that hold work and are never due.
    """

    name: str
    lanes: str
    work: str
    in_progress: Mapping[str, Any]
    waiting: Mapping[str, Any]
    lease: timedelta
    threads: int
    retries: RetryPolicy
    lane_field: str = "lane"
    lane_id: Callable[[Any], str | None] = text_or_none
    group: Callable[[str], str] = str
    parallel: int = 4
    slow_seconds: float = 1.0
    batch_seconds: float = 20.0
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)
    health: HealthPolicy = field(default_factory=HealthPolicy)
    look_again: timedelta = timedelta(seconds=60)
    look_for_waiting: timedelta = timedelta(minutes=5)
