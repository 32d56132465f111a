"""Which media a receiver is known to have, so that it is not asked before every item."""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from time import monotonic

CAPACITY = 10_000
SECONDS = 600.0
"""A receiver may lose its media; after this long it is asked again."""


class MediaMemory:
    """A set of media ids that forgets: the oldest beyond a number, and all after a time.

    May be used by several threads.

    Args:
        capacity: ids kept.
        seconds: how long an id is kept.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        seconds: float = SECONDS,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._capacity = capacity
        self._seconds = seconds
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def add(self, media_id: str) -> None:
        """Remember `media_id` from now on."""
        with self._lock:
            self._until[media_id] = self._clock() + self._seconds
            self._until.move_to_end(media_id)
            if len(self._until) > self._capacity:
                self._until.popitem(last=False)

    def __contains__(self, media_id: object) -> bool:
        with self._lock:
            return self._until.get(str(media_id), 0.0) > self._clock()
