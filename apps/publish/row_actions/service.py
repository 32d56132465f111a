"""Actions on rows of the delivery queue (delivery contract 1.1)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
from pymongo.database import Database
from pymongo.errors import PyMongoError

from apps.core.caller import SYSTEM, Caller
from apps.core.clock import Clock
from apps.core.documents import number_of, text_of
from apps.core.errors import BadRequest, Conflict, NotFound
from apps.core.notifier import Notifier
from apps.core.service import Document
from apps.core.vocabulary import WAITING_ROW_STATES, RowState
from apps.lanes.waking import wake
from apps.publish.queue.actions import (
    ALLOWED,
    AS_READ,
    RowAction,
    change_waiting,
    refusal_of,
)
from apps.publish.queue.handed_over import is_handed_over
from apps.publish.queue.rows import lane_of, lanes_of, notify_rows
from apps.publish.service import PublishQueueService
from apps.store.collections import PUBLISH_LANES, PUBLISH_QUEUE
from apps.store.idempotency import IdempotentRequest

MOST_ROWS = 1000
"""Rows of one request."""
ROWS_AT_ONCE = 100
TEXT_AT_ONCE = 8 * 2**20
"""Characters of the bodies that rows hold themselves, of as many as are sent again at once."""

NO_ACTION = "There is no action {}. There are: {}"
TOO_MANY = f"More than {MOST_ROWS} rows match. Narrow where, and repeat the request for the rest"
NOT_EXPECTED = "{} rows match, not {}. Look at them, and ask again with expected {}"
CHANGED = "The row has changed meanwhile. Look at it, and ask again"
GONE = "The row is gone: its time was over. Resend the item, if it has to go out again"
NOT_BEGUN = "The database has not answered. Ask again"
NOT_ANSWERED = "The database has not answered. Look whether there is a new row before asking again"

DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"

LOOKED_AT = {
    **AS_READ,
    **dict.fromkeys(("completed_at", "error_message", "handed_over"), 1),
    **dict.fromkeys(("order_no", "priority", "subscriber_id", "destination"), 1),
    **dict.fromkeys(("publishing_action", "request_id"), 1),
}

Act = Callable[[Sequence[Document], "Outcomes", Caller, IdempotentRequest], None]

log = structlog.get_logger(__name__)


@dataclass
class Outcomes:
    """What has become of each row of a request.

    Attributes:
        new: id of a row to that of the one that is sent in its place.
        refused: id of a row to why nothing was done with it.
        unknown: ids of rows of which nobody knows.
    """

    done: set[Any] = field(default_factory=set)
    new: dict[Any, Any] = field(default_factory=dict)
    refused: dict[Any, str] = field(default_factory=dict)
    unknown: set[Any] = field(default_factory=set)

    @property
    def known(self) -> set[Any]:
        """The ids of all of these."""
        return self.done | self.new.keys() | self.refused.keys() | self.unknown

    def told(self, action: RowAction, ids: Sequence[Any]) -> Document:
        """Return the answer to a request for the rows of `ids`."""
        items = [self._of(id_) for id_ in ids]
        counts = {
            word: sum(item["outcome"] == word for item in items)
            for word in (DONE, REFUSED, UNKNOWN)
        }
        return {"_status": "OK", "action": action, "matched": len(ids), **counts, "_items": items}

    def _of(self, id: Any) -> Document:
        if id in self.new:
            return {"_id": id, "outcome": DONE, "new_row": self.new[id]}
        if id in self.done:
            return {"_id": id, "outcome": DONE}
        if id in self.unknown:
            return {"_id": id, "outcome": UNKNOWN, "message": NOT_ANSWERED}
        return {"_id": id, "outcome": REFUSED, "message": self.refused.get(id, GONE)}


class RowActions:
    """Does with rows what clients ask for.

    Args:
        db: the database.
        clock: source of time.
        queue: makes, finds and shows rows.
        notifier: tells clients.
    """

    def __init__(
        self,
        db: Database[Document],
        clock: Clock,
        queue: PublishQueueService,
        notifier: Notifier,
    ) -> None:
        self._db = db
        self._rows = db[PUBLISH_QUEUE]
        self._lanes = db[PUBLISH_LANES]
        self._clock = clock
        self._queue = queue
        self._notifier = notifier
        self._acts: Mapping[RowAction, Act] = {
            RowAction.CANCEL: self._cancel,
            RowAction.RUN_NOW: self._run_now,
        }

    def act(self, action: RowAction, id: str, caller: Caller, asked: IdempotentRequest) -> Any:
        """Do something with one row; return its id, or that of the new one.

        Args:
            id: of the row.
            asked: the request, of which a further try does nothing twice.

        Raises:
            NotFound: there is no such row.
            Forbidden: the item of the row is hidden from the caller.
            Conflict: the row is not in a state for it; the message says why, and what to do.
        """
        row = self._queue.readable(id, caller)
        outcomes = self._done(action, [row], caller, asked)
        if row["_id"] in outcomes.refused:
            raise Conflict(outcomes.refused[row["_id"]])
        return outcomes.new.get(row["_id"], row["_id"])

    def shown(self, id: Any, caller: Caller) -> Document:
        """Return a row as clients see it.

        Raises:
            NotFound, Forbidden: as of `act`.
        """
        row = self._queue.readable(id, caller)
        self._queue.on_fetched([row], caller)
        return row

    def matching(self, query: Mapping[str, Any], expected: int) -> list[Any]:
        """Return the ids of the rows that a query finds, in their order; one command.

        Args:
            query: those that the caller may see.
            expected: how many the caller takes them for.

        Raises:
            BadRequest: there are more than MOST_ROWS.
            Conflict: there are not as many as expected.
        """
        rows = list(self._rows.find(query, {"order_no": 1}).limit(MOST_ROWS + 1))
        if len(rows) > MOST_ROWS:
            raise BadRequest(TOO_MANY)
        if len(rows) != expected:
            raise Conflict(NOT_EXPECTED.format(len(rows), expected, len(rows)))
        return [row["_id"] for row in sorted(rows, key=_place)]

    def act_on_all(
        self, action: RowAction, ids: Sequence[Any], caller: Caller, asked: IdempotentRequest
    ) -> Document:
        """Do something with rows; return what has become of each.

        Args:
            ids: of the rows, as `matching` returns them.
            asked: as of `act`.
        """
        return self._done(action, self._read(ids), caller, asked).told(action, ids)

    def resend(
        self, ids: Sequence[Any], asked: IdempotentRequest, sequence_numbers: Mapping[Any, int]
    ) -> Document:
        """Send rows again, in their order; return what has become of each.

        Args:
            ids: of the rows.
            asked: as of `act`.
            sequence_numbers: as of `PublishQueueService.send_again`.
        """
        rows = self._read(ids)
        outcomes = self._done(RowAction.RESEND, rows, SYSTEM, asked, sequence_numbers)
        return outcomes.told(RowAction.RESEND, ids)

    def _read(self, ids: Sequence[Any]) -> list[Document]:
        """Return the rows of `ids` that are there, in this order; one command."""
        found = {row["_id"]: row for row in self._rows.find({"_id": {"$in": ids}}, LOOKED_AT)}
        return [found[id_] for id_ in ids if id_ in found]

    def _done(
        self,
        action: RowAction,
        rows: Sequence[Document],
        caller: Caller,
        asked: IdempotentRequest,
        sequence_numbers: Mapping[Any, int] | None = None,
    ) -> Outcomes:
        outcomes = Outcomes()
        if asked.is_repeat:
            self._take_over(action, rows, asked, outcomes)
            rows = [row for row in rows if row["_id"] not in outcomes.known]
        self._queue.show_state(rows)
        allowed = _allowed(action, rows, outcomes)
        if action is RowAction.RESEND:
            self._resend(allowed, outcomes, asked, sequence_numbers)
        else:
            self._acts[action](allowed, outcomes, caller, asked)
        self._explain(action, allowed, outcomes)
        return outcomes

    def _take_over(
        self,
        action: RowAction,
        rows: Sequence[Document],
        asked: IdempotentRequest,
        outcomes: Outcomes,
    ) -> None:
        """Note what earlier tries have done, and wake what they may not have woken any more."""
        if action is RowAction.RESEND:
            new = {asked.id_for(row["_id"]): row["_id"] for row in rows}
            written = self._read(list(new))
            outcomes.new.update((new[row["_id"]], row["_id"]) for row in written)
        else:
            written = [row for row in rows if row.get("request_id") == asked.id]
            outcomes.done.update(row["_id"] for row in written)
        self._wake(row for row in written if row["state"] in WAITING_ROW_STATES)

    def _wake(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Let the lanes of rows be due, and their receivers be probed; one command, or two."""
        lanes = ({"lane": lane_of(row), "priority": row.get("priority")} for row in rows)
        wake(self._lanes, lanes_of(lanes), self._clock.precise(), probe=True)

    # The actions, on rows that were in a state for them.

    def _resend(
        self,
        rows: Sequence[Document],
        outcomes: Outcomes,
        asked: IdempotentRequest,
        sequence_numbers: Mapping[Any, int] | None,
    ) -> None:
        """Make new rows, in the order of `rows`; six commands for a hundred of them."""
        for chunk in self._whole(rows):
            ids = [row["_id"] for row in chunk]
            try:
                again = self._queue.send_again(chunk, asked, sequence_numbers)
            except PyMongoError:
                if asked.has_key or not outcomes.new:
                    # With a key the request can be made again, and does the rest then.
                    raise
                log.exception("queue.resend_broke_off", done=len(outcomes.new))
                outcomes.unknown |= set(ids)
                left = {row["_id"] for row in rows} - outcomes.new.keys() - outcomes.unknown
                outcomes.refused.update(dict.fromkeys(left, NOT_BEGUN))
                return
            outcomes.new.update(zip(ids, (row["_id"] for row in again), strict=True))

    def _whole(self, rows: Sequence[Document]) -> Iterator[list[Document]]:
        """Yield rows with all that they hold, as many at once as fit in memory easily.

        Those that have not ended any more are left out.
        """
        ids = [row["_id"] for row in rows]
        for start in range(0, len(ids), ROWS_AT_ONCE):
            ended = {
                "_id": {"$in": ids[start : start + ROWS_AT_ONCE]},
                "state": {"$in": list(ALLOWED[RowAction.RESEND])},
            }
            chunk: list[Document] = []
            size = 0
            for row in self._rows.find(ended).sort("order_no", 1):
                chunk.append(row)
                size += len(text_of(row, "formatted_item"))
                if size > TEXT_AT_ONCE:
                    yield chunk
                    chunk, size = [], 0
            if chunk:
                yield chunk

    def _cancel(
        self,
        rows: Sequence[Document],
        outcomes: Outcomes,
        caller: Caller,
        asked: IdempotentRequest,
    ) -> None:
        """Cancel rows; two commands, and some for each that others carry out."""
        waiting = [row for row in rows if not is_handed_over(row)]
        now = self._clock.precise()
        canceled = {"_updated": now, "state": RowState.CANCELED, "request_id": asked.id}
        outcomes.done |= change_waiting(self._db, waiting, canceled)
        self._tell(rows, outcomes, RowState.CANCELED)
        for row in filter(is_handed_over, rows):
            try:
                canceled = {"state": RowState.CANCELED, "request_id": asked.id}
                self._queue.patch(row["_id"], canceled, caller)
                outcomes.done.add(row["_id"])
            except Conflict:
                outcomes.refused[row["_id"]] = refusal_of(RowAction.CANCEL, row)

    def _run_now(
        self,
        rows: Sequence[Document],
        outcomes: Outcomes,
        caller: Caller,
        asked: IdempotentRequest,
    ) -> None:
        """Let rows be due that wait for a retry; three commands."""
        now = self._clock.precise()
        due = {"next_retry_attempt_at": now, "_updated": now, "request_id": asked.id}
        outcomes.done |= change_waiting(self._db, rows, due, ALLOWED[RowAction.RUN_NOW])
        self._wake(row for row in rows if row["_id"] in outcomes.done)
        self._tell(rows, outcomes, RowState.RETRYING)

    def _tell(self, rows: Iterable[Document], outcomes: Outcomes, state: RowState) -> None:
        """Notify clients of rows that have changed."""
        changed = [{**row, "state": state} for row in rows if row["_id"] in outcomes.done]
        if changed:
            notify_rows(self._notifier, changed)

    def _explain(self, action: RowAction, rows: Sequence[Document], outcomes: Outcomes) -> None:
        """Say why nothing was done with rows that have changed since they were looked at."""
        left = [row["_id"] for row in rows if row["_id"] not in outcomes.known]
        if not left:
            return
        found = {row["_id"]: row for row in self._rows.find({"_id": {"$in": left}}, LOOKED_AT)}
        self._queue.show_state(found.values())
        for id_ in left:
            reason = refusal_of(action, found[id_]) if id_ in found else GONE
            outcomes.refused[id_] = reason or CHANGED


def action_of(name: object) -> RowAction:
    """Return an action by its name.

    Raises:
        NotFound: there is none.
    """
    try:
        return RowAction(name)  # type: ignore[arg-type]
    except ValueError:
        raise NotFound(NO_ACTION.format(name, ", ".join(RowAction))) from None


def _allowed(action: RowAction, rows: Sequence[Document], outcomes: Outcomes) -> list[Document]:
    """Return the rows that an action is for; of the others it is noted why not."""
    allowed = []
    for row in rows:
        is_taken_back = action is RowAction.CANCEL and is_handed_over(row)
        if reason := "" if is_taken_back else refusal_of(action, row):
            outcomes.refused[row["_id"]] = reason
        else:
            allowed.append(row)
    return allowed


def _place(row: Mapping[str, Any]) -> int:
    return number_of(row, "order_no")
