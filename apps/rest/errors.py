"""Errors become answers: the envelopes of the REST contract (lifecycle contract, 0.1)."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import Flask, Response
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError
from werkzeug.exceptions import HTTPException

from apps.core import json
from apps.core.errors import (
    MessagesError,
    ReadOnlyStage,
    SchemaIssues,
    ServiceError,
    ValidationFailed,
)
from apps.store.mongo import raise_unless_duplicates

P = ParamSpec("P")
R = TypeVar("R")

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


def schema_issues_response(error: SchemaIssues) -> Response:
    """Envelope P, for documents that a hook found to break the schema."""
    return json_response({"_status": "ERR", "_issues": error.payload}, error.status)


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


def store_down_response(error: ConnectionFailure) -> Response:
    """The store cannot be reached: nothing was done, try again."""
    body = {"code": 503, "message": "The database cannot be reached. Try again."}
    response = json_response({"_status": "ERR", "_error": body}, 503)
    response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    return response


def duplicate_response(error: DuplicateKeyError | BulkWriteError) -> Response:
    """Another request has just stored a document with the same unique value.

    Raises:
        BulkWriteError: `error`, when anything else went wrong too.
    """
    if isinstance(error, BulkWriteError):
        raise_unless_duplicates(error)
    body = {"code": 409, "message": "Another document has the same unique value."}
    return json_response({"_status": "ERR", "_error": body}, 409)


def passing_through_eve(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a hook so that errors with an envelope of their own survive Eve's PATCH.

    Eve folds `ServiceError` and `MessagesError` (Cerberus document errors) into the
    `validator exception` issue, as the contract wants, and lets HTTP exceptions pass; all else
    becomes a text of its own.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except ValidationFailed as error:
            raise HTTPException(response=validation_failed_response(error)) from error
        except SchemaIssues as error:
            raise HTTPException(response=schema_issues_response(error)) from error
        except ReadOnlyStage as error:
            raise HTTPException(response=read_only_response(error)) from error
        except ConnectionFailure as error:
            raise HTTPException(response=store_down_response(error)) from error
        except (DuplicateKeyError, BulkWriteError) as error:
            raise HTTPException(response=duplicate_response(error)) from error

    return wrapped


def register_error_handlers(app: Flask) -> None:
    """Answer errors that escape from a POST, GET or DELETE, or from authorisation."""
    app.register_error_handler(SchemaIssues, schema_issues_response)
    app.register_error_handler(ServiceError, service_error_response)
    app.register_error_handler(MessagesError, messages_response)
    app.register_error_handler(ValidationFailed, validation_failed_response)
    app.register_error_handler(ReadOnlyStage, read_only_response)
    app.register_error_handler(ConnectionFailure, store_down_response)
