"""Consequences of failing deliveries, besides the states of their rows (delivery contract 7).

A subscriber whose `critical_errors` name the code is closed; its rows are kept and go out in order
when it is active again. Administrators are notified of failures and of the first success after
them: by an activity at most once an hour, by mail at most once in EMAIL_NOTIFICATION_RESEND hours,
for each destination and code.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document, new_etag
from apps.core.vocabulary import RowState
from apps.mail.outbox import mail_rows
from apps.newsroom.activity.activities import (
    administrators,
    new_activity,
    tell_activities,
    wants_mail,
)
from apps.publish.transmit.attempt import Result
from apps.store.collections import ACTIVITY, DELIVERY_FAILURES, MAILS, PUBLISH_LANES, SUBSCRIBERS

log = structlog.get_logger(__name__)

FAILED = "Error [{code}] on a Subscribers destination {{{{name}}}}: {cause}"
RECOVERED = "Recovered: a Subscribers destination {{name}} takes deliveries again"
CLOSED = "Subscriber made inactive due to critical error: {error}"
CAUSE_LENGTH = 200
ACTIVITY_EVERY = timedelta(hours=1)


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
        self._sends_mail = sends_mail
        self._notifies = bool(settings["ERROR_NOTIFICATIONS"])
        self._mail_every = timedelta(hours=float(settings["EMAIL_NOTIFICATION_RESEND"]))

    def record(self, subscriber: Mapping[str, Any], result: Result) -> bool:
        """Act on a failed attempt; return whether its subscriber was closed.

        Failures without a code have no consequence but the state of the row.
        """
        if result.code is None:
            return False
        # Of failures for good administrators are notified by the alerts of the run.
        if self._notifies and result.state != RowState.FAILED:
            self._report(result)
        closes = is_critical(subscriber, result)
        if closes:
            self._close(subscriber, str(result.changes["error_message"]))
        return closes

    def recovered(self, row: Mapping[str, Any]) -> None:
        """Report that a destination takes deliveries again that failed before."""
        if not self._notifies:
            return
        failing = {"lane": row["lane"], "is_failing": True}
        ended = {"$set": {"is_failing": False}}
        self._db[PUBLISH_LANES].update_one({"_id": row["lane"]}, {"$unset": {"failing": 1}})
        if self._db[DELIVERY_FAILURES].update_many(failing, ended).modified_count:
            self._add_activity("recovered", RECOVERED, row)

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

    def _report(self, result: Result) -> None:
        row, now = result.row, self._clock.precise()
        failure = f"{row['lane']}:{result.code}"
        seen = self._db[DELIVERY_FAILURES].find_one_and_update(
            {"_id": failure},
            {"$inc": {"count": 1}, "$set": {"lane": row["lane"], "is_failing": True, "at": now}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        self._db[PUBLISH_LANES].update_one({"_id": row["lane"]}, {"$set": {"failing": True}})
        message = FAILED.format(code=result.code, cause=result.cause[-CAUSE_LENGTH:])
        if self._is_due(failure, "activity_at", ACTIVITY_EVERY, now):
            count = int(seen["count"]) if seen else 1
            self._db[DELIVERY_FAILURES].update_one({"_id": failure}, {"$set": {"count": 0}})
            self._add_activity("error", message, row, count=count)
        if self._sends_mail and self._is_due(failure, "mailed_at", self._mail_every, now):
            self._mail(message.replace("{{name}}", name_of(row)))

    def _is_due(self, failure: str, field: str, every: timedelta, now: datetime) -> bool:
        """Whether it is time to report it again; true for one process only."""
        old = {"_id": failure, "$or": [{field: None}, {field: {"$lte": now - every}}]}
        done = self._db[DELIVERY_FAILURES].update_one(old, {"$set": {field: now}})
        return bool(done.modified_count)

    def _add_activity(self, name: str, message: str, row: Mapping[str, Any], **data: Any) -> None:
        activity = new_activity(
            name,
            message,
            now=self._clock.now(),
            recipients=[],
            resource="subscribers",
            # Not an argument of its own: the name of the activity has that.
            **{"provider_id": (row.get("destination") or {}).get("_id"), **data},
        )
        activity["data"]["name"] = name_of(row)
        self._db[ACTIVITY].insert_one(activity)
        tell_activities(self._notifier, [activity])

    def _mail(self, message: str) -> None:
        """Write one mail to each administrator that reads such."""
        addresses = [p["email"] for p in administrators(self._db) if wants_mail(p)]
        if addresses:
            text = f"System {message}"
            subject = text.splitlines()[0]
            now = self._clock.precise()
            rows = mail_rows(ObjectId(), subject, text, [[address] for address in addresses], now)
            self._db[MAILS].insert_many(rows)


def is_critical(subscriber: Mapping[str, Any], result: Result) -> bool:
    """Whether a failure is one that closes its subscriber."""
    critical = subscriber.get("critical_errors") or {}
    return result.code is not None and critical.get(str(result.code)) is True


def name_of(row: Mapping[str, Any]) -> str:
    """Return the name of a row's destination."""
    return str((row.get("destination") or {}).get("name") or "")
