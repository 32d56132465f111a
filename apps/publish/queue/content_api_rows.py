"""Queue rows of the content API whose copy was stored later than they were tried."""

from collections.abc import Sequence

from pymongo.database import Database

from apps.content_api.copies import Copy
from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import CONTENT_API, RowState
from apps.publish.queue.rows import notify_rows
from apps.publish.queue.sending import rows_being_sent
from apps.store.collections import PUBLISH_QUEUE
from apps.store.indexes import WAITING_ROWS

ENDED_BY_A_COPY = (RowState.FAILED, RowState.IN_PROGRESS)
"""States that a stored copy ends, and so that of rows that are being sent: an attempt that is just
being made may be about to fail. Rows that wait for one find by themselves that the copy is there.
"""


class ContentApiRows:
    """Makes queue rows succeed once their copy is stored, also those that were given up.

    Args:
        db: the main database.
        clock: source of time.
        notifier: notifies clients.
    """

    def __init__(self, db: Database[Document], clock: Clock, notifier: Notifier) -> None:
        self._db = db
        self._rows = db[PUBLISH_QUEUE]
        self._clock = clock
        self._notifier = notifier

    def succeed(self, copies: Sequence[Copy], besides: str = "") -> None:
        """End the rows of stored `copies`; two commands, up to five where there were any.

        May be repeated, and is to be called before the copies are forgotten.

        Args:
            besides: `idempotency_key` of a row that is left to the process that is sending it.

        Raises:
            PyMongoError: nothing was written, or not all.
        """
        if not copies:
            return
        now = self._clock.precise()
        rows: Document = {
            "item_id": {"$in": sorted({copy.item_id for copy in copies})},
            "destination.delivery_type": CONTENT_API,
            "idempotency_key": {"$ne": besides},
            "$or": [
                {
                    "item_id": copy.item_id,
                    "item_version": copy.version,
                    # Rows of clients name no copy: they ask for whichever there is.
                    "copy_key": {"$in": [copy.key, None]},
                }
                for copy in copies
            ],
        }
        ended = {
            "state": RowState.SUCCESS,
            "completed_at": now,
            "error_message": None,
            # The long-term archive may have it as failed.
            "moved_to_legal": False,
            "_updated": now,
        }
        which: list[Document] = [{"state": {"$in": list(ENDED_BY_A_COPY)}}]
        if being_sent := list(rows_being_sent(self._db)):
            # First, as such a row may be among those that have failed in a moment.
            which.insert(0, {"_id": {"$in": being_sent}, "state": WAITING_ROWS})
        ends = [self._rows.update_many({**rows, **of}, {"$set": ended}) for of in which]
        if any(done.modified_count for done in ends):
            changed = list(self._rows.find({**rows, "completed_at": now, "_updated": now}))
            notify_rows(self._notifier, changed)
