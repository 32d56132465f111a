"""Routes of the delivery queue that are no documents: actions on rows (delivery contract 1.1)."""

from functools import partial

from eve import Eve

from apps.core.caller import Caller
from apps.core.errors import SchemaIssues
from apps.core.privileges import INTRINSIC
from apps.core.service import Document
from apps.publish.resource import RESOURCES
from apps.publish.row_actions.service import RowActions, action_of
from apps.publish.service import PublishQueueService
from apps.publish.transmit.preview import DeliveryPreviews
from apps.rest.auth import PrivilegeAuth
from apps.rest.routes import Routes, bounded_queries, once, only, sent_body
from apps.store.idempotency import IdempotentRequest, IdempotentRequests

QUEUE = "publish_queue"
ACT = RESOURCES[QUEUE]["privileges"]["PATCH"]
"""Privilege of those who change rows."""
REQUIRED = {"required": 1}
NEEDED = ("action", "where", "expected")
"""Fields of a request about several rows."""


def serve_publish_queue(
    app: Eve,
    queue: PublishQueueService,
    actions: RowActions,
    previews: DeliveryPreviews,
    idempotent: IdempotentRequests,
    auth: PrivilegeAuth,
) -> None:
    """Add the routes to `app`.

    Args:
        queue: finds rows.
        actions: does with rows what is asked.
        previews: shows what would be sent.
        idempotent: answers once what is asked several times.
        auth: finds out who asks.
    """
    routes = Routes(app, auth, QUEUE, QUEUE)

    def act(caller: Caller, id: str, action: str) -> tuple[int, Document]:
        only(sent_body())

        def carry_out(asked: IdempotentRequest) -> tuple[int, Document]:
            # Not the whole row is kept: it may be as large as a document can be.
            return 200, {"_id": actions.act(action_of(action), id, caller, asked)}

        status, told = once(idempotent, {}, caller, carry_out)
        return status, answered(actions.shown(told["_id"], caller))

    def act_on_all(caller: Caller) -> tuple[int, Document]:
        body = sent_body("where")
        return once(idempotent, body, caller, partial(carried_out, dict(body), caller))

    def carried_out(
        body: Document, caller: Caller, asked: IdempotentRequest
    ) -> tuple[int, Document]:
        where = body.pop("where", None)
        wanted = {**only(body, action=str, expected=int), "where": where}
        missing = {name: REQUIRED for name in NEEDED if wanted.get(name) is None}
        if missing:
            raise SchemaIssues(missing)
        action = action_of(wanted["action"])

        def chosen() -> Document:
            with bounded_queries():
                query = app.data.query_of(QUEUE, where)
                return {"rows": actions.matching(query, wanted["expected"])}

        # A further try is about the same rows, whatever they match by then.
        plan = asked.plan(chosen)
        return 200, actions.act_on_all(action, plan["rows"], caller, asked)

    def preview(caller: Caller, id: str) -> tuple[int, Document]:
        with bounded_queries():
            return 200, previews.of(queue.readable(id, caller))

    routes.add("GET", "<id>/preview", INTRINSIC, preview)
    routes.add("POST", "actions", ACT, act_on_all)
    routes.add("POST", "<id>/<action>", ACT, act)


def answered(row: Document) -> Document:
    """Return a row as writes of resources answer with it."""
    link = {"title": QUEUE, "href": f"{QUEUE}/{row['_id']}"}
    return {**row, "_links": {"self": link}, "_status": "OK"}
