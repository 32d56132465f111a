"""A look-alike of iMatrics, which takes articles and nothing else."""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from tests.support.receivers import Received, Reply

USER, KEY = "desk", "planted-key"
PATH = "/api/article/store"
FIELDS: Mapping[str, type] = {
    "uuid": str,
    "createdTimestamp": str,
    "latestVersionTimestamp": str,
    "publicationTimestamp": str,
    "authors": list,
    "language": str,
    "pubStatus": bool,
    "headline": str,
    "preamble": str,
    "dateline": str,
    "body": list,
    "concepts": list,
}
KINDS = frozenset(
    {"topic", "category", "organisation", "person", "place", "event", "object", "entity"}
)


class IMatricsService:
    """Answers requests as an `HTTPReceiver` asks it to; keeps articles by `uuid`."""

    def __init__(self) -> None:
        self.articles: dict[str, dict[str, Any]] = {}

    def __call__(self, request: Received) -> Reply:
        if request.path != PATH:
            return _error(404, "no such service")
        if request.method != "POST":
            return _error(405, "only POST")
        if request.headers.get("authorization") != f"Basic {basic(USER, KEY)}":
            return _error(401, "unknown user")
        if request.headers.get("content-type") != "application/json":
            return _error(415, "only application/json")
        try:
            article = _checked(request.json())
        except ValueError as error:
            return _error(400, str(error))
        self.articles[article["uuid"]] = article
        return _answer(200, {"uuid": article["uuid"]})


def basic(user: str, key: str) -> str:
    """Return credentials as HTTP writes them."""
    return b64encode(f"{user}:{key}".encode()).decode()


def _checked(article: Any) -> dict[str, Any]:
    """Return an article.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(article, dict):
        raise ValueError("an article is an object")
    if unknown := article.keys() - FIELDS.keys():
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}")
    for name, kind in FIELDS.items():
        if not isinstance(article.get(name), kind):
            raise ValueError(f"{name} is no {kind.__name__}")
    if not article["uuid"] or not article["language"]:
        raise ValueError("uuid and language are needed")
    for name in FIELDS:
        if name.endswith("Timestamp"):
            datetime.fromisoformat(article[name])
    if not all(isinstance(line, str) and line == line.strip() for line in article["body"]):
        raise ValueError("body is a list of lines")
    for concept in article["concepts"]:
        if concept.keys() != {"type", "title", "uuid"} or concept["type"] not in KINDS:
            raise ValueError("a concept has type, title and uuid")
    return article


def _error(status: int, text: str) -> Reply:
    return _answer(status, {"error": True, "response": text})


def _answer(status: int, body: Mapping[str, Any]) -> Reply:
    return status, {}, orjson.dumps(body)
