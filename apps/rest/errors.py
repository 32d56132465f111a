"""Errors become answers: the envelopes (lifecycle contract 0.1)."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import structlog
from bson.errors import InvalidDocument
from flask import Flask, Response, current_app, g, request
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
)
from werkzeug.exceptions import HTTPException

from apps.core import json
from apps.core.errors import (
    MessagesError,
    PlainError,
    ReadOnlyStage,
    SchemaIssues,
    ServerError,
    ServiceError,
    TooManyRequests,
    ValidationFailed,
)
from apps.store.mongo import TOO_LARGE, is_away, raise_unless_duplicates

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 5


def json_response(body: dict[str, Any], status: int) -> Response:
    """Return `body` as a JSON answer."""
    return Response(json.dumps(body), status=status, mimetype="application/json")


def service_error_response(error: ServiceError) -> Response:
    """Envelope A: the status the service wants, its message and payload."""
    body: dict[str, Any] = {"_status": "ERR", "_message": error.message}
    if error.payload is not None:
        body["_issues"] = error.payload
    return json_response({**body, "internal_error": error.status}, error.status)


def too_many_requests_response(error: TooManyRequests) -> Response:
    """Envelope A, with the seconds to wait."""
    response = service_error_response(error)
    response.headers["Retry-After"] = str(error.seconds)
    return response


def plain_error_response(error: PlainError) -> Response:
    """Envelope E, with the address of the document that is in the way."""
    body = {"code": error.status, "message": error.message}
    response = json_response({"_status": "ERR", "_error": body}, error.status)
    if error.location is not None:
        resource, id_ = error.location
        prefix, url = current_app.config["URL_PREFIX"], current_app.config["URLS"][resource]
        response.headers["Location"] = "/" + "/".join(filter(None, (prefix, url, id_)))
    if error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def schema_issues_response(error: SchemaIssues) -> Response:
    """Envelope P, for documents that a hook found to break the schema."""
    body: dict[str, Any] = {"_status": "ERR", "_issues": error.payload}
    if request.method == "POST":
        text = "Insertion failure: 1 document(s) contain(s) error(s)"
        body["_error"] = {"code": error.status, "message": text}
    return json_response(body, error.status)


def messages_response(error: MessagesError) -> Response:
    """Envelope L outside a PATCH."""
    return json_response({"_status": "ERR", "_issues": {"validator exception": str(error)}}, 400)


def validation_failed_response(error: ValidationFailed) -> Response:
    """Envelope S: the publish validators' messages and fields."""
    issues = {"validator exception": str(error), "fields": error.fields}
    return json_response({"_status": "ERR", "_issues": issues}, 400)


def read_only_response(error: ReadOnlyStage) -> Response:
    """Envelope R."""
    return json_response({"code": 403, "error": {"readonly": True}}, 403)


def store_down_response(error: PyMongoError) -> Response:
    """The store cannot be reached, or is changing its primary: try again.

    What was asked for may have been done: then it is completed, and the request made again finds
    it so (store contract 2).
    """
    log.warning("store.unavailable", error=str(error))
    body = {"code": 503, "message": "The database cannot be reached. Try again."}
    response = json_response({"_status": "ERR", "_error": body}, 503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


BOUNDED = "has_bounded_query"
"""Noted of requests with a query that the client shapes, see `bounded_queries`."""


def query_too_long_response(error: PyMongoError) -> Response:
    """A query took longer than QUERY_TIMEOUT_SECONDS; or the store does not answer at all."""
    may_ask_for_less = BOUNDED in g and request.method in ("GET", "HEAD")
    if isinstance(error, NetworkTimeout) and not may_ask_for_less:
        return store_down_response(error)
    # Of some routes clients can ask for no less: the store may not answer anybody.
    message = "The query takes too long. Try again, or ask for less at a time."
    response = json_response({"_status": "ERR", "_error": {"code": 503, "message": message}}, 503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def too_large_response(error: Exception | None = None) -> Response:
    """The document is larger than the store takes, or would become so."""
    body = {"code": 413, "message": "The document is too large to be stored."}
    return json_response({"_status": "ERR", "_error": body}, 413)


def duplicate_response(error: DuplicateKeyError | BulkWriteError) -> Response:
    """Another request has just stored a document with the same unique value."""
    if is_away(error):
        return store_down_response(error)
    if isinstance(error, BulkWriteError):
        try:
            raise_unless_duplicates(error)
        except BulkWriteError:
            return unexpected_response(error)
    body = {"code": 409, "message": "Another document has the same unique value."}
    return json_response({"_status": "ERR", "_error": body}, 409)


def unstorable_response(error: Exception) -> Response:
    """The document holds something that the store has no form for."""
    body = {"code": 400, "message": f"The document cannot be stored: {error}"}
    return json_response({"_status": "ERR", "_error": body}, 400)


MALFORMED_QUERY = frozenset({2, 9, 14, 15974, 15975, 15976, 17312, 51091, 51108})
"""Codes with which MongoDB refuses the operators, expressions and orders of a query."""


def refused_query_response(error: OperationFailure) -> Response:
    """The store refuses a command: the client's fault where it sent the query."""
    if is_away(error):
        return store_down_response(error)
    if error.code in TOO_LARGE:
        return too_large_response(error)
    if request.method not in ("GET", "HEAD") or error.code not in MALFORMED_QUERY:
        return unexpected_response(error)
    text = (error.details or {}).get("errmsg") or "the query is malformed"
    return json_response({"_status": "ERR", "_error": {"code": 400, "message": text}}, 400)


def unexpected_response(error: Exception) -> Response:
    """A fault of ours: logged, and answered without its details (envelope A)."""
    log.error("request.failed", exc_info=error)
    return service_error_response(ServerError("The request could not be handled."))


Responses = Mapping[type[Exception], Callable[[Any], Response]]

FOLDED_BY_EVE: Responses = {
    SchemaIssues: schema_issues_response,
    TooManyRequests: too_many_requests_response,
    ServiceError: service_error_response,
    MessagesError: messages_response,
}
"""Cerberus document errors: inside a PATCH or PUT, Eve makes them `validator exception` issues."""

OWN_ENVELOPE: Responses = {
    ValidationFailed: validation_failed_response,
    PlainError: plain_error_response,
    SchemaIssues: schema_issues_response,
    ReadOnlyStage: read_only_response,
    ConnectionFailure: store_down_response,
    NetworkTimeout: query_too_long_response,
    ExecutionTimeout: query_too_long_response,
    DocumentTooLarge: too_large_response,
    DuplicateKeyError: duplicate_response,
    BulkWriteError: duplicate_response,
    OperationFailure: refused_query_response,
    InvalidDocument: unstorable_response,
    OverflowError: unstorable_response,
}
"""Errors that keep their envelope inside a PATCH, where Eve would make them texts of its own."""


def response_of(error: Exception) -> Response:
    """Return the answer to an error, whatever it is."""
    known: Responses = {**FOLDED_BY_EVE, **OWN_ENVELOPE, HTTPException: aborted_response}
    respond = next((known[cls] for cls in type(error).__mro__ if cls in known), unexpected_response)
    return respond(error)


def aborted_response(error: HTTPException) -> Response:
    """Envelope E, unless the error brings its answer along."""
    if isinstance(error.response, Response):
        return error.response
    status = error.code or 500
    body = {"code": status, "message": error.description}
    return json_response({"_status": "ERR", "_error": body}, status)


def passing_through_eve(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a hook or a write so that errors with an envelope of their own survive Eve's PATCH."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except tuple(OWN_ENVELOPE) as error:
            response = response_of(error)
            if is_store_down(error):
                g.store_down = response
            raise HTTPException(response=response) from error

    return wrapped


def noting_the_store(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a check of documents, whose errors Eve makes issues of the document."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except PyMongoError as error:
            if is_away(error):
                g.store_down = response_of(error)
            raise

    return wrapped


def is_store_down(error: Exception) -> bool:
    """Whether `error` says that the store is away."""
    return isinstance(error, PyMongoError) and is_away(error)


def answer_for_the_store(response: Response) -> Response:
    """Return `response`, or that the store is away where Eve blames the document for it."""
    away: Response | None = g.pop("store_down", None)
    return response if away is None or response.status_code < 400 else away


def register_error_handlers(app: Flask) -> None:
    """Answer errors that escape from a POST, GET or DELETE, or from authorisation."""
    for error, respond in {**FOLDED_BY_EVE, **OWN_ENVELOPE}.items():
        app.register_error_handler(error, respond)
    app.register_error_handler(Exception, unexpected_response)
    # Eve answers these itself; without this, the handler above would.
    app.register_error_handler(HTTPException, lambda error: error)
