"""Carries out requests to send items again: by the same steps as any routing."""

import logging
from collections.abc import Mapping

from pymongo.database import Database

from apps.core.clock import Clock
from apps.core.service import Document
from apps.core.vocabulary import PublishingAction, RowState, State
from apps.publish.enqueue.batch import Batch, RoutingTools, Unroutable
from apps.publish.enqueue.enqueue_resent import EnqueueResentService
from apps.publish.enqueue.enqueue_service import EnqueueService
from apps.publish.resend.requests import ResendRequests
from apps.store.collections import PUBLISH_QUEUE

logger = logging.getLogger(__name__)

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
        services: enqueue services by operation; they know what recipients are told.
        max_attempts: setting ENQUEUE_MAX_ATTEMPTS.
        retry_seconds: wait after the first failure; each further one adds as much.
    """

    def __init__(
        self,
        tools: RoutingTools,
        requests: ResendRequests,
        services: Mapping[str, EnqueueService],
        max_attempts: int,
        retry_seconds: float,
    ) -> None:
        self._tools = tools
        self._requests = requests
        self._services = services
        self._max_attempts = max_attempts
        self._retry_seconds = retry_seconds

    @property
    def _db(self) -> Database[Document]:
        return self._tools.db

    @property
    def _clock(self) -> Clock:
        return self._tools.clock

    def run(self) -> int:
        """Carry out what is due; return how many deliveries came of it."""
        made = 0
        for _ in range(CHUNK):
            request = self._requests.take()
            if request is None:
                break
            made += self._carry_out(request)
        return made

    def _carry_out(self, request: Document) -> int:
        row = self._requests.row_of(request)
        if row is None:
            return self._give_up(request, OUTDATED)
        if self._requests.has_to_wait(row):
            self._requests.put_off(request)
            return 0
        batch = Batch(self._tools, [row], self._services)
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
        return self._services[row["operation"]].publishing_action

    def _withdraw(self, request: Document) -> None:
        """Cancel rows that something newer, such as a kill, came in the way of."""
        self._db[PUBLISH_QUEUE].update_many(
            {"item_id": request["item_id"], "resend_id": request["_id"], "state": RowState.PENDING},
            {"$set": {"state": RowState.CANCELED, "_updated": self._clock.precise()}},
        )

    def _fail(self, request: Document, error: Unroutable) -> int:
        tries = request["attempts"] + 1
        if not error.may_pass or tries >= self._max_attempts:
            return self._give_up(request, str(error))
        self._requests.failed(request, str(error), self._retry_seconds * tries)
        return 0

    def _give_up(self, request: Document, message: str) -> int:
        logger.warning("item %s is not sent again: %s", request["item_id"], message)
        self._requests.failed(request, message, None)
        return 0
