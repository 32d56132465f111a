"""Restoring versions at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
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
    """A new version with the old content; the history says nothing.

    Lifecycle scenario 81; resources scenario R26.
    """
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
    ],
)
def test_refuses_other_versions(admin: Any, item: Any, body: Any, message: str) -> None:
    """Resources scenario R26: the version must exist, and the client must know the current one."""
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


@pytest.mark.parametrize(
    ("body", "missing"),
    [
        ({"old_version": 1}, "last_version"),
        ({"type": "text", "last_version": 2}, "old_version"),
    ],
)
def test_needs_both_versions(admin: Any, item: Any, body: Any, missing: str) -> None:
    """One of both alone is a mistake, not a document that takes the item's place."""
    answer = put(admin, item, body)

    assert (400, {missing: {"required": 1}}) == (
        answer.status_code,
        answer.get_json()["_issues"],
    )
    assert "two" == admin.get(f"archive/{item['_id']}").get_json()["headline"]


class TestReplace:
    """Resources contract 9.3: a PUT without versions puts the document in the item's place."""

    def test_drops_what_the_document_lacks(self, admin: Any, item: Any, graph: Graph) -> None:
        """Content that is not sent goes; identity, place and state stay; it is a version."""
        answer = put(admin, item, {"type": "text", "headline": "three"})

        assert 200 == answer.status_code, answer.text
        stored = admin.get(f"archive/{item['_id']}").get_json()
        assert ("three", None, None, 0, "update", 3, "in_progress") == (
            stored["headline"],
            stored["ednote"],
            stored["body_html"],
            stored["word_count"],
            stored["operation"],
            stored["_current_version"],
            stored["state"],
        )
        same = ("guid", "unique_name", "family_id", "event_id", "task", "source", "language")
        assert {name: item[name] for name in same} == {name: stored[name] for name in same}
        assert 3 == len(admin.get(f"archive/{item['_id']}", version="all").get_json()["_items"])

    def test_is_on_record_with_what_changed(self, admin: Any, item: Any, graph: Graph) -> None:
        """The history tells of an update, not of all that stayed as it was."""
        put(admin, item, {"headline": "three", "slugline": item["slugline"]})

        rows = list(graph.db["archive_history"].find({"item_id": item["_id"]}).sort("_id", 1))
        assert ["create", "update", "update"] == [row["operation"] for row in rows]
        assert "three" == rows[-1]["update"]["headline"]
        assert not {"slugline", "task", "unique_name"} & set(rows[-1]["update"])

    def test_empties_a_package(self, admin: Any, graph: Graph) -> None:
        """A package without groups is an empty one; its members know."""
        newsroom = Newsroom(graph.db)
        member = admin.create("archive", newsroom.story())
        groups = [
            {"id": "root", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"residRef": member["_id"]}]},
        ]
        package = admin.create("archive", newsroom.story(type="composite", groups=groups))

        answer = put(admin, package, {"headline": "empty"})

        assert 200 == answer.status_code, answer.text
        assert [] == answer.get_json()["groups"][1]["refs"]
        assert [] == admin.get(f"archive/{member['_id']}").get_json()["linked_in_packages"]

    @pytest.mark.parametrize("body", [{}, {"type": "text"}, {"state": "published"}])
    def test_refuses_a_document_without_content(self, admin: Any, item: Any, body: Any) -> None:
        """An empty document is a mistake that would cost everything."""
        answer = put(admin, item, body)

        assert (400, True) == (
            answer.status_code,
            answer.get_json()["_issues"]["validator exception"].startswith("400: The document"),
        )

    def test_refuses_unknown_fields(self, admin: Any, item: Any) -> None:
        """The schema holds for documents as for changes."""
        answer = put(admin, item, {"headline": "x", "nonsense": 1})

        assert (400, {"nonsense": "unknown field"}) == (
            answer.status_code,
            answer.get_json()["_issues"],
        )

    def test_obeys_the_rules_of_a_save(self, admin: Any, item: Any, graph: Graph) -> None:
        """A lock of somebody else holds, and what is out is not replaced."""

        def refusal(**stored: Any) -> str:
            graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": stored})
            answer = put(admin, item, {"headline": "x"})
            assert answer.status_code == 400, answer.text
            return str(answer.get_json()["_issues"]["validator exception"])

        assert "403: The item was locked by another user" == refusal(lock_user=ObjectId())
        published = refusal(lock_user=None, state="published")
        assert "412: Workflow transition is invalid." == published
