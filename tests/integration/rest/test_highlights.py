"""Highlights and marks at the HTTP edge (resources contract 23)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from apps.core.service import Document
from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    newsroom = Newsroom(graph.db)
    newsroom.validators()
    return newsroom


@pytest.fixture
def highlight(admin: Client, newsroom: Newsroom) -> Document:
    return admin.create("highlights", {"name": "Morning", "desks": [newsroom.task["desk"]]})


@pytest.fixture
def story(admin: Client, newsroom: Newsroom) -> Document:
    return admin.create("archive", newsroom.story())


def mark(client: Client, item: Document, *highlights: Document) -> Any:
    ids = [highlight["_id"] for highlight in highlights]
    return client.create("marked_for_highlights", {"highlights": ids, "marked_item": item["_id"]})


def stored(graph: Graph, item: Document, collection: str = "archive") -> Document:
    field = "_id" if collection == "archive" else "item_id"
    return graph.db[collection].find_one({field: item["_id"]}) or {}


class TestHighlights:
    def test_have_a_name_and_desks(self, admin: Client, highlight: Document) -> None:
        """Both are required, the name is taken whatever its case; today is the default span."""
        empty = admin.post("highlights", {})
        taken = admin.post("highlights", {"name": "MORNING", "desks": highlight["desks"]})
        odd = admin.post(
            "highlights", {"name": "x", "desks": highlight["desks"], "auto_insert": "now-25h"}
        )

        assert "now/d" == highlight["auto_insert"]
        required = {"required": 1}
        assert {"name": required, "desks": required} == empty.get_json()["_issues"]
        assert {"name": {"unique": 1}} == taken.get_json()["_issues"]
        assert 400 == odd.status_code

    def test_are_renamed_by_who_may(
        self, app: Any, admin: Client, graph: Graph, highlight: Document
    ) -> None:
        """Writes need the privilege, reading does not."""
        make_user(graph, "reader")
        reader = log_in(app, "reader")
        path = f"highlights/{highlight['_id']}"

        assert 200 == admin.patch(path, {"name": "Evening"}).status_code
        assert "Evening" == reader.get(path).get_json()["name"]
        assert 403 == reader.patch(path, {"name": "x"}).status_code
        assert 403 == reader.delete(path).status_code

    def test_take_their_marks_with_them(
        self, admin: Client, graph: Graph, highlight: Document, story: Document
    ) -> None:
        """A removed highlight is on no item, and on nothing that is out."""
        admin.patch(f"archive/publish/{story['_id']}", {})
        mark(admin, story, highlight)

        assert 204 == admin.delete(f"highlights/{highlight['_id']}").status_code

        assert [] == stored(graph, story)["highlights"]
        assert [] == stored(graph, story, "published")["highlights"]


class TestMarksForHighlights:
    def test_are_turned_on_and_off(
        self, admin: Client, graph: Graph, highlight: Document, story: Document, settings: Any
    ) -> None:
        """Mark, then unmark; etag and version stay, history and clients know.

        Resources scenario R61.
        """
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            assert story["_id"] == mark(admin, story, highlight)["_id"]
            marked = admin.get(f"archive/{story['_id']}").get_json()
            mark(admin, story, highlight)
            told = events.named("item:highlights")

        unmarked = admin.get(f"archive/{story['_id']}").get_json()
        assert ([highlight["_id"]], []) == (marked["highlights"], unmarked["highlights"])
        for item in (marked, unmarked):
            assert (story["_etag"], 1) == (item["_etag"], item["_current_version"])
        place = {"item_id": story["_id"], "mark_id": highlight["_id"]}
        assert [{"marked": 1, **place}, {"marked": 0, **place}] == told
        rows = list(graph.db["archive_history"].find({"item_id": story["_id"]}).sort("_id", 1))
        assert ["create", "mark", "unmark"] == [row["operation"] for row in rows]
        assert "Morning" == rows[1]["update"]["highlight_name"]

    def test_show_at_what_is_out(
        self, admin: Client, graph: Graph, highlight: Document, story: Document
    ) -> None:
        """The row of the version that was marked carries the mark; unmarking reaches all rows."""
        admin.patch(f"archive/publish/{story['_id']}", {})
        etag = stored(graph, story, "published")["_etag"]
        mark(admin, story, highlight)
        admin.patch(f"archive/correct/{story['_id']}", {"headline": "x"})

        rows = list(graph.db["published"].find({"item_id": story["_id"]}))
        assert [[ObjectId(highlight["_id"])]] * 2 == [row["highlights"] for row in rows]
        assert etag == rows[0]["_etag"]

        mark(admin, story, highlight)

        rows = list(graph.db["published"].find({"item_id": story["_id"]}))
        assert [[], []] == [row["highlights"] for row in rows]

    def test_are_several_at_once(
        self, admin: Client, graph: Graph, newsroom: Newsroom, story: Document, highlight: Document
    ) -> None:
        """Each of the list is turned for itself."""
        other = admin.create("highlights", {"name": "Late", "desks": [newsroom.task["desk"]]})
        mark(admin, story, highlight)

        mark(admin, story, highlight, other)

        assert [ObjectId(other["_id"])] == stored(graph, story)["highlights"]

    def test_of_an_item_that_does_not_exist(self, admin: Client, highlight: Document) -> None:
        """Resources scenario R61: 201 without an id; an unknown highlight is refused."""
        assert mark(admin, {"_id": "nowhere"}, highlight)["_id"] is None
        body = {"highlights": [str(ObjectId())], "marked_item": "nowhere"}
        assert 400 == admin.post("marked_for_highlights", body).status_code

    def test_need_the_privilege(self, editor: Client, highlight: Document) -> None:
        """Marks are for those who may set them."""
        body = {"highlights": [highlight["_id"]], "marked_item": "x"}

        assert 403 == editor.post("marked_for_highlights", body).status_code


class TestMarksForDesks:
    def test_are_turned_on_and_off(
        self, admin: Client, graph: Graph, newsroom: Newsroom, story: Document, settings: Any
    ) -> None:
        """Who marked the item when, for which desk; a second request takes the mark off."""
        desk = newsroom.task["desk"]
        body = {"marked_desk": desk, "marked_item": story["_id"]}
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            admin.create("marked_for_desks", body)
            marked = admin.get(f"archive/{story['_id']}").get_json()
            admin.create("marked_for_desks", body)
            told = events.named("item:marked_desks")

        (entry,) = marked["marked_desks"]
        assert (desk, admin.session["user"], story["_etag"]) == (
            entry["desk_id"],
            entry["user_marked"],
            marked["_etag"],
        )
        assert entry["date_marked"]
        assert [] == stored(graph, story)["marked_desks"]
        assert [1, 0] == [event["marked"] for event in told]
        rows = graph.db["archive_history"].find({"item_id": story["_id"]}).sort("_id", 1)
        assert ["create", "mark", "unmark"] == [row["operation"] for row in rows]


class TestPackages:
    def test_are_filled_with_what_is_marked(
        self, admin: Client, graph: Graph, newsroom: Newsroom, highlight: Document
    ) -> None:
        """Resources contract 13: today's marked items, newest first, and each once."""
        old, first, second, other = (admin.create("archive", newsroom.story()) for _ in range(4))
        now = datetime.now(UTC).replace(microsecond=0)
        for item, age in ((old, 8 * 24 * 60), (first, 0), (second, 0)):
            mark(admin, item, highlight)
            at = {"versioncreated": now - timedelta(minutes=age)}
            graph.db["archive"].update_one({"_id": item["_id"]}, {"$set": at})
        groups = [
            {"id": "root", "refs": [{"idRef": "main"}]},
            {"id": "main", "refs": [{"residRef": second["_id"]}]},
        ]

        package = admin.create(
            "archive",
            newsroom.story(type="composite", highlight=highlight["_id"], groups=groups),
        )

        refs = package["groups"][1]["refs"]
        assert [second["_id"], first["_id"]] == [ref["residRef"] for ref in refs]
        assert other["_id"] not in str(refs)
        assert [{"package": package["_id"]}] == stored(graph, first)["linked_in_packages"]

    def test_need_a_highlight_that_exists(self, admin: Client, newsroom: Newsroom) -> None:
        """An unknown one is named, and odd groups are refused as ever."""
        unknown = str(ObjectId())

        answer = admin.post("archive", newsroom.story(type="composite", highlight=unknown))

        assert (400, f"Highlight not found: {unknown}") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    @pytest.mark.parametrize("groups", [["main"], [{"id": "main", "refs": 5}]])
    def test_refuse_odd_groups(
        self, admin: Client, newsroom: Newsroom, highlight: Document, groups: Any
    ) -> None:
        """Whatever a client sends as groups is no fault of ours."""
        body = newsroom.story(type="composite", highlight=highlight["_id"], groups=groups)

        assert 400 == admin.post("archive", body).status_code
