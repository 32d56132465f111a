"""What is told of attempts: a log line for each, and counts (delivery contract 14)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog

from apps.core.clock import moment_of
from apps.core.documents import number_of, object_of, text_of
from apps.core.registry import Registry
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.lanes.retries import RetryPolicy
from apps.monitoring.counters import Attempted, DeliveryCounters
from apps.publish.transmit.attempt import Result
from apps.routing.subscribers.stored_destinations import destination_of
from transmitters.base import Transmitter

UNKNOWN_TYPE = "unknown"
"""Delivery type of attempts at destinations whose own is not installed."""

log = structlog.get_logger(__name__)


class AttemptLog:
    """Writes a line when an attempt has ended, and counts attempts that are on record.

    Args:
        counters: of deliveries.
        types: delivery types that are installed.
        policy: says how many tries there are.
    """

    def __init__(
        self, counters: DeliveryCounters, types: Registry[Transmitter], policy: RetryPolicy
    ) -> None:
        self._counters = counters
        self._types = types
        self._tries = policy.maximum + 1

    def write(self, result: Result, claim: int) -> None:
        """Write the line of an attempt.

        Args:
            claim: token of the lease under which it was made.
        """
        self._write(result.row, result.changes, claim, result.size)

    def count(self, results: Iterable[Result]) -> None:
        """Count attempts that are on record; seldom a command."""
        changed = [(r.row, r.changes) for r in results if "attempts" in r.changes]
        self._counters.add([self._counted(row, changes) for row, changes in changed])

    def lost(self, rows: Sequence[Document], claim: int) -> None:
        """Write and count attempts whose process died; their outcome is unknown.

        Args:
            rows: as they are now.
            claim: token of the lease under which they were taken over.
        """
        for row in rows:
            self._write(row, {"attempts": row["attempts"]}, claim)
        self._counters.add([self._counted(row, row) for row in rows])

    def close(self) -> None:
        """Write what is counted."""
        self._counters.write()

    def _write(
        self,
        row: Mapping[str, Any],
        changes: Mapping[str, Any],
        claim: int,
        size: int | None = None,
    ) -> None:
        destination, note = object_of(row, "destination"), changes["attempts"][-1]
        log.info(
            "delivery.attempted",
            row=str(row["_id"]),
            item=row.get("item_id"),
            version=row.get("item_version"),
            operation=row.get("publishing_action"),
            subscriber=str(row.get("subscriber_id")),
            destination=destination.get("name"),
            type=destination.get("delivery_type"),
            attempt=number_of(row, "retry_attempt") + 1,
            of=self._tries,
            outcome=str(note["outcome"]),
            status=note["status"],
            ms=note["ms"],
            bytes=size,
            next_at=changes.get("next_retry_attempt_at"),
            key=row.get("idempotency_key"),
            claim=claim,
            trace_id=text_of(row, "trace_id") or str(row["_id"]),
        )

    def _counted(self, row: Mapping[str, Any], changes: Mapping[str, Any]) -> Attempted:
        note, state = changes["attempts"][-1], changes["state"]
        type_ = text_of(object_of(row, "destination"), "delivery_type")
        is_delivered = state == RowState.SUCCESS
        return Attempted(
            lane=row["lane"],
            subscriber_id=row.get("subscriber_id"),
            destination_id=destination_of(row["lane"]),
            type=type_ if self._types.find(type_) else UNKNOWN_TYPE,
            outcome=str(note["outcome"]),
            ms=note["ms"],
            is_delivered=is_delivered,
            is_failed=state == RowState.FAILED,
            seconds=_seconds(row, changes.get("completed_at")) if is_delivered else None,
        )


def _seconds(row: Mapping[str, Any], delivered_at: datetime | None) -> float | None:
    """Return the seconds from publication to delivery; of what was sent by hand, from then on."""
    since = moment_of(row.get("published_at")) or moment_of(row.get("_created"))
    if since is None or delivered_at is None:
        return None
    return max((delivered_at - since).total_seconds(), 0.0)
