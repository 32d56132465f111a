"""What administrators learn of receivers that fail (delivery contract 7).

They are notified of failures that are tried again, for each lane and code by an activity at most
once an hour, by mail at most once in EMAIL_NOTIFICATION_RESEND hours; and of what becomes of a
receiver (`Event`), for each lane and event at most once an hour.
"""

from collections.abc import Mapping, Sequence
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
    filled,
    new_activity,
    tell_activities,
    viewpoints_of,
    wants_mail,
)
from apps.store.collections import ACTIVITY, DELIVERY_FAILURES, MAILS

CAUSE_LENGTH = 200
SUBJECT = 200
"""Characters of the subject of a mail."""
ACTIVITY_EVERY = timedelta(hours=1)


@dataclass(frozen=True)
class ReportTexts:
    """The words for one kind of lanes.

    Attributes:
        failed: has {code}, {cause}, and {{{{name}}}} for the name of the receiver.
        resource: that the activities are about.
    """

    failed: str
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


@dataclass(frozen=True)
class Event:
    """Something that has become of a receiver.

    Attributes:
        name: of the activity (`destination.failing`).
        message: what happened, with `{{ name }}` in the place of values of `data`.
        data: what is known of it; without secrets.
        rows: work that it is about, whose items not everybody may see; the last one counts most.
        resource: that the activity is about, where it is not that of all.
        mails: whether a mail is sent, too.
    """

    name: str
    message: str
    data: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    resource: str | None = None
    mails: bool = True


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
            self._mail(f"System {message.replace('{{name}}', receiver.name)}")

    def recovered(self, receiver: Receiver) -> bool:
        """End what was reported of a lane that was `failing`; return whether there was such."""
        if not self._notifies:
            return False
        failing = {"lane": receiver.lane, "is_failing": True}
        ended = {"$set": {"is_failing": False}}
        self._lanes.update_one({"_id": receiver.lane}, {"$unset": {"failing": 1}})
        return bool(self._db[DELIVERY_FAILURES].update_many(failing, ended).modified_count)

    def is_due(self, receiver: Receiver, event: str, count: int = 1) -> int:
        """Whether an event is to be told now; true for one process, once an hour. One command where
        it is not.

        Args:
            event: its name.
            count: how often it has happened.

        Returns:
            How often it has happened since it was told last; 0 where it is not to be told.
        """
        if not self._notifies:
            return 0
        now = self._clock.precise()
        key = f"{receiver.lane}:{event}"
        change = {"$inc": {"count": count}, "$set": {"lane": receiver.lane, "at": now}}
        seen = self._db[DELIVERY_FAILURES].find_one_and_update(
            {"_id": key}, change, upsert=True, return_document=ReturnDocument.AFTER
        )
        told_at = (seen or {}).get("activity_at")
        if told_at is not None and told_at > now - ACTIVITY_EVERY:
            return 0
        if not self._is_due(key, "activity_at", ACTIVITY_EVERY, now):
            return 0
        self._db[DELIVERY_FAILURES].update_one({"_id": key}, {"$set": {"count": 0}})
        return int(seen["count"]) if seen else count

    def tell(self, receiver: Receiver, event: Event) -> None:
        """Tell administrators of an event that is due."""
        people = administrators(self._db)
        if not people:
            return
        activity = new_activity(
            event.name,
            event.message,
            now=self._clock.now(),
            recipients=[person["_id"] for person in people],
            item=event.rows[-1] if event.rows else None,
            resource=event.resource or self._texts.resource,
        )
        # Not as arguments: some values have the names of others.
        activity["data"] = {**receiver.data, **event.data}
        self._db[ACTIVITY].insert_one(activity)
        tell_activities(self._notifier, [activity], viewpoints_of(self._db, event.rows))
        if self._sends_mail and event.mails:
            mailed = {"$set": {"mailed_at": self._clock.precise()}}
            self._db[DELIVERY_FAILURES].update_one({"_id": f"{receiver.lane}:{event.name}"}, mailed)
            self._mail(filled(event.message, event.data), _details(event.data), people)

    def was_mailed(self, receiver: Receiver) -> bool:
        """Whether a mail about a lane went out within the hour; one command."""
        since = self._clock.precise() - ACTIVITY_EVERY
        lately = {"lane": receiver.lane, "mailed_at": {"$gt": since}}
        return self._db[DELIVERY_FAILURES].find_one(lately, {"_id": 1}) is not None

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

    def _mail(
        self, message: str, details: str = "", people: Sequence[Mapping[str, Any]] | None = None
    ) -> None:
        """Write one mail to each administrator that reads such.

        Args:
            message: what happened; its first line is the subject.
            details: what stands below.
            people: the administrators, where they are known.
        """
        known = administrators(self._db) if people is None else people
        addresses = [person["email"] for person in known if wants_mail(person)]
        if addresses:
            subject = message.splitlines()[0]
            subject = subject if len(subject) <= SUBJECT else f"{subject[: SUBJECT - 3]}..."
            now = self._clock.precise()
            to = [[address] for address in addresses]
            rows = mail_rows(ObjectId(), subject, f"{message}{details}", to, now)
            self._db[MAILS].insert_many(rows)


def _details(data: Mapping[str, Any]) -> str:
    """Return the values of an event, one on each line."""
    lines = [
        f"{name}: {', '.join(value) if isinstance(value, list) else value}"
        for name, value in data.items()
        if value not in (None, "", [])
    ]
    return "\n\n" + "\n".join(lines) + "\n"
