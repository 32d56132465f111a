"""Lanes of the publisher: one for each integration, in which its records wait."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.lanes import resume, wake
from apps.store.collections import PUBLISHER_LANES


class SiteLanes(Protocol):
    """Makes lanes of integrations due."""

    def wake(self, integration_id: Any, at: datetime, *, urgent: bool = False) -> None:
        """Let a worker look at a lane, not later than `at`."""
        ...

    def resume(self, integration_id: Any) -> None:
        """End the pause of a lane, and let a worker look at it now."""
        ...


class StoredLanes:
    """Lanes in their collection.

    Args:
        clock: source of the current time.
        wake_up: starts a worker, for what is due now.
        collection: of lanes of another kind.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        wake_up: Callable[[], None] = lambda: None,
        collection: str = PUBLISHER_LANES,
    ) -> None:
        self._lanes = db[collection]
        self._clock = clock
        self._wake_up = wake_up

    def wake(self, integration_id: Any, at: datetime, *, urgent: bool = False) -> None:
        wake(self._lanes, {str(integration_id): urgent}, at)
        if at <= self._clock.now():
            self._wake_up()

    def resume(self, integration_id: Any) -> None:
        resume(self._lanes, [str(integration_id)], self._clock.precise())
        self._wake_up()
