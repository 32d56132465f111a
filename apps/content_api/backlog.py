"""Copies that could not be stored yet: they are tried again until they are (routing contract R8).

A document of `content_api_backlog` is a copy with `attempts`, `due_at` and `error_message`. It is
written while the published row that it comes from is still claimed, so none gets lost.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

import structlog
from bson.errors import BSONError
from pymongo import ReplaceOne
from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.content_api.copies import Copy
from apps.content_api.store import CopyStore
from apps.core.clock import Clock
from apps.core.documents import number_of
from apps.core.errors import ServerError
from apps.core.service import Document
from apps.store.batches import first_batch
from apps.store.collections import CONTENT_API_BACKLOG
from apps.store.mongo import is_away

log = structlog.get_logger(__name__)

REFUSALS = (PyMongoError, BSONError, ServerError, OverflowError)
"""What storing a copy may end in."""
BATCH = 100
FIRST_RETRY_SECONDS = 10
LONGEST_RETRY_SECONDS = 600
PAUSE_SECONDS = 10.0
"""How long a store that could not be reached is left alone, so that it does not hold up routing."""
UNREACHABLE = "The database of the content API could not be reached"
MESSAGE_LENGTH = 1000


class CopyBacklog:
    """Stores copies at once where it can, and later where it cannot.

    Args:
        db: the main database.
        clock: source of time.
        store: the items of the content API.
        on_stored: called with copies that waited, before they are forgotten; may be repeated.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        store: CopyStore,
        on_stored: Callable[[Sequence[Copy], str], None],
    ) -> None:
        self._backlog = db[CONTENT_API_BACKLOG]
        self._clock = clock
        self._store = store
        self._on_stored = on_stored
        self._paused_until = float("-inf")

    def store(self, copies: Sequence[Copy]) -> set[str]:
        """Store copies; return the keys of those that have to wait.

        Raises:
            PyMongoError: a copy could neither be stored nor be noted.
        """
        refused = self._refused(copies)
        if refused:
            self._note({copy.key: copy for copy in copies}, refused)
        return set(refused)

    def retry_due(self) -> int:
        """Try again what has waited for long enough; return how many copies were stored."""
        stored = 0
        while documents := self._due():
            refused = self._try_again(documents)
            stored += len(documents) - len(refused)
            if refused:
                break
        return stored

    def carry_out(self, item_id: str, version: int, delivery: str) -> None:
        """Store what waits of an item up to a version; nothing waits where that is done.

        Args:
            delivery: key of the delivery that this is the attempt of.

        Raises:
            PyMongoError, BSONError, ServerError, OverflowError: it cannot be stored.
        """
        query = {"item_id": item_id, "version": {"$lte": version}}
        documents = list(self._backlog.find(query).sort("version", 1))
        if documents:
            if self._is_paused():
                raise ServerError(UNREACHABLE)
            copies = [_copy(document) for document in documents]
            self._store.store(copies)
            self._done(copies, delivery)

    def _due(self) -> list[Document]:
        due = self._backlog.find({"due_at": {"$lte": self._clock.precise()}})
        return first_batch(due.sort("due_at", 1), BATCH)

    def _try_again(self, documents: Sequence[Document]) -> Mapping[str, str]:
        copies: dict[str, Copy] = {}
        broken = []
        for document in documents:
            try:
                copies[document["_id"]] = _copy(document)
            except Exception:
                log.exception("content_api.broken", copy=str(document["_id"]))
                broken.append(document["_id"])
        if broken:
            # Written by others. They are put off for as long as any, and hold up none.
            later = self._clock.precise() + timedelta(seconds=LONGEST_RETRY_SECONDS)
            self._backlog.update_many({"_id": {"$in": broken}}, {"$set": {"due_at": later}})
        refused = self._refused(list(copies.values()))
        self._done([copy for key, copy in copies.items() if key not in refused])
        attempts = {document["_id"]: number_of(document, "attempts") for document in documents}
        self._note(copies, refused, attempts)
        return refused

    def _refused(self, copies: Sequence[Copy]) -> dict[str, str]:
        """Store copies; return why some could not be, by key. One bad copy holds up no other."""
        if not copies:
            return {}
        if self._is_paused():
            return dict.fromkeys((copy.key for copy in copies), UNREACHABLE)
        try:
            self._store.store(copies)
        except Exception as error:
            if isinstance(error, PyMongoError) and is_away(error):
                self._paused_until = time.monotonic() + PAUSE_SECONDS
                log.warning("content_api.unreachable", copies=len(copies), error=str(error))
                return dict.fromkeys((copy.key for copy in copies), str(error))
            if len(copies) > 1:
                alone = (self._refused([copy]) for copy in copies)
                return {key: text for refused in alone for key, text in refused.items()}
            log.warning("content_api.refused", item=copies[0].item_id, exc_info=error)
            return {copies[0].key: str(error)}
        return {}

    def _is_paused(self) -> bool:
        return time.monotonic() < self._paused_until

    def _note(
        self,
        copies: Mapping[str, Copy],
        refused: Mapping[str, str],
        attempts: Mapping[str, int] | None = None,
    ) -> None:
        if not refused:
            return
        writes = []
        for key, message in refused.items():
            tries = (attempts or {}).get(key, 0)
            wait = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2 ** min(tries, 20))
            copy = copies[key]
            waiting = {
                "_id": key,
                "item_id": copy.item_id,
                "version": copy.version,
                "document": copy.document,
                "subscribers": list(copy.subscribers),
                "attempts": tries + 1,
                "due_at": self._clock.precise() + timedelta(seconds=wait),
                "error_message": message[:MESSAGE_LENGTH],
            }
            # Noted again, should another process have stored it meanwhile: that does no harm.
            writes.append(ReplaceOne({"_id": key}, waiting, upsert=True))
        self._backlog.bulk_write(writes, ordered=False)

    def _done(self, copies: Sequence[Copy], delivery: str = "") -> None:
        """Forget stored copies, once the deliveries that failed for want of them are put right."""
        if not copies:
            return
        self._on_stored(copies, delivery)
        self._backlog.delete_many({"_id": {"$in": [copy.key for copy in copies]}})


def _copy(document: Mapping[str, Any]) -> Copy:
    return Copy(
        document["_id"],
        document["item_id"],
        int(document["version"]),
        document["document"],
        tuple(document["subscribers"]),
    )
