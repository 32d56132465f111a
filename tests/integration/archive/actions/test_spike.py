"""Spiking and unspiking at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.events import Events
from tests.support.newsroom import Newsroom

REFUSED = "validator exception"


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def story(admin: Any, newsroom: Newsroom) -> dict[str, Any]:
    return dict(admin.create("archive", newsroom.story()))


def act(client: Any, verb: str, item: Any, body: Any = None) -> dict[str, Any]:
    answer = client.patch(f"archive/{verb}/{item['_id']}", body or {})
    assert answer.status_code == 200, answer.text
    return dict(answer.get_json())


def package_of(client: Any, story: Any, newsroom: Newsroom) -> dict[str, Any]:
    groups = [
        {"id": "root", "role": "grpRole:NEP", "refs": [{"idRef": "main"}]},
        {"id": "main", "role": "grpRole:main", "refs": [{"residRef": story["_id"]}]},
    ]
    body = {"type": "composite", "state": "fetched", "groups": groups, "task": newsroom.task}
    return dict(client.create("archive", body))


class TestSpike:
    def test_takes_the_item_out(self, admin: Any, story: Any, graph: Graph) -> None:
        """Spiked, version 2, new `event_id`, and one row of history.

        Lifecycle scenario 71; resources scenario R43.
        """
        spiked = act(admin, "spike", story)

        assert ("spiked", "fetched", "spike", 2) == (
            spiked["state"],
            spiked["revert_state"],
            spiked["operation"],
            spiked["_current_version"],
        )
        assert spiked["event_id"] != story["event_id"]
        rows = list(graph.db["archive_history"].find({"operation": "spike"}))
        assert [2] == [row["version"] for row in rows]
        assert 2 == graph.db["archive_versions"].count_documents({"_id_document": story["_id"]})

    def test_frees_a_locked_item(self, admin: Any, story: Any, settings: Any) -> None:
        """Lifecycle scenario 71: the lock goes, and clients hear of both."""
        admin.create(f"archive/{story['_id']}/lock", {})

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            spiked = act(admin, "spike", story)
            told = [events.named(name)[0]["item"] for name in ("item:unlock", "item:spike")]

        assert spiked["lock_user"] is None
        assert [story["_id"]] * 2 == told

    @pytest.mark.parametrize("state", ["published", "corrected", "killed", "scheduled", "spiked"])
    def test_refuses_other_states(self, admin: Any, newsroom: Newsroom, state: str) -> None:
        """Resources scenario R44: what is out, or in the bin, is not spiked."""
        item = admin.create("archive", newsroom.story(state=state))

        answer = admin.patch(f"archive/spike/{item['_id']}", {})

        refusal = "412: Workflow transition is invalid."
        assert (400, refusal) == (answer.status_code, answer.get_json()["_issues"][REFUSED])

    def test_refuses_a_member_of_a_package(
        self, admin: Any, story: Any, newsroom: Newsroom
    ) -> None:
        """Lifecycle scenario 72; resources scenario R44: the refusal names the story."""
        package_of(admin, story, newsroom)

        answer = admin.patch(f"archive/spike/{story['_id']}", {})

        assert (
            '400: The item "rivers" is in a package it needs to be removed'
            " before the item can be spiked"
        ) == answer.get_json()["_issues"][REFUSED]

    def test_empties_a_package(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Groups move to `deleted_groups` and come back, links with them.

        Lifecycle scenario 72; resources scenario R45.
        """
        package = package_of(admin, story, newsroom)

        def links() -> list[str]:
            member = graph.db["archive"].find_one({"_id": story["_id"]}) or {}
            return [link["package"] for link in member.get("linked_in_packages") or ()]

        spiked = act(admin, "spike", package)
        assert ([], []) == (spiked["groups"], links())
        assert ["root", "main"] == [group["id"] for group in spiked["deleted_groups"]]

        back = act(admin, "unspike", package)
        assert ["root", "main"] == [group["id"] for group in back["groups"]]
        assert [package["_id"]] == links()

    def test_cuts_the_ties_of_an_update(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """The story that a spiked update was written for may be updated again.

        Lifecycle scenario 66.
        """
        update = admin.create("archive", newsroom.story())
        link = {"rewrite_of": story["_id"]}
        graph.db["archive"].update_one({"_id": update["_id"]}, {"$set": link})
        tie = {"$set": {"rewritten_by": update["_id"]}}
        graph.db["archive"].update_one({"_id": story["_id"]}, tie)
        graph.db["published"].insert_one({"item_id": story["_id"], **tie["$set"]})

        spiked = act(admin, "spike", update)

        assert spiked["rewrite_of"] is None
        for collection in ("archive", "published"):
            assert graph.db[collection].find_one({"rewritten_by": update["_id"]}) is None
        row = graph.db["archive_history"].find_one({"operation": "unlink"}) or {}
        assert story["_id"] == row["item_id"]

    def test_cuts_the_ties_of_a_story(
        self, admin: Any, story: Any, newsroom: Newsroom, graph: Graph
    ) -> None:
        """Lifecycle scenario 66: an update of a spiked story is a story of its own."""
        update = admin.create("archive", newsroom.story())
        link = {"rewrite_of": story["_id"], "rewrite_sequence": 1}
        graph.db["archive"].update_one({"_id": update["_id"]}, {"$set": link})
        tie = {"$set": {"rewritten_by": update["_id"]}}
        graph.db["archive"].update_one({"_id": story["_id"]}, tie)

        act(admin, "spike", story)

        stored = graph.db["archive"].find_one({"_id": update["_id"]}) or {}
        assert (None, 0) == (stored["rewrite_of"], stored["rewrite_sequence"])

    def test_needs_privilege_and_etag(self, admin: Any, editor: Any, story: Any) -> None:
        """403 without the privilege, 428 without an etag, 412 with a stale one, 404 unknown."""
        path = f"archive/spike/{story['_id']}"

        assert 403 == editor.patch(path, {}, etag=story["_etag"]).status_code
        assert 428 == admin.request("PATCH", path, json={}).status_code
        assert 412 == admin.patch(path, {}, etag="stale").status_code
        assert 404 == admin.patch("archive/spike/unknown", {}, etag="x").status_code

    def test_refuses_unknown_fields(self, admin: Any, story: Any) -> None:
        """The body has fields of items, or none."""
        answer = admin.patch(f"archive/spike/{story['_id']}", {"nonsense": 1})

        assert {"nonsense": "unknown field"} == answer.get_json()["_issues"]


class TestUnspike:
    def test_brings_the_item_back(
        self, admin: Any, story: Any, newsroom: Newsroom, settings: Any
    ) -> None:
        """The state of before, version 3, on the incoming stage.

        Lifecycle scenario 71; resources scenario R43.
        """
        act(admin, "spike", story)

        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            back = act(admin, "unspike", story)
            (told,) = events.named("item:unspike")

        assert ("fetched", None, 3, str(newsroom.desk["incoming_stage"]), story["_id"]) == (
            back["state"],
            back["revert_state"],
            back["_current_version"],
            back["task"]["stage"],
            told["item"],
        )

    def test_sends_it_elsewhere(self, admin: Any, story: Any, newsroom: Newsroom) -> None:
        """`task` in the body is where the item goes."""
        act(admin, "spike", story)

        back = act(admin, "unspike", story, {"task": newsroom.task})

        assert newsroom.task["stage"] == back["task"]["stage"]

    def test_refuses_what_is_not_spiked(self, admin: Any, story: Any) -> None:
        """Only from the bin."""
        answer = admin.patch(f"archive/unspike/{story['_id']}", {})

        assert "412: Workflow transition is invalid." == answer.get_json()["_issues"][REFUSED]

    def test_refuses_an_unknown_desk(self, admin: Any, story: Any) -> None:
        """The desk must exist; the item stays in the bin."""
        act(admin, "spike", story)
        unknown = str(ObjectId())

        answer = admin.patch(f"archive/unspike/{story['_id']}", {"task": {"desk": unknown}})

        refused = answer.get_json()["_issues"][REFUSED]
        assert f"404: Invalid desk identifier {unknown}" == refused
        assert "spiked" == admin.get(f"archive/{story['_id']}").get_json()["state"]


@pytest.mark.parametrize("verb", ["spike", "unspike", "move", "publish", "save"])
def test_what_others_stored_without_a_version(
    admin: Any, newsroom: Newsroom, graph: Graph, verb: str
) -> None:
    """It gets version 1, with its row, before its first change. Lifecycle contract 1.4."""
    newsroom.validators()
    story = admin.create("archive", newsroom.story(state="submitted"))
    where, item_id = {"_id": story["_id"]}, story["_id"]
    changes: dict[str, Any] = {"$unset": {"_current_version": 1}}
    if verb == "unspike":
        changes["$set"] = {"state": "spiked", "revert_state": "submitted"}
    graph.db["archive"].update_one(where, changes)
    graph.db["archive_versions"].delete_many({})

    if verb == "move":
        stage = newsroom.desk["incoming_stage"]
        task = {"desk": str(newsroom.desk["_id"]), "stage": str(stage)}
        answer = admin.post(f"archive/{item_id}/move", {"task": task})
    elif verb == "save":
        answer = admin.patch(f"archive/{item_id}", {"headline": "saved"})
    else:
        answer = admin.patch(f"archive/{verb}/{item_id}", {})

    assert answer.status_code in (200, 201), answer.text
    stored = graph.db["archive"].find_one(where) or {}
    rows = list(graph.db["archive_versions"].find({"_id_document": item_id}))
    assert stored["_current_version"] == 2
    assert sorted(row["_current_version"] for row in rows) == [1, 2]
    history = graph.db["archive_history"].find({"item_id": item_id})
    assert [row["version"] for row in history] == [1, 2]
