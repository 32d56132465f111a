"""GET `/feeds/<token>/<atom|rss|json>`: what a subscriber has received, for feed readers."""

from flask import Flask, Response, request
from werkzeug.http import is_resource_modified, quote_etag

from apps.core.errors import NotFound
from apps.feeds.service import Answer, FeedService, Kind, Wanted

CACHE_CONTROL = "private, max-age=60"
"""The address is a secret, so no shared cache may keep the answer."""


def serve_feeds(app: Flask, feeds: FeedService) -> None:
    """Add the route to `app`. The token in the address is all that it asks for.

    Args:
        feeds: answers.
    """

    def feed(token: str, kind: str) -> Response:
        if kind not in set(Kind):
            raise NotFound(f"There is no {kind} feed")
        wanted = Wanted(
            token=token,
            kind=Kind(kind),
            product=request.args.get("product", ""),
            before=request.args.get("before", ""),
            size=request.args.get("max_results", ""),
        )
        return _response(feeds.page(wanted))

    prefix = app.config["URL_PREFIX"]
    # Tokens hold slashes.
    path = "feeds/<path:token>/<kind>"
    rule = f"/{prefix}/{path}" if prefix else f"/{path}"
    app.add_url_rule(rule, "feeds", feed, methods=["GET"])


def _response(answer: Answer) -> Response:
    """Return the page, or 304 where the reader has it."""
    modified_at = answer.modified_at
    if is_resource_modified(request.environ, etag=answer.etag, last_modified=modified_at):
        response = Response(answer.write(), content_type=f"{answer.media_type}; charset=utf-8")
    else:
        response = Response(status=304)
    response.headers["ETag"] = quote_etag(answer.etag)
    if modified_at is not None:
        response.last_modified = modified_at
    response.headers["Cache-Control"] = CACHE_CONTROL
    # Addresses of feeds hold the token: links in them must not hand it on.
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
