"""Cross-origin headers on every answer, errors included (resources contract 2.7)."""

from flask import Response, request

MAX_AGE_SECONDS = "86400"


def allow_cross_origin(response: Response) -> Response:
    """Let browser clients of any origin read `response`; tokens, not origins, guard the API."""
    origin = request.headers.get("Origin")
    if origin is None:
        return response
    methods = (request.url_rule.methods if request.url_rule else None) or set()
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Vary"] = "Origin"
    response.headers["Access-Control-Allow-Headers"] = "Content-Type, Authorization, If-Match"
    response.headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
    response.headers["Access-Control-Allow-Credentials"] = "true"
    response.headers["Access-Control-Max-Age"] = MAX_AGE_SECONDS
    return response
