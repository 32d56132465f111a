"""Requests that broke something once, found by the fuzz."""

import json
from pathlib import Path
from typing import Any

from apps.graph.build import Graph
from tests.fuzz.test_routes import lists_that_fail, populated
from tests.support.fuzzing import Request, Sender

FOUND = json.loads(Path(__file__).with_name("found.json").read_text("utf-8"))
"""Fields of `Request`. `{archive}` stands for the id of a stored item, `{archive etag}` for its
etag, and so on for other collections."""


def test_what_was_found_stays_mended(app: Any, graph: Graph) -> None:
    """Each is refused or answered; then everything can be listed."""
    populated(app, graph)
    sender = Sender(app, graph)
    broken = []
    for fields in FOUND:
        filled = _filled(graph, fields)
        request = Request(**{"body": None, **filled})
        answer = sender.send(request)
        if answer.is_failure:
            broken.append(f"{answer.status} {answer.cause}\n    {request.as_json()}")
    broken += lists_that_fail(app, graph)
    assert not broken, "\n".join(broken)


def _filled(graph: Graph, fields: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(fields)
    for collection in (
        "archive",
        "published",
        "users",
        "subscribers",
        "desks",
        "vocabularies",
        "archived",
    ):
        stored = graph.db[collection].find_one({}) or {}
        text = text.replace(f"{{{collection}}}", str(stored["_id"]))
        text = text.replace(f"{{{collection} etag}}", str(stored.get("_etag")))
    return dict(json.loads(text))
