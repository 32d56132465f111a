"""The outbox at the HTTP edge, and marks (lifecycle contract 3.9, lifecycle scenario 80)."""

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from apps.publish.service import ALLOWED_STATES
from tests.support.clients import Client
from tests.support.events import Events
from tests.support.newsdesk import Newsdesk


def stored(desk: Newsdesk, item: Document, **wanted: Any) -> Document:
    row = desk.db["published"].find_one({"item_id": item["_id"], **wanted})
    return dict(row)


def change(desk: Newsdesk, row: Document, body: Document) -> Any:
    path = f"published/{row['_id']}"
    etag = desk.client.get(path, published_id="1").get_json()["_etag"]
    return desk.client.patch(path, body, etag=etag)


def test_of_an_item_shows_the_last_row(desk: Newsdesk) -> None:
    """Asked for by the id of the item, its newest row answers, with the item embedded.

    Lifecycle contract 3.9.
    """
    item = desk.published()
    desk.act("correct", item, headline="corrected")

    row = desk.client.get(f"published/{item['_id']}").get_json()

    assert (row["_id"], row["headline"], row["last_published_version"]) == (
        item["_id"],
        "corrected",
        True,
    )
    assert row["archive_item"]["state"] == "corrected"


def test_of_a_row_shows_that_row(desk: Newsdesk) -> None:
    """Lifecycle contract 3.9: asked for by its own id, an older row answers."""
    item = desk.published()
    desk.act("correct", item, headline="corrected")
    old = stored(desk, item, last_published_version=False)

    row = desk.client.get(f"published/{old['_id']}").get_json()

    assert (row["_id"], row["item_id"], row["headline"]) == (
        item["_id"],
        str(old["_id"]),
        "Rivers rise",
    )
    assert row["_links"]["self"]["href"] == f"published/{old['_id']}"


def test_lists_the_newest_first(desk: Newsdesk) -> None:
    """Lifecycle contract 3.9: rows come by the time of their last change."""
    first, second = desk.published(), desk.published()
    desk.db["published"].update_one(
        {"item_id": first["_id"]}, {"$set": {"_updated": second_of(2031)}}
    )

    rows = desk.client.get("published").get_json()["_items"]

    assert [row["_id"] for row in rows] == [first["_id"], second["_id"]]


def second_of(year: int) -> Any:
    return datetime(year, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("state", ["draft", "in_progress", "correction"])
def test_holds_what_is_out(desk: Newsdesk, state: str) -> None:
    """Lifecycle scenario 80: states of items that are worked on are refused."""
    row = stored(desk, desk.published())

    answer = change(desk, row, {"state": state})

    text = f"400: Invalid state ({state}) for the Published item."
    assert (400, {"validator exception": text}) == (
        answer.status_code,
        answer.get_json()["_issues"],
    )


def test_is_never_deleted(desk: Newsdesk) -> None:
    """Lifecycle contract 3.9: there is no DELETE."""
    row = stored(desk, desk.published())

    assert desk.client.delete(f"published/{row['_id']}", etag="x").status_code == 405


def test_needs_a_privilege_to_write(desk: Newsdesk, editor: Client) -> None:
    """Lifecycle contract 3.1: PATCH needs `publish_queue`."""
    row = stored(desk, desk.published())

    assert editor.patch(f"published/{row['_id']}", {}, etag="x").status_code == 403


def test_a_mark_on_a_row_is_told(desk: Newsdesk, events: Events) -> None:
    """Lifecycle contract 3.9: `marked_for_user` pushes `item:marked` and `content:update`."""
    item, user = desk.published(), str(desk.client.session["user"])
    before = len(events.named("content:update"))

    assert change(desk, stored(desk, item), {"marked_for_user": user}).status_code == 200

    expected = {"item_id": item["_id"], "user_list": [user], "extension": "markForUser"}
    assert events.named("item:marked") == [expected]
    assert len(events.named("content:update")) == before + 1


def test_publishing_moves_the_mark(desk: Newsdesk, events: Events) -> None:
    """Who the item was marked for becomes the previous one; clients are told.

    Lifecycle contract 1.5.
    """
    user = str(desk.client.session["user"])
    item = desk.story()
    marked = {"marked_for_user": user, "marked_for_sign_off": "abc"}
    assert desk.client.patch(f"archive/{item['_id']}", marked).status_code == 200

    out = desk.act("publish", item)

    names = ("marked_for_user", "marked_for_sign_off", "previous_marked_user")
    assert [out[name] for name in names] == [None, None, user]
    assert len(events.named("item:marked")) == 2


@pytest.mark.parametrize("operation", ["kill", "takedown", "unpublish"])
def test_a_withdrawal_removes_the_mark_everywhere(
    desk: Newsdesk, events: Events, operation: str
) -> None:
    """Lifecycle contract 5.8: the mark goes from the item and all of its rows."""
    item, user = desk.published(), ObjectId(str(desk.client.session["user"]))
    for name in ("archive", "published"):
        desk.db[name].update_many({}, {"$set": {"marked_for_user": user}})

    desk.act(operation, item)

    marks = [row.get("marked_for_user") for row in desk.db["published"].find({})]
    assert marks == [None, None]
    assert len(events.named("item:marked")) == 1


class TestPost:
    """A row is posted under the id of its item (lifecycle contract 3.9)."""

    def test_is_stored_under_an_id_of_its_own(self, desk: Newsdesk) -> None:
        item = desk.story()

        answer = desk.client.post("published", {"_id": item["_id"], "state": "published"})

        assert answer.status_code == 201, answer.text
        row = stored(desk, item)
        assert isinstance(row["_id"], ObjectId)
        assert answer.get_json()["_id"] == str(row["_id"])
        assert (row["last_published_version"], row["queue_state"]) == (True, "pending")
        assert isinstance(row["publish_sequence_no"], int)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"headline": "x"},
            {"item_id": ""},
            {"_id": ""},
            {"_id": None},
            {"_id": 5},
            {"_id": {"a": 1}},
            {"_id": ["x"]},
            {"item_id": 5},
            {"item_id": None},
        ],
    )
    def test_without_the_id_of_an_item_is_refused(self, desk: Newsdesk, body: Document) -> None:
        answer = desk.client.post("published", {"state": "published", **body})

        assert answer.status_code == 400, answer.text
        assert desk.db["published"].count_documents({}) == 0

    @pytest.mark.parametrize(
        "state",
        ["draft", "ingested", "routed", "fetched", "submitted", "in_progress", "correction", None],
    )
    def test_of_an_item_that_is_worked_on_is_refused(
        self, desk: Newsdesk, state: str | None
    ) -> None:
        """Alone and in a list; a row without a state is that of a draft."""
        body = {"_id": "x"} | ({"state": state} if state else {})
        text = f"Invalid state ({state or 'draft'}) for the Published item."
        for sent in (body, [body], [{"_id": "y", "state": "published"}, body]):
            answer = desk.client.post("published", sent)

            assert answer.status_code == 400
            assert (answer.get_json()["_status"], answer.get_json()["_message"]) == ("ERR", text)
        assert desk.db["published"].count_documents({}) == 0

    @pytest.mark.parametrize("state", sorted(ALLOWED_STATES))
    def test_takes_every_state_of_what_has_gone_out(self, desk: Newsdesk, state: str) -> None:
        """Each may follow each other; a PATCH without a state asks for none."""
        body = {"_id": f"tag:x,2030:{state}", "state": state, "queue_state": "queued"}

        created = desk.client.create("published", [body])

        path = f"published/{body['_id']}"
        for update in ({"state": "published"}, {"headline": "x"}, {"state": state}):
            answer = desk.client.patch(path, update)
            assert answer.status_code == 200, answer.text
        (listed,) = desk.client.get("published").get_json()["_items"]
        assert (listed["_id"], listed["item_id"]) == (body["_id"], created["_id"])
        assert (listed["state"], listed["headline"]) == (state, "x")
        assert listed["versioncreated"] == "2030-01-01T12:00:00+0000"

    @pytest.mark.parametrize("id_", ["tag:x,2030:1", "123", "5f" * 12])
    def test_is_changed_by_the_id_that_was_sent(self, desk: Newsdesk, id_: str) -> None:
        """Or by that of the row, which it may look like."""
        created = desk.client.create("published", {"_id": id_, "state": "published"})

        good = desk.client.patch(f"published/{id_}", {"state": "corrected"})
        bad = desk.client.patch(f"published/{id_}", {"state": "draft"})
        own = desk.client.patch(f"published/{created['_id']}", {"state": "killed"})

        assert (good.status_code, own.status_code) == (200, 200), (good.text, own.text)
        text = "400: Invalid state (draft) for the Published item."
        assert bad.status_code == 400
        assert bad.get_json()["_issues"] == {"validator exception": text}
        row = desk.client.get(f"published/{id_}").get_json()
        assert (row["_id"], row["state"]) == (id_, "killed")

    def test_is_the_last_of_its_item(self, desk: Newsdesk) -> None:
        item = desk.published()

        created = desk.client.create("published", {"_id": item["_id"], "state": "corrected"})

        last = {"item_id": item["_id"], "last_published_version": True}
        assert [str(row["_id"]) for row in desk.db["published"].find(last)] == [created["_id"]]

    def test_of_no_item_ends_in_error(self, desk: Newsdesk, graph: Graph) -> None:
        body = {"_id": "nobody", "state": "published", "operation": "publish", "type": "text"}
        desk.client.create("published", body)

        graph.enqueue.run()

        row = desk.db["published"].find_one({"item_id": "nobody"})
        assert row["queue_state"] == "error"
        assert row["error_message"] == "404: Item nobody does not exist"

    def test_of_an_item_is_routed(self, desk: Newsdesk, graph: Graph) -> None:
        item = desk.story()
        body = {"_id": item["_id"], "state": "published", "operation": "publish", "type": "text"}
        desk.client.create("published", body)

        graph.enqueue.run()

        assert desk.queue_states(item) == ["queued_not_transmitted"]
