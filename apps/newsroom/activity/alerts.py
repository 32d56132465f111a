"""Administrators are told what went wrong on the way to subscribers (resources contract 22.1)."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import structlog
from bson import ObjectId
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
from apps.store.collections import ACTIVITY, MAILS
from apps.store.mongo import insert_missing

log = structlog.get_logger(__name__)

NAME = "error"
NOT_ROUTED = "{{ headline }} could not be routed: {{ error }}"
NOT_COMPLETED = "The last write of {{ headline }} cannot be completed: {{ error }}"
NOT_ON_SITE = "{{ site }}: {{ error }}"
NOT_COPIED = "{{ count }} items were not copied to {{ destination }}: {{ error }}"


class Alerts:
    """Writes activities named `error` to all administrators, and mails to those who want them.

    Best effort: what cannot be told is logged and holds nothing up.

    Args:
        notifier: tells clients.
        is_on: whether anybody is told at all.
        sends_mail: whether mails are sent at all.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        notifier: Notifier,
        *,
        is_on: bool,
        sends_mail: bool,
    ) -> None:
        self._is_on = is_on
        self._db = db
        self._clock = clock
        self._notifier = notifier
        self._sends_mail = sends_mail

    def not_routed(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Tell of published rows that ended in `error`; each has its `error_message`."""
        for row in rows:
            called = row.get("headline") or row.get("slugline") or row.get("item_id")
            data = {"headline": called, "error": row.get("error_message")}
            self._tell(row, "published", NOT_ROUTED, data, [row], once=str(row["_id"]))

    def not_completed(self, item: Mapping[str, Any], error: str) -> None:
        """Tell of an item whose last write has left something undone that cannot be written."""
        called = item.get("headline") or item.get("slugline") or item.get("_id")
        data = {"headline": called, "error": error}
        self._tell(
            item, "archive", NOT_COMPLETED, data, [item], once=f"{item.get('_id')} not completed"
        )

    def not_copied(
        self, destination: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], error: str
    ) -> None:
        """Tell of published rows that an internal destination got no copies of, in one activity.

        A destination that fails again and again causes one mail an hour.
        """
        data = {
            "count": len(rows),
            "destination": destination.get("name"),
            "error": error,
            "items": _items(rows),
        }
        once = self._once_an_hour(destination["_id"])
        self._tell(destination, "internal_destinations", NOT_COPIED, data, rows, once=once)

    def not_on_site(self, text: str, about: Mapping[str, Any]) -> None:
        """Tell that something is wrong at a CMS site.

        The same trouble causes one mail an hour.

        Args:
            about: the integration, or the record of the publisher.
        """
        content = about.get("content")
        items = [{"item_id": content}] if content else []
        data = {"site": about.get("name") or content, "error": text}
        once = self._once_an_hour(about["_id"])
        item = items[0] if items else {}
        self._tell(item, "publisher", NOT_ON_SITE, data, items, once=once)

    def _once_an_hour(self, destination: Any) -> str:
        return f"{destination} {self._clock.now():%Y-%m-%dT%H}"

    def _tell(
        self,
        item: Mapping[str, Any],
        resource: str,
        message: str,
        data: Mapping[str, Any],
        rows: Sequence[Mapping[str, Any]],
        *,
        once: str,
    ) -> None:
        """Write activity and mails.

        Args:
            rows: published rows, or deliveries, that it is about.
            once: of mails with the same text here, only the first is sent.
        """
        if not self._is_on:
            return
        try:
            people = administrators(self._db)
            if not people:
                return
            activity = new_activity(
                NAME,
                message,
                now=self._clock.now(),
                recipients=[person["_id"] for person in people],
                item=item,
                resource=resource,
                **data,
            )
            self._db[ACTIVITY].insert_one(activity)
            tell_activities(self._notifier, [activity], viewpoints_of(self._db, rows))
            self._write_mails(people, filled(message, data), once)
        except Exception as error:
            log.error("alert.lost", message=message, exc_info=error)

    def _write_mails(self, people: Sequence[Document], text: str, once: str) -> None:
        to = [[person["email"]] for person in people if wants_mail(person)]
        if not self._sends_mail or not to:
            return
        id = ObjectId(sha256(once.encode()).digest()[:12])
        subject = text if len(text) <= 120 else f"{text[:117]}..."
        rows = mail_rows(id, subject, f"{text}\n", to, self._clock.precise())
        insert_missing(self._db[MAILS], rows)


def _items(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(row.get("item_id")) for row in rows))
