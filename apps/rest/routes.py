"""Routes that are no resources."""

from collections.abc import Callable

from flask import Flask, Response


def add_view(app: Flask, path: str, name: str, view: Callable[..., Response]) -> None:
    """Let `view` answer GET of `path`, which stands under the setting URL_PREFIX.

    Args:
        name: of the endpoint.
    """
    prefix = app.config["URL_PREFIX"]
    app.add_url_rule(f"/{prefix}/{path}" if prefix else f"/{path}", name, view, methods=["GET"])
