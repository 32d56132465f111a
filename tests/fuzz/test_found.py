"""Requests that broke something once, found by the fuzz."""

import json
from pathlib import Path
from typing import Any

import pytest

from apps.graph.build import Graph
from tests.fuzz.test_routes import lists_that_fail, populated
from tests.support.fuzzing import Request, Sender

FOUND = json.loads(Path(__file__).with_name("found.json").read_text("utf-8"))
"""Fields of `Request`. `{archive}` in a path stands for the id of a stored item, and so on."""


def test_what_was_found_stays_mended(app: Any, graph: Graph) -> None:
    """Each is refused or answered; then everything can be listed."""
    populated(app, graph)
    sender = Sender(app, graph)
    broken = []
    for fields in FOUND:
        request = Request(**{**fields, "path": _path(graph, fields["path"])})
        answer = sender.send(request)
        if answer.is_failure:
            broken.append(f"{answer.status} {answer.cause}\n    {request.as_json()}")
    broken += lists_that_fail(app, graph)
    assert not broken, "\n".join(broken)


def _path(graph: Graph, path: str) -> str:
    for collection in ("archive", "published", "users", "subscribers", "desks", "vocabularies"):
        if f"{{{collection}}}" in path:
            stored = graph.db[collection].find_one({}) or {}
            path = path.replace(f"{{{collection}}}", str(stored["_id"]))
    return path
