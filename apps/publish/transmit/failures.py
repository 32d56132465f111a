"""Consequences of failing deliveries, besides the states of their rows (delivery contract 7).

A subscriber whose `critical_errors` name the code is closed; its rows are kept and go out in order
when it is active again. Administrators are notified of failures and of the first success after
them (`apps/lanes/failures.py`), for each destination and code.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import RowState
from apps.lanes.failures import FailureReports, Receiver, ReportTexts
from apps.publish.transmit.attempt import Result
from apps.store.collections import PUBLISH_LANES, SUBSCRIBERS

log = structlog.get_logger(__name__)

TEXTS = ReportTexts(
    failed="Error [{code}] on a Subscribers destination {{{{name}}}}: {cause}",
    recovered="Recovered: a Subscribers destination {{name}} takes deliveries again",
    resource="subscribers",
)
CLOSED = "Subscriber made inactive due to critical error: {error}"


class Failures:
    """Closes subscribers and notifies administrators.

    Args:
        notifier: notifies clients.
        sends_mail: whether mails are sent at all.
        settings: ERROR_NOTIFICATIONS, EMAIL_NOTIFICATION_RESEND.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        notifier: Notifier,
        sends_mail: bool,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._reports = FailureReports(
            db,
            clock,
            lanes=PUBLISH_LANES,
            texts=TEXTS,
            notifier=notifier,
            sends_mail=sends_mail,
            settings=settings,
        )

    def record(self, subscriber: Mapping[str, Any], result: Result) -> bool:
        """Act on a failed attempt; return whether its subscriber was closed.

        Failures without a code have no consequence but the state of the row.
        """
        if result.code is None:
            return False
        # Of failures for good administrators are notified by the alerts of the run.
        if result.state != RowState.FAILED:
            self._reports.failed(receiver_of(result.row), result.code, result.cause)
        closes = is_critical(subscriber, result)
        if closes:
            self._close(subscriber, str(result.changes["error_message"]))
        return closes

    def recovered(self, row: Mapping[str, Any]) -> None:
        """Report that a destination takes deliveries again that failed before."""
        self._reports.recovered(receiver_of(row))

    def _close(self, subscriber: Mapping[str, Any], error: str) -> None:
        """Make a subscriber inactive; nobody has closed it, so `closed_by` stays away."""
        now = self._clock.now()
        last_closed = {"closed_at": now, "message": CLOSED.format(error=error)}
        change = {
            "is_active": False,
            "last_closed": last_closed,
            "_updated": now,
            "_etag": new_etag(),
        }
        active = {"_id": subscriber["_id"], "is_active": True}
        if self._db[SUBSCRIBERS].update_one(active, {"$set": change}).modified_count:
            log.warning("subscriber.closed", subscriber=str(subscriber["_id"]), error=error)
            self._notifier.push("subscriber:update", _id=[subscriber["_id"]])


def is_critical(subscriber: Mapping[str, Any], result: Result) -> bool:
    """Whether a failure is one that closes its subscriber."""
    critical = subscriber.get("critical_errors") or {}
    return result.code is not None and critical.get(str(result.code)) is True


def receiver_of(row: Mapping[str, Any]) -> Receiver:
    """Return the destination of a row, for reports."""
    destination = row.get("destination") or {}
    data = {"provider_id": destination.get("_id")}
    return Receiver(row["lane"], str(destination.get("name") or ""), data)


def failure_of(result: Result) -> Document:
    """Return what a lane keeps of its last failure."""
    row, attempts = result.row, result.changes["attempts"]
    return {
        "code": result.code,
        "status": attempts[-1]["status"],
        "message": result.changes.get("error_message"),
        "item": row.get("item_id"),
        "version": row.get("item_version"),
        "operation": row.get("publishing_action"),
    }
