"""Consequences of failing deliveries, besides the states of their rows (delivery contract 7).

A subscriber whose `critical_errors` name the code is closed; its rows are kept and go out in order
when it is active again. Administrators are notified of failures, for each destination and code, and
of what becomes of a destination (`apps/lanes/failures.py`).
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import structlog
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import object_of
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import RowState
from apps.lanes.failures import Event, FailureReports, Receiver, ReportTexts
from apps.publish.transmit.attempt import Result
from apps.routing.subscribers.stored_destinations import destination_id
from apps.store.by_id import find_by_id
from apps.store.collections import PUBLISH_LANES, SUBSCRIBERS

log = structlog.get_logger(__name__)

TEXTS = ReportTexts(
    failed="Error [{code}] on a Subscribers destination {{{{name}}}}: {cause}",
    resource="subscribers",
)
FAILING, RECOVERED = "destination.failing", "destination.recovered"
DISABLED, EXHAUSTED = "destination.disabled", "delivery.exhausted"
WITHDRAWAL_HELD = "destination.withdrawal_held"
MESSAGES: Mapping[str, str] = {
    FAILING: "{{ destination }} of {{ subscriber }} is failing: {{ failures }} attempts in a row, "
    "the last one with {{ error }}. What failed is tried again by itself.",
    RECOVERED: "{{ destination }} of {{ subscriber }} takes deliveries again.",
    DISABLED: "{{ destination }} of {{ subscriber }} is disabled: {{ because }} Deliveries are "
    "kept; nothing is sent there, withdrawals neither, until it is enabled.",
    EXHAUSTED: "{{ count }} deliveries to {{ subscriber }} ({{ destination }}) failed: {{ error }}",
    WITHDRAWAL_HELD: "A withdrawal of {{ item }} waits: nothing is sent to {{ destination }} of "
    "{{ subscriber }}. Let it go on, or tell its receiver otherwise.",
}
ITEMS_NAMED = 20
"""Items that a notice names."""
CLOSED = "Subscriber made inactive due to critical error: {error}"


class Failures:
    """Closes subscribers and notifies administrators.

    Args:
        notifier: notifies clients.
        sends_mail: whether mails are sent at all.
        settings: ERROR_NOTIFICATIONS, EMAIL_NOTIFICATION_RESEND, PUBLIC_URL.
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
        self._url = settings["PUBLIC_URL"]
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
        # Those for good are `exhausted`.
        if result.state != RowState.FAILED:
            self._reports.failed(receiver_of(result.row), result.code, result.cause)
        closes = is_critical(subscriber, result)
        if closes:
            self._close(subscriber, str(result.changes["error_message"]))
        return closes

    def failing(self, result: Result, failures: int) -> None:
        """Report that a destination fails again and again.

        Not by mail where one about it went out within the hour.

        Args:
            failures: attempts in a row that have failed.
        """
        receiver = receiver_of(result.row)
        row = {**result.row, **result.changes}
        data = {"failures": failures, "error": result.changes.get("error_message")}
        self._tell(FAILING, [row], data, mails=not self._reports.was_mailed(receiver))

    def recovered(self, row: Mapping[str, Any], *, was_failing: bool) -> None:
        """Report that a destination takes deliveries again that failed before.

        Args:
            was_failing: that was reported as failing; else without a mail.
        """
        if self._reports.recovered(receiver_of(row)) or was_failing:
            self._tell(RECOVERED, [row], {}, mails=was_failing)

    def disabled(self, result: Result, because: str) -> None:
        """Report that a destination is disabled.

        Args:
            because: the reason, for people.
        """
        row = {**result.row, **result.changes}
        data = {"because": because, "error": result.changes.get("error_message")}
        self._tell(DISABLED, [row], data)

    def exhausted(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Report deliveries of one lane that have failed for good."""
        error = rows[-1].get("error_message") if rows else None
        self._tell(EXHAUSTED, rows, {"error": error}, resource="publish_queue")

    def withdrawal_held(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Report withdrawals that wait because their destination is paused or disabled."""
        self._tell(WITHDRAWAL_HELD, rows, {})

    def _tell(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        data: Mapping[str, Any],
        *,
        mails: bool = True,
        resource: str | None = None,
    ) -> None:
        """Report an event of a destination, if it is due. Best effort: it holds nothing up.

        Args:
            rows: of that destination; the last one says what it is about.
            data: what else is known.
        """
        if not rows:
            return
        last = rows[-1]
        receiver = receiver_of(last)
        try:
            if count := self._reports.is_due(receiver, name, len(rows)):
                about = {"count": count, **data, **self._about(last, rows)}
                event = Event(name, MESSAGES[name], about, rows, resource, mails)
                self._reports.tell(receiver, event)
        except Exception as error:
            log.error("alert.lost", message=name, exc_info=error)

    def _about(self, row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Document:
        """Return what every report says of deliveries; one command."""
        subscriber = find_by_id(self._db[SUBSCRIBERS], row.get("subscriber_id"), {"name": 1})
        attempts = row.get("attempts") or ()
        items = dict.fromkeys(str(one.get("item_id")) for one in rows)
        destination = object_of(row, "destination")
        path = f"{row.get('subscriber_id')}/destinations/{quote(destination_id(destination))}"
        return {
            "subscriber": (subscriber or {}).get("name"),
            "destination": destination.get("name"),
            "item": row.get("item_id"),
            "version": row.get("item_version"),
            "operation": row.get("publishing_action"),
            "status": attempts[-1].get("status") if attempts else None,
            "items": list(items)[:ITEMS_NAMED],
            "link": f"{self._url}/subscribers/{path}",
        }

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
    destination = object_of(row, "destination")
    data = {"provider_id": destination.get("_id")}
    return Receiver(str(row.get("lane")), str(destination.get("name") or ""), data)


def failure_of(result: Result) -> Document:
    """Return what a lane keeps of its last failure; nothing of the item, which some may not see."""
    return {
        "code": result.code,
        "status": result.changes["attempts"][-1]["status"],
        "message": result.changes.get("error_message"),
        "fault": result.fault,
    }
