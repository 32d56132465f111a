"""Autosaves at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.archive.visibility import NOT_READABLE
from apps.graph.build import Graph
from tests.support.clients import log_in, make_user


@pytest.fixture
def item(admin: Any) -> dict[str, Any]:
    return dict(admin.create("archive", {"headline": "saved", "slugline": "rivers"}))


def test_keeps_what_was_typed_beside_the_item(admin: Any, item: Any) -> None:
    """The autosave is the item with the fields that were sent; the item stays as it is."""
    stored = admin.create("archive_autosave", {"_id": item["_id"], "headline": "typed"})

    assert ("typed", "rivers", "archive") == (
        stored["headline"],
        stored["slugline"],
        stored["_type"],
    )
    assert "typed" == admin.get(f"archive_autosave/{item['_id']}").get_json()["headline"]
    assert "saved" == admin.get(f"archive/{item['_id']}").get_json()["headline"]


def test_is_written_again_and_again(admin: Any, item: Any) -> None:
    """A second POST takes the place of the first; PATCH and DELETE work on it."""
    path = f"archive_autosave/{item['_id']}"
    for headline in ("one", "two"):
        admin.create("archive_autosave", {"_id": item["_id"], "headline": headline})

    assert "two" == admin.get(path).get_json()["headline"]
    assert 200 == admin.patch(path, {"headline": "three"}).status_code
    assert "three" == admin.get(path).get_json()["headline"]
    assert 204 == admin.delete(path).status_code
    assert 404 == admin.get(path).status_code


def test_goes_with_a_save(admin: Any, item: Any) -> None:
    """Lifecycle scenario 9: what is saved needs no autosave."""
    admin.create("archive_autosave", {"_id": item["_id"], "headline": "typed"})

    admin.patch(f"archive/{item['_id']}", {"headline": "typed"})

    assert 404 == admin.get(f"archive_autosave/{item['_id']}").status_code


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"_id": "unknown"}, 404, "Invalid item identifier"),
        ({"headline": "x"}, 400, "Request for Auto-save must have _id"),
    ],
)
def test_needs_an_item(admin: Any, body: Any, status: int, message: str) -> None:
    """Resources scenario R41: unknown items are 404; an autosave without an id is refused."""
    answer = admin.post("archive_autosave", body)

    assert (status, message) == (answer.status_code, answer.get_json()["_message"])


def test_respects_the_lock(admin: Any, item: Any, graph: Graph) -> None:
    """Nobody types into an item that somebody else has locked."""
    graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"lock_user": ObjectId()}})

    answer = admin.post("archive_autosave", {"_id": item["_id"], "headline": "x"})

    assert (403, "The item was locked by another user") == (
        answer.status_code,
        answer.get_json()["_message"],
    )


def test_tells_nothing_of_the_lock_of_a_hidden_item(app: Any, admin: Any, graph: Graph) -> None:
    """Who may not see an item gets the same answer, locked or not."""
    desk = admin.create("desks", {"name": "Sports"})
    stage = desk["incoming_stage"]
    item = admin.create("archive", {"headline": "x", "task": {"desk": desk["_id"], "stage": stage}})
    admin.patch(f"stages/{stage}", {"is_visible": False})
    body = {"_id": item["_id"], "headline": "y"}

    make_user(graph, "writer", privileges={"archive": 1})
    writer = log_in(app, "writer")
    free = writer.post("archive_autosave", body)
    graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": {"lock_user": ObjectId()}})
    locked = writer.post("archive_autosave", body)

    assert (403, NOT_READABLE) == (free.status_code, free.get_json()["_message"])
    assert (free.status_code, free.text) == (locked.status_code, locked.text)


def test_refuses_what_breaks_the_schema(admin: Any, item: Any) -> None:
    """Fields have the types that they have in items."""
    answer = admin.post("archive_autosave", {"_id": item["_id"], "headline": 1})

    assert (400, {"headline": "must be of string type"}) == (
        answer.status_code,
        answer.get_json()["_issues"],
    )
