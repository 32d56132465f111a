"""Resends: requests to send items again, kept until they are carried out, and the run that does it.

A request in `resends` is what the answer to a client rests on. One that is carried out is removed.
One that could not be is kept in state `error`, with the reason, as long as its item. Items are sent
again by the same steps as any routing.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import structlog
from bson import ObjectId
from pymongo import ReturnDocument
from pymongo.database import Database

from apps.archive.journal.follow_ups import make_follow_ups, record
from apps.core.clock import Clock
from apps.core.documents import number_of
from apps.core.service import Document
from apps.core.vocabulary import Operation, PublishingAction, QueueState, State
from apps.publish.enqueue.batch import RoutingBatch, RoutingTools, Unroutable
from apps.publish.enqueue.enqueue_service import EnqueueResentService, enqueue_services
from apps.publish.queue.actions import AS_READ, cancel_waiting
from apps.store.collections import PUBLISH_QUEUE, PUBLISHED, RESENDS
from apps.store.mongo import is_outage

log = structlog.get_logger(__name__)

MESSAGE_LENGTH = 1000
WAIT_SECONDS = 1
"""Wait of a request for an earlier version of its item that has not been routed yet."""


class ResendRequests:
    """Add requests; claim them with a lease, one at a time.

    Args:
        db: the database.
        clock: source of time.
        lease: how long a claim is good for; one that ran out is anybody's.
    """

    def __init__(self, db: Database[Document], clock: Clock, lease: timedelta) -> None:
        self._db = db
        self._requests = db[RESENDS]
        self._clock = clock
        self._lease = lease

    def add(
        self,
        row: Mapping[str, Any],
        subscriber_ids: Sequence[Any],
        user_id: ObjectId | None,
    ) -> None:
        """Store a request, with the history row that belongs to it.

        Args:
            row: the published row to send.
            subscriber_ids: as they are stored.
        """
        item = {"_id": row["item_id"], "_current_version": row.get("_current_version", 1)}
        update = {"subscribers": list(subscriber_ids)}
        history = record(Operation.RESEND, item, update, user_id, self._clock.now())
        request = {
            "_id": ObjectId(),
            "item_id": row["item_id"],
            "row_id": row["_id"],
            "subscribers": list(subscriber_ids),
            "state": QueueState.PENDING,
            "due_at": self._clock.precise(),
            "attempts": 0,
            # Written below, and again by the enqueue run in case this process dies here.
            "follow_ups": [history],
        }
        self._requests.insert_one(request)
        make_follow_ups(self._db, request)

    def take(self) -> Document | None:
        """Claim the oldest request that is due; None when there is none."""
        now = self._clock.precise()
        request: Document | None = self._requests.find_one_and_update(
            {"state": {"$ne": QueueState.ERROR}, "due_at": {"$lte": now}},
            {
                "$set": {
                    "state": QueueState.IN_PROGRESS,
                    "owner": uuid4().hex,
                    "due_at": now + self._lease,
                }
            },
            sort=[("due_at", 1), ("_id", 1)],
            return_document=ReturnDocument.AFTER,
        )
        if request is not None:
            make_follow_ups(self._db, request)
        return request

    def row_of(self, request: Mapping[str, Any]) -> Document | None:
        """Return the published row of a request; None when a newer one has taken its place."""
        row = self._db[PUBLISHED].find_one({"_id": request["row_id"]})
        if row is None or self.is_outdated(row):
            return None
        return row

    def is_outdated(self, row: Mapping[str, Any]) -> bool:
        """Whether something newer of the item is out: a kill must have the last word."""
        newer = {
            "item_id": row["item_id"],
            "publish_sequence_no": {"$gt": number_of(row, "publish_sequence_no")},
        }
        return self._db[PUBLISHED].find_one(newer, {"_id": 1}) is not None

    def has_to_wait(self, row: Mapping[str, Any]) -> bool:
        """Whether a version of the item, this one or an earlier one, is yet to be routed."""
        unrouted = {
            "item_id": row["item_id"],
            "queue_state": {"$in": [QueueState.PENDING, QueueState.IN_PROGRESS]},
        }
        return self._db[PUBLISHED].find_one(unrouted, {"_id": 1}) is not None

    def renew(self, request: Mapping[str, Any]) -> bool:
        """Extend the claim; False when another run has taken it."""
        until = {"$set": {"due_at": self._clock.precise() + self._lease}}
        return bool(self._requests.update_one(_own(request), until).matched_count)

    def put_off(self, request: Mapping[str, Any], seconds: float = WAIT_SECONDS) -> None:
        """Give a request back, to be tried again later."""
        later = self._clock.precise() + timedelta(seconds=seconds)
        change = {"state": QueueState.PENDING, "owner": None, "due_at": later}
        self._requests.update_one(_own(request), {"$set": change})

    def failed(self, request: Mapping[str, Any], message: str, retry_seconds: float | None) -> None:
        """Record a failure.

        Args:
            retry_seconds: when to try again; None gives up.
        """
        change: Document = {"error_message": message[:MESSAGE_LENGTH], "owner": None}
        change["attempts"] = number_of(request, "attempts") + 1
        change["state"] = QueueState.ERROR if retry_seconds is None else QueueState.PENDING
        if retry_seconds is not None:
            change["due_at"] = self._clock.precise() + timedelta(seconds=retry_seconds)
        self._requests.update_one(_own(request), {"$set": change})

    def done(self, request: Mapping[str, Any]) -> None:
        """Remove a request that is carried out."""
        self._requests.delete_one(_own(request))


def _own(request: Mapping[str, Any]) -> Document:
    return {"_id": request["_id"], "owner": request["owner"]}


# Carrying them out.

OUTDATED = "A newer version of the item was published"
CHUNK = 100
"""Requests of one run, so that they do not keep what is published from being routed."""


class ResendRouter:
    """Turns requests into rows of the delivery queue.

    The keys of the rows contain the request's id, so that a run that dies half-way is completed by
    the next one without sending anything twice, and so that each request makes rows of its own.

    Args:
        tools: see `RoutingTools`.
        requests: the store of requests.
        max_attempts: setting ENQUEUE_MAX_ATTEMPTS.
        retry_seconds: wait after the first failure; each further one adds as much.
    """

    def __init__(
        self,
        tools: RoutingTools,
        requests: ResendRequests,
        max_attempts: int,
        retry_seconds: float,
    ) -> None:
        self._tools = tools
        self._requests = requests
        self._max_attempts = max_attempts
        self._retry_seconds = retry_seconds

    @property
    def _db(self) -> Database[Document]:
        return self._tools.db

    @property
    def _clock(self) -> Clock:
        return self._tools.clock

    def run(self) -> int:
        """Carry out what is due; return how many queue rows came of it."""
        made = 0
        for _ in range(CHUNK):
            request = self._requests.take()
            if request is None:
                break
            try:
                made += self._carry_out(request)
            except Exception as error:
                if is_outage(error):
                    raise
                # It keeps no other from being carried out.
                log.exception("resend.failed", item=str(request.get("item_id")))
                self._fail(request, Unroutable(repr(error), may_pass=True))
        return made

    def _carry_out(self, request: Document) -> int:
        row = self._requests.row_of(request)
        if row is None:
            return self._give_up(request, OUTDATED)
        if self._requests.has_to_wait(row):
            self._requests.put_off(request)
            return 0
        batch = RoutingBatch(self._tools, [row])
        service = EnqueueResentService(request["subscribers"], self._action_of(row))
        try:
            batch.route(row, service, request["_id"])
        except Unroutable as error:
            return self._fail(request, error)
        if not self._requests.renew(request):
            return 0
        batch.store()
        if self._requests.is_outdated(row):
            self._withdraw(request)
            return self._give_up(request, OUTDATED)
        batch.announce()
        self._requests.done(request)
        return batch.count

    def _action_of(self, row: Document) -> PublishingAction:
        if row.get("state") == State.BEING_CORRECTED:
            return PublishingAction.BEING_CORRECTED
        return enqueue_services[row["operation"]].publishing_action

    def _withdraw(self, request: Document) -> None:
        """Cancel rows that something newer, such as a kill, came in the way of.

        Those that are being sent already were begun before that came.
        """
        of_request = {"item_id": request["item_id"], "resend_id": request["_id"]}
        rows = list(self._db[PUBLISH_QUEUE].find(of_request, AS_READ))
        cancel_waiting(self._db, rows, self._clock.precise())

    def _fail(self, request: Document, error: Unroutable) -> int:
        tries = number_of(request, "attempts") + 1
        if not error.may_pass or tries >= self._max_attempts:
            return self._give_up(request, str(error))
        self._requests.failed(request, str(error), self._retry_seconds * tries)
        return 0

    def _give_up(self, request: Document, message: str) -> int:
        log.warning("resend.refused", item=str(request.get("item_id")), error=message)
        self._requests.failed(request, message, None)
        return 0
