"""One attempt at one delivery: from a row to its outcome. Stores nothing."""

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from apps.core.clock import Clock
from apps.core.errors import DeliveryError, PermanentFailure, PluginError
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.publish.transmit.schedule import BEHIND_SECONDS, RetryPolicy
from transmitters.base import Delivery, Transmitter

ATTEMPTS_KEPT = 20
MESSAGE_LENGTH = 1000

log = structlog.get_logger(__name__)


@dataclass
class Result:
    """What an attempt came to: the fields to write on the row.

    Attributes:
        row: the row as claimed.
        seconds: how long the attempt took.
        code: where it failed with one (delivery contract 4).
        cause: what happened, for people.
    """

    row: Document
    changes: Document = field(default_factory=dict)
    seconds: float = 0.0
    code: int | None = None
    cause: str = ""

    @property
    def state(self) -> RowState:
        return RowState(self.changes["state"])


class Attempts:
    """Sends rows and turns what happens into row states (delivery contract 1, 2.1).

    Args:
        clock: source of time.
        policy: when to try again.
    """

    def __init__(self, clock: Clock, policy: RetryPolicy) -> None:
        self._clock = clock
        self._policy = policy

    def send(self, row: Document, transmitter: Transmitter, delivery: Delivery) -> Result:
        """Send one row; never raises for what the receiver or the transmitter does."""
        started = time.monotonic()
        try:
            receipt = transmitter.send(delivery)
        except DeliveryError as error:
            return self.failed(row, error, started, transmitter.redact)
        except Exception as error:  # noqa: BLE001 - logged, without what is secret in it
            trace = transmitter.redact(traceback.format_exc())
            log.error("delivery.crashed", row=str(row["_id"]), item=row["item_id"], exception=trace)
            return self.failed(row, error, started, transmitter.redact)
        now = self._clock.precise()
        changes = {"state": RowState.SUCCESS, "completed_at": now, "error_message": None}
        return self._result(row, changes, started, now, receipt.status, receipt.message)

    def failed(
        self,
        row: Document,
        error: Exception,
        started: float | None = None,
        redact: Callable[[str], str] = str,
    ) -> Result:
        """Return the result of a failure: `retrying`, or `failed` when that is no use any more.

        Args:
            started: when the attempt began, by the monotonic clock; None where there was none.
            redact: takes what is secret out of a text.
        """
        now = self._clock.precise()
        tries = int(row.get("retry_attempt") or 0)
        status = error.response_status if isinstance(error, DeliveryError) else None
        message = redact(str(error))[:MESSAGE_LENGTH]
        hopeless = isinstance(error, (PermanentFailure, PluginError))
        changes: Document = {"error_message": message}
        if hopeless or self._policy.is_exhausted(tries):
            changes["state"] = RowState.FAILED
        else:
            wait = error.retry_after if isinstance(error, DeliveryError) else None
            changes["state"] = RowState.RETRYING
            changes["next_retry_attempt_at"] = self._policy.next_attempt(tries, now, wait)
            changes["retry_attempt"] = tries if self._is_extra_try(row, now) else tries + 1
        result = self._result(row, changes, started, now, status, message)
        if isinstance(error, DeliveryError):
            result.code, result.cause = error.code, redact(str(error.cause))
        return result

    def _is_extra_try(self, row: Mapping[str, Any], now: datetime) -> bool:
        """Whether the row was tried before its time because newer versions wait for it."""
        due_at = row.get("next_retry_attempt_at")
        attempts = row.get("attempts") or ()
        if row["state"] != RowState.RETRYING or due_at is None or not attempts:
            return False
        waited = (now - attempts[-1]["at"]).total_seconds()
        return bool(due_at > now and waited >= BEHIND_SECONDS)

    def _result(
        self,
        row: Document,
        changes: Document,
        started: float | None,
        now: datetime,
        status: int | None,
        message: str,
    ) -> Result:
        seconds = time.monotonic() - started if started is not None else 0.0
        state = changes["state"]
        note = {
            "at": now,
            "ms": round(seconds * 1000),
            "outcome": str(state),
            "status": status,
            "message": message,
        }
        changes["attempts"] = [*(row.get("attempts") or ()), note][-ATTEMPTS_KEPT:]
        changes["unknown_outcomes"] = 0
        changes["_updated"] = now
        _log(row, changes, note)
        return Result(row, changes, seconds)


def _log(row: Mapping[str, Any], changes: Mapping[str, Any], note: Mapping[str, Any]) -> None:
    """Write the one log line that every attempt gets."""
    destination = row.get("destination") or {}
    log.info(
        "delivery.attempted",
        row=str(row["_id"]),
        item=row["item_id"],
        version=row.get("item_version"),
        operation=row.get("publishing_action"),
        subscriber=str(row.get("subscriber_id")),
        destination=destination.get("name"),
        type=destination.get("delivery_type"),
        attempt=int(row.get("retry_attempt") or 0) + 1,
        outcome=note["outcome"],
        status=note["status"],
        ms=note["ms"],
        next_at=changes.get("next_retry_attempt_at"),
        key=row.get("idempotency_key"),
    )
