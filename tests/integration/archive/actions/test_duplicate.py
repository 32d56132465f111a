"""Duplicates, copies and translations at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom, groups_of


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def story(admin: Any, newsroom: Newsroom) -> dict[str, Any]:
    """A story of version 3."""
    item = admin.create("archive", newsroom.story(flags={"marked_for_sms": True}))
    for headline in ("two", "three"):
        item = admin.patch(f"archive/{item['_id']}", {"headline": headline}).get_json()
    return dict(item)


def desk(newsroom: Newsroom, **fields: Any) -> dict[str, Any]:
    return {"desk": str(newsroom.desk["_id"]), "type": "archive", **fields}


def history(graph: Graph, item: Any) -> list[str]:
    rows = graph.db["archive_history"].find({"item_id": item["_id"]}).sort("_id", 1)
    return [row["operation"] for row in rows]


class TestDuplicate:
    def test_is_an_item_of_its_own(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """New ids, the next version, all versions and all history.

        Lifecycle scenario 67; resources scenario R48.
        """
        copied = admin.create(f"archive/{story['_id']}/duplicate", desk(newsroom))

        item = admin.get(f"archive/{copied['_id']}").get_json()
        assert ("submitted", "duplicate", 4, story["_id"], story["family_id"], "abc") == (
            item["state"],
            item["operation"],
            item["_current_version"],
            item["original_id"],
            item["family_id"],
            item["sign_off"],
        )
        assert newsroom.task["stage"] == item["task"]["stage"]
        assert not {item[n] for n in ("_id", "event_id", "unique_name")} & set(map(str, story))
        for name in ("_id", "guid", "event_id", "unique_id", "unique_name"):
            assert item[name] != story[name]
        assert item["flags"]["marked_for_sms"] is False
        versions = admin.get(f"archive/{item['_id']}", version="all").get_json()["_items"]
        assert [1, 2, 3, 4] == [version["_current_version"] for version in versions]
        assert ["create", "update", "update", "duplicated_from"] == history(graph, item)
        assert ["create", "update", "update", "duplicate"] == history(graph, story)
        told = graph.db["archive_history"].find_one({"operation": "duplicate"}) or {}
        assert item["_id"] == told["update"]["duplicate_id"]
        assert 3 == graph.db["archive_history"].count_documents({"original_item_id": story["_id"]})

    @pytest.mark.parametrize(
        "fields",
        [
            {"embargo": "2099-01-01T00:00:00+0000"},
            {"publish_schedule": "2099-01-01T00:00:00+0000"},
            {"highlights": ["x"]},
            {"marked_desks": [{"desk_id": "x"}]},
            {"assignment_id": "x"},
            {"firstpublished": "2020-01-01T00:00:00+0000"},
        ],
    )
    @pytest.mark.parametrize("verb", ["duplicate", "copy"])
    def test_leaves_behind_what_belongs_to_the_source(
        self, admin: Any, newsroom: Newsroom, verb: str, fields: Any
    ) -> None:
        """Lifecycle scenario 43: no embargo, and nothing else that was decided about the source."""
        source = admin.create("archive", newsroom.story(**fields))
        body = desk(newsroom) if verb == "duplicate" else {}

        copied = admin.create(f"archive/{source['_id']}/{verb}", body)

        stored = admin.get(f"archive/{copied['_id']}").get_json()
        assert not fields.keys() & stored.keys()

    def test_of_an_archived_item_takes_the_newest(
        self, admin: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """`type: archived` copies the highest version of the archived item.

        Lifecycle scenario 67.
        """
        graph.db["archived"].insert_many(
            {
                "_id": ObjectId(),
                "item_id": "gone",
                "archived_id": f"gone:{version}",
                "type": "text",
                "state": "published",
                "headline": f"version {version}",
                "_current_version": version,
            }
            for version in (2, 3)
        )

        body = desk(newsroom, type="archived", item_id="gone")
        copied = admin.create("archive/gone/duplicate", body)

        assert ("version 3", 4, "gone") == (
            copied["headline"],
            copied["_current_version"],
            copied["original_id"],
        )

    def test_of_a_package_copies_its_members(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Members are duplicated first; the copy holds the copies."""
        body = {"type": "composite", "groups": groups_of(story), "task": newsroom.task}
        package = admin.create("archive", body)

        copied = admin.create(f"archive/{package['_id']}/duplicate", desk(newsroom))

        (ref,) = copied["groups"][1]["refs"]
        member = graph.db["archive"].find_one({"_id": ref["residRef"]}) or {}
        assert story["_id"] == member["original_id"]
        assert [copied["_id"]] == [link["package"] for link in member["linked_in_packages"]]

    @pytest.mark.parametrize("kind", ["archive", "published", "archived"])
    def test_tells_clients_once(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph, settings: Any, kind: str
    ) -> None:
        """One `content:update` with the id of the source and the place of the copy.

        Clients send the collection that they found the item in as `type`.
        """
        target = newsroom._desk("Culture")
        row = {**(graph.db["archive"].find_one({"_id": story["_id"]}) or {}), "_id": ObjectId()}
        graph.db["archived"].insert_one({**row, "item_id": story["_id"]})
        body = {"desk": str(target["_id"]), "type": kind, "item_id": story["_id"]}

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            admin.create(f"archive/{story['_id']}/duplicate", body)
            (told,) = events.named("content:update")

        assert told == {
            "user": admin.session["user"],
            "items": {story["_id"]: 1},
            "desks": {str(target["_id"]): 1},
            "stages": {str(target["working_stage"]): 1},
        }

    def test_tells_once_of_a_whole_package(
        self, admin: Any, story: Any, newsroom: Newsroom, settings: Any
    ) -> None:
        """Members are copied with it, and nothing is told of each."""
        body = {"type": "composite", "groups": groups_of(story), "task": newsroom.task}
        package = admin.create("archive", body)

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            admin.create(f"archive/{package['_id']}/duplicate", desk(newsroom))
            (told,) = events.named("content:update")

        assert {package["_id"]: 1} == told["items"]

    def test_tells_the_user_of_a_personal_copy(self, admin: Any, story: Any, settings: Any) -> None:
        """It is on no desk."""
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            body = {"desk": None, "type": "archive"}
            admin.create(f"archive/{story['_id']}/duplicate", body)
            (told,) = events.named("content:update")

        assert ({story["_id"]: 1}, {}, {}) == (told["items"], told["desks"], told["stages"])
        (message,) = (m for m in events.messages if m["event"] == "content:update")
        assert [admin.session["user"]] == message["audience"][0][0]["users"]

    @pytest.mark.parametrize("state", ["spiked", "killed", "recalled"])
    @pytest.mark.parametrize("verb", ["duplicate", "copy"])
    def test_refuses_withdrawn_items(
        self, admin: Any, newsroom: Newsroom, verb: str, state: str
    ) -> None:
        """What must not be used must not be copied.

        Lifecycle scenario 36; resources scenario R48.
        """
        item = admin.create("archive", newsroom.story(state=state))
        body = desk(newsroom) if verb == "duplicate" else {}

        answer = admin.post(f"archive/{item['_id']}/{verb}", body)

        assert (412, "Workflow transition is invalid.") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_refuses_a_locked_item(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Somebody else is changing it."""
        graph.db["archive"].update_one({"_id": story["_id"]}, {"$set": {"lock_user": ObjectId()}})

        answer = admin.post(f"archive/{story['_id']}/duplicate", desk(newsroom))

        assert (403, "The item was locked by another user") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_refuses_unknown_places(self, admin: Any, story: Any, newsroom: Newsroom) -> None:
        """Items and desks must exist; `desk` and `type` are required."""
        unknown, path = str(ObjectId()), f"archive/{story['_id']}/duplicate"

        missing = admin.post(path, {})
        no_item = admin.post("archive/unknown/duplicate", desk(newsroom))
        no_desk = admin.post(path, {"desk": unknown, "type": "archive"})

        required = {"desk": {"required": 1}, "type": {"required": 1}}
        assert (400, required) == (missing.status_code, missing.get_json()["_issues"])
        assert "Failed to find item with guid: unknown" == no_item.get_json()["_message"]
        assert (404, f"Invalid desk identifier {unknown}") == (
            no_desk.status_code,
            no_desk.get_json()["_message"],
        )

    def test_needs_membership_or_privilege(
        self, app: Any, graph: Graph, story: Any, newsroom: Newsroom
    ) -> None:
        """Nobody puts items on the desk of others without the privilege `move`."""
        make_user(graph, "guest", privileges={"duplicate": 1})

        answer = log_in(app, "guest").post(f"archive/{story['_id']}/duplicate", desk(newsroom))

        assert (403, f"User is not member of desk: {newsroom.desk['_id']}") == (
            answer.status_code,
            answer.get_json()["_message"],
        )

    def test_into_the_personal_space(self, admin: Any, story: Any) -> None:
        """Without a desk the duplicate is the user's own, in progress."""
        copied = admin.create(
            f"archive/{story['_id']}/duplicate", {"desk": None, "type": "archive"}
        )

        assert ("in_progress", None) == (copied["state"], copied["task"].get("desk"))


class TestCopy:
    def test_goes_to_the_personal_space(self, admin: Any, story: Any, settings: Any) -> None:
        """The copy has no place, the state of the source and the user as its creator."""
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            copied = admin.create(f"archive/{story['_id']}/copy", {})
            (told,) = events.named("item:copy")

        me = admin.session["user"]
        assert ({}, "in_progress", me, {"copied": 1, "user": me}) == (
            copied["task"],
            copied["state"],
            copied["original_creator"],
            told,
        )

    def test_refuses_bad_requests(self, admin: Any, story: Any) -> None:
        """Unknown items and unknown fields."""
        assert 404 == admin.post("archive/unknown/copy", {}).status_code
        assert 400 == admin.post(f"archive/{story['_id']}/copy", {"x": 1}).status_code


class TestWithoutPersonalCopies:
    @pytest.fixture
    def settings(self, settings: dict[str, Any]) -> dict[str, Any]:
        return {**settings, "WORKFLOW_ALLOW_COPY_TO_PERSONAL": False}

    def test_items_of_desks_stay_there(self, admin: Any, story: Any) -> None:
        """The setting keeps items of desks out of the personal space."""
        path, body = f"archive/{story['_id']}", {"desk": None, "type": "archive"}

        answers = [admin.post(f"{path}/copy", {}), admin.post(f"{path}/duplicate", body)]

        assert [
            (412, "Copy is not allowed on items in a desk."),
            (403, "Duplicate to Personal space is not allowed."),
        ] == [(answer.status_code, answer.get_json()["_message"]) for answer in answers]


class TestTranslate:
    def test_ties_both_items(self, admin: Any, story: Any, graph: Graph) -> None:
        """The translation names its source, the source its translations; both have history."""
        translated = admin.create("archive/translate", {"guid": story["_id"], "language": "de"})

        source = admin.get(f"archive/{story['_id']}").get_json()
        assert ("de", story["_id"], story["_id"]) == (
            translated["language"],
            translated["translated_from"],
            translated["translation_id"],
        )
        assert [translated["_id"]] == source["translations"]
        assert ["translate"] * 2 == [history(graph, item)[-1] for item in (source, translated)]

    @pytest.mark.parametrize(
        ("body", "status"),
        [({}, 400), ({"guid": "x"}, 400), ({"guid": "unknown", "language": "de"}, 404)],
    )
    def test_refuses_bad_requests(self, admin: Any, body: Any, status: int) -> None:
        """Source and language are required, and the source must exist."""
        assert status == admin.post("archive/translate", body).status_code
