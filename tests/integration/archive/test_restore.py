"""Restoring versions at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph import Graph
from tests.support.newsroom import Newsroom


@pytest.fixture
def item(admin: Any, graph: Graph) -> dict[str, Any]:
    """An item of version 2."""
    body = Newsroom(graph.db).story(headline="one")
    created = admin.create("archive", body)
    saved = admin.patch(f"archive/{created['_id']}", {"headline": "two", "ednote": "added"})
    return dict(saved.get_json())


def put(client: Any, item: Any, body: Any) -> Any:
    headers = {"If-Match": item["_etag"]}
    return client.request("PUT", f"archive/{item['_id']}", json=body, headers=headers)


def test_brings_the_content_back(admin: Any, item: Any, graph: Graph) -> None:
    """Checklist 81, R26: a new version with the old content; the history says nothing."""
    answer = put(admin, item, {"old_version": 1, "last_version": 2})

    assert 200 == answer.status_code, answer.text
    stored = admin.get(f"archive/{item['_id']}").get_json()
    assert ("one", "restore", 3, "in_progress", None) == (
        stored["headline"],
        stored["operation"],
        stored["_current_version"],
        stored["state"],
        stored.get("ednote"),
    )
    assert "old_version" not in stored
    assert 3 == len(admin.get(f"archive/{item['_id']}", version="all").get_json()["_items"])
    rows = graph.db["archive_history"].find({"item_id": item["_id"]})
    assert ["create", "update"] == [row["operation"] for row in rows]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"old_version": 9, "last_version": 2}, "404: Invalid version 9"),
        ({"old_version": 1, "last_version": 7}, "412: Invalid last version 7"),
        ({"old_version": 1}, "412: Invalid last version None"),
    ],
)
def test_refuses_other_versions(admin: Any, item: Any, body: Any, message: str) -> None:
    """R26: the version must exist, and the client must know the current one."""
    answer = put(admin, item, body)

    assert (400, message) == (
        answer.status_code,
        answer.get_json()["_issues"]["validator exception"],
    )


def test_respects_the_lock(admin: Any, item: Any, graph: Graph) -> None:
    """Nobody restores an item that somebody else has locked."""
    graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"lock_user": ObjectId()}})

    answer = put(admin, item, {"old_version": 1, "last_version": 2})

    refused = answer.get_json()["_issues"]["validator exception"]
    assert "403: The item was locked by another user" == refused


def test_refuses_a_version_that_is_no_number(admin: Any, item: Any) -> None:
    """The schema says what a version is."""
    answer = put(admin, item, {"old_version": "one"})

    assert (400, {"old_version": "must be of integer type"}) == (
        answer.status_code,
        answer.get_json()["_issues"],
    )
