"""GET `/metrics`, `/health/live` and `/health/ready`: for programs that watch the installation.

They stand beside URL_PREFIX, not under it: a proxy that hands on the API does not show them to
everybody by that.
"""

from hmac import compare_digest

from flask import Flask, Response, request

from apps.core.errors import PlainError
from apps.monitoring.exposition import CONTENT_TYPE, Metrics
from apps.monitoring.health import Health, Report
from apps.rest.errors import json_response
from apps.rest.routes import bounded_queries

CLOSED = "Metrics are closed. Set METRICS_TOKEN, and send it as Authorization: Bearer."
REFUSED = "Send METRICS_TOKEN, as Authorization: Bearer."


def serve_monitoring(app: Flask, metrics: Metrics, health: Health, token: str | None) -> None:
    """Add the routes to `app`.

    Args:
        metrics: what is measured.
        health: open to all.
        token: opens the metrics; without one they are closed.
    """

    def measured() -> Response:
        check_token(token)
        with bounded_queries():
            return Response(metrics.text(), content_type=CONTENT_TYPE)

    def live() -> Response:
        return answer_of(health.live())

    def ready() -> Response:
        return answer_of(health.ready())

    for path, view in (("metrics", measured), ("health/live", live), ("health/ready", ready)):
        app.add_url_rule(f"/{path}", path, view)


def check_token(token: str | None) -> None:
    """Check that the request has the token.

    Raises:
        PlainError: 403, there is none; 401, the request has another one or none.
    """
    if not token:
        raise PlainError(403, CLOSED)
    kind, _, sent = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not compare_digest(sent.strip().encode(), token.encode()):
        raise PlainError(401, REFUSED)


def answer_of(report: Report) -> Response:
    """Return a report for programs, by its status, and for people: 200, or 503."""
    response = json_response(report.document, 200 if report.is_ok else 503)
    response.headers["Cache-Control"] = "no-store"
    return response
