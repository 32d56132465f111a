"""Moving items between desks at the HTTP edge."""

from typing import Any

import pytest
from bson import ObjectId

from apps.graph.build import Graph
from tests.support.clients import log_in, make_user
from tests.support.events import Events
from tests.support.newsroom import Newsroom


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
        ({"task": {"desk": "5" * 24}}, {"task": {"stage": {"required": 1}}}),
        (
            {"task": {"desk": "x", "stage": "5" * 24}},
            {"task": {"desk": "must be of objectid type"}},
        ),
    ],
)
def test_needs_desk_and_stage(admin: Any, story: Any, body: Any, issues: Any) -> None:
    """Resources scenario R47: both are required."""
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


@pytest.mark.parametrize("body", [[{}], {}, {"allPackageItems": False}])
def test_into_the_personal_space(
    admin: Any, story: Any, newsroom: Newsroom, graph: Graph, settings: Any, body: Any
) -> None:
    """Without a task: no desk, no stage, the caller's own; signed, and told like any move."""
    old = {name: str(newsroom.desk[name]) for name in ("_id", "working_stage")}
    with Events(settings["REDIS_URL"], settings["NOTIFICATION_CHANNEL"]) as events:
        answer = admin.post(f"archive/{story['_id']}/move", body)
        (told,) = events.named("item:move")

    assert answer.status_code == 201, answer.text
    item = admin.get(f"archive/{story['_id']}").get_json()
    assert ("submitted", "move", 2) == (item["state"], item["operation"], item["_current_version"])
    task = item["task"]
    assert task == {
        "user": admin.session["user"],
        "last_desk": old["_id"],
        "desk_history": [old["_id"]],
    }
    assert item["expiry"] is None
    assert item["sign_off"].endswith(graph.db["users"].find_one({})["sign_off"])
    assert (told["from_desk"], told["from_stage"]) == (old["_id"], old["working_stage"])
    assert (told["to_desk"], told["to_stage"]) == ("", "")
    versions = admin.get(f"archive/{story['_id']}", version="all").get_json()["_items"]
    assert [2, 1] == sorted((v["_current_version"] for v in versions), reverse=True)


@pytest.mark.parametrize("body", [{"task": {}}, {"task": None}, {"task": {"user": "x"}}])
def test_a_task_without_a_place_is_no_place(admin: Any, story: Any, body: Any) -> None:
    answer = admin.post(f"archive/{story['_id']}/move", body)

    assert (answer.status_code, set(answer.get_json()["_issues"])) == (400, {"task"})
    assert admin.get(f"archive/{story['_id']}").get_json()["_current_version"] == 1


def test_into_the_personal_space_from_ones_desk_only(app: Any, graph: Graph, story: Any) -> None:
    """Or with the privilege `move`; what is personal is seen by its user, and comes back."""
    make_user(graph, "stranger", privileges={"archive": 1})
    make_user(graph, "mover", privileges={"archive": 1, "move": 1})
    stranger, mover = log_in(app, "stranger"), log_in(app, "mover")
    path = f"archive/{story['_id']}/move"

    refused = stranger.post(path, {})
    assert refused.status_code == 403
    assert refused.get_json()["_message"].startswith("User is not member of desk: ")
    assert mover.post(path, {}).status_code == 201

    assert story["_id"] in {item["_id"] for item in mover.get("archive").get_json()["_items"]}
    assert story["_id"] not in {
        item["_id"] for item in stranger.get("archive").get_json()["_items"]
    }
    back = {"task": {name: story["task"][name] for name in ("desk", "stage")}}
    assert mover.post(path, back).status_code == 201


def test_a_package_takes_its_members_into_the_personal_space(
    admin: Any, story: Any, newsroom: Newsroom
) -> None:
    refs = [{"residRef": story["_id"], "type": "text"}]
    groups = [{"id": "root", "refs": [{"idRef": "main"}]}, {"id": "main", "refs": refs}]
    package = admin.create("archive", newsroom.story(type="composite", groups=groups))

    assert (
        admin.post(f"archive/{package['_id']}/move", {"allPackageItems": True}).status_code == 201
    )

    for item in (package, story):
        assert "desk" not in admin.get(f"archive/{item['_id']}").get_json()["task"]
