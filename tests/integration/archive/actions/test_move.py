"""Moving items between desks at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.clients import Client, log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom, groups_of


@pytest.fixture
def newsroom(graph: Graph) -> Newsroom:
    return Newsroom(graph.db)


@pytest.fixture
def story(admin: Any, newsroom: Newsroom) -> dict[str, Any]:
    return dict(admin.create("archive", newsroom.story()))


@pytest.fixture
def production(newsroom: Newsroom) -> dict[str, str]:
    """The `task` of items on a production desk."""
    desk = newsroom._desk("Production", desk_type="production")
    stage = desk["working_stage"]
    newsroom.db["stages"].update_one({"_id": stage}, {"$set": {"task_status": "in_progress"}})
    return {"desk": str(desk["_id"]), "stage": str(stage)}


def test_changes_desk_and_stage(
    admin: Any, story: Any, newsroom: Newsroom, production: Any, graph: Graph
) -> None:
    """The item remembers where it was; the answer has the item's new etag.

    Resources scenario R46.
    """
    answer = admin.create(f"archive/{story['_id']}/move", {"task": production})

    item = admin.get(f"archive/{story['_id']}").get_json()
    old, task = str(newsroom.desk["_id"]), item["task"]
    assert (story["_id"], item["_etag"]) == (answer["_id"], answer["_etag"])
    assert ("submitted", "move", 2) == (item["state"], item["operation"], item["_current_version"])
    assert (production["desk"], production["stage"], old, old, [old], "in_progress") == (
        task["desk"],
        task["stage"],
        task["last_authoring_desk"],
        task["last_desk"],
        task["desk_history"],
        task["status"],
    )
    assert 1 == graph.db["archive_history"].count_documents({"operation": "move", "version": 2})


def test_within_a_desk_changes_the_stage_only(
    admin: Any, story: Any, newsroom: Newsroom, settings: Any
) -> None:
    """No desk is left, so none is remembered; clients are told from where to where."""
    target = {**newsroom.task, "stage": str(newsroom.desk["incoming_stage"])}

    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        admin.create(f"archive/{story['_id']}/move", {"task": target})
        (told,) = events.named("item:move")

    assert "last_desk" not in admin.get(f"archive/{story['_id']}").get_json()["task"]
    assert (newsroom.task["stage"], target["stage"], "2") == (
        told["from_stage"],
        told["to_stage"],
        told["item_version"],
    )


@pytest.mark.parametrize("state", ["published", "scheduled", "correction"])
def test_keeps_states_of_what_is_out(
    admin: Any, newsroom: Newsroom, production: Any, state: str
) -> None:
    """A move does not take an item back."""
    item = admin.create("archive", newsroom.story(state=state))

    admin.create(f"archive/{item['_id']}/move", {"task": production})

    assert state == admin.get(f"archive/{item['_id']}").get_json()["state"]


@pytest.mark.parametrize("state", ["spiked", "killed", "corrected", "recalled"])
def test_refuses_other_states(admin: Any, newsroom: Newsroom, production: Any, state: str) -> None:
    """What is in the bin or withdrawn stays where it is."""
    item = admin.create("archive", newsroom.story(state=state))

    answer = admin.post(f"archive/{item['_id']}/move", {"task": production})

    assert (412, "Workflow transition is invalid.") == (
        answer.status_code,
        answer.get_json()["_message"],
    )


def test_refuses_the_same_stage(admin: Any, story: Any, newsroom: Newsroom) -> None:
    """Resources scenario R47: there has to be somewhere to go."""
    answer = admin.post(f"archive/{story['_id']}/move", {"task": newsroom.task})

    assert (412, "Move is not allowed within the same stage.") == (
        answer.status_code,
        answer.get_json()["_message"],
    )


@pytest.mark.parametrize(
    ("body", "issues"),
    [
        ({"task": {}}, {"task": {"desk": {"required": 1}, "stage": {"required": 1}}}),
        ({"task": None}, {"task": "null value not allowed"}),
        ({"task": {"stage": "5" * 24}}, {"task": {"desk": {"required": 1}}}),
        ({"task": {"desk": "5" * 24}}, {"task": {"stage": {"required": 1}}}),
        (
            {"task": {"desk": "x", "stage": "5" * 24}},
            {"task": {"desk": "must be of objectid type"}},
        ),
    ],
)
def test_needs_desk_and_stage(admin: Any, story: Any, body: Any, issues: Any) -> None:
    """Resources scenario R47: both are required of a task."""
    answer = admin.post(f"archive/{story['_id']}/move", body)

    assert (400, issues) == (answer.status_code, answer.get_json()["_issues"])


def test_refuses_unknown_places(admin: Any, story: Any, production: Any) -> None:
    """Items, desks and stages must exist."""
    unknown = str(ObjectId())

    answers = [
        admin.post("archive/unknown/move", {"task": production}),
        admin.post(f"archive/{story['_id']}/move", {"task": {**production, "desk": unknown}}),
        admin.post(f"archive/{story['_id']}/move", {"task": {**production, "stage": unknown}}),
    ]

    assert [
        (404, "Failed to find item with guid: unknown"),
        (404, f"Invalid desk identifier {unknown}"),
        (404, f"Invalid stage identifier {unknown}"),
    ] == [(answer.status_code, answer.get_json()["_message"]) for answer in answers]


def test_needs_membership_or_privilege(app: Any, graph: Graph, story: Any, production: Any) -> None:
    """A desk takes items of its members and of who may send to all desks.

    Resources scenario R47.
    """
    make_user(graph, "guest", privileges={"archive": 1})
    make_user(graph, "mover", privileges={"archive": 1, "move": 1})
    path = f"archive/{story['_id']}/move"

    refused = log_in(app, "guest").post(path, {"task": production})

    assert (403, f"User is not member of desk: {production['desk']}") == (
        refused.status_code,
        refused.get_json()["_message"],
    )
    assert 201 == log_in(app, "mover").post(path, {"task": production}).status_code


class TestToPersonalSpace:
    """Without a `task` the item becomes the caller's own."""

    @pytest.fixture
    def writer(self, app: Any, graph: Graph) -> Client:
        """Another user, with a sign-off of `wri`."""
        make_user(graph, "writer", privileges={"archive": 1})
        return log_in(app, "writer")

    @pytest.mark.parametrize("body", [[{}], {}, {"allPackageItems": None}])
    def test_takes_it_off_its_desk(
        self, admin: Any, writer: Client, story: Any, newsroom: Newsroom, graph: Graph, body: Any
    ) -> None:
        """The item remembers the desk; who has moved it is its user now."""
        answer = writer.create(f"archive/{story['_id']}/move", body)

        item = writer.get(f"archive/{story['_id']}").get_json()
        desk = str(newsroom.desk["_id"])
        assert answer["_etag"] == item["_etag"] != story["_etag"]
        assert {
            "user": writer.session["user"],
            "last_desk": desk,
            "desk_history": [desk],
        } == item["task"]
        assert ("submitted", "move", 2, "abc/wri", None) == (
            item["state"],
            item["operation"],
            item["_current_version"],
            item["sign_off"],
            item["expiry"],
        )
        versions = admin.get(f"archive/{story['_id']}", version="all").get_json()["_items"]
        assert [1, 2] == [version["_current_version"] for version in versions]
        assert 1 == graph.db["archive_history"].count_documents({"operation": "move", "version": 2})

    def test_hides_it_from_others(
        self, app: Any, admin: Any, writer: Client, story: Any, graph: Graph
    ) -> None:
        """It is in the lists of its user and its writers, and those alone lock it."""
        make_user(graph, "colleague", user_type="administrator")
        clients = [admin, writer, log_in(app, "colleague")]

        writer.create(f"archive/{story['_id']}/move", {})

        listed = [client.get("archive").get_json()["_meta"]["total"] for client in clients]
        locks = [client.post(f"archive/{story['_id']}/lock", {}).status_code for client in clients]
        assert ([1, 1, 0], [403, 201, 403]) == (listed, locks)

    def test_is_told(
        self, admin: Any, story: Any, newsroom: Newsroom, settings: Any, production: Any
    ) -> None:
        """`item:move` and `task:stage` lead nowhere; from there it goes to a desk again."""
        path = f"archive/{story['_id']}/move"
        with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
            admin.create(path, {})
            (moved,), (stage,) = events.named("item:move"), events.named("task:stage")
            admin.create(path, {"task": production})
            back = events.named("item:move")[-1]

        task = newsroom.task
        assert (task["desk"], task["stage"], "", "") == (
            *(moved["from_desk"], moved["from_stage"]),
            *(moved["to_desk"], moved["to_stage"]),
        )
        assert (task["stage"], "") == (stage["old_stage"], stage["new_stage"])
        assert ("", production["desk"]) == (back["from_desk"], back["to_desk"])
        item = admin.get(f"archive/{story['_id']}").get_json()
        assert (3, task["desk"]) == (item["_current_version"], item["task"]["last_desk"])

    def test_of_ones_own_is_a_version_more(self, admin: Any, graph: Graph) -> None:
        """There is no stage that it could be on already."""
        own = admin.create("archive", {"type": "text", "task": {"user": admin.session["user"]}})

        admin.create(f"archive/{own['_id']}/move", [{}])

        item = admin.get(f"archive/{own['_id']}").get_json()
        assert (2, "submitted", {"user": admin.session["user"]}) == (
            item["_current_version"],
            item["state"],
            item["task"],
        )

    def test_takes_nothing_from_other_users(self, admin: Any, writer: Client) -> None:
        """What is in a personal space stays in it."""
        own = writer.create("archive", {"type": "text", "task": {"user": writer.session["user"]}})

        answer = admin.post(f"archive/{own['_id']}/move", {})

        assert (403, "Item belongs to another user.") == (
            answer.status_code,
            answer.get_json()["_message"],
        )
        assert 1 == writer.get(f"archive/{own['_id']}").get_json()["_current_version"]

    @pytest.mark.parametrize("everything", [True, False])
    def test_of_a_package(
        self, admin: Any, story: Any, newsroom: Newsroom, everything: bool
    ) -> None:
        """Its members follow where they are asked to."""
        body = {"type": "composite", "groups": groups_of(story), "task": newsroom.task}
        package = admin.create("archive", body)

        admin.create(f"archive/{package['_id']}/move", {"allPackageItems": everything})

        items = [admin.get(f"archive/{item['_id']}").get_json() for item in (package, story)]
        assert [False, not everything] == ["desk" in item["task"] for item in items]
        assert [2, 2 if everything else 1] == [item["_current_version"] for item in items]

    @pytest.mark.parametrize("state", ["published", "scheduled", "correction"])
    def test_keeps_what_is_out(self, admin: Any, newsroom: Newsroom, state: str) -> None:
        """The state stays, as on any move."""
        item = admin.create("archive", newsroom.story(state=state))

        admin.create(f"archive/{item['_id']}/move", {})

        moved = admin.get(f"archive/{item['_id']}").get_json()
        assert (state, False) == (moved["state"], "desk" in moved["task"])

    @pytest.mark.parametrize("state", ["spiked", "killed", "corrected", "recalled"])
    def test_refuses_other_states(self, admin: Any, newsroom: Newsroom, state: str) -> None:
        """As any move."""
        item = admin.create("archive", newsroom.story(state=state))

        assert 412 == admin.post(f"archive/{item['_id']}/move", {}).status_code
