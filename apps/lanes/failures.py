"""What administrators learn of receivers that fail (delivery contract 7).

They are notified of failures and of the first success after them: by an activity at most once an
hour, by mail at most once in EMAIL_NOTIFICATION_RESEND hours, for each lane and code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.mail.outbox import mail_rows
from apps.newsroom.activity.activities import (
    administrators,
    new_activity,
    tell_activities,
    wants_mail,
)
from apps.store.collections import ACTIVITY, DELIVERY_FAILURES, MAILS

CAUSE_LENGTH = 200
ACTIVITY_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class ReportTexts:
    """The words for one kind of lanes.

    Attributes:
        failed: has {code}, {cause}, and {{{{name}}}} for the name of the receiver.
        recovered: has {{name}}.
        resource: that the activities are about.
    """

    failed: str
    recovered: str
    resource: str


@dataclass(frozen=True)
class Receiver:
    """Who a lane leads to.

    Attributes:
        lane: its lane.
        name: for people.
        data: more for the `data` of activities.
    """

    lane: str
    name: str
    data: Mapping[str, Any] = field(default_factory=dict)


class FailureReports:
    """Notifies administrators; it closes nobody.

    Args:
        db: the database.
        clock: source of time.
        lanes: collection of the lanes.
        texts: the words.
        notifier: notifies clients.
        sends_mail: whether mails are sent at all.
        settings: ERROR_NOTIFICATIONS, EMAIL_NOTIFICATION_RESEND.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        *,
        lanes: str,
        texts: ReportTexts,
        notifier: Notifier,
        sends_mail: bool,
        settings: Mapping[str, Any],
    ) -> None:
        self._db = db
        self._lanes = db[lanes]
        self._clock = clock
        self._texts = texts
        self._notifier = notifier
        self._sends_mail = sends_mail
        self._notifies = bool(settings["ERROR_NOTIFICATIONS"])
        self._mail_every = timedelta(hours=float(settings["EMAIL_NOTIFICATION_RESEND"]))

    def failed(self, receiver: Receiver, code: int | str, cause: str) -> None:
        """Report a failure that is tried again; its lane is `failing` from now on.

        Args:
            code: failures of one code are reported together.
            cause: what happened, for people; without secrets.
        """
        if not self._notifies:
            return
        now = self._clock.precise()
        failure = f"{receiver.lane}:{code}"
        seen = self._db[DELIVERY_FAILURES].find_one_and_update(
            {"_id": failure},
            {"$inc": {"count": 1}, "$set": {"lane": receiver.lane, "is_failing": True, "at": now}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
        self._lanes.update_one({"_id": receiver.lane}, {"$set": {"failing": True}})
        message = self._texts.failed.format(code=code, cause=cause[-CAUSE_LENGTH:])
        if self._is_due(failure, "activity_at", ACTIVITY_EVERY, now):
            count = int(seen["count"]) if seen else 1
            self._db[DELIVERY_FAILURES].update_one({"_id": failure}, {"$set": {"count": 0}})
            self._add_activity("error", message, receiver, count=count)
        if self._sends_mail and self._is_due(failure, "mailed_at", self._mail_every, now):
            self._mail(message.replace("{{name}}", receiver.name))

    def recovered(self, receiver: Receiver) -> None:
        """Report the first success in a lane that was `failing`."""
        if not self._notifies:
            return
        failing = {"lane": receiver.lane, "is_failing": True}
        ended = {"$set": {"is_failing": False}}
        self._lanes.update_one({"_id": receiver.lane}, {"$unset": {"failing": 1}})
        if self._db[DELIVERY_FAILURES].update_many(failing, ended).modified_count:
            self._add_activity("recovered", self._texts.recovered, receiver)

    def _is_due(self, failure: str, field: str, every: timedelta, now: datetime) -> bool:
        """Whether it is time to report it again; true for one process only."""
        old = {"_id": failure, "$or": [{field: None}, {field: {"$lte": now - every}}]}
        done = self._db[DELIVERY_FAILURES].update_one(old, {"$set": {field: now}})
        return bool(done.modified_count)

    def _add_activity(self, name: str, message: str, receiver: Receiver, **data: Any) -> None:
        activity = new_activity(
            name,
            message,
            now=self._clock.now(),
            recipients=[],
            resource=self._texts.resource,
            **{**receiver.data, **data},
        )
        # Not an argument of its own: the name of the activity has that.
        activity["data"]["name"] = receiver.name
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
