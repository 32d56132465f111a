"""The outbox `mails`: written together with what causes a mail, sent afterwards.

A mail is claimed with a lease, sent and marked, in this order. A process that dies in between is
followed by another one when the lease ends; a receiver sees a repeat only if the first process died
after the server had taken the mail, and then with the same Message-ID.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.documents import number_of
from apps.core.errors import DeliveryError, PermanentFailure
from apps.core.service import Document
from apps.core.stopping import ASKED
from apps.mail.mailer import Mail, Mailer
from apps.store.collections import MAILS

log = structlog.get_logger(__name__)

WAITING, SENT, FAILED = "waiting", "sent", "failed"
RETRY_MINUTES = 3
"""The n-th attempt that fails is followed by another one n times as many minutes later."""


def mail_rows(
    id: ObjectId, subject: str, text: str, to: Sequence[Sequence[str]], now: datetime
) -> list[Document]:
    """Return the outbox rows of one text that goes out in several mails.

    Args:
        id: what caused it; the ids of the rows follow from it, so that writing them again changes
            nothing.
        to: addresses, one list for each mail.
    """
    return [
        {
            "_id": f"{id}.{number}",
            "to": list(addresses),
            "subject": subject,
            "text": text,
            "state": WAITING,
            "attempts": 0,
            "due_at": now,
            "_created": now,
        }
        for number, addresses in enumerate(to)
    ]


class Outbox:
    """Send the mails that wait.

    Args:
        mailer: sends one mail.
        settings: LEASE_SECONDS, MAX_TRANSMIT_RETRY_ATTEMPT.
    """

    def __init__(
        self, db: Database[Document], clock: Clock, *, mailer: Mailer, settings: Mapping[str, Any]
    ) -> None:
        self._mails = db[MAILS]
        self._clock = clock
        self._mailer = mailer
        self._retries = int(settings["MAX_TRANSMIT_RETRY_ATTEMPT"])
        # The attempt is over before the claim, with time to record what came of it.
        seconds = max(float(settings["LEASE_SECONDS"]), 1.5 * mailer.longest)
        self._lease = timedelta(seconds=seconds)

    @property
    def is_open(self) -> bool:
        """Whether mails are sent at all: without a mail server none are written."""
        return self._mailer.is_configured

    def run(self) -> int:
        """Attempt every mail that is due; return how many were attempted."""
        if not self.is_open:
            return 0
        count = 0
        while not ASKED.is_set() and (mail := self._take()):
            count += 1
            self._attempt(mail)
        return count

    def purge(self, before: datetime) -> int:
        """Forget mails that ended before a time; return how many."""
        ended = {"state": {"$in": [SENT, FAILED]}, "_created": {"$lt": before}}
        return int(self._mails.delete_many(ended).deleted_count)

    def _take(self) -> Document | None:
        """Claim the mail that is due longest: nobody else takes it before the lease ends."""
        now = self._clock.precise()
        return self._mails.find_one_and_update(
            {"state": WAITING, "due_at": {"$lte": now}},
            {"$set": {"due_at": now + self._lease, "claim": ObjectId()}},
            sort=[("due_at", 1)],
            return_document=ReturnDocument.AFTER,
        )

    def _attempt(self, row: Document) -> None:
        try:
            mail = Mail(row["_id"], tuple(row["to"]), row["subject"], row["text"])
            refused = self._mailer.send(mail)
        except DeliveryError as error:
            log.warning("mail.failed", mail=mail.key, error=str(error))
            self._fail(row, list(mail.to), str(error), final=isinstance(error, PermanentFailure))
            return
        except Exception as error:
            # What cannot be written as a mail keeps no other from being sent.
            log.exception("mail.broken", mail=str(row["_id"]))
            self._fail(row, row.get("to"), repr(error), final=True)
            return
        if refused:
            log.warning("mail.refused", mail=mail.key, addresses=refused)
            self._fail(row, list(refused), "refused: " + ", ".join(refused), final=False)
            return
        self._write(row, {"state": SENT, "error": None, "sent_at": self._clock.precise()})

    def _fail(self, row: Document, left: Any, error: str, *, final: bool) -> None:
        attempts = number_of(row, "attempts") + 1
        wait = timedelta(minutes=RETRY_MINUTES * attempts)
        change = {
            "to": left,
            "attempts": attempts,
            "error": error,
            "due_at": self._clock.precise() + wait,
        }
        if final or attempts > self._retries:
            change["state"] = FAILED
        self._write(row, change)

    def _write(self, row: Document, change: Document) -> None:
        self._mails.update_one({"_id": row["_id"], "claim": row["claim"]}, {"$set": change})
