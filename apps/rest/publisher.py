"""Routes of the publisher that are no documents of a resource (cms contract 2)."""

from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, request
from werkzeug.http import is_resource_modified, quote_etag

from apps.core import json
from apps.core.caller import Caller
from apps.core.errors import SchemaIssues
from apps.core.service import Document
from apps.monitoring.exposition import CONTENT_TYPE
from apps.publisher.records.service import INTERNAL
from apps.publisher.records.status import Wanted
from apps.publisher.schema import ADMIN, PUBLISH, READ
from apps.publisher.services import PublisherServices
from apps.publisher.site_definition.service import etag_of
from apps.rest.auth import PrivilegeAuth
from apps.rest.errors import json_response
from apps.rest.routes import (
    Routes,
    add_view,
    bounded_queries,
    checked_key,
    only,
    sent_body,
    sent_key,
)
from apps.store.idempotency import IdempotentRequest

PREFIX = "v1/publisher"
PUBLIC = "public, max-age=300"


def serve_publisher(app: Flask, publisher: PublisherServices, auth: PrivilegeAuth) -> None:
    """Add the routes to `app`.

    Args:
        publisher: the services behind them.
        auth: finds out who asks.
    """
    routes = Routes(app, auth, PREFIX, "publisher")
    serve_requests(routes, publisher)
    serve_records(routes, publisher)
    serve_deployments(routes, publisher)
    serve_integrations(routes, publisher)
    serve_metrics(routes, publisher)
    serve_site_definitions(app, publisher)
    app.after_request(name_errors)


def answered(document: Mapping[str, Any], path: str) -> Document:
    """Return a stored document as writes of resources answer with it."""
    link = {"title": path.rpartition("/")[2], "href": f"{PREFIX}/{path}/{document['_id']}"}
    told = {name: value for name, value in document.items() if name not in INTERNAL}
    return {**told, "_links": {"self": link}, "_status": "OK"}


# Requests to publish.


def serve_requests(routes: Routes, publisher: PublisherServices) -> None:
    """Add POST `/publish` and GET `/publish/status`."""

    def publish(caller: Caller) -> tuple[int, Document]:
        body = sent_body()
        key = idempotency_key(body)

        def carry_out(asked: IdempotentRequest) -> tuple[int, Document]:
            wanted = publisher.requests.read(body, caller, asked)
            outcome = publisher.requests.make(wanted, caller)
            status = 400 if outcome.is_refused else 200 if outcome.is_over else 202
            return status, outcome.told

        return publisher.idempotent.answer(key, body, caller.account, carry_out)

    def status(caller: Caller) -> tuple[int, Document]:
        named = [id_ for each in request.args.getlist("content") for id_ in each.split(",")]
        single = ("integration", "destination", "site", "deployment")
        wanted = Wanted(
            content=[id_ for id_ in map(str.strip, named) if id_],
            **{name: request.args.get(name, "") for name in single},
        )
        with bounded_queries():
            return 200, publisher.status.of(wanted, caller)

    routes.add("POST", "publish", PUBLISH, publish)
    routes.add("GET", "publish/status", READ, status)


def idempotency_key(body: Document) -> str | None:
    """Return the key of a request, which is taken out of its body.

    Raises:
        SchemaIssues: it is none, or body and header have different ones.
    """
    sent, header = body.pop("idempotency_key", None), sent_key()
    if sent is None:
        return header
    if not isinstance(sent, str):
        raise SchemaIssues({"idempotency_key": "must be of string type"})
    if header not in (None, sent):
        raise SchemaIssues({"idempotency_key": "is another one than that of the header"})
    return checked_key(sent)


# Records and deployments.


def serve_records(routes: Routes, publisher: PublisherServices) -> None:
    """Add what can be done with a record."""
    records = publisher.records

    def retry(caller: Caller, id: str) -> tuple[int, Document]:
        only(sent_body())
        return 202, answered(records.retry(id, caller), "records")

    def retract(caller: Caller, id: str) -> tuple[int, Document]:
        body = only(sent_body(), mode=str)
        return 202, answered(records.retract(id, body.get("mode"), caller), "records")

    def reconcile(caller: Caller, id: str) -> tuple[int, Document]:
        only(sent_body())
        return 200, answered(records.reconcile(id, caller), "records")

    for name, view in (("retry", retry), ("retract", retract), ("reconcile", reconcile)):
        routes.add("POST", f"records/<id>/{name}", PUBLISH, view)


def serve_deployments(routes: Routes, publisher: PublisherServices) -> None:
    """Add what starts and ends deployments."""
    deployments = publisher.deployments

    def start(caller: Caller) -> tuple[int, Document]:
        return 202, answered(deployments.start(sent_body(), caller), "deployments")

    def cancel(caller: Caller, id: str) -> tuple[int, Document]:
        only(sent_body())
        return 202, answered(deployments.cancel(id, caller), "deployments")

    def retry(caller: Caller, id: str) -> tuple[int, Document]:
        only(sent_body())
        return 202, answered(deployments.retry(id, caller), "deployments")

    routes.add("POST", "deployments", PUBLISH, start)
    routes.add("POST", "deployments/<id>/cancel", PUBLISH, cancel)
    routes.add("POST", "deployments/<id>/retry", PUBLISH, retry)


# Integrations.


def serve_integrations(routes: Routes, publisher: PublisherServices) -> None:
    """Add connection tests and terms."""

    def test(caller: Caller, id: str) -> tuple[int, Document]:
        body = only(sent_body(), write=bool)
        return 200, publisher.tests.of_stored(id, caller, write=bool(body.get("write")))

    def test_unsaved(caller: Caller) -> tuple[int, Document]:
        body = sent_body()
        write = only({"write": body.pop("write", None)}, write=bool)["write"]
        return 200, publisher.tests.of_unsaved(body, caller, write=bool(write))

    def taxonomies(caller: Caller, id: str) -> tuple[int, Document]:
        return 200, publisher.taxonomies.of(id, caller)

    def sync(caller: Caller, id: str) -> tuple[int, Document]:
        only(sent_body())
        return 202, publisher.taxonomies.request_sync(id, caller)

    routes.add("POST", "integrations/test", ADMIN, test_unsaved)
    routes.add("POST", "integrations/<id>/test", ADMIN, test)
    routes.add("GET", "integrations/<id>/taxonomies", READ, taxonomies)
    routes.add("POST", "integrations/<id>/taxonomies/sync", ADMIN, sync)


def serve_metrics(routes: Routes, publisher: PublisherServices) -> None:
    """Add what Prometheus reads, of the caller's account."""

    def metrics(caller: Caller) -> bytes:
        with bounded_queries():
            return publisher.metrics.text(caller.account)

    routes.add_text("metrics", READ, CONTENT_TYPE, metrics)


# The public.


def serve_site_definitions(app: Flask, publisher: PublisherServices) -> None:
    """Add GET `/site-definition` and `/site-definition/<slug>`, for everybody."""

    def all_sites() -> Response:
        with bounded_queries():
            return public_answer(publisher.site_definitions.all())

    def site(slug: str) -> Response:
        with bounded_queries():
            return public_answer(publisher.site_definitions.of(slug))

    add_view(app, f"{PREFIX}/site-definition", "site_definition", all_sites)
    add_view(app, f"{PREFIX}/site-definition/<slug>", "site_definition_of", site)


def public_answer(definition: Document) -> Response:
    """Return a definition for browsers of any origin, or 304 where they have it."""
    etag = etag_of(definition)
    if is_resource_modified(request.environ, etag=etag):
        response = json_response(definition, 200)
    else:
        response = Response(status=304)
    response.headers["ETag"] = quote_etag(etag, weak=True)
    response.headers["Cache-Control"] = PUBLIC
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response


def name_errors(response: Response) -> Response:
    """Give the refusals of the publisher the form of errors of HTTP, where they have another."""
    if response.status_code < 400 or f"/{PREFIX}/" not in f"{request.path}/":
        return response
    body = json.loads(response.get_data() or b"{}") if response.is_json else {}
    if isinstance(body, dict) and "_message" in body and "_error" not in body:
        body["_error"] = {"code": response.status_code, "message": body["_message"]}
        response.set_data(json.dumps(body))
    return response
