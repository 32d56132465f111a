"""What routes have in common: how those are added that are no resources, how long queries take."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pymongo
from flask import Flask, Response, current_app, g, request

from apps.core.caller import Caller
from apps.core.errors import PlainError, SchemaIssues
from apps.core.privileges import INTRINSIC, NO_PRIVILEGE
from apps.core.service import Document
from apps.rest.auth import PrivilegeAuth
from apps.rest.errors import BOUNDED, json_response
from apps.rest.requests import body_of, check_body
from apps.store.idempotency import (
    LONGEST_KEY,
    Answer,
    IdempotentRequest,
    IdempotentRequests,
)


def add_view(
    app: Flask,
    path: str,
    name: str,
    view: Callable[..., Response],
    methods: Sequence[str] = ("GET",),
) -> None:
    """Let `view` answer requests for `path`, which stands under the setting URL_PREFIX.

    Args:
        name: of the endpoint.
        methods: that it answers.
    """
    prefix = app.config["URL_PREFIX"]
    app.add_url_rule(f"/{prefix}/{path}" if prefix else f"/{path}", name, view, methods=methods)


def bounded_queries() -> AbstractContextManager[None]:
    """Return a context in which commands of the store take QUERY_TIMEOUT_SECONDS together at most.

    For queries that a client shapes. The store is told (`maxTimeMS`), and not waited for when it
    goes on all the same; whoever exceeds it is answered with 503.
    """
    setattr(g, BOUNDED, True)
    return pymongo.timeout(float(current_app.config["QUERY_TIMEOUT_SECONDS"]))


class Routes:
    """Adds routes that need a privilege, and answer with JSON.

    Args:
        auth: finds out who asks.
        prefix: that their paths begin with.
        name: that the names of their endpoints begin with.
    """

    def __init__(self, app: Flask, auth: PrivilegeAuth, prefix: str, name: str) -> None:
        self._app = app
        self._auth = auth
        self._prefix = prefix
        self._name = name

    def add(
        self,
        method: str,
        path: str,
        privilege: str,
        answer: Callable[..., tuple[int, Document]],
    ) -> None:
        """Let `answer` be asked with the caller, and the variables of `path`.

        Args:
            privilege: that the caller needs; INTRINSIC for every user.
        """

        def view(**variables: str) -> Response:
            status, body = answer(self._caller(privilege), **variables)
            return json_response(body, status)

        self._add_view(method, path, view)

    def add_text(
        self, path: str, privilege: str, mime: str, answer: Callable[[Caller], bytes]
    ) -> None:
        """Let a text be asked for with the caller."""
        self._add_view(
            "GET", path, lambda: Response(answer(self._caller(privilege)), content_type=mime)
        )

    def _caller(self, privilege: str) -> Caller:
        """Return who asks.

        Raises:
            PlainError: 403, without the privilege.
        """
        self._auth.authorized([], None, request.method)
        caller = self._auth.identify()
        if privilege != INTRINSIC and not caller.may(privilege):
            raise PlainError(403, NO_PRIVILEGE)
        return caller

    def _add_view(self, method: str, path: str, view: Callable[..., Response]) -> None:
        name = f"{self._name} {method} {path}"
        add_view(self._app, f"{self._prefix}/{path}", name, view, methods=[method])


def sent_body(*queries: str) -> Document:
    """Return the body of the request, empty where there is none.

    Args:
        queries: fields with queries, which are checked where they are read.

    Raises:
        BadRequest: it is no JSON object, or nothing that could be stored.
    """
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return {}
    body = body_of(request)
    is_object = isinstance(body, dict)
    plain = {k: v for k, v in body.items() if k not in queries} if is_object else body
    check_body(plain, is_list_allowed=False)
    return dict(body)


def sent_key() -> str | None:
    """Return the idempotency key of the request; None where it has none.

    Raises:
        SchemaIssues: it is none.
    """
    key = request.headers.get("Idempotency-Key")
    return None if key is None else checked_key(key)


def checked_key(key: str) -> str:
    """Return an idempotency key.

    Raises:
        SchemaIssues: it is none.
    """
    if not 0 < len(key) <= LONGEST_KEY:
        raise SchemaIssues({"idempotency_key": f"must have 1 to {LONGEST_KEY} characters"})
    return key


def once(
    idempotent: IdempotentRequests,
    body: Mapping[str, Any],
    caller: Caller,
    carry_out: Callable[[IdempotentRequest], Answer],
) -> Answer:
    """Return what `carry_out` returns, or returned when the request came before.

    Keys belong to users; one stands for a path with a body (delivery contract 1.3).
    """
    asked = {"path": request.path.rstrip("/"), "body": body}
    return idempotent.answer(sent_key(), asked, str(caller.user_id), carry_out)


TYPES = {bool: "boolean", str: "string", int: "integer"}


def only(body: Mapping[str, Any], **types: type) -> Mapping[str, Any]:
    """Return a body that has these fields at most, each of its type or null.

    Raises:
        SchemaIssues: it has others, or of other types.
    """
    issues = {name: "unknown field" for name in body if name not in types}
    for name, kind in types.items():
        value = body.get(name)
        is_right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if value is not None and not is_right:
            issues[name] = f"must be of {TYPES[kind]} type"
    if issues:
        raise SchemaIssues(issues)
    return body
