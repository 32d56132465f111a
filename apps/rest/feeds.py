"""GET `/feeds/<token>/<atom|rss|json>`: what a subscriber has received, for feed readers.

GET `/feed_media/<subscriber>/<key>/<file>`: the files that it links to.
"""

from flask import Flask, Response, request
from werkzeug.http import is_resource_modified, quote_etag

from apps.core.errors import NotFound
from apps.output.feeds.media import PATH, FeedMedia
from apps.output.feeds.service import FeedAnswer, FeedService, Kind, Wanted
from apps.rest.routes import add_view, bounded_queries
from apps.rest.uploads import file_response

CACHE_CONTROL = "private, max-age=60"
"""The address is a secret, so no shared cache may keep the answer."""


def serve_feeds(app: Flask, feeds: FeedService, media: FeedMedia) -> None:
    """Add the routes to `app`. Token and key in their addresses are all that they ask for.

    Args:
        feeds: answers.
        media: the files that feeds show.
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
        with bounded_queries():
            answer = feeds.page(wanted)
        return _response(answer)

    def medium(subscriber_id: str, key: str, name: str) -> Response:
        return file_response(media.file(subscriber_id, key, name), shared=False)

    # Tokens hold slashes.
    add_view(app, "feeds/<path:token>/<kind>", "feeds", feed)
    add_view(app, f"{PATH}/<path:subscriber_id>/<key>/<name>", PATH, medium)


def _response(answer: FeedAnswer) -> Response:
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
