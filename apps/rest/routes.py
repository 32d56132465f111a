"""What routes have in common: how those are added that are no resources, how long queries take."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pymongo
from flask import Flask, Response, current_app


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
    return pymongo.timeout(float(current_app.config["QUERY_TIMEOUT_SECONDS"]))
