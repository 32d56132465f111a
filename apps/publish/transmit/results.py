"""Results of attempts, written in bulk (delivery contract O4, C2, C5)."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

import structlog
from pymongo import UpdateMany, UpdateOne
from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.clock import Clock
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import RowState
from apps.lanes.claims import Lane
from apps.publish.queue.rows import notify_rows
from apps.publish.transmit.attempt import Result
from apps.publish.transmit.claim import unwritten, version_of
from apps.store.collections import PUBLISH_QUEUE
from apps.store.indexes import WAITING_ROWS
from apps.store.mongo import is_outage
from transmitters.base import Mode

log = structlog.get_logger(__name__)

FLUSH_ROWS = 100
FLUSH_SECONDS = 1.0
HELD_UP_SECONDS = 1.25
"""Age at which results are written of a lane whose receiver lets the next delivery wait: more than
those reach that are written between deliveries."""
LOOK_SECONDS = 0.5
"""Time between two looks for such."""
TIMES = frozenset({"completed_at", "_updated"})
TRIES = 3
TRY_AGAIN_SECONDS = 0.5


class Results:
    """Results of one claimed batch of a lane.

    They are written together, but always before another row of the same item starts, and at
    least once a second. Used by several threads: where the lane delivers in parallel, and by the
    `ResultWriter` while a delivery lasts.

    Args:
        db: the database.
        clock: source of time.
        notifier: notifies clients of changed rows, one message per write.
        lane: the claim; its token goes with every write, and is written on the rows.
        mode: what the destination does with several versions of an item.
        on_recorded: called with results that are on record, by one thread at a time.
        on_failed: called with rows that have failed for good.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        notifier: Notifier,
        lane: Lane,
        mode: Mode,
        on_recorded: Callable[[Sequence[Result]], None],
        on_failed: Callable[[Sequence[Document]], None],
    ) -> None:
        self._rows = db[PUBLISH_QUEUE]
        self._clock = clock
        self._notifier = notifier
        self._lane = lane
        self._mode = mode
        self._on_recorded = on_recorded
        self._on_failed = on_failed
        self._waiting: list[Result] = []
        self._since = time.monotonic()
        self._oldest_at = self._since
        self._error: Exception | None = None
        self._lock = Lock()
        self.older: set[str] = set()
        self.is_incomplete = False

    def add(self, result: Result) -> None:
        """Keep a result; write all that are kept when it is time."""
        with self._lock:
            if not self._waiting:
                self._oldest_at = time.monotonic()
            self._waiting.append(result)
            if result.state == RowState.RETRYING:
                self.older.add(result.row["item_id"])
            full = len(self._waiting) >= FLUSH_ROWS
            if full or time.monotonic() - self._since >= FLUSH_SECONDS:
                self._write()

    def write_of(self, item_id: str) -> None:
        """Write what is kept if results of `item_id` are among it."""
        with self._lock:
            if any(result.row["item_id"] == item_id for result in self._waiting):
                self._write()

    def write(self) -> None:
        """Write what is kept.

        Raises:
            PyMongoError: a row is in the way, of these or of those that `write_held_up` wrote.
        """
        with self._lock:
            self._write()
            error, self._error = self._error, None
        if error is not None:
            raise error

    def write_held_up(self) -> None:
        """Write what is kept for longer than any delivery should last.

        What goes wrong ends the batch, and is raised by `write`.
        """
        if not self._is_held_up():
            return
        with self._lock:
            if not self._is_held_up():
                return
            try:
                self._write()
            except Exception as error:  # noqa: BLE001 - handed to the thread of the lane
                self._error = error
                self.is_incomplete = True

    def _is_held_up(self) -> bool:
        return bool(self._waiting) and time.monotonic() - self._oldest_at >= HELD_UP_SECONDS

    def _write(self) -> None:
        results, self._waiting = self._waiting, []
        self._since = time.monotonic()
        if not results:
            return
        stored = self._store(results)
        if stored is None:
            self.is_incomplete = True
            return
        rows = [{**result.row, **result.changes} for result in stored]
        notify_rows(self._notifier, rows)
        if failed := [row for row in rows if row["state"] == RowState.FAILED]:
            self._on_failed(failed)
        self._on_recorded(stored)

    def _writes(self, results: Sequence[Result]) -> list[UpdateOne | UpdateMany]:
        """Return the writes of results: those that are alike are written by one of them."""
        # Before the results: whoever dies in between leaves nothing behind that may still go.
        writes: list[UpdateOne | UpdateMany] = [
            self._supersede(result.row, result)
            for result in results
            if result.state == RowState.SUCCESS
            and self._mode is Mode.REPLACE
            and result.row["item_id"] in self.older
        ]
        for alike in together(results):
            ids = [result.row["_id"] for result in alike]
            started_at = alike[0].row.get("transmit_started_at")
            written = {
                "transmit_started_at": started_at,
                **alike[0].changes,
                "claim_token": self._lane.token,
            }
            own = {"_id": ids[0] if len(ids) == 1 else {"$in": ids}, **unwritten(self._lane)}
            if len(ids) == 1:
                writes.append(UpdateOne(own, {"$set": written}))
            else:
                writes.append(UpdateMany(own, [{"$set": _each_with_its_time(alike, written)}]))
        return writes

    def _supersede(self, row: Document, result: Result) -> UpdateMany:
        """Cancel older versions that wait for a retry: the receiver has newer content now.

        Versions that are older only by their place stay: a client sent this one again.
        """
        older = {
            "item_id": row["item_id"],
            "lane": self._lane.id,
            "order_no": {"$lt": row.get("order_no") or 0},
            "item_version": {"$not": {"$gt": version_of(row)}},
            "state": WAITING_ROWS,
            # Also those that have failed once more under this lease.
            "claim_token": {"$not": {"$gt": self._lane.token}},
        }
        change = {
            "state": RowState.CANCELED,
            "superseded_by": row["_id"],
            "_updated": result.changes["_updated"],
        }
        return UpdateMany(older, {"$set": change})

    def _store(self, results: list[Result]) -> list[Result] | None:
        """Write in one command, trying again for a moment when the store does not answer.

        A result that cannot be recorded is no delivery error: the rows stay as they are, noted as
        being sent, and are sent again with the same key when the lane is served next.

        Returns:
            The results that are on record, None where the store does not say.

        Raises:
            PyMongoError: a row is in the way.
        """
        writes = self._writes(results)
        # Older rows that are canceled along with them count as matched, too.
        tells_apart = not any(result.row["item_id"] in self.older for result in results)
        for attempt in range(1, TRIES + 1):
            try:
                done = self._rows.bulk_write(writes, ordered=True)
                if tells_apart and done.matched_count == len(results):
                    return results
                return self._on_record(results)
            except PyMongoError as error:
                if not is_outage(error):
                    raise
                log.warning("delivery.not_recorded", lane=self._lane.id, attempt=attempt)
                if attempt < TRIES:
                    time.sleep(TRY_AGAIN_SECONDS)
        return None

    def _on_record(self, results: list[Result]) -> list[Result]:
        """Return the results that the rows show: others may have ended some of them meanwhile."""
        ids = [result.row["_id"] for result in results]
        own = {"_id": {"$in": ids}, "claim_token": self._lane.token}
        states = {row["_id"]: row["state"] for row in self._rows.find(own, {"state": 1})}
        recorded = [r for r in results if states.get(r.row["_id"]) == r.state]
        if len(recorded) < len(results):
            log.warning("delivery.lease_lost", lane=self._lane.id, rows=len(results))
        return recorded


class ResultWriter:
    """Writes results of lanes that are held up by a delivery (delivery contract C5).

    Lanes write their own between deliveries; a receiver that hangs would keep what came before its
    delivery from being on record. Shared by the lanes of a process; it has a thread as long as
    batches are under way.
    """

    def __init__(self) -> None:
        self._open: set[Results] = set()
        self._lock = Lock()
        self._is_running = False

    @contextmanager
    def looking_after(self, results: Results) -> Iterator[None]:
        """Return a context in which results that wait are written in time."""
        with self._lock:
            self._open.add(results)
            self._is_running = self._is_running or self._start()
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(results)

    def _start(self) -> bool:
        try:
            Thread(target=self._run, name="result-writer", daemon=True).start()
        except RuntimeError as error:
            # The system has no room for another thread: lanes write between deliveries.
            log.warning("delivery.no_result_writer", error=str(error))
            return False
        return True

    def _run(self) -> None:
        while batches := self._batches():
            time.sleep(LOOK_SECONDS)
            for results in batches:
                results.write_held_up()

    def _batches(self) -> list[Results]:
        """Return the batches that are under way; without any, the thread ends."""
        with self._lock:
            self._is_running = bool(self._open)
            return list(self._open)


def together(results: Iterable[Result]) -> list[list[Result]]:
    """Return results in groups that are written by one statement each.

    Successes that differ only in when they were and how long they took get the time of the last of
    them: they are written together, within a second.
    """
    groups: dict[Any, list[Result]] = {}
    for result in results:
        key: Any = id(result)
        if result.state == RowState.SUCCESS:
            key = repr(_without_times(result.changes))
        groups.setdefault(key, []).append(result)
    for alike in groups.values():
        changes = alike[-1].changes
        for result in alike[:-1]:
            *earlier, last = changes["attempts"]
            own = {**last, "ms": result.changes["attempts"][-1]["ms"]}
            result.changes = {**changes, "attempts": [*earlier, own]}
    return list(groups.values())


def _without_times(changes: Mapping[str, Any]) -> Document:
    """Return the fields of a success without its times; earlier attempts are those of one row."""
    *earlier, last = changes["attempts"]
    kept = {name: value for name, value in changes.items() if name not in TIMES}
    return {**kept, "attempts": [*earlier, {**last, "at": None, "ms": None}]}


def _each_with_its_time(alike: Sequence[Result], written: Mapping[str, Any]) -> Document:
    """Return the fields to write on rows of which each took its own time, as an expression.

    Args:
        written: the fields of the last of them.
    """
    rows_by_ms: dict[int, list[Any]] = {}
    for result in alike:
        ms = result.changes["attempts"][-1]["ms"]
        rows_by_ms.setdefault(ms, []).append(result.row["_id"])
    ms_of_row = {
        "$switch": {
            "branches": [
                {"case": {"$in": ["$_id", ids]}, "then": ms} for ms, ids in rows_by_ms.items()
            ],
        }
    }
    *earlier, last = written["attempts"]
    attempt = {"$mergeObjects": [{"$literal": last}, {"ms": ms_of_row}]}
    fields: Document = {name: {"$literal": value} for name, value in written.items()}
    fields["attempts"] = {"$concatArrays": [{"$literal": earlier}, [attempt]]}
    return fields
