"""The resource `activity` (resources contract 22.1)."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from apps.newsroom.activity.activities import new_activity
from tests.support.clients import Client
from tests.support.newsdesk import HandClock


def note(graph: Graph, *clients: Client, **fields: Any) -> Document:
    """Store an activity for the users of `clients`."""
    recipients = [ObjectId(client.session["user"]) for client in clients]
    item = {"_id": "story", "slugline": "rivers", "task": {"desk": ObjectId()}}
    row = new_activity("notify", "Hello", now=graph.clock.now(), recipients=recipients, item=item)
    row.update(fields)
    graph.db["activity"].insert_one(dict(row))
    return row


def entry(client: Client, read: bool) -> Document:
    return {"user_id": client.session["user"], "read": read}


def mark(client: Client, row: Document, *entries: Document, **more: Any) -> Any:
    return client.patch(f"activity/{row['_id']}", {"recipients": list(entries), **more})


def test_the_newest_come_first_and_after_a_day_none(
    editor: Client, graph: Graph, clock: HandClock
) -> None:
    """Also in a process that has run for longer."""
    for name, hours in (("one", 23), ("two", 22)):
        note(graph, editor, name=name, _created=clock.now() - timedelta(hours=hours))
    assert [a["name"] for a in editor.get("activity").get_json()["_items"]] == ["two", "one"]

    clock.advance(hours=1.5)
    assert [a["name"] for a in editor.get("activity").get_json()["_items"]] == ["two"]


def test_what_others_do_in_private_is_not_listed(
    editor: Client, admin: Client, graph: Graph
) -> None:
    """Items without a desk are shown to their own user only."""
    user = ObjectId(admin.session["user"])
    note(graph, user=user, name="private", desk=None)
    note(graph, user=user, name="on a desk")
    where = f'{{"user": "{user}"}}'

    seen = [a["name"] for a in editor.get("activity", where=where).get_json()["_items"]]
    own = [a["name"] for a in admin.get("activity", where=where).get_json()["_items"]]

    assert (seen, sorted(own)) == (["on a desk"], ["on a desk", "private"])


def test_a_recipient_marks_it_as_read(editor: Client, admin: Client, graph: Graph) -> None:
    row = note(graph, editor, admin)

    answer = mark(editor, row, entry(editor, True), entry(admin, False))

    assert answer.status_code == 200, answer.text
    stored = graph.db["activity"].find_one() or {}
    assert [r["read"] for r in stored["recipients"]] == [True, False]


@pytest.mark.parametrize(
    ("entries", "more", "message"),
    [
        ([("admin", True)], {}, "User is not in the notification list"),
        ([("editor", False)], {}, "Can not set notification as read"),
        (
            [("editor", True), ("admin", True)],
            {},
            "Can not set other users notification as read",
        ),
        (
            [("editor", True), ("admin", False)],
            {"message": "Bye"},
            "Can not update",
        ),
    ],
)
def test_nothing_else_can_be_changed(
    editor: Client,
    admin: Client,
    graph: Graph,
    entries: list[tuple[str, bool]],
    more: Document,
    message: str,
) -> None:
    """Neither back, nor for others, nor other fields."""
    clients = {"editor": editor, "admin": admin}
    row = note(graph, editor, admin)
    if message == "Can not set notification as read":
        graph.db["activity"].update_one({}, {"$set": {"recipients.0.read": True}})
    before = graph.db["activity"].find_one()

    answer = mark(editor, row, *(entry(clients[name], read) for name, read in entries), **more)

    assert answer.status_code == 400
    issue = answer.get_json()["_issues"]["validator exception"]
    assert issue == f"403: {message}"
    assert graph.db["activity"].find_one() == before


def test_who_was_not_told_marks_nothing(editor: Client, admin: Client, graph: Graph) -> None:
    """Adding oneself does not help."""
    row = note(graph, admin)
    answer = mark(editor, row, entry(editor, True), entry(admin, False))
    assert "User is not in the notification list" in answer.text


def test_nobody_writes_one(admin: Client, graph: Graph) -> None:
    assert admin.post("activity", {"name": "x"}).status_code == 405
    assert admin.delete(f"activity/{note(graph, admin)['_id']}").status_code == 405


def test_rows_are_forgotten_by_the_database(graph: Graph) -> None:
    """An index lets them expire."""
    indexes = graph.db["activity"].index_information().values()
    assert timedelta(days=1).total_seconds() in {i.get("expireAfterSeconds") for i in indexes}
